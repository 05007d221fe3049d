"""Hooks that look at the state: stop, evaluate, draw, save.

Their order in `fit` matters: evaluate before saving, so that the figures are stored
with the state; log before saving, so that a state on disk has its lines on disk.
"""

import pathlib
from collections.abc import Callable, Iterator, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from posejax.training.checkpoints import Checkpoints
from posejax.training.evaluation import make_evaluate
from posejax.training.logs import MetricLog
from posejax.training.preemption import Preempted, Preemption
from posejax.training.progress import progress
from posejax.training.state import TrainState
from posejax.training.step import Logs, steps_in
from posejax.typing import Batch, PicturesFn, Task

WritePictures = Callable[[int, Mapping[str, np.ndarray]], None]


class NonFiniteLoss(FloatingPointError):
    """A loss, gradient or parameter is not finite; training cannot go on.

    Attributes:
      step: The step in which it was found.
      terms: Names of the terms or arrays, e.g. `total` or `params/conv/kernel`.
      checkpoint: Folder of the last good state; None if nothing was saved.
    """

    def __init__(
        self, step: int, terms: Mapping[str, float], checkpoint: pathlib.Path | None
    ):
        shown = ", ".join(f"{name} = {value}" for name, value in terms.items())
        kept = "nothing was saved before"
        if checkpoint is not None:
            kept = f"the last good checkpoint is {checkpoint}"
        super().__init__(
            f"step {step} is not finite: {shown}; {kept}. Lower the learning rate or "
            "look at the batch of that step."
        )
        self.step = step
        self.terms = tuple(terms)
        self.checkpoint = checkpoint


class FiniteHook:
    """Stops at the first step whose loss or gradient is not finite.

    Looks at the previous call while the device computes the present one, so the device
    never waits. `CheckpointHook` looks at the present one before it saves.
    """

    def __init__(self, checkpoints: Checkpoints | None = None):
        self._checkpoints = checkpoints
        self._previous: tuple[int, Logs] | None = None

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Checks the call before this one."""
        del state
        if self._previous is not None:
            check_logs(*self._previous, checkpoints=self._checkpoints)
        self._previous = (step, logs)

    def finish(self, step: int, state: TrainState) -> None:
        """Checks the last call."""
        del step, state
        if self._previous is not None:
            check_logs(*self._previous, checkpoints=self._checkpoints)
            self._previous = None


class EvaluationHook:
    """Evaluates splits every `every` steps and, if it is told which, after the last.

    Attributes:
      state_every: See `posejax.training.loop.StateHook`.
      figures: Split name to figures, of the last evaluation.
      step: The step of the last evaluation; None before the first.
    """

    def __init__(
        self,
        task: Task,
        splits: Mapping[str, Callable[[], Iterator[Batch]]],
        log: MetricLog | None = None,
        *,
        every: int,
        num_steps: int | None = None,
        mesh: Mesh | None = None,
        resident: Batch | None = None,
    ):
        """Prepares the evaluation.

        Args:
          task: The system.
          splits: As in `posejax.typing.TaskData`; the first decides the best
            checkpoint.
          log: Gets one line per evaluation, figures named `split/figure`.
          every: Steps between evaluations; 0 evaluates after the last step only.
          num_steps: The last step of the run, after which it evaluates in any case.
          mesh: As in `fit`.
          resident: As in `fit`.
        """
        self.state_every = every
        self.figures: dict[str, dict[str, float]] = {}
        self.step: int | None = None
        self._num_steps = num_steps
        self._splits = dict(splits)
        self._log = log
        self._evaluate = make_evaluate(task, mesh=mesh, resident=resident)

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Evaluates if it is time."""
        del logs
        if not is_due(step, self.state_every, self._num_steps):
            return
        if self._log is not None:
            self._log.flush()  # the time of a step is not that of its evaluation
        for name, batches in self._splits.items():
            _, self.figures[name] = self._evaluate(
                state.params,
                state.model_state,
                progress(batches(), unit=f"{name} batch"),
            )
        self.step = step
        if self._log is not None and self._splits:
            self._log.write(
                step,
                {
                    f"{split}/{name}": value
                    for split, figures in self.figures.items()
                    for name, value in figures.items()
                },
            )

    def figures_at(self, step: int) -> dict[str, float] | None:
        """Returns the figures of the first split if this step was evaluated."""
        if self.step != step or not self._splits:
            return None
        return self.figures[next(iter(self._splits))]


