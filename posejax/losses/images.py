"""Differences between pictures, in pixels or in features: one value per example."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape


def perceptual_loss(
    predicted: Float[Array, "*batch height width channels"],
    target: Float[Array, "*batch height width channels"],
) -> Float[Array, "*batch"]:
    """Mean absolute difference of the features of two pictures.

    Args:
      predicted: Features of the reconstruction, NHWC.
      target: Features of the frame; a constant of the training if the features come
        from a frozen network.

    Returns:
      One value per example.

    Raises:
      ValueError: If the two shapes differ.

    Reference:
      Johnson et al. 2016 (arXiv 1603.08155), sec. 3.2, who square the difference;
      Schmidtke et al. 2021 (arXiv 2105.04154) take its size.

    >>> print(perceptual_loss(jnp.array([[[1.0, 4.0]]]), jnp.array([[[2.0, 1.0]]])))
    2.0
    """
    _require_pictures(predicted, target)
    # Not jnp.abs: its derivative at zero is one, where equal features should not pull.
    difference = predicted - target
    return jnp.mean(difference * jnp.sign(difference), axis=(-3, -2, -1))


def pixel_loss(
    predicted: Float[Array, "*batch height width channels"],
    target: Float[Array, "*batch height width channels"],
) -> Float[Array, "*batch"]:
    """Mean squared difference of two pictures, in the square of their unit.

    Args:
      predicted: Reconstruction, NHWC, normalised as the network's input is.
      target: Frame, the same.

    Returns:
      One value per example.

    Raises:
      ValueError: If the two shapes differ.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), "MSE".

    >>> print(pixel_loss(jnp.array([[[1.0, 4.0]]]), jnp.array([[[2.0, 1.0]]])))
    5.0
    """
    _require_pictures(predicted, target)
    return jnp.mean((predicted - target) ** 2, axis=(-3, -2, -1))


def _require_pictures(predicted: Array, target: Array) -> None:
    require_shape(
        "predicted",
        predicted,
        ("height", "width", "channels"),
        "give NHWC pictures or features.",
    )
    require_equal_shapes(
        "compare pictures or features of one size and number of channels.",
        predicted=predicted.shape,
        target=target.shape,
    )
