"""Correlation of all pairs of pixels at four scales, and its lookup around points.

Letters: b example, q query (a pixel of the first image, row by row), c feature, s cell:
the pixels of the second image at all scales, one scale behind the other, row by row. A
scale halves the one before by averaging 2x2 pixels; an odd last row or column is
dropped, so a scale may have no cell at all. Points are (x, y) in pixels, pixel centres
at integers.

Averaging and the product with the first features commute. So the second features are
averaged, not the volume, and one matrix product gives all scales; without the volume,
the same product is made for a few queries at a time and thrown away after its lookup.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

# Queries of which the products are held at a time when there is no volume.
CHUNK = 512
# Bytes of the volume of one call above which 'auto' does without it. Its gradient takes
# as much again.
VOLUME_BYTES = 2 * 1024**3

Sizes = tuple[tuple[int, int], ...]


def scale_sizes(height: int, width: int, *, levels: int) -> Sizes:
    """Returns height and width of each scale.

    Args:
      height: Rows of the features.
      width: Columns of the features.
      levels: Number of scales.

    >>> scale_sizes(5, 8, levels=4)
    ((5, 8), (2, 4), (1, 2), (0, 1))
    """
    return tuple((height >> k, width >> k) for k in range(levels))


def feature_pyramid(
    features: Float[Array, "batch height width channels"], *, levels: int
) -> Float[Array, "batch cells channels"]:
    """Averages features to all scales.

    Args:
      features: Features of the second image.
      levels: Number of scales.

    Returns:
      The cells of all scales, one scale behind the other.
    """
    batch, _, _, channels = features.shape
    scales = [features]
    for _ in range(levels - 1):
        rows, columns = scales[-1].shape[1] // 2, scales[-1].shape[2] // 2
        even = scales[-1][:, : 2 * rows, : 2 * columns]
        pairs = even.reshape(batch, rows, 2, columns, 2, channels)
        scales.append(jnp.mean(pairs, (2, 4)))
    cells = [scale.reshape(batch, -1, channels) for scale in scales]
    return jnp.concatenate(cells, axis=1)


def correlation_volume(
    features: Float[Array, "batch queries channels"],
    pyramid: Float[Array, "batch cells channels"],
) -> Float[Array, "batch queries cells"]:
    """Returns the products of all queries and cells, divided by sqrt(channels).

    Args:
      features: Features of the first image, its pixels in a row.
      pyramid: What `feature_pyramid` made of those of the second.

    Returns:
      The volume, all scales in one.
    """
    scaled = features * features.shape[2] ** -0.5
    exact = jax.lax.Precision.HIGHEST  # a TPU would round to bfloat16
    return jnp.einsum("bqc,bsc->bqs", scaled, pyramid, precision=exact)


def lookup(
    volume: Float[Array, "batch queries cells"],
    points: Float[Array, "batch queries 2"],
    *,
    sizes: Sizes,
    radius: int,
) -> Float[Array, "batch queries windows"]:
    """Samples each query's maps in a square window around its point, at all scales.

    Bilinear, zero outside the map. At scale k the window is centred on point / 2^k and
    reaches `radius` cells to each side.

    Args:
      volume: What `correlation_volume` returned.
      points: One point per query, in pixels of the finest scale.
      sizes: Height and width of the scales.
      radius: Half the width of a window.

    Returns:
      `len(sizes) * (2 * radius + 1)^2` samples. The scale is the slowest index; in a
      window x is slow and y is fast, as published weights expect.

    Reference:
      Teed and Deng, RAFT, ECCV 2020, section 3.2.
    """
    batch, queries, _ = volume.shape
    levels = len(sizes)
    ends = np.array([(width, height) for height, width in sizes])
    starts = np.cumsum([0] + [height * width for height, width in sizes])[:levels]
    shrink = jnp.asarray(0.5 ** np.arange(levels), points.dtype)
    centres = points[:, :, None] * shrink[None, None, :, None]
    corners = jnp.floor(jax.lax.stop_gradient(centres))
    right, down = jnp.moveaxis(centres - corners, -1, 0)[..., None, None]
    # A far point stays outside, and fits an integer.
    far = jnp.asarray(ends + radius + 1, points.dtype)[None, None]
    corners = jnp.clip(corners, -radius - 2.0, far).astype(jnp.int32)
    steps = jnp.arange(-radius, radius + 2)
    cells = corners[..., None] + steps[None, None, None, None]
    limits = jnp.asarray(ends, jnp.int32)[None, None, :, :, None]
    inside = (cells >= 0) & (cells < limits)
    cells = jnp.clip(cells, 0, jnp.maximum(limits - 1, 0))
    rows = cells[..., 1, None, :] * limits[:, :, :, :1]
    first = np.minimum(starts, max(volume.shape[2] - 1, 0))[None, None, :, None, None]
    index = jnp.asarray(first, jnp.int32) + rows + cells[..., 0, :, None]
    taken = jnp.take_along_axis(
        volume, index.reshape(batch, queries, -1), axis=2, mode="promise_in_bounds"
    ).reshape(index.shape)
    patch = jnp.where(inside[..., 0, :, None] & inside[..., 1, None, :], taken, 0)
    patch = patch[..., :-1, :] * (1 - right) + patch[..., 1:, :] * right
    patch = patch[..., :-1] * (1 - down) + patch[..., 1:] * down
    return patch.reshape(batch, queries, -1)


def lookup_on_the_fly(
    features: Float[Array, "batch queries channels"],
    pyramid: Float[Array, "batch cells channels"],
    points: Float[Array, "batch queries 2"],
    *,
    sizes: Sizes,
    radius: int,
) -> Float[Array, "batch queries windows"]:
    """Returns what `lookup` finds in the volume, without holding the volume.

    Memory grows with the number of pixels, not with its square; the gradient computes
    the products once more. The time is that of one volume for each call.

    Args:
      features: Features of the first image, its pixels in a row.
      pyramid: What `feature_pyramid` made of those of the second.
      points: One point per query, in pixels of the finest scale.
      sizes: Height and width of the scales.
      radius: Half the width of a window.

    Returns:
      The samples, as `lookup`.
    """
    batch, queries, _ = features.shape
    chunk = min(max(CHUNK // batch, 1), queries)
    count = -(-queries // chunk)

    def parts(x: jax.Array) -> jax.Array:
        x = jnp.pad(x, ((0, 0), (0, count * chunk - queries), (0, 0)))
        return jnp.moveaxis(x.reshape(batch, count, chunk, -1), 1, 0)

    def part(arrays: tuple[jax.Array, jax.Array]) -> jax.Array:
        volume = correlation_volume(arrays[0], pyramid)
        return lookup(volume, arrays[1], sizes=sizes, radius=radius)

    lean = jax.checkpoint(part, prevent_cse=False)
    found = jnp.moveaxis(jax.lax.map(lean, (parts(features), parts(points))), 0, 1)
    return found.reshape(batch, count * chunk, -1)[:, :queries]


def volume_fits(batch: int, sizes: Sizes, *, itemsize: int = 4) -> bool:
    """Returns whether the volume is small enough to be held.

    Args:
      batch: Number of examples.
      sizes: Height and width of the scales.
      itemsize: Bytes of one value.
    """
    height, width = sizes[0]
    cells = sum(rows * columns for rows, columns in sizes)
    return batch * height * width * cells * itemsize <= VOLUME_BYTES
