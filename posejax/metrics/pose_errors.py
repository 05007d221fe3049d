"""How far predicted poses are from the true ones, in space.

Errors are in the unit of the poses. Each protocol comes per joint and, as the mean over
the joints, per pose; the caller averages over poses. Nothing is made root-relative
here: Pavllo et al. 2019 score the predicted root too, Amadi and Agam 2023 subtract it.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes
from posejax.geometry.alignment import (
    least_squares_scale,
    require_poses,
    similarity_distances,
)
from posejax.numerics import safe_norm


def mpjpe_per_joint(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
) -> Float[Array, "*batch joints"]:
    """Distance of each joint from its true position (protocol 1).

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, same unit.

    Returns:
      One distance per joint, same unit.

    Reference:
      Ionescu et al., Human3.6M, TPAMI 2014, sec. 6.

    >>> print(mpjpe_per_joint(jnp.array([[3.0, 0.0, 4.0]]), jnp.zeros((1, 3))))
    [5.]
    """
    require_poses(("joints", "dims"), predicted=predicted, target=target)
    return safe_norm(predicted - target)


def mpjpe(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
) -> Float[Array, "*batch"]:
    """Mean per-joint position error (protocol 1).

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, same unit.

    Returns:
      One mean distance per pose, same unit.

    Reference:
      Ionescu et al., Human3.6M, TPAMI 2014, sec. 6.

    >>> print(mpjpe(jnp.array([[3.0, 0.0, 4.0], [0.0, 1.0, 0.0]]), jnp.zeros((2, 3))))
    3.0
    """
    return _mean_over_joints(mpjpe_per_joint(predicted, target))


def weighted_mpjpe(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
    weight: Float[Array, "*batch joints"],
) -> Float[Array, "*batch"]:
    """Mean of weight times distance over the joints; weights are not normalised.

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, same unit.
      weight: Factor of each joint, such as one over its depth.

    Returns:
      One mean per pose, unit of the poses times that of the weights.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 4.

    >>> print(weighted_mpjpe(jnp.ones((2, 1)), jnp.zeros((2, 1)), jnp.array([1.0, 3])))
    2.0
    """
    distances = mpjpe_per_joint(predicted, target)
    require_equal_shapes(
        "give one weight per joint of each pose.",
        joints=distances.shape,
        weight=weight.shape,
    )
    return _mean_over_joints(weight * distances)


def p_mpjpe_per_joint(
    predicted: Float[Array, "*batch joints 3"], target: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch joints"]:
    """Distance of each joint after the best similarity transform (protocol 2).

    Rotation, translation and scale minimise the sum of squared distances over the
    joints of each pose; reflections are not allowed.

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, any unit.

    Returns:
      One distance per joint, in the unit of `target`. Where all predicted joints
      coincide: the distances from the target's centroid.

    Reference:
      Martinez et al. 2017 (arXiv 1705.03098), protocol 2; Pavllo et al. 2019.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(p_mpjpe_per_joint(3 * pose + 1, pose).max() < 1e-6)
    True
    """
    require_poses(("joints", 3), predicted=predicted, target=target)
    return similarity_distances(predicted, target)


def p_mpjpe(
    predicted: Float[Array, "*batch joints 3"], target: Float[Array, "*batch joints 3"]
) -> Float[Array, "*batch"]:
    """Mean per-joint error after the best similarity transform (protocol 2).

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, any unit.

    Returns:
      One mean distance per pose, in the unit of `target`.

    Reference:
      Martinez et al. 2017 (arXiv 1705.03098), protocol 2; Pavllo et al. 2019.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(p_mpjpe(3 * pose + 1, pose) < 1e-6)
    True
    """
    return _mean_over_joints(p_mpjpe_per_joint(predicted, target))


def n_mpjpe_per_joint(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
) -> Float[Array, "*batch joints"]:
    """Distance of each joint after the best scaling (protocol 3).

    The factor is that of `least_squares_scale`; nothing is centred.

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, any unit.

    Returns:
      One distance per joint, in the unit of `target`.

    Reference:
      Rhodin et al. 2018 (arXiv 1804.01110), sec. 4; Pavllo et al. 2019, protocol 3.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(n_mpjpe_per_joint(4 * pose, pose))
    [0. 0. 0.]
    """
    require_poses(("joints", "dims"), predicted=predicted, target=target)
    scale = least_squares_scale(predicted, target)
    return mpjpe_per_joint(scale[..., None, None] * predicted, target)


def n_mpjpe(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
) -> Float[Array, "*batch"]:
    """Mean per-joint error after the best scaling (protocol 3).

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, any unit.

    Returns:
      One mean distance per pose, in the unit of `target`.

    Reference:
      Rhodin et al. 2018 (arXiv 1804.01110), sec. 4; Pavllo et al. 2019, protocol 3.

    >>> pose = jnp.array([[0.0, 0, 0], [1, 0, 0], [0, 2, 0]])
    >>> print(n_mpjpe(4 * pose, pose))
    0.0
    """
    return _mean_over_joints(n_mpjpe_per_joint(predicted, target))


def velocity_error_per_joint(
    predicted: Float[Array, "*batch frames joints dims"],
    target: Float[Array, "*batch frames joints dims"],
) -> Float[Array, "*batch frames-1 joints"]:
    """Distance between the predicted and the true step of each joint to the next frame.

    Args:
      predicted: Estimated joints of consecutive frames, any unit.
      target: True joints, same unit.

    Returns:
      One distance per pair of frames and joint, unit of the poses per frame.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 6.1.

    >>> still, moving = jnp.zeros((3, 1, 3)), jnp.arange(9.0).reshape(3, 1, 3)
    >>> print(velocity_error_per_joint(moving, still).round(3).tolist())
    [[5.196000099182129], [5.196000099182129]]
    """
    axes = ("frames", "joints", "dims")
    require_poses(axes, predicted=predicted, target=target)
    steps = jnp.diff(predicted, axis=-3), jnp.diff(target, axis=-3)
    return mpjpe_per_joint(*steps)


def velocity_error(
    predicted: Float[Array, "*batch frames joints dims"],
    target: Float[Array, "*batch frames joints dims"],
) -> Float[Array, "*batch frames-1"]:
    """Mean per-joint velocity error of each pair of consecutive frames.

    Args:
      predicted: Estimated joints of consecutive frames, any unit.
      target: True joints, same unit.

    Returns:
      One mean distance per pair of frames, unit of the poses per frame; the mean of a
      sequence is its MPJVE.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 6.1.

    >>> still, moving = jnp.zeros((3, 2, 1)), jnp.arange(6.0).reshape(3, 2, 1)
    >>> print(velocity_error(moving, still))
    [2. 2.]
    """
    return _mean_over_joints(velocity_error_per_joint(predicted, target))


def acceleration_error_per_joint(
    predicted: Float[Array, "*batch frames joints dims"],
    target: Float[Array, "*batch frames joints dims"],
) -> Float[Array, "*batch inner joints"]:
    """Distance between the predicted and the true acceleration of each joint.

    The acceleration is the second difference x(t + 1) - 2 x(t) + x(t - 1). Nothing is
    centred: the motion of the root counts.

    Args:
      predicted: Estimated joints of consecutive frames, any unit.
      target: True joints, same unit.

    Returns:
      One distance per joint and frame that has both neighbours (none if there are fewer
      than three frames), unit of the poses per frame squared.

    Reference:
      Kanazawa et al. 2019 (arXiv 1812.01601), sec. 5.

    >>> still = jnp.zeros((3, 1, 3))
    >>> print(acceleration_error_per_joint(still.at[1, 0, 0].set(2.0), still))
    [[4.]]
    """
    axes = ("frames", "joints", "dims")
    require_poses(axes, predicted=predicted, target=target)
    offsets = predicted - target
    inner = offsets[..., 2:, :, :] - 2 * offsets[..., 1:-1, :, :]
    return safe_norm(inner + offsets[..., :-2, :, :])


def acceleration_error(
    predicted: Float[Array, "*batch frames joints dims"],
    target: Float[Array, "*batch frames joints dims"],
) -> Float[Array, "*batch inner"]:
    """Mean per-joint acceleration error of each frame that has both neighbours.

    Args:
      predicted: Estimated joints of consecutive frames, any unit.
      target: True joints, same unit.

    Returns:
      One mean distance per inner frame, unit of the poses per frame squared.

    Reference:
      Kanazawa et al. 2019 (arXiv 1812.01601), sec. 5.

    >>> still = jnp.zeros((3, 1, 3))
    >>> print(acceleration_error(still.at[1, 0, 0].set(2.0), still))
    [4.]
    """
    return _mean_over_joints(acceleration_error_per_joint(predicted, target))


def _mean_over_joints(values: Array) -> Array:
    """The mean as a product, which does not repeat what made the values per joint."""
    joints = values.shape[-1]
    weights = jnp.full(joints, 1 / joints, values.dtype)
    return jnp.einsum("...j,j->...", values, weights, precision="highest")
