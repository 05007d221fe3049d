"""How posture_pose is judged: per-frame measures of segments, and the figures of them.

An example of an evaluation is a segment of a sequence. Its measures have one row per
frame; `summarize` joins all segments. Figures are millimetres: within an action the
mean over frames (both takes, all cameras, all test subjects), then the plain mean over
actions, as the published tables are made.

Reference: Pavllo et al. 2019 (P1, P2, P3, velocity); Amadi and Agam 2022, 2023 (MPBOE,
J-MPBOE, root subtracted before P1).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from posejax import metrics
from posejax.geometry.bones import FREE_BONES, counted_bones
from posejax.skeletons import H36M_17, Skeleton
from posejax.typing import Batch, MetricFn

NAME_BYTES = 48  # of an action or subject, as it travels in an array
MM = 1000.0
NOSE = H36M_17.index("nose")


class LiftedPose(NamedTuple):
    """Predictions for segments: one frame before the segment, then its frames.

    Attributes:
      joints: `(batch, 1 + frames, joints, 3)` metres, camera axes, as the network gives
        them: near root-relative, the root near the origin.
      auxiliary: `(batch, 1 + frames, 1, units)` root in camera axes (metres), or scale.
      target: As `joints`, the true poses with the root at the origin.
      target_root: `(batch, 1 + frames, 1, 3)` the true place of the root.
      frame_valid: `(batch, 1 + frames)` which frames lie in the sequence.
    """

    joints: jax.Array
    auxiliary: jax.Array
    target: jax.Array
    target_root: jax.Array
    frame_valid: jax.Array


def _rooted(poses: jax.Array) -> jax.Array:
    return poses - poses[..., :1, :]


def make_metrics(
    *, ignore_nose: bool, skeleton: Skeleton = H36M_17
) -> Mapping[str, MetricFn]:
    """Returns the measures of segments; of orientations only for Human3.6M's joints.

    Args:
      ignore_nose: Whether the errors leave out the nose (16 joints, aligned without it)
        and its bone, for detectors that do not see it.
      skeleton: Joint set of the poses.
    """
    joints = np.array(kept_joints(skeleton.num_joints, ignore_nose=ignore_nose))

    def frames(measure: Callable[..., jax.Array], *, rooted: bool = True) -> MetricFn:
        def metric(predictions: LiftedPose, batch: Batch) -> jax.Array:
            del batch
            found = predictions.joints[:, 1:]
            found = _rooted(found) if rooted else found
            target = predictions.target[:, 1:]
            return MM * measure(found[..., joints, :], target[..., joints, :])

        return metric

    def bones(measure: Callable[..., jax.Array]) -> MetricFn:
        def metric(predictions: LiftedPose, batch: Batch) -> jax.Array:
            del batch
            found, target = predictions.joints[:, 1:], predictions.target[:, 1:]
            return MM * measure(found, target, has_nose=not ignore_nose)

        return metric

    def velocity(predictions: LiftedPose, batch: Batch) -> jax.Array:
        del batch
        found, target = _rooted(predictions.joints), predictions.target
        return MM * metrics.velocity_error_per_joint(
            found[..., joints, :], target[..., joints, :]
        )

    orientations = {
        "mpboe_by_bone": bones(metrics.bone_orientation_errors),
        "j_mpboe_by_joint": bones(metrics.joint_orientation_errors),
    }
    return {
        "p1_by_joint": frames(metrics.mpjpe_per_joint),
        "p1_unrooted_by_joint": frames(metrics.mpjpe_per_joint, rooted=False),
        "p2_by_joint": frames(metrics.p_mpjpe_per_joint),
        "p3_by_joint": frames(metrics.n_mpjpe_per_joint),
        "velocity_by_joint": velocity,
        **(orientations if skeleton is H36M_17 else {}),
        "trajectory": _trajectory,
        "frame_valid": lambda predictions, batch: predictions.frame_valid[:, 1:],
        "moved": lambda predictions, batch: predictions.frame_valid[:, :-1],
        "action": lambda predictions, batch: batch["action_names"][batch["sequence"]],
        "subject": lambda predictions, batch: batch["subject_names"][batch["sequence"]],
    }


def kept_joints(
    num_joints: int = H36M_17.num_joints, *, ignore_nose: bool
) -> tuple[int, ...]:
    """Returns the joints that errors and losses count.

    Args:
      num_joints: Number of joints of the poses.
      ignore_nose: Whether the nose of `H36M_17` is left out.
    """
    return tuple(j for j in range(num_joints) if not (ignore_nose and j == NOSE))


def _trajectory(predictions: LiftedPose, batch: Batch) -> jax.Array:
    del batch
    if predictions.auxiliary.shape[-1] != 3:
        return jnp.full(predictions.auxiliary.shape[:2], jnp.nan)[:, 1:]
    errors = metrics.mpjpe(predictions.auxiliary, predictions.target_root)
    return MM * errors[:, 1:]


def name_bytes(names: tuple[str, ...]) -> np.ndarray:
    """Returns names as rows of bytes, `(names, NAME_BYTES)`, for use on a device."""
    rows = [name.encode()[:NAME_BYTES].ljust(NAME_BYTES, b"\0") for name in names]
    return np.frombuffer(b"".join(rows), np.uint8).reshape(len(names), NAME_BYTES)


def _names(rows: np.ndarray) -> np.ndarray:
    return np.array([bytes(row).rstrip(b"\0").decode() for row in np.asarray(rows)])


class _Split(NamedTuple):
    """All frames of a split: values by measure, and the name of each frame's action."""

    values: Mapping[str, np.ndarray]
    actions: np.ndarray
    subjects: np.ndarray
    moved: np.ndarray


