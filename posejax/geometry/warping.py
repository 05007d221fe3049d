"""Affine warps of pictures by bilinear sampling.

Conventions of every function here. A picture is `(..., height, width)`, one channel;
pixel (x, y), column before row, has its centre at the integers x = 0 ... width - 1,
y = 0 ... height - 1. Maps are *forward*: what is at p in the picture is at M p in the
result, out(p') = in(M^-1 p'). Translations are in pixels. Outside of the picture there
are zeros, tap by tap, so that values fade within one pixel of the border.

Derivatives are one-sided where a source coordinate is an integer, as under identity.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from posejax.checks import require_equal_shapes, require_shape
from posejax.geometry.affine import invert_affine, require_maps

# The zero border that stands for the outside: source coordinates are clamped to
# [-1, size], where one tap is pixel -1 and the last one is pixel size + 1.
_BEFORE, _AFTER = 1, 2


def warp_images(
    images: Float[Array, "*#batch height width"], maps: Float[Array, "*#batch 2 3"]
) -> Float[Array, "*#batch height width"]:
    """Pictures moved by forward maps, sampled once.

    The leading axes broadcast: `(18, S, S)` pictures under `(B, 18, 2, 3)` maps are
    read in place and not copied B times. Pixels of the result are not kept for the
    gradient but computed again, since there are many more of them than maps.

    Args:
      images: Pictures, one channel.
      maps: Forward maps in pixels. A singular map gives a finite, mostly empty picture.

    Returns:
      Pictures of the same size.

    Raises:
      ValueError: If pictures and maps do not go together.

    Reference:
      Jaderberg et al. 2015 (arXiv 1506.02025), sec. 3.3; Yoo and Russakovsky 2023.

    >>> picture = jnp.array([[1.0, 2.0, 3.0]])
    >>> right = jnp.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    >>> print(warp_images(picture, right))
    [[0.5 1.5 2.5]]
    """
    require_maps("maps", maps)
    batch = _broadcast(images, maps)
    height, width = images.shape[-2:]
    maps = jnp.broadcast_to(maps, (*batch, 2, 3))
    first_pixels = _first_pixels(images.shape, batch)

    @jax.checkpoint
    def sample(images, maps):
        x, y = _apply(invert_affine(maps), _pixel_grid(height, width, maps.dtype))
        return _bilinear(_pad(images), first_pixels, x, y, (height, width))

    return sample(images, maps).reshape(*batch, height, width)


def warp_images_twice(
    images: Float[Array, "*#batch height width"],
    first: Float[Array, "*batch 2 3"],
    second: Float[Array, "*batch 2 3"],
) -> Float[Array, "*batch height width"]:
    """Equals `warp_images(warp_images(images, first), second)`.

    What the first map moves out of the picture is lost. The pixels of the intermediate
    picture are sampled where the second map needs them. So the gradient with respect to
    the maps consists of reads only. Through an intermediate picture it would be
    a scatter of additions, which is slow on some devices and, where it is atomic, has
    no fixed order: two equal runs would differ.

    Args:
      images: Pictures, one channel; leading axes broadcast to those of the maps.
      first: Forward maps in pixels, applied first.
      second: Forward maps in pixels, applied to the result of the first.

    Returns:
      Pictures of the same size.

    Raises:
      ValueError: If pictures and maps do not go together.

    Reference:
      Jaderberg et al. 2015 (arXiv 1506.02025), sec. 3.3, for each of the two; Yoo and
      Russakovsky 2023 (arXiv 2311.02815), "two-step warp".

    >>> picture = jnp.array([[1.0, 2.0, 3.0]])
    >>> right = jnp.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
    >>> print(warp_images_twice(picture, right, invert_affine(right)))
    [[1. 2. 0.]]
    """
    require_maps("first", first)
    require_equal_shapes(
        "give one second map for each first one.",
        first=first.shape,
        second=second.shape,
    )
    batch = _broadcast(images, first)
    require_equal_shapes(
        "give a map for each picture; maps are not broadcast.",
        maps=first.shape[:-2],
        batch=batch,
    )
    height, width = images.shape[-2:]
    first_pixels = _first_pixels(images.shape, batch)

    @jax.checkpoint
    def sample(images, first, second):
        padded, inverse = _pad(images), invert_affine(first)
        x, y = _apply(invert_affine(second), _pixel_grid(height, width, first.dtype))
        x, y = jnp.clip(x, -1, width), jnp.clip(y, -1, height)
        left, top = jnp.floor(x), jnp.floor(y)

        def tap(right: int, down: int) -> Array:
            column, row = left + right, top + down
            is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            source = jnp.stack([column, row, jnp.ones_like(row)], axis=-2)
            at = _apply(inverse, source)
            value = _bilinear(padded, first_pixels, *at, (height, width))
            return jnp.where(is_inside, value, 0.0)

        taps = (tap(0, 0), tap(1, 0), tap(0, 1), tap(1, 1))
        return _blend(taps, x - left, y - top)

    return sample(images, first, second).reshape(*batch, height, width)


def _broadcast(images: Array, maps: Array) -> tuple[int, ...]:
    """Shape of the leading axes of pictures under maps."""
    require_shape("images", images, ("height", "width"), "give one channel.")
    try:
        return np.broadcast_shapes(images.shape[:-2], maps.shape[:-2])
    except ValueError:
        raise ValueError(
            f"images {images.shape} and maps {maps.shape} do not go together; give one "
            "map per picture, or leading axes that broadcast."
        ) from None


def _pixel_grid(height: int, width: int, dtype: jnp.dtype) -> Float[Array, "3 pixels"]:
    """Homogeneous coordinates (x, y, 1) of all pixels, row by row."""
    y, x = jnp.indices((height, width), dtype=dtype)
    return jnp.stack([x.ravel(), y.ravel(), jnp.ones(height * width, dtype)])


def _apply(maps: Array, points: Array) -> tuple[Array, Array]:
    """Coordinates of moved homogeneous points, `([*batch,] 3, pixels)`: x and y."""
    # A matrix product on purpose: its transpose, the sum over all pixels in the
    # gradient, is one too, which on CPUs is several times faster than a plain sum. In
    # full precision, since a rounded coordinate is another pixel.
    spec = "...ij,jp->...ip" if points.ndim == 2 else "...ij,...jp->...ip"
    moved = jnp.einsum(spec, maps, points, precision="highest")
    return moved[..., 0, :], moved[..., 1, :]


def _pad(images: Array) -> Array:
    """Pictures with a border of zeros, as one flat array."""
    border = (_BEFORE, _AFTER)
    return jnp.pad(images, (images.ndim - 2) * [(0, 0)] + [border, border]).ravel()


def _first_pixels(shape: tuple, batch: tuple) -> Int[np.ndarray, "*batch 1"]:
    """Where the picture of each example begins in the result of `_pad`."""
    *leading, height, width = shape
    size = (height + _BEFORE + _AFTER) * (width + _BEFORE + _AFTER)
    first = size * np.arange(int(np.prod(leading)), dtype=np.int32)
    return np.broadcast_to(first.reshape(leading), batch)[..., None]


def _bilinear(
    padded: Array, first_pixels: np.ndarray, x: Array, y: Array, size: tuple[int, int]
) -> Array:
    """Values of the flat, padded pictures at source coordinates `(*batch, pixels)`."""
    height, width = size
    x, y = jnp.clip(x, -1, width), jnp.clip(y, -1, height)
    left, top = jnp.floor(x), jnp.floor(y)
    stride = width + _BEFORE + _AFTER
    column, row = left.astype(jnp.int32) + _BEFORE, top.astype(jnp.int32) + _BEFORE
    index = first_pixels + row * stride + column

    def tap(offset: int) -> Array:
        at = padded.at[index + offset]
        return at.get(mode="clip", wrap_negative_indices=False)

    taps = (tap(0), tap(1), tap(stride), tap(stride + 1))
    return _blend(taps, x - left, y - top)


def _blend(taps: tuple[Array, ...], right: Array, down: Array) -> Array:
    """Interpolation of upper left, upper right, lower left and lower right taps."""
    upper = taps[0] + right * (taps[1] - taps[0])
    lower = taps[2] + right * (taps[3] - taps[2])
    return upper + down * (lower - upper)