class PicturesHook:
    """Draws one batch every `every` steps and, if it is told which, after the last.

    Attributes:
      state_every: See `posejax.training.loop.StateHook`.
    """

    def __init__(
        self,
        pictures: PicturesFn | None,
        batch: Batch,
        write: WritePictures,
        *,
        every: int,
        num_steps: int | None = None,
    ):
        """Prepares the drawing.

        Args:
          pictures: The system's function; None draws nothing.
          batch: The batch that is drawn each time, resident arrays included.
          write: `write(step, pictures)`: name to images, float in 0..1 of shape
            `(batch, height, width, 3)`.
          every: Steps between pictures; 0 draws after the last step only.
          num_steps: The last step of the run, after which it draws in any case.
        """
        self.state_every = every
        self._num_steps = num_steps
        self._write = write
        self._batch = batch
        self._draw = None
        if pictures is not None and jax.process_index() == 0:
            self._draw = jax.jit(pictures)

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Draws if it is time; on one device of process 0."""
        del logs
        due = is_due(step, self.state_every, self._num_steps)
        if self._draw is None or not due:
            return
        params, model_state = jax.tree.map(
            lambda x: x.addressable_data(0), (state.params, state.model_state)
        )
        drawn = jax.device_get(self._draw(params, model_state, self._batch))
        self._write(step, {name: np.asarray(x) for name, x in drawn.items()})


class CheckpointHook:
    """Saves the state every `every` steps, after the last one, and when asked to stop.

    A state is saved only if its loss and all of its arrays are finite.

    Attributes:
      state_every: See `posejax.training.loop.StateHook`.
    """

    def __init__(
        self,
        checkpoints: Checkpoints,
        *,
        every: int,
        preemption: Preemption | None = None,
        evaluation: EvaluationHook | None = None,
        log: MetricLog | None = None,
    ):
        """Prepares the saving.

        Args:
          checkpoints: Where to.
          every: Steps between checkpoints; 0 saves after the last step only.
          preemption: Asked after each call; makes the hook save and raise `Preempted`.
          evaluation: Whose figures decide the best checkpoint; must come before this
            hook.
          log: That of the run, if it has one: a state on disk has its lines on disk,
            or a run that is killed right after it would lose them.
        """
        self.state_every = every
        self._checkpoints = checkpoints
        self._preemption = preemption
        self._evaluation = evaluation
        self._log = log

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Saves if it is time or if the run was asked to stop."""
        stop = self._preemption is not None and self._preemption.requested()
        if stop or is_due(step, self.state_every, None):
            check_logs(step, logs, checkpoints=self._checkpoints)
            self._save(step, state)
        if stop:
            self._checkpoints.wait()
            raise Preempted(step, self._checkpoints.path(step))

    def finish(self, step: int, state: TrainState) -> None:
        """Saves the last state and waits until it is on disk."""
        if self._checkpoints.latest_step() != step:
            self._save(step, state)
        self._checkpoints.wait()

    def _save(self, step: int, state: TrainState):
        check_state(step, state, checkpoints=self._checkpoints)
        figures = self._evaluation.figures_at(step) if self._evaluation else None
        if self._log is not None:
            self._log.flush()
        self._checkpoints.save(state, figures)


def is_due(step: int, every: int, last_step: int | None) -> bool:
    """Returns whether something that is done every `every` steps is done now."""
    return (every > 0 and step % every == 0) or step == last_step


def check_logs(step: int, logs: Logs, *, checkpoints: Checkpoints | None):
    """Raises `NonFiniteLoss` if a step of a call is not finite.

    Args:
      step: The last step of the call.
      logs: What the call returned; waits for it.
      checkpoints: Named in the error.
    """
    count = steps_in(logs)
    host = {name: np.atleast_1d(x) for name, x in jax.device_get(logs).items()}
    bad = {name: ~np.isfinite(x) for name, x in host.items()}
    where = np.any(list(bad.values()), axis=0)
    if where.any():
        first = int(np.argmax(where))
        terms = {name: float(x[first]) for name, x in host.items() if bad[name][first]}
        raise NonFiniteLoss(step - count + 1 + first, terms, _last_good(checkpoints))


def check_state(step: int, state: TrainState, *, checkpoints: Checkpoints | None):
    """Raises `NonFiniteLoss` if an array of a state is not finite."""
    if bool(_all_finite(state)):
        return
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    terms = {}
    for path, leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.inexact) and not jnp.isfinite(leaf).all():
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            terms[name] = float("nan")
    raise NonFiniteLoss(step, terms, _last_good(checkpoints))


@jax.jit
def _all_finite(state: TrainState) -> jax.Array:
    finite = [
        jnp.isfinite(x).all()
        for x in jax.tree.leaves(state)
        if jnp.issubdtype(x.dtype, jnp.inexact)
    ]
    return jnp.all(jnp.array(finite))


def _last_good(checkpoints: Checkpoints | None) -> pathlib.Path | None:
    if checkpoints is None:
        return None
    checkpoints.wait()
    step = checkpoints.latest_step()
    return None if step is None else checkpoints.path(step)
