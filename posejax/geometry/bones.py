r"""Bones of the 17-joint body: their lengths, and each seen from its neighbours.

Poses are those of `skeletons.H36M_17`, in metres, axes x right, y down, z forward. Any
rotation or translation of a pose leaves all that is computed here unchanged.

A *free bone* runs from a pivot joint O to a free joint F. Two more joints, A on the
axis and P in the plane, fix a frame at O that moves with the rest of the body:

        F           axis    a = A - O
         \          normal  n = a x p,  p = P - O
          O---A     plane   q = n x a
         /
        P           the free bone is F - O in the frame of a, n, q

Degenerate bones give no NaN, in value or gradient. A row of the frame that is not
defined is zero: all three if O coincides with A; the normal's and the plane's if P lies
on the line through O and A. What is masked in this way has zero gradient.
"""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.checks import require_choice, require_equal_shapes, require_shape
from posejax.numerics import safe_norm

# Bone b ends in joint b + 1. "R" and "L" are the person's own sides.
# fmt: off
BONES = (
    "RHip", "RThigh", "RLeg", "LHip", "LThigh", "LLeg", "Abdomen", "Thorax",
    "UFace", "Head", "LShoulder", "LBicep", "LForearm",
    "RShoulder", "RBicep", "RForearm",
)
# fmt: on

# Where each bone begins. The head runs from the neck to the crown, the upper face from
# the crown to the nose ...
BONE_PARENTS = (0, 1, 2, 0, 4, 5, 0, 7, 10, 8, 8, 11, 12, 8, 14, 15)
# ... whereas VideoPose3D's tree runs from the neck to the nose to the crown.
VIDEOPOSE_PARENTS = (0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15)

# A length up to this has no direction and cannot be divided by.
MIN_LENGTH_M = 1e-8
# Sine of the angle up to which axis and plane joint count as collinear. Below it the
# normal is float32 rounding noise, with a gradient of the order of 1 / sine.
_MIN_SINE = 1e-6

PLANES = ("joint", "pair")


class FreeBone(NamedTuple):
    """A free bone, the joints that fix its frame, and the signs of the frame's rows.

    Attributes:
      name: Name in `BONES`.
      pivot: Joint O.
      axis: Joint A.
      plane: Joint P.
      plane_pair: Second joint of the plane; P itself where there is no pair.
      free: Joint F.
      axis_row: Row of the frame along the axis, 0 or 1; the plane has the other one.
      axis_sign: Sign of that row.
      normal_sign: Sign of row 2.
      plane_sign: Sign of the plane's row.
    """

    name: str
    pivot: int
    axis: int
    plane: int
    plane_pair: int
    free: int
    axis_row: int
    axis_sign: int
    normal_sign: int
    plane_sign: int


FREE_BONE_TABLE = (
    FreeBone("UFace", 10, 8, 14, 11, 9, 1, -1, -1, -1),
    FreeBone("Head", 8, 7, 11, 14, 10, 1, -1, 1, 1),
    FreeBone("Thorax", 7, 0, 4, 1, 8, 1, -1, 1, 1),
    FreeBone("Abdomen", 0, 8, 1, 4, 7, 1, 1, 1, -1),
    FreeBone("RHip", 0, 7, 4, 4, 1, 1, 1, -1, 1),
    FreeBone("LHip", 0, 7, 1, 1, 4, 1, 1, 1, -1),
    FreeBone("RThigh", 1, 0, 7, 7, 2, 0, 1, 1, 1),
    FreeBone("LThigh", 4, 0, 7, 7, 5, 0, -1, -1, 1),
    FreeBone("RLeg", 2, 1, 0, 0, 3, 1, 1, -1, 1),
    FreeBone("LLeg", 5, 4, 0, 0, 6, 1, 1, 1, -1),
    FreeBone("RShoulder", 8, 7, 11, 11, 14, 1, -1, 1, 1),
    FreeBone("LShoulder", 8, 7, 14, 14, 11, 1, -1, -1, -1),
    FreeBone("RBicep", 14, 8, 7, 7, 15, 0, 1, -1, -1),
    FreeBone("LBicep", 11, 8, 7, 7, 12, 0, -1, 1, -1),
    FreeBone("RForearm", 15, 14, 8, 8, 16, 1, 1, -1, 1),
    FreeBone("LForearm", 12, 11, 8, 8, 13, 1, 1, 1, -1),
)
FREE_BONES = tuple(bone.name for bone in FREE_BONE_TABLE)
# `bone_lengths(pose)[..., np.array(FREE_BONE_LENGTH_ORDER)]` is in the order above.
FREE_BONE_LENGTH_ORDER = tuple(BONES.index(name) for name in FREE_BONES)
# The bone that ends in the nose, which some detectors do not find.
NOSE_BONE = "UFace"


