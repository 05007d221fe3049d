"""Checkpoints: atomic, written in the background, latest and best kept.

The only file that knows Orbax. A checkpoint is a folder `<directory>/<step>` with two
parts, so that a trained model can be read without its optimiser: `variables` (params
and model_state) and `training` (step, opt_state, key). A folder that a killed process
left half written is never taken for a checkpoint.
"""

import logging
import math
import os
import pathlib
from collections.abc import Mapping
from typing import Literal, SupportsFloat

import jax
import orbax.checkpoint as ocp
from jax.sharding import Mesh, SingleDeviceSharding
from orbax.checkpoint import checkpoint_managers

from posejax.training.mesh import replicated
from posejax.training.state import (
    TrainState,
    describe_differences,
    leaf_paths,
    none_paths,
)
from posejax.typing import Tree

Which = Literal["latest", "best"] | int

_ITEMS = ("variables", "training")
_SHOWN = 8  # differences named in an error


class Checkpoints:
    """The checkpoints of one run. Final; also a context that waits for its writes."""

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        best: tuple[str, str] | None = None,
        read_only: bool = False,
    ):
        """Opens a directory of checkpoints.

        Args:
          directory: Made if it is missing (unless `read_only`).
          best: `(figure, 'min' | 'max')`: the checkpoint whose figure is best is kept
            beside the latest one. None keeps the latest only.
          read_only: For evaluation beside a running training; nothing is changed.

        Raises:
          ValueError: If `best` has another mode.
          OSError: If the directory cannot be made or written.
        """
        if best is not None and best[1] not in ("min", "max"):
            raise ValueError(
                f"best is {best!r}; its second entry is expected to be 'min' or 'max'."
            )
        self.directory = pathlib.Path(os.path.abspath(directory))
        self._best = best
        self._read_only = read_only
        if not read_only:
            _make_writable(self.directory)
        _silence_orbax()
        self._manager = None
        if self.directory.is_dir():
            self._manager = ocp.CheckpointManager(
                self.directory,
                item_handlers={
                    item: ocp.StandardCheckpointHandler() for item in _ITEMS
                },
                options=_options(best, read_only),
            )

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Waits for the last write and releases the directory."""
        if self._manager is not None:
            self.wait()
            self._manager.close()

    def wait(self):
        """Waits until everything is on disk.

        Raises:
          OSError: If the last write failed (disk full, for instance).
        """
        if self._manager is None:
            return
        try:
            self._manager.wait_until_finished()
        except Exception as error:
            raise self._write_error(error) from error

    def steps(self) -> list[int]:
        """Returns the steps of which there is a checkpoint, in order."""
        if self._manager is None:
            return []
        return sorted(self._manager.all_steps())

    def latest_step(self) -> int | None:
        """Returns the last step saved; None if nothing is saved yet."""
        return max(self.steps(), default=None)

    def best_step(self) -> int | None:
        """Returns the step with the best figure; None if none has a finite one."""
        if self._best is None or self._manager is None:
            return None
        ranks = {step: self._rank(self._manager.metrics(step)) for step in self.steps()}
        finite = {step: rank for step, rank in ranks.items() if rank > -math.inf}
        return max(finite, key=lambda step: (finite[step], step), default=None)

    def path(self, step: int) -> pathlib.Path:
        """Returns the folder of a step."""
        return self.directory / str(step)

    def figures(self, step: int) -> dict[str, float]:
        """Returns the figures that were saved with a step; empty if there are none."""
        found = self._manager.metrics(step) if self._manager is not None else None
        return dict(found or {})

    def save(
        self, state: TrainState, figures: Mapping[str, SupportsFloat] | None = None
    ):
        """Starts to save a state; returns once its memory may be reused.

        Saving a step twice does nothing. Every process of a run must call it.

        Args:
          state: The state, of which the step names the checkpoint.
          figures: Evaluation of this state; decides whether it is the best.

        Raises:
          OSError: If this or the previous write failed; older checkpoints stay.
        """
        if self._read_only or self._manager is None:
            raise ValueError(f"{self.directory} was opened to be read only.")
        step = int(jax.device_get(state.step))
        self.wait()
        if step in self._manager.all_steps():
            return
        metrics = None
        if self._best is not None and figures:
            metrics = {name: float(value) for name, value in figures.items()}
        parts = _parts(state)
        try:
            self._manager.save(
                step,
                args=ocp.args.Composite(
                    **{name: ocp.args.StandardSave(parts[name]) for name in _ITEMS}
                ),
                metrics=metrics,
                force=True,
            )
        except Exception as error:
            raise self._write_error(error) from error

    def restore_state(
        self,
        template: TrainState,
        which: Which = "latest",
        *,
        mesh: Mesh | None = None,
    ) -> TrainState:
        """Reads a whole state, on any number of devices.

        Args:
          template: A state of the same system, of arrays or of `jax.eval_shape`.
          which: `latest`, `best` or a step.
          mesh: Where the state goes, replicated; None is the default device.

        Raises:
          FileNotFoundError: If there is no such checkpoint.
          ValueError: If it belongs to another model; names what differs.
        """
        step, manager = self._find(which)
        parts = _parts(template)
        self._check(parts, step, manager)
        targets = {name: _targets(parts[name], mesh) for name in _ITEMS}
        read = manager.restore(
            step,
            args=ocp.args.Composite(
                **{name: ocp.args.StandardRestore(targets[name]) for name in _ITEMS}
            ),
        )
        return TrainState(**read["variables"], **read["training"])

    def restore_variables(
        self,
        which: Which = "latest",
        *,
        like: tuple[Tree, Tree] | None = None,
        mesh: Mesh | None = None,
    ) -> tuple[Tree, Tree, int]:
        """Reads a model without its optimiser; needs no state to compare with.

        Args:
          which: `latest`, `best` or a step.
          like: `(params, model_state)` of the expected model, of arrays or of
            `jax.eval_shape`; None takes what is there. A None inside stands for an
            entry that is read as it is, if it is there at all.
          mesh: Where the arrays go, replicated; None is the default device.

        Returns:
          `(params, model_state, step)`, nested dictionaries.

        Raises:
          FileNotFoundError: If there is no such checkpoint.
          ValueError: If it belongs to another model; names what differs.
        """
        step, manager = self._find(which)
        if like is not None:
            expected = {"params": like[0], "model_state": like[1]}
            self._check({"variables": expected}, step, manager)
        tree = manager.item_metadata(step)["variables"].tree
        read = manager.restore(
            step,
            args=ocp.args.Composite(
                variables=ocp.args.StandardRestore(_targets(tree, mesh))
            ),
        )["variables"]
        return read["params"], read["model_state"], step

    def _find(self, which: Which) -> tuple[int, ocp.CheckpointManager]:
        self.wait()
        steps = self.steps()
        if self._manager is None or not steps:
            raise FileNotFoundError(
                f"there is no checkpoint in {self.directory}; train first, or pass the "
                "work directory of a run that has saved one."
            )
        match which:
            case "latest":
                return steps[-1], self._manager
            case "best":
                best = self.best_step()
                return (steps[-1] if best is None else best), self._manager
            case int() if which in steps:
                return which, self._manager
            case _:
                raise FileNotFoundError(
                    f"there is no checkpoint {which!r} in {self.directory}; there are "
                    f"{', '.join(map(str, steps))}, 'latest' and 'best'."
                )

    def _check(
        self, expected: Mapping[str, Tree], step: int, manager: ocp.CheckpointManager
    ):
        """Raises if a checkpoint does not hold the arrays that are expected."""
        metadata = manager.item_metadata(step)
        found = {}
        for item in expected:
            if metadata[item] is None:
                raise ValueError(
                    f"checkpoint {self.path(step)} has no readable part '{item}'; "
                    "delete that folder to go on from the one before."
                )
            found |= leaf_paths(metadata[item].tree)
        wanted, free = {}, ()
        for item in expected:
            wanted |= leaf_paths(expected[item])
            free += tuple(f"{path}/" for path in none_paths(expected[item]))
        found = {p: x for p, x in found.items() if not f"{p}/".startswith(free)}
        differences = describe_differences(wanted, found)
        if differences:
            more = len(differences) - _SHOWN
            shown = "; ".join(differences[:_SHOWN])
            tail = f"; and {more} more" if more > 0 else ""
            raise ValueError(
                f"checkpoint {self.path(step)} belongs to another model: "
                f"{shown}{tail}. Use the config it was trained with, or another "
                "work directory."
            )

    def _write_error(self, error: Exception) -> OSError:
        lines = str(error).strip().splitlines() or [type(error).__name__]
        kept = "nothing was saved before"
        complete = self._manager.all_steps(read=True) if self._manager else []
        if complete:
            kept = f"the last complete checkpoint is {self.path(max(complete))}"
        return OSError(
            f"a checkpoint could not be written to {self.directory}: {lines[0][:300]}; "
            f"free space there or use another work directory ({kept})."
        )

    def _rank(self, metrics: Mapping[str, float] | None) -> float:
        return _rank(self._best, metrics)


def _parts(state: TrainState) -> dict[str, Tree]:
    return {
        "variables": {"params": state.params, "model_state": state.model_state},
        "training": {
            "step": state.step,
            "opt_state": state.opt_state,
            "key": state.key,
        },
    }


def _targets(tree: Tree, mesh: Mesh | None) -> Tree:
    sharding = (
        SingleDeviceSharding(jax.local_devices()[0])
        if mesh is None
        else replicated(mesh)
    )
    return jax.tree.map(
        lambda x: jax.ShapeDtypeStruct(tuple(x.shape), x.dtype, sharding=sharding),
        tree,
    )


def _rank(best: tuple[str, str] | None, metrics: Mapping[str, float] | None) -> float:
    """Returns a number that is larger for better figures; -inf if there is none."""
    if best is None or not metrics:
        return -math.inf
    figure, mode = best
    value = metrics.get(figure, math.nan)
    if not math.isfinite(value):
        return -math.inf
    return value if mode == "max" else -value


def _options(
    best: tuple[str, str] | None, read_only: bool
) -> ocp.CheckpointManagerOptions:
    def rank(metrics) -> float:
        return _rank(best, metrics)

    keep: list[checkpoint_managers.PreservationPolicy] = [
        checkpoint_managers.LatestN(1)
    ]
    if best is not None:
        # Without the second option each checkpoint that was not evaluated stays.
        keep.append(
            checkpoint_managers.BestN(
                get_metric_fn=rank, n=1, keep_checkpoints_without_metrics=False
            )
        )
    return ocp.CheckpointManagerOptions(
        create=False,
        read_only=read_only,
        cleanup_tmp_directories=not read_only,
        preservation_policy=checkpoint_managers.AnyPreservationPolicy(keep),
        # Orbax writes figures to disk only if it is told how to compare them.
        best_fn=rank if best is not None else None,
        best_mode="max",
    )


def _make_writable(directory: pathlib.Path):
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OSError(
            f"the directory of checkpoints {directory} cannot be made "
            f"({error.strerror}); choose another work directory."
        ) from error
    if not os.access(directory, os.W_OK | os.X_OK):
        raise PermissionError(
            f"the directory of checkpoints {directory} cannot be written; change its "
            "permissions or choose another work directory."
        )


def _is_not_from_orbax(record: logging.LogRecord) -> bool:
    return "orbax" not in pathlib.PurePath(record.pathname).parts


def _silence_orbax():
    """Drops Orbax's running commentary; its errors reach us as exceptions."""
    logger = logging.getLogger("absl")
    if _is_not_from_orbax not in logger.filters:
        logger.addFilter(_is_not_from_orbax)
