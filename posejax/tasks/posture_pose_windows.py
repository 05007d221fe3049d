"""Windows of pose sequences, gathered and mirrored on the device.

All frames of all sequences stay on the device as one array per quantity (`resident`);
a batch is two integers and two truth values per window. Outside a sequence its end
frame is repeated. A mirrored window has x negated, left and right exchanged, and the
intrinsics of a mirrored camera.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from posejax.data.pose_sequences import PoseSequences
from posejax.data.pose_windows import flip_intrinsics
from posejax.skeletons import H36M_17, HUMANEVA_15, SKELETONS, Skeleton
from posejax.typing import Config

# Joint sets of the data sets whose poses are not of the 17 joints of Human3.6M.
_OTHER_SKELETONS = {"humaneva_poses": HUMANEVA_15}
# Terms that ask of a joint set only that joint 0 is the root.
_TERMS_OF_ANY_SKELETON = ("pose", "auxiliary", "reprojection", "view_pose")


class Windows(NamedTuple):
    """Windows of 2-D input and what is known of their output frames.

    Attributes:
      inputs: `(batch, frames + receptive field - 1, joints, 2)` normalised image
        coordinates.
      targets_2d: `(batch, frames, joints, 2)` projections of the true joints; nan if
        unknown.
      poses_3d: `(batch, frames, joints, 3)` metres, camera axes, joint 0 the root's
        place, the others relative to it.
      intrinsics: `(batch, 9)`, those of the mirrored camera where mirrored; nan if
        unknown.
      extrinsics: `(batch, 7)`, as they are.
      flip: `(batch,)` which windows are mirrored.
      valid: `(batch,)` which windows count.
    """

    inputs: Float[Array, "batch size joints 2"]
    targets_2d: Float[Array, "batch frames joints_3d 2"]
    poses_3d: Float[Array, "batch frames joints_3d 3"]
    intrinsics: Float[Array, "batch 9"]
    extrinsics: Float[Array, "batch 7"]
    flip: Bool[Array, " batch"]
    valid: Bool[Array, " batch"]


class Sight(NamedTuple):
    """What a window sees: numbers that are fixed for a run.

    Attributes:
      frames: Output frames of a window.
      field: Receptive field of the model, frames.
      shift: By how many frames the window lies further back (causal models).
    """

    frames: int
    field: int
    shift: int = 0

    @property
    def size(self) -> int:
        """Input frames of a window."""
        return self.frames + self.field - 1

    @property
    def before(self) -> int:
        """Input frames before the first output frame."""
        return (self.field - 1) // 2 + self.shift


def pose_skeleton(config: Config) -> Skeleton:
    """Returns the joint set that a run's networks predict: that of its data set.

    Args:
      config: See `configs/bases/posture_pose.py`.
    """
    return _OTHER_SKELETONS.get(config.data.name, H36M_17)


def require_terms_of(skeleton: Skeleton, config: Config) -> None:
    """Checks that a config asks for nothing that a joint set does not have.

    Args:
      skeleton: The joint set of the poses.
      config: See `configs/bases/posture_pose.py`.

    Raises:
      ValueError: If a term is for the 17 joints of Human3.6M and these are others, or
        the nose is to be left out and there is none.
    """
    if skeleton is H36M_17:
        return
    what = f"the poses of {config.data.name!r} are of the joints of {skeleton.name!r}"
    wrong = [
        name
        for name, weight in config.weights.items()
        if weight and name not in _TERMS_OF_ANY_SKELETON
    ]
    if wrong:
        raise ValueError(
            f"config.weights.{wrong[0]} is not 0, but {what}; the term is defined for "
            f"those of {H36M_17.name!r}: set it to 0."
        )
    if config.ignore_nose:
        raise ValueError(
            f"config.ignore_nose is True, but {what}, which has no nose; set it to "
            "False."
        )


def resident_arrays(
    sequences: PoseSequences, *, needs_cameras: bool = True
) -> dict[str, np.ndarray]:
    """Returns what stays on the device: arrays named as the fields of `sequences`.

    Also `mirror_2d` and `mirror_3d`, the joint that takes each place in a mirror.

    Args:
      sequences: The sequences.
      needs_cameras: Whether projections of the true joints and the intrinsics must be
        known; if not, arrays of what is unknown are left out.

    Raises:
      ValueError: If the sequences have no 3-D poses or no calibrated cameras.
    """
    of_cameras = ("targets_2d", "intrinsics") if needs_cameras else ()
    for name in ("poses_3d", *of_cameras):
        if getattr(sequences, name) is None:
            raise ValueError(
                f"the sequences of {sequences.subjects[0]} have no {name}; training "
                "and evaluation need 3-D poses, and windows without labels calibrated "
                "cameras."
            )
    names = (
        "poses_2d", "targets_2d", "poses_3d", "offsets", "lengths", "intrinsics",
        "extrinsics",
    )  # fmt: skip
    found = {name: getattr(sequences, name) for name in names}
    arrays = {name: np.asarray(x) for name, x in found.items() if x is not None}
    arrays["offsets"] = arrays["offsets"].astype(np.int32)
    arrays["lengths"] = arrays["lengths"].astype(np.int32)
    return arrays | {
        "mirror_2d": sequences.layout.mirror().astype(np.int32),
        "mirror_3d": SKELETONS[sequences.skeleton].mirror().astype(np.int32),
    }


def frame_indices(
    start: Int[Array, " batch"],
    length: Int[Array, " batch"],
    offset: Int[Array, " batch"],
    *,
    size: int,
    before: int = 0,
) -> Int[Array, "batch {size}"]:
    """Returns the frames of windows; outside a sequence its end frame is repeated.

    Args:
      start: First output frame, counted within its sequence; may lie outside.
      length: Frames of the sequence.
      offset: Where the sequence begins in the array of all frames.
      size: Frames of a window.
      before: By how many frames a window begins before `start`.
    """
    frames = (start - before)[:, None] + jnp.arange(size, dtype=start.dtype)[None]
    last = jnp.broadcast_to((length - 1)[:, None], frames.shape)
    return offset[:, None] + jnp.clip(frames, 0, last)


def mirrored(poses: jax.Array, order: jax.Array) -> jax.Array:
    """Returns poses with x negated and left and right exchanged.

    Args:
      poses: `(..., joints, axes)`, x first.
      order: Joint that takes each place.
    """
    sign = np.ones((1,) * (poses.ndim - 1) + (poses.shape[-1],), poses.dtype)
    sign[..., 0] = -1
    return poses[..., order, :] * sign


def gather_windows(
    resident: Mapping[str, jax.Array], batch: Mapping[str, jax.Array], sight: Sight
) -> Windows:
    """Gathers the windows that a batch names.

    Args:
      resident: See `resident_arrays`.
      batch: `sequence`, `start`, `flip` and `valid`, each `(batch,)`.
      sight: What a window sees.
    """
    sequence, flip = batch["sequence"], batch["flip"]
    place = (batch["start"], resident["lengths"][sequence])
    offset = resident["offsets"][sequence]
    seen = frame_indices(*place, offset, size=sight.size, before=sight.before)
    asked = frame_indices(*place, offset, size=sight.frames)

    def take(name: str, indices: jax.Array, mirror: str) -> jax.Array:
        plain = resident[name][indices]
        return jnp.where(
            flip[:, None, None, None], mirrored(plain, resident[mirror]), plain
        )

    poses_3d = take("poses_3d", asked, "mirror_3d")
    targets_2d = jnp.full_like(poses_3d[..., :2], jnp.nan)
    if "targets_2d" in resident:
        targets_2d = take("targets_2d", asked, "mirror_3d")
    intrinsics = jnp.full((len(sequence), 9), jnp.nan, poses_3d.dtype)
    if "intrinsics" in resident:
        intrinsics = resident["intrinsics"][sequence]
    sign = flip_intrinsics(np.ones((1, 9), np.float32))
    return Windows(
        inputs=take("poses_2d", seen, "mirror_2d"),
        targets_2d=targets_2d,
        poses_3d=poses_3d,
        intrinsics=jnp.where(flip[:, None], intrinsics * sign, intrinsics),
        extrinsics=resident["extrinsics"][sequence],
        flip=flip,
        valid=batch["valid"],
    )