def counted_bones(*, has_nose: bool) -> np.ndarray:
    """Returns the indices in `FREE_BONES` of the bones that count."""
    return np.flatnonzero([has_nose or name != NOSE_BONE for name in FREE_BONES])


def bone_lengths(
    pose: Float[Array, "*batch 17 3"], *, parents: tuple[int, ...] = BONE_PARENTS
) -> Float[Array, "*batch 16"]:
    """Length of each bone; a bone of length zero has zero gradient.

    Args:
      pose: Joint positions, any unit.
      parents: Joint in which each bone begins: `BONE_PARENTS` or `VIDEOPOSE_PARENTS`.

    Returns:
      One length per bone in the order of `BONES`, in the unit of the pose.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> print(bone_lengths(jnp.zeros((17, 3)).at[16, 0].set(0.25))[-1])
    0.25
    """
    require_bodies(pose=pose)
    return safe_norm(_differences(pose, parents, range(1, 1 + len(parents))))


def free_bone_vectors(
    pose: Float[Array, "*batch 17 3"],
    *,
    grouped: bool = True,
    plane: str = "joint",
    unit: bool = True,
) -> Float[Array, "*batch 16 3"]:
    """Each free bone as a vector in the frame that its neighbours fix.

    Args:
      pose: Joint positions in metres.
      grouped: Whether the frames of the left limbs are reflected, so that a left limb
        gives the vector of the right limb of the mirrored pose.
      plane: What fixes the plane of the four torso bones: one "joint" or a "pair".
      unit: Whether to return unit vectors; otherwise they have the bones' lengths.

    Returns:
      Vectors in the order of `FREE_BONES`, of length one or in metres. Zero for a bone
      or an axis of length zero; along the axis if axis and plane joint are collinear.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose = jnp.zeros((17, 3)).at[7:9, 1].set(-0.5).at[1, 0].set(-0.1)
    >>> abdomen = free_bone_vectors(pose)[FREE_BONES.index("Abdomen")]
    >>> print([f"{abs(value):.1f}" for value in abdomen])
    ['0.0', '1.0', '0.0']
    """
    require_bodies(pose=pose)
    axis, normal, in_plane = _frame_axes(pose, plane)
    table = FREE_BONE_TABLE
    bones = _differences(pose, [b.pivot for b in table], [b.free for b in table])
    along = [jnp.sum(rows * bones, axis=-1) for rows in (axis, normal, in_plane)]
    vectors = jnp.stack(_in_row_order(*along, grouped=grouped), axis=-1)
    return _directions(vectors, MIN_LENGTH_M) if unit else vectors


def free_bone_frames(
    pose: Float[Array, "*batch 17 3"], *, grouped: bool = True, plane: str = "joint"
) -> Float[Array, "*batch 16 3 3"]:
    """The frame in which each free bone is seen.

    Args:
      pose: Joint positions in metres.
      grouped: As in `free_bone_vectors`.
      plane: As in `free_bone_vectors`.

    Returns:
      One matrix per free bone; its rows are the axes of the frame in the pose's
      coordinates. Orthonormal; the determinant is -1 for the left limbs if `grouped`.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> print(free_bone_frames(jnp.ones((17, 3))).shape)
    (16, 3, 3)
    """
    require_bodies(pose=pose)
    axis, normal, in_plane = _frame_axes(pose, plane)
    last_first = [jnp.moveaxis(rows, -1, 0) for rows in (axis, normal, in_plane)]
    rows = _in_row_order(*last_first, grouped=grouped)
    return jnp.moveaxis(jnp.stack(rows), (0, 1), (-2, -1))


