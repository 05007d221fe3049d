"""The data of posture_pose: sequences kept on the device, and streams of windows."""

from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from posejax.checks import require_at_least
from posejax.data.pose_sequences import PoseSequences
from posejax.data.pose_windows import (
    chunk_entries,
    entry_batches,
    group_batches,
    num_batches,
)
from posejax.tasks import posture_pose_statistics as statistics
from posejax.tasks.posture_pose import UNLABELLED_TERMS
from posejax.tasks.posture_pose_metrics import name_bytes
from posejax.tasks.posture_pose_windows import pose_skeleton, resident_arrays
from posejax.typing import Batch, Config, TaskData

DATA_SETS = {
    "human36m_poses": ("poses",),
    "humaneva_poses": ("poses",),
    "mocap": ("poses", "poses_noisy", "poses_50fps"),
    "people_sample": ("poses", "poses_tiny"),
}

# Two streams of one seed would draw the same numbers.
UNLABELLED_STREAM = 1


def make_data(config: Config, data_dir: str) -> TaskData:
    """Opens the prepared data set that `config` names, for this process.

    Args:
      config: See `configs/bases/posture_pose.py`.
      data_dir: Folder of the prepared data sets.

    Raises:
      FileNotFoundError: the data set is not prepared.
      ValueError: branches that overlap or are empty, a detector without a nose where
        the nose counts, views that the data has not, a batch that the processes and
        devices cannot share.
    """
    _check(config)
    labelled = _open(config, data_dir, "labelled")
    test = _open(config, data_dir, "test")
    resident: dict[str, Any] = {
        "labelled_poses": resident_arrays(labelled, needs_cameras=False),
        "test_poses": resident_arrays(test, needs_cameras=False),
        "action_names": name_bytes(test.actions),
        "subject_names": name_bytes(test.subjects),
    }
    entries = statistics.labelled_entries(config, labelled)
    unlabelled = None
    if any(config.weights[name] for name in UNLABELLED_TERMS):
        unlabelled = _open(config, data_dir, "unlabelled")
        _check_views(config, unlabelled)
        resident["unlabelled_poses"] = resident_arrays(unlabelled)

    def train(step: int) -> Iterator[Batch]:
        first = entry_batches(
            entries, batch_size=config.batch_size, seed=config.seed, step=step
        )
        if unlabelled is None:
            return ({"labelled": _share(batch)} for batch in first)
        second = _group_stream(config, unlabelled, step)
        return (
            {"labelled": _share(one), "unlabelled": _share(other)}
            for one, other in zip(first, second, strict=False)
        )

    return TaskData(
        train=train,
        splits={"test": _segment_stream(config, test)},
        steps_per_epoch=num_batches(len(entries), config.batch_size),
        description=_description(config, labelled, unlabelled, test),
        resident=resident,
        statistics=lambda show=iter: statistics.baseline_statistics(config, data_dir),
    )


def _open(config: Config, data_dir: str, branch: str) -> PoseSequences:
    sequences = statistics.open_branch(config, data_dir, config.data[branch])
    if not sequences.has_nose and not config.ignore_nose:
        raise ValueError(
            f"config.ignore_nose is False, but config.data.{branch}.input_2d "
            f"{config.data[branch].input_2d!r} detects no nose; set ignore_nose=True."
        )
    if sequences.layout.num_joints != config.model.in_joints:
        raise ValueError(
            f"config.model.in_joints is {config.model.in_joints}, but the keypoints of "
            f"config.data.{branch}.input_2d {config.data[branch].input_2d!r} are "
            f"{sequences.layout.num_joints} ({sequences.layout.name})."
        )
    if sequences.skeleton != pose_skeleton(config).name:
        raise ValueError(
            f"the prepared set {config.data.name!r} has poses of {sequences.skeleton!r}"
            f"; expected {pose_skeleton(config).name!r}: prepare it anew."
        )
    return sequences


def _check(config: Config) -> None:
    require_at_least("config.batch_size", config.batch_size, 2)
    require_at_least("config.evaluation.segment", config.evaluation.segment, 1)
    devices = jax.device_count()
    rows = {
        "config.batch_size": config.batch_size,
        "config.views.num_groups": config.views.num_groups,
    }
    for name, size in rows.items():
        if size % devices:
            raise ValueError(
                f"{name} is {size}; expected a multiple of the {devices} devices."
            )
    branches = {name: set(config.data[name].subjects) for name in _BRANCHES}
    for one, other in (("labelled", "test"), ("unlabelled", "test"), _BRANCHES[:2]):
        both = sorted(branches[one] & branches[other])
        if both:
            raise ValueError(
                f"config.data.{one}.subjects and config.data.{other}.subjects share "
                f"{', '.join(both)}; a subject belongs to one of them."
            )


_BRANCHES = ("labelled", "unlabelled", "test")


def _check_views(config: Config, unlabelled: PoseSequences) -> None:
    asked = config.views.group_size
    if asked > unlabelled.num_views:
        raise ValueError(
            f"config.views.group_size is {asked}, but the data has "
            f"{unlabelled.num_views} view(s) of a recording; use fewer, and with one "
            "view set config.weights.view_pose and view_posture to 0."
        )


def _group_stream(
    config: Config, unlabelled: PoseSequences, step: int
) -> Iterator[dict[str, np.ndarray]]:
    views = unlabelled.num_views
    entries = chunk_entries(
        unlabelled.lengths[::views],
        chunk_length=config.data.chunk_length,
        flip=config.data.flip,
    )
    return group_batches(
        entries,
        views=views,
        group_size=config.views.group_size,
        num_groups=config.views.num_groups,
        seed=config.seed + UNLABELLED_STREAM,
        step=step,
    )


def _share(batch: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Returns the rows of this process."""
    count, index = jax.process_count(), jax.process_index()
    if count == 1:
        return batch
    return {
        name: rows[len(rows) * index // count : len(rows) * (index + 1) // count]
        for name, rows in batch.items()
    }


def _segment_stream(
    config: Config, test: PoseSequences
) -> Callable[[], Iterator[Batch]]:
    """Returns the stream of segments that together hold every frame once."""
    segment, size = config.evaluation.segment, config.evaluation.batch_size
    places = [
        (s, start) for s, n in enumerate(test.lengths) for start in range(0, n, segment)
    ]
    rows = np.array(places, np.int32)
    count, index = jax.process_count(), jax.process_index()
    share = -(-size // count)

    def batches() -> Iterator[Batch]:
        for first in range(0, len(rows), share * count):
            mine = first + index * share + np.arange(share)
            valid = mine < len(rows)
            mine = np.minimum(mine, len(rows) - 1)
            yield {
                "sequence": rows[mine, 0],
                "start": rows[mine, 1],
                "valid": valid,
                "index": mine,
            }

    return batches


def _description(
    config: Config,
    labelled: PoseSequences,
    unlabelled: PoseSequences | None,
    test: PoseSequences,
) -> str:
    def part(name: str, sequences: PoseSequences) -> str:
        people = ",".join(dict.fromkeys(sequences.subjects))
        return (
            f"{name} {people}: {sequences.lengths.sum()} frames in {len(sequences)} "
            f"sequences, 2-D {config.data[name].input_2d}"
        )

    parts = [f"{config.data.name}/{config.data.config}", part("labelled", labelled)]
    if unlabelled is not None:
        parts.append(part("unlabelled", unlabelled))
    return "; ".join([*parts, part("test", test)])


def note(config: Config) -> str:
    """Returns what a reader of the figures must know of the configuration, or ''."""
    if config.data.name == "mocap":
        return (
            "free motion capture: no figure of this run compares with a published one"
        )
    return ""
