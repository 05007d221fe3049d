"""How far predicted optical flow is from the true one: one value per pair of frames.

A flow is `(..., height, width, 2)`, x before y, in pixels. Means over a data set come
in two kinds: over pairs (KITTI's endpoint error), and over all pixels of all pairs
(Sintel's endpoint error, KITTI's outliers). The caller makes them; for the second kind
each pair's value is weighted by its `num_flow_pixels`.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from posejax.checks import require_equal_shapes, require_shape
from posejax.numerics import masked_mean, safe_norm


def endpoint_errors(
    predicted: Float[Array, "*batch height width 2"],
    target: Float[Array, "*batch height width 2"],
) -> Float[Array, "*batch height width"]:
    """Distance between the predicted and the true end of each flow vector.

    Args:
      predicted: Estimated flow, pixels.
      target: True flow.

    Returns:
      One distance per pixel, in pixels.

    Raises:
      ValueError: If the shapes differ or are no flows.

    Reference:
      Baker et al., A database and evaluation methodology for optical flow, IJCV 2011,
      sec. 4.1.

    >>> print(endpoint_errors(jnp.array([[[3.0, 4.0]]]), jnp.zeros((1, 1, 2))))
    [[5.]]
    """
    require_shape("predicted", predicted, ("height", "width", 2), "give flows (x, y).")
    require_equal_shapes(
        "give one true flow for each estimate.",
        predicted=predicted.shape,
        target=target.shape,
    )
    return safe_norm(predicted - target)


def num_flow_pixels(mask: Bool[Array, "*batch height width"]) -> Float[Array, "*batch"]:
    """Number of pixels of each pair that count, the weight of its mean in a whole.

    Args:
      mask: Which pixels count.

    Returns:
      One number per pair, float32.

    Reference:
      None; a count.

    >>> print(num_flow_pixels(jnp.array([[True, False], [True, True]])))
    3.0
    """
    require_shape("mask", mask, ("height", "width"), "give one truth value per pixel.")
    return jnp.sum(mask, axis=(-2, -1), dtype=jnp.float32)


def mean_endpoint_error(
    predicted: Float[Array, "*batch height width 2"],
    target: Float[Array, "*batch height width 2"],
    *,
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Float[Array, "*batch"]:
    """Mean endpoint error over the pixels that count (EPE).

    Args:
      predicted: Estimated flow, pixels.
      target: True flow; may be anything where it does not count.
      mask: Which pixels count; all by default.

    Returns:
      One mean distance per pair, in pixels; zero where no pixel counts.

    Raises:
      ValueError: If the shapes differ or are no flows.

    Reference:
      Baker et al., A database and evaluation methodology for optical flow, IJCV 2011,
      sec. 4.1.

    >>> print(mean_endpoint_error(jnp.array([[[3.0, 4.0]]]), jnp.zeros((1, 1, 2))))
    5.0
    """
    return _mean(endpoint_errors(predicted, target), mask)


def share_within(
    predicted: Float[Array, "*batch height width 2"],
    target: Float[Array, "*batch height width 2"],
    *,
    threshold_px: int | float,
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Float[Array, "*batch"]:
    """Share of the pixels whose endpoint error is below a threshold.

    Args:
      predicted: Estimated flow, pixels.
      target: True flow; may be anything where it does not count.
      threshold_px: Errors strictly below count as right; 1, 3 and 5 are usual.
      mask: Which pixels count; all by default.

    Returns:
      One share per pair, 0 to 1; zero where no pixel counts.

    Raises:
      ValueError: If the shapes differ or are no flows, or the threshold is no
        positive number.

    Reference:
      Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), "1px", "3px" and "5px" of their
      released code.

    >>> predicted = jnp.array([[[3.0, 4.0], [0.5, 0.0]]])
    >>> print(share_within(predicted, jnp.zeros((1, 2, 2)), threshold_px=1))
    0.5
    """
    if not threshold_px > 0:
        raise ValueError(
            f"threshold_px is {threshold_px!r}; expected a positive number of pixels."
        )
    errors = endpoint_errors(predicted, target)
    return _mean((errors < threshold_px).astype(errors.dtype), mask)


def outlier_share(
    predicted: Float[Array, "*batch height width 2"],
    target: Float[Array, "*batch height width 2"],
    *,
    mask: Bool[Array, "*batch height width"] | None = None,
) -> Float[Array, "*batch"]:
    """Share of outliers: error above 3 pixels and above 5 % of the true length.

    F1-all is 100 times its mean over all pixels of all pairs. An estimate that is no
    number is an outlier.

    Args:
      predicted: Estimated flow, pixels.
      target: True flow; may be anything where it does not count.
      mask: Which pixels count; all by default.

    Returns:
      One share per pair, 0 to 1; zero where no pixel counts.

    Raises:
      ValueError: If the shapes differ or are no flows.

    Reference:
      Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015, sec. 4.2.

    >>> predicted = jnp.array([[[0.0, 4.0], [104.0, 0.0]]])
    >>> print(outlier_share(predicted, jnp.array([[[0.0, 0.0], [100.0, 0.0]]])))
    0.5
    """
    errors = endpoint_errors(predicted, target)
    is_right = (errors <= 3) | (errors <= 0.05 * safe_norm(target))
    return _mean((~is_right).astype(errors.dtype), mask)


def _mean(values: Array, mask: Array | None) -> Array:
    """Mean over the pixels that count."""
    if mask is None:
        return jnp.mean(values, axis=(-2, -1))
    require_equal_shapes(
        "give one truth value per pixel.", pixels=values.shape, mask=mask.shape
    )
    pixels = (*values.shape[:-2], values.shape[-2] * values.shape[-1])
    return masked_mean(values.reshape(pixels), mask.reshape(pixels))