def require_bodies(**poses: Array) -> None:
    """Raises ValueError unless poses have the 17 joints, and all of them one shape."""
    remedy = "give the joints of 'h36m_17', (x, y, z); see `skeletons.remap`."
    for name, pose in poses.items():
        require_shape(name, pose, (1 + len(BONES), 3), remedy)
    require_equal_shapes(
        "give as many poses of each.",
        **{name: pose.shape for name, pose in poses.items()},
    )


def _frame_axes(pose: Array, plane: str) -> tuple[Array, Array, Array]:
    """Unit axis, normal and plane direction of each free bone, without signs."""
    require_choice("plane", plane, PLANES)
    pivots = [b.pivot for b in FREE_BONE_TABLE]
    axis, towards = (
        _directions(_differences(pose, pivots, joints), MIN_LENGTH_M)
        for joints in (
            [b.axis for b in FREE_BONE_TABLE],
            [b.plane for b in FREE_BONE_TABLE],
        )
    )
    if plane == "pair":
        pairs = _pair_directions(pose)
        towards = jnp.concatenate([pairs, towards[..., pairs.shape[-2] :, :]], axis=-2)
    normal = _directions(jnp.cross(axis, towards), _MIN_SINE)
    # Not the part of `towards` across the axis: this one vanishes with the normal.
    return axis, normal, jnp.cross(normal, axis)


def _pair_directions(pose: Array) -> Array:
    """Direction in the plane of the torso bones, along their pair of plane joints.

    The published vector is -u ((O - P) . u) with u from P to its partner: along the
    pair, against the side on which O projects. Only its direction is used, and that
    is u times a sign.
    """
    torso = [b for b in FREE_BONE_TABLE if b.plane != b.plane_pair]
    planes = [b.plane for b in torso]
    along = _directions(
        _differences(pose, planes, [b.plane_pair for b in torso]), MIN_LENGTH_M
    )
    offset = _differences(pose, planes, [b.pivot for b in torso])
    offset = jnp.sum(offset * along, axis=-1)
    side = jnp.where(jnp.abs(offset) > MIN_LENGTH_M, -jnp.sign(offset), 0.0)
    return side[..., None] * along


def _differences(pose: Array, starts: Sequence[int], ends: Sequence[int]) -> Array:
    """Vectors from joint to joint, (*batch, vectors, 3).

    A product with a constant matrix, so that the gradient is a product too. That of
    indexing is a scatter: slow on a CPU, and a sum in no fixed order on a GPU.
    """
    rows = np.arange(len(starts))
    incidence = np.zeros((len(starts), pose.shape[-2]))
    np.add.at(incidence, (rows, np.array(ends)), 1.0)
    np.add.at(incidence, (rows, np.array(starts)), -1.0)
    matrix = jnp.asarray(incidence, pose.dtype)
    return jnp.einsum("bj,...jc->...bc", matrix, pose, precision="highest")


def _in_row_order(
    axis: Array, normal: Array, in_plane: Array, *, grouped: bool
) -> tuple[Array, Array, Array]:
    """Rows 0, 1 and 2 of the frame, signed, from values whose last axis is the bone."""
    table = FREE_BONE_TABLE
    axis = axis * _constant([b.axis_sign for b in table], axis)
    normal = normal * _constant([b.normal_sign for b in table], axis)
    in_plane = in_plane * _constant([b.plane_sign for b in table], axis)
    is_first = np.array([b.axis_row == 0 for b in table])
    is_first = is_first.reshape((1,) * (axis.ndim - 1) + (-1,))
    first = jnp.where(is_first, axis, in_plane)
    if grouped:
        sides = [-1 if b.name.startswith("L") else 1 for b in table]
        first = first * _constant(sides, axis)
    return first, jnp.where(is_first, in_plane, axis), normal


def _constant(values: list[int], like: Array) -> Array:
    """The values along the last axis, of the dtype and rank of another array."""
    shape = (1,) * (like.ndim - 1) + (-1,)
    return jnp.asarray(values, like.dtype).reshape(shape)


def _directions(vectors: Array, shortest: float) -> Array:
    """Unit vectors; zero, with zero gradient, for those not longer than `shortest`."""
    squared = jnp.sum(vectors**2, axis=-1, keepdims=True)
    is_long = squared > shortest**2
    return jnp.where(is_long, vectors, 0.0) / jnp.sqrt(jnp.where(is_long, squared, 1.0))
