"""How far predicted optical flow is from where it should be, as training losses.

A flow is `(..., height, width, 2)`, x before y, in pixels. Where a difference is zero,
so is its gradient. What a target holds at a pixel that does not count may be anything,
NaN included.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from posejax.checks import require_at_least, require_equal_shapes, require_shape


def sequence_loss(
    predictions: Float[Array, "iterations *batch height width 2"],
    target: Float[Array, "*batch height width 2"],
    *,
    mask: Bool[Array, "*batch height width"] | None = None,
    gamma: float = 0.8,
    max_flow: float = 400.0,
) -> Float[Array, "*batch"]:
    """Absolute differences of all N iterations, the i-th weighted by gamma^(N - 1 - i).

    The mean of one iteration divides by the number of all its values, those of pixels
    that do not count included, as in the published training.

    Args:
      predictions: Flow after each iteration, iterations along the first axis; pixels.
      target: True flow.
      mask: Which pixels count; all by default.
      gamma: Factor from one iteration to the one before it, in 0 < gamma <= 1.
      max_flow: Pixels whose true flow is this long or longer do not count.

    Returns:
      One value per example, pixels.

    Raises:
      ValueError: If shapes do not go together or a number is out of its range.

    Reference:
      Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), eq. 7.

    >>> target = jnp.zeros((1, 1, 2))
    >>> print(sequence_loss(jnp.stack([target + 2, target + 1]), target, gamma=0.5))
    2.0
    """
    if not 0 < gamma <= 1:
        raise ValueError(f"gamma is {gamma!r}; expected 0 < gamma <= 1.")
    if not max_flow > 0:
        raise ValueError(f"max_flow is {max_flow!r}; expected a positive number.")
    remedy = "stack the flows of all iterations along a first axis."
    require_shape("target", target, ("height", "width", 2), "give flows (x, y).")
    require_equal_shapes(remedy, predictions=predictions.shape[1:], target=target.shape)
    require_at_least("the number of iterations", len(predictions), 1)
    # Compared as a square: the root is not needed, nor its gradient. NaN is not less.
    counts = jnp.sum(target**2, axis=-1) < max_flow**2
    if mask is not None:
        require_equal_shapes(
            "give one truth value per pixel.", pixels=counts.shape, mask=mask.shape
        )
        counts &= mask
    difference = predictions - jnp.expand_dims(target, 0)
    # Before the absolute value, so that an uncounted pixel may hold anything.
    difference = jnp.where(counts[None, ..., None], difference, 0)
    # Not jnp.abs: its derivative at zero is one, where equal flows should not pull.
    means = jnp.mean(difference * jnp.sign(difference), axis=(-3, -2, -1))
    weights = gamma ** jnp.arange(len(predictions) - 1, -1, -1, dtype=means.dtype)
    return jnp.einsum("i,i...->...", weights, means, precision="highest")


def smooth_flow_loss_per_pixel(
    predicted: Float[Array, "*batch height width 2"],
    target: Float[Array, "*batch height width 2"],
) -> Float[Array, "*batch height width"]:
    """Smooth L1 difference of each flow vector, the mean of its two components.

    Of a component d: d^2 / 2 where |d| < 1 pixel, |d| - 1/2 beyond.

    Args:
      predicted: Flow, pixels.
      target: Flow that it should be.

    Returns:
      One value per pixel.

    Raises:
      ValueError: If the shapes differ or are no flows.

    Reference:
      Girshick, Fast R-CNN, ICCV 2015 (arXiv 1504.08083), eq. 3; Arko et al. 2022 (arXiv
      2210.15121) fine-tune with it.

    >>> predicted = jnp.array([[[1.0, 3.0]]])
    >>> print(smooth_flow_loss_per_pixel(predicted, jnp.zeros((1, 1, 2))))
    [[1.5]]
    """
    require_shape("predicted", predicted, ("height", "width", 2), "give flows (x, y).")
    require_equal_shapes(
        "give one target for each flow.",
        predicted=predicted.shape,
        target=target.shape,
    )
    difference = predicted - target
    size = difference * jnp.sign(difference)
    return jnp.mean(jnp.where(size < 1, 0.5 * difference**2, size - 0.5), axis=-1)


def smooth_flow_loss(
    predicted: Float[Array, "*batch height width 2"],
    target: Float[Array, "*batch height width 2"],
) -> Float[Array, "*batch"]:
    """Mean smooth L1 difference of two flows over all pixels and both components.

    Args:
      predicted: Flow, pixels.
      target: Flow that it should be.

    Returns:
      One value per example.

    Raises:
      ValueError: If the shapes differ or are no flows.

    Reference:
      Girshick, Fast R-CNN, ICCV 2015 (arXiv 1504.08083), eq. 3; Arko et al. 2022 (arXiv
      2210.15121) fine-tune with it.

    >>> print(smooth_flow_loss(jnp.array([[[1.0, 3.0]]]), jnp.zeros((1, 1, 2))))
    1.5
    """
    return jnp.mean(smooth_flow_loss_per_pixel(predicted, target), axis=(-2, -1))
