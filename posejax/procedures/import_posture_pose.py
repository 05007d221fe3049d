"""The verb `import_weights` of posture_pose: published files to a work directory.

A checkpoint (`.bin`) of VideoPose3D or PosturePose becomes a work directory that
`evaluate` and `predict` take. Which networks it holds, and of which sizes, must be what
the config says.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from posejax import importers
from posejax.checks import require_choice
from posejax.importers.temporal_model import AUXILIARY_ENTRIES, POSE_ENTRIES
from posejax.procedures.imported_weights import input_file, new_workdir, save_imported
from posejax.procedures.run import Run
from posejax.tasks.posture_pose import make_task
from posejax.tasks.posture_pose_lifter import AUXILIARY_UNITS
from posejax.tasks.posture_pose_windows import pose_skeleton
from posejax.typing import Config, Tree


def import_posture_pose(run: Run) -> Mapping[str, Any]:
    """Imports the networks of `run.input` into `run.workdir`.

    Raises:
      FileNotFoundError: there is no such file, or no config or work directory is named.
      ValueError: the file holds something else, or networks of other sizes than the
        config's, or tensors are missing, unused or of another shape (all are named), or
        the work directory is in use.
    """
    path = input_file(run, "a checkpoint (.bin) of VideoPose3D or PosturePose")
    config, workdir = new_workdir(run)
    content = importers.read_torch_file(path)
    try:
        params, stats = imported_variables(config, content)
    except ValueError as error:
        raise ValueError(f"--input {path}: {error}") from None
    optimizer = make_task(config).optimizer
    save_imported(
        run, config, workdir, params=params, batch_stats=stats, optimizer=optimizer
    )
    return {"written": str(workdir)}


def imported_variables(
    config: Config, content: Mapping[str, Any]
) -> tuple[dict[str, Tree], dict[str, Tree]]:
    """Returns `(params, batch_stats)` of the networks that a config names.

    Args:
      config: See `configs/bases/posture_pose.py`.
      content: A checkpoint, see `importers.import_temporal_checkpoint`.

    Raises:
      ValueError: the checkpoint's networks are not the config's, or tensors of them
        are missing, unused or wrongly shaped; all is named.
    """
    kind = require_choice("config.auxiliary", config.auxiliary, AUXILIARY_UNITS)
    found = importers.import_temporal_checkpoint(
        content,
        filter_widths=tuple(config.model.filter_widths),
        channels=config.model.channels,
        dense=config.model.dense,
    )
    wanted = {"pose": (pose_skeleton(config).num_joints, 3)}
    if AUXILIARY_UNITS[kind]:
        wanted["auxiliary"] = (1, AUXILIARY_UNITS[kind])
    models = {"pose": found.pose}
    if found.auxiliary is not None:
        models["auxiliary"] = found.auxiliary
    faults = []
    if set(models) != set(wanted):
        faults.append(_second_network_fault(kind, found.auxiliary))
    entries = {"pose": POSE_ENTRIES, "auxiliary": AUXILIARY_ENTRIES}
    for part in (part for part in wanted if part in models):
        name = next(n for n in entries[part] if isinstance(content.get(n), Mapping))
        sizes = models[part].architecture
        faults += [
            f"{name}: {fault}"
            for fault in _faults(sizes, config.model.in_joints, *wanted[part])
        ]
    if faults:
        raise ValueError(
            f"{'; '.join(faults)}. Change the config, or take another file."
        )
    params = {part: model.params for part, model in models.items()}
    return params, {part: model.model_state for part, model in models.items()}


def _second_network_fault(
    kind: str, found: importers.ImportedTemporalModel | None
) -> str:
    """Says that there is a second network where there should be none, or none."""
    if found is None:
        return (
            f"there is no {' or '.join(AUXILIARY_ENTRIES)}, but config.auxiliary is "
            f"{kind!r}; expected 'none'"
        )
    kinds = {units: name for name, units in AUXILIARY_UNITS.items()}
    units = found.architecture.out_units
    return (
        f"there is a second network of {units} values, but config.auxiliary is "
        f"{kind!r}; expected {kinds[units]!r}"
    )


def _faults(
    sizes: importers.TemporalArchitecture, in_joints: int, joints: int, units: int
) -> Iterator[str]:
    """Yields what differs between the sizes that were found and the config's."""
    for tensor, found, wanted, what in (
        ("expand_conv.weight", sizes.in_joints, in_joints, "keypoints"),
        ("shrink.bias", sizes.out_joints, joints, "joints"),
        ("shrink.bias", sizes.out_units, units, "values per joint"),
    ):
        if found != wanted:
            yield f"{tensor} is for {found} {what}, not {wanted}"
