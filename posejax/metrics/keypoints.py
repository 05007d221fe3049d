"""How far predicted joints are from the true ones, in the picture.

All joints are (x, y) in pixels of one grid (for published figures the 256 x 256 crop).
Functions that score a joint return one value per joint; the caller averages over the
valid ones (`numerics.masked_mean`). A joint whose `joint_valid` is False scores zero,
whatever its coordinates are, NaN included. Without `joint_valid` all joints count.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from posejax.checks import require_equal_shapes, require_shape
from posejax.numerics import masked_mean, safe_norm
from posejax.skeletons import TEMPLATE_15, Skeleton


def joint_distances(
    predicted: Float[Array, "*batch joints 2"],
    target: Float[Array, "*batch joints 2"],
    *,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
) -> Float[Array, "*batch joints"]:
    """Euclidean distance of each joint, in the unit of the joints.

    Args:
      predicted: Estimated joints.
      target: True joints.
      joint_valid: Which joints count.

    Returns:
      One distance per joint; zero, with zero gradient, for joints that do not count.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation.

    >>> print(joint_distances(jnp.array([[0.0, 0.0]]), jnp.array([[3.0, 4.0]])))
    [5.]
    """
    _require_poses(predicted, target, joint_valid)
    offsets = predicted - target
    if joint_valid is not None:
        offsets = jnp.where(joint_valid[..., None], offsets, 0.0)
    return safe_norm(offsets)


def pdj(
    predicted: Float[Array, "*batch joints 2"],
    target: Float[Array, "*batch joints 2"],
    diagonal: Float[Array, "*batch"],
    *,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
    threshold: float = 0.05,
) -> Float[Array, "*batch joints"]:
    """Percentage of detected joints: 1 for each joint nearer than a share of the box.

    Args:
      predicted: Estimated joints, crop pixels.
      target: True joints, crop pixels.
      diagonal: Diagonal of the person's box in the same pixels.
      joint_valid: Which joints count.
      threshold: A joint is detected if its distance is strictly less than this share
        of the diagonal.

    Returns:
      1 or 0 per joint; 0 for joints that do not count. The mean is PDJ@threshold.

    Reference:
      Toshev and Szegedy 2014 (arXiv 1312.4659), sec. 4.1, with the diagonal of the box
      in place of the torso; Yoo and Russakovsky 2023.

    >>> true = jnp.zeros((2, 2))
    >>> print(pdj(true + jnp.array([[3.0, 4.0], [6.0, 8.0]]), true, jnp.array(101.0)))
    [1. 0.]
    """
    _require_poses(predicted, target, joint_valid)
    require_equal_shapes(
        "give one diagonal per pose.",
        poses=predicted.shape[:-2],
        diagonal=diagonal.shape,
    )
    distances = joint_distances(predicted, target)
    is_detected = distances < threshold * diagonal[..., None]
    if joint_valid is not None:
        is_detected &= joint_valid
    return is_detected.astype(distances.dtype)


def normalized_l2(
    predicted: Float[Array, "*batch joints 2"],
    target: Float[Array, "*batch joints 2"],
    *,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
    image_size: int,
) -> Float[Array, "*batch joints"]:
    """Distance of each joint as a share of the side of the picture.

    Args:
      predicted: Estimated joints, crop pixels.
      target: True joints, crop pixels.
      joint_valid: Which joints count.
      image_size: Side of the crop in pixels.

    Returns:
      One share per joint (published figures are 100 times their mean); 0 for joints
      that do not count.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation.

    >>> true = jnp.zeros((1, 2))
    >>> print(normalized_l2(true + 3.0, true, image_size=300).round(4))
    [0.0141]
    """
    return joint_distances(predicted, target, joint_valid=joint_valid) / image_size


def swap_sides(
    joints: Float[Array, "*batch joints 2"], *, skeleton: Skeleton = TEMPLATE_15
) -> Float[Array, "*batch joints 2"]:
    """The same points with the names of left and right joints exchanged.

    Args:
      joints: Joints in the order of the skeleton, any unit.
      skeleton: Joint set.

    Returns:
      Joints in the same unit; no coordinate changes.

    Reference:
      None; the two assignments that the left-right-free measures compare.

    >>> joints = jnp.arange(30.0).reshape(15, 2)
    >>> print(swap_sides(joints)[TEMPLATE_15.index("hipR")])
    [8. 9.]
    """
    _require_skeleton("joints", joints, skeleton)
    return joints[..., skeleton.mirror(), :]


def pdj_left_right_free(
    predicted: Float[Array, "*batch joints 2"],
    target: Float[Array, "*batch joints 2"],
    diagonal: Float[Array, "*batch"],
    *,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
    threshold: float = 0.05,
    skeleton: Skeleton = TEMPLATE_15,
) -> Float[Array, "*batch joints"]:
    """`pdj` with the better of the two assignments of left and right in each frame.

    A method without labels cannot know which limb of a person seen from behind is the
    left one. To be reported beside `pdj`, never in its place.

    Args:
      predicted: Estimated joints, crop pixels.
      target: True joints, crop pixels.
      diagonal: Diagonal of the person's box in the same pixels.
      joint_valid: Which joints count.
      threshold: As in `pdj`.
      skeleton: Joint set of both poses.

    Returns:
      1 or 0 per joint of the assignment under which more joints are detected.

    Reference:
      None; an addition to Yoo and Russakovsky 2023, who score one assignment.

    >>> true = jnp.arange(30.0).reshape(15, 2)
    >>> swapped = true[TEMPLATE_15.mirror()]
    >>> print(pdj_left_right_free(swapped, true, jnp.array(9.0)).mean())
    1.0
    """
    _require_skeleton("predicted", predicted, skeleton)
    swapped = swap_sides(predicted, skeleton=skeleton)
    options = {"joint_valid": joint_valid, "threshold": threshold}
    return _better_frames(
        pdj(predicted, target, diagonal, **options),
        pdj(swapped, target, diagonal, **options),
        joint_valid,
        is_higher_better=True,
    )


def normalized_l2_left_right_free(
    predicted: Float[Array, "*batch joints 2"],
    target: Float[Array, "*batch joints 2"],
    *,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
    image_size: int,
    skeleton: Skeleton = TEMPLATE_15,
) -> Float[Array, "*batch joints"]:
    """`normalized_l2` with the better of the two left-right assignments in each frame.

    To be reported beside `normalized_l2`, never in its place.

    Args:
      predicted: Estimated joints, crop pixels.
      target: True joints, crop pixels.
      joint_valid: Which joints count.
      image_size: Side of the crop in pixels.
      skeleton: Joint set of both poses.

    Returns:
      One share per joint, of the assignment with the smaller mean.

    Reference:
      None; an addition to Yoo and Russakovsky 2023, who score one assignment.

    >>> true = jnp.arange(30.0).reshape(15, 2)
    >>> swapped = true[TEMPLATE_15.mirror()]
    >>> print(normalized_l2_left_right_free(swapped, true, image_size=64).max())
    0.0
    """
    _require_skeleton("predicted", predicted, skeleton)
    swapped = swap_sides(predicted, skeleton=skeleton)
    options = {"joint_valid": joint_valid, "image_size": image_size}
    return _better_frames(
        normalized_l2(predicted, target, **options),
        normalized_l2(swapped, target, **options),
        joint_valid,
        is_higher_better=False,
    )


def arms_out(
    joints: Float[Array, "*batch 15 2"],
    *,
    joint_valid: Bool[Array, "*batch 15"] | None = None,
    angle_deg: float = 20.0,
) -> Bool[Array, "*batch"]:
    """Whether both arms are stretched to the sides, away from each other.

    For both arms |dy| <= |dx| tan(angle) from shoulder to wrist, wristR is to the right
    of its shoulder in the picture, and wristL to the left of its own.

    Args:
      joints: True joints of `TEMPLATE_15`, crop pixels.
      joint_valid: A frame in which one of the four joints does not count is False.
      angle_deg: Largest angle with the horizontal.

    Returns:
      One truth value per frame.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation on subsets.

    >>> print(arms_out(jnp.zeros((15, 2)).at[jnp.array([11, 14]), 0].set(
    ...     jnp.array([9.0, -9.0]))))
    True
    """
    right, left, is_known = _arm_vectors(joints, joint_valid)
    slope = np.tan(np.deg2rad(angle_deg))
    is_flat = [jnp.abs(v[..., 1]) <= jnp.abs(v[..., 0]) * slope for v in (right, left)]
    is_apart = (right[..., 0] > 0) & (left[..., 0] < 0)
    return is_flat[0] & is_flat[1] & is_apart & is_known


def arms_down(
    joints: Float[Array, "*batch 15 2"],
    *,
    joint_valid: Bool[Array, "*batch 15"] | None = None,
    angle_deg: float = 45.0,
) -> Bool[Array, "*batch"]:
    """Whether both arms hang: |dy| >= |dx| tan(angle), wrists below their shoulders.

    Args:
      joints: True joints of `TEMPLATE_15`, crop pixels.
      joint_valid: A frame in which one of the four joints does not count is False.
      angle_deg: Smallest angle with the horizontal.

    Returns:
      One truth value per frame.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation on subsets.

    >>> print(arms_down(jnp.zeros((15, 2)).at[jnp.array([11, 14]), 1].set(9.0)))
    True
    """
    right, left, is_known = _arm_vectors(joints, joint_valid)
    slope = np.tan(np.deg2rad(angle_deg))
    hangs = [
        (jnp.abs(v[..., 1]) >= jnp.abs(v[..., 0]) * slope) & (v[..., 1] > 0)
        for v in (right, left)
    ]
    return hangs[0] & hangs[1] & is_known


def _arm_vectors(joints: Array, joint_valid: Array | None) -> tuple[Array, ...]:
    """Shoulder to wrist of R and L, and whether all four joints count."""
    _require_skeleton("joints", joints, TEMPLATE_15)
    _require_valid(joints, joint_valid)
    ends = [TEMPLATE_15.index(f"{j}{s}") for s in "RL" for j in ("shoulder", "wrist")]
    points = joints[..., np.array(ends), :]
    is_known = jnp.ones(joints.shape[:-2], bool)
    if joint_valid is not None:
        is_known = jnp.all(joint_valid[..., np.array(ends)], axis=-1)
    right = points[..., 1, :] - points[..., 0, :]
    return right, points[..., 3, :] - points[..., 2, :], is_known


def _require_skeleton(argument: str, joints: Array, skeleton: Skeleton) -> None:
    remedy = f"give the joints of {skeleton.name!r}; see `skeletons.remap`."
    require_shape(argument, joints, (skeleton.num_joints, 2), remedy)


def _require_valid(joints: Array, joint_valid: Array | None) -> None:
    if joint_valid is not None:
        require_equal_shapes(
            "give one truth value per joint of each pose.",
            joints=joints.shape[:-1],
            joint_valid=joint_valid.shape,
        )


def _require_poses(predicted: Array, target: Array, joint_valid: Array | None) -> None:
    require_shape("predicted", predicted, ("joints", 2), "give points (x, y).")
    require_equal_shapes(
        "give both poses in one joint set, as many of each; see `skeletons.remap`.",
        predicted=predicted.shape,
        target=target.shape,
    )
    _require_valid(predicted, joint_valid)


def _better_frames(
    straight: Array,
    swapped: Array,
    joint_valid: Array | None,
    *,
    is_higher_better: bool,
) -> Array:
    """Scores per joint of the better assignment per frame; `straight` if equal."""
    counts = jnp.ones(straight.shape, bool) if joint_valid is None else joint_valid
    gain = masked_mean(swapped, counts) - masked_mean(straight, counts)
    is_swapped = gain > 0 if is_higher_better else gain < 0
    return jnp.where(is_swapped[..., None], swapped, straight)
