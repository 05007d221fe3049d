"""Two-dimensional convolutions without bias.

NHWC images, HWIO kernels. A convolution here is PyTorch's: a correlation with zero
padding that is the same on both sides.
"""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def convolution(
    images: Float[Array, "batch height width channels"],
    kernel: Float[Array, "rows columns channels features"],
    *,
    stride: int = 1,
    dilation: int = 1,
    padding: int = 1,
) -> Float[Array, "batch height2 width2 features"]:
    """Correlates images with a kernel.

    Args:
      images: NHWC images.
      kernel: Taps, `(rows, columns, in, out)`.
      stride: Step in both directions.
      dilation: Distance between taps.
      padding: Zeros added on each side.

    Returns:
      The product at every position where the kernel fits the padded image.
    """
    return jax.lax.conv_general_dilated(
        images,
        kernel,
        (stride, stride),
        ((padding, padding), (padding, padding)),
        rhs_dilation=(dilation, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def upsample_bilinear_x2(
    images: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height2 width2 channels"]:
    """Doubles height and width by bilinear interpolation, pixel centres at 0.5.

    Output pixel 2i is 3/4 of pixel i and 1/4 of pixel i - 1, output pixel 2i + 1 is 3/4
    of pixel i and 1/4 of pixel i + 1; the border is repeated.

    Args:
      images: NHWC images.

    Returns:
      Images of twice the height and width.

    >>> row = jnp.array([0.0, 4.0]).reshape(1, 1, 2, 1)
    >>> print(upsample_bilinear_x2(row)[0, 0, :, 0])
    [0. 1. 3. 4.]
    """
    return _double(_double(images, 1), 2)


def _double(x: jax.Array, axis: int) -> jax.Array:
    size = x.shape[axis]
    first = jax.lax.slice_in_dim(x, 0, 1, axis=axis)
    last = jax.lax.slice_in_dim(x, size - 1, size, axis=axis)
    before = jax.lax.slice_in_dim(x, 0, size - 1, axis=axis)
    after = jax.lax.slice_in_dim(x, 1, size, axis=axis)
    even = 0.75 * x + 0.25 * jnp.concatenate([first, before], axis)
    odd = 0.75 * x + 0.25 * jnp.concatenate([after, last], axis)
    shape = list(x.shape)
    shape[axis] = 2 * size
    return jnp.stack([even, odd], axis + 1).reshape(shape)


def upsampled_convolution(
    images: Float[Array, "batch height width channels"],
    kernel: Float[Array, "3 3 channels features"],
) -> Float[Array, "batch height2 width2 features"]:
    """Doubles images (bilinear, half-pixel centres), then correlates, padding 1.

    Args:
      images: NHWC images.
      kernel: 3x3 taps.

    Returns:
      Images of twice the height and width.
    """
    return convolution(upsample_bilinear_x2(images), kernel)
