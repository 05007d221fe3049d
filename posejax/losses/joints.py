"""How far predicted joints are from where they should be, as training losses.

Poses may be in space or in a picture. Where a distance is zero, so is its gradient: the
network that predicts a root joint converges to exactly that point.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from posejax.checks import require_equal_shapes, require_shape
from posejax.geometry.alignment import least_squares_scale, require_poses
from posejax.numerics import masked_mean, safe_divide, safe_norm


def joint_distance_loss(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
    *,
    mask: Bool[Array, "*batch joints"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean Euclidean distance of the joints (MPJPE), in the unit of the poses.

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, same unit.
      mask: Which joints count; all by default.

    Returns:
      One value per pose; zero where no joint counts.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 4.

    >>> predicted = jnp.array([[3.0, 4.0], [0.0, 0.0]])
    >>> print(joint_distance_loss(predicted, jnp.zeros((2, 2))))
    2.5
    """
    require_poses(("joints", "dims"), predicted=predicted, target=target)
    offsets = predicted - target
    if mask is None:
        return jnp.mean(safe_norm(offsets), axis=-1)
    require_equal_shapes(
        "give one truth value per joint of each pose.",
        joints=predicted.shape[:-1],
        mask=mask.shape,
    )
    # Before the norm, so that the coordinates of an uncounted joint may be anything.
    return masked_mean(safe_norm(jnp.where(mask[..., None], offsets, 0.0)), mask)


def n_mpjpe_loss(
    predicted: Float[Array, "*batch joints dims"],
    target: Float[Array, "*batch joints dims"],
) -> Float[Array, "*batch"]:
    """Mean distance of the joints after the best scaling of the predicted pose.

    The gradient passes through the factor too, so that it has no part along the pose's
    own scale.

    Args:
      predicted: Estimated joints, any unit.
      target: True joints, any unit.

    Returns:
      One value per pose in the unit of `target`.

    Reference:
      Rhodin et al. 2018 (arXiv 1804.01110), sec. 4.

    >>> print(n_mpjpe_loss(jnp.full((2, 3), 4.0), jnp.ones((2, 3))))
    0.0
    """
    require_poses(("joints", "dims"), predicted=predicted, target=target)
    scale = least_squares_scale(predicted, target)
    return joint_distance_loss(scale[..., None, None] * predicted, target)


def velocity_loss(
    predicted: Float[Array, "*batch frames joints dims"],
    target: Float[Array, "*batch frames joints dims"],
) -> Float[Array, "*batch"]:
    """Mean distance between predicted and true steps from frame to frame (MPJVE).

    Args:
      predicted: Estimated joints of at least two consecutive frames, any unit.
      target: True joints, same unit.

    Returns:
      One value per sequence, unit of the poses per frame.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 6.1, there a metric.

    >>> still, moving = jnp.zeros((3, 2, 1)), jnp.arange(6.0).reshape(3, 2, 1)
    >>> print(velocity_loss(moving, still))
    2.0
    """
    axes = ("frames", "joints", "dims")
    require_poses(axes, predicted=predicted, target=target)
    steps = jnp.diff(predicted, axis=-3), jnp.diff(target, axis=-3)
    return jnp.mean(joint_distance_loss(*steps), axis=-1)


def trajectory_loss(
    predicted: Float[Array, "*batch 3"], target: Float[Array, "*batch 3"]
) -> Float[Array, "*batch"]:
    """Distance of the root as a share of its true depth: |predicted - target| / |z|.

    Args:
      predicted: Estimated position of the root in camera axes, metres.
      target: True position, metres.

    Returns:
      One value per frame, dimensionless; zero where the true depth z is zero.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 4, weighted MPJPE.

    >>> print(trajectory_loss(jnp.array([0.0, 1.0, 4.0]), jnp.array([0.0, 0.0, 4.0])))
    0.25
    """
    require_shape("predicted", predicted, (3,), "give points (x, y, z).")
    require_equal_shapes(
        "give one true root per estimate.",
        predicted=predicted.shape,
        target=target.shape,
    )
    return safe_divide(safe_norm(predicted - target), jnp.abs(target[..., 2]))
