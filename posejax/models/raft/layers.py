"""Convolutions of RAFT: zero padding of half the kernel, PyTorch's layout of taps."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.models.convolution import convolution
from posejax.models.layers import last_axis


def same_convolution(
    images: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int = 1,
) -> Float[Array, "batch height2 width2 features"]:
    """Correlates images with a kernel of odd sides; stride 1 keeps the size.

    Args:
      images: NHWC images.
      kernel: Taps, `(rows, columns, in, out)`.
      stride: Step in both directions.

    Returns:
      The product, of size `ceil(height / stride)`, `ceil(width / stride)`.
    """
    rows, columns = kernel.shape[:2]
    if rows == columns == 1:  # as a matrix product: several times faster on a CPU
        return images[:, ::stride, ::stride] @ kernel[0, 0]
    if rows == columns:
        return convolution(images, kernel, stride=stride, padding=rows // 2)
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((rows // 2, rows // 2), (columns // 2, columns // 2)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def convolved(
    params: Any, images: Float[Array, "batch height width channels"]
) -> Float[Array, "batch height width features"]:
    """Returns the convolution by `params["kernel"]` plus `params["bias"]`.

    Args:
      params: `kernel` and `bias`, cast to the dtype of `images`.
      images: NHWC images.
    """
    kernel = jnp.asarray(params["kernel"], images.dtype)
    bias = jnp.asarray(params["bias"], images.dtype)
    return same_convolution(images, kernel) + last_axis(bias, images)