def summarize(
    values: Mapping[str, np.ndarray], *, skeleton: Skeleton = H36M_17
) -> dict[str, float]:
    """Returns the figures of a split.

    Args:
      values: Values of `make_metrics`, whole split, one row per segment.
      skeleton: Joint set of the poses.
    """
    split = _joined(values)
    count = skeleton.num_joints
    ignore_nose = split.values["p1_by_joint"].shape[1] < count
    joints = kept_joints(count, ignore_nose=ignore_nose)
    figures = {"frames": float(len(split.actions))}
    for measure in ("p1", "p2", "p3", "velocity", "mpboe", "j_mpboe", "p1_unrooted"):
        name = measure + ("_by_bone" if measure == "mpboe" else "_by_joint")
        if name not in split.values:
            continue
        where = split.moved if measure == "velocity" else slice(None)
        rows = split.values[name][where].mean(axis=1, dtype=np.float64)
        figures |= _by_name(measure, "action", rows, split.actions[where])
    rows = split.values["p1_by_joint"].mean(axis=1, dtype=np.float64)
    figures |= _parts("p1", "subject", rows, split.subjects)
    trajectory = split.values["trajectory"]
    if np.isfinite(trajectory).all():
        figures |= _by_name("trajectory", "action", trajectory, split.actions)
    for measure in ("p1", "p2", "j_mpboe"):
        if measure in figures:
            names = [skeleton.joints[joint] for joint in joints]
            figures |= _columns(f"{measure}_by_joint", split, names)
    if "mpboe" in figures:
        bones = np.array(FREE_BONES)[counted_bones(has_nose=not ignore_nose)]
        figures |= _columns("mpboe_by_bone", split, bones.tolist())
    return figures


def _columns(measure: str, split: _Split, names: list[str]) -> dict[str, float]:
    """Returns the mean over all frames of each joint or bone."""
    means = split.values[measure].mean(axis=0, dtype=np.float64)
    return {f"{measure}/{n}": float(m) for n, m in zip(names, means, strict=True)}


def _joined(values: Mapping[str, np.ndarray]) -> _Split:
    valid = values["frame_valid"].astype(bool)
    length = valid.shape[1]
    measured = {
        name: value[valid]
        for name, value in values.items()
        if value.ndim >= 2 and value.shape[:2] == valid.shape
    }
    takes = np.repeat(_names(values["action"])[:, None], length, axis=1)[valid]
    # "Walking 1" is a take of "Walking".
    actions = np.array([take.split(" ")[0] for take in takes])
    people = np.repeat(_names(values["subject"])[:, None], length, axis=1)
    return _Split(measured, actions, people[valid], measured["moved"].astype(bool))


def _by_name(
    measure: str, kind: str, rows: np.ndarray, names: np.ndarray
) -> dict[str, float]:
    """Returns the mean of each name's rows, and their plain mean as `measure`."""
    parts = _parts(measure, kind, rows, names)
    return {measure: float(np.mean(list(parts.values()))), **parts}


def _parts(
    measure: str, kind: str, rows: np.ndarray, names: np.ndarray
) -> dict[str, float]:
    return {
        f"{measure}_by_{kind}/{name}": _mean(rows[names == name])
        for name in dict.fromkeys(names.tolist())
    }


def _mean(values: np.ndarray) -> float:
    return float(np.mean(values, dtype=np.float64))


COLUMNS: Mapping[str, str] = {
    "p1": "P1 [mm]",
    "p2": "P2 [mm]",
    "p3": "P3 [mm]",
    "velocity": "velocity [mm/frame]",
    "mpboe": "MPBOE [mm]",
    "j_mpboe": "J-MPBOE [mm]",
    "trajectory": "trajectory [mm]",
}
