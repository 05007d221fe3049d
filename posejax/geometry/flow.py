"""Optical flow on the pixel grid: sampling, warping, visibility, padding.

Conventions of every function here. Maps are `(..., height, width, channels)`; a flow
has two channels, x (to the right) before y (down), in pixels from the first frame to
the second. Pixel (x, y), column before row, has its centre at the integers
x = 0 ... width - 1, y = 0 ... height - 1. So what is at p in the first frame is at
p + flow(p) in the second.

Derivatives with respect to positions are one-sided where a coordinate is an integer,
as under zero flow, and finite everywhere.
"""

import math

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from posejax.checks import (
    require_at_least,
    require_choice,
    require_equal_shapes,
    require_shape,
)

PADDING_MODES = ("sintel", "kitti")


def pixel_grid(height: int, width: int) -> Float[Array, "{height} {width} 2"]:
    """The coordinates of all pixel centres.

    Args:
      height: Number of rows.
      width: Number of columns.

    Returns:
      `(x, y)` of each pixel, float32.

    Reference:
      None; the grid that a flow is added to.

    >>> print(pixel_grid(1, 3).tolist())
    [[[0.0, 0.0], [1.0, 0.0], [2.0, 0.0]]]
    """
    y, x = jnp.indices((height, width), dtype=jnp.float32)
    return jnp.stack([x, y], axis=-1)


def sample_map(
    maps: Float[Array, "*batch height width channels"], points: Float[Array, "... 2"]
) -> tuple[Float[Array, "... channels"], Bool[Array, "..."]]:
    """Bilinear values of maps at points, with zeros outside.

    Zeros tap by tap: values fade within one pixel of the border. Works for maps of any
    size, one pixel included.

    Args:
      maps: Maps to read.
      points: Positions (x, y) in pixels, `(*batch, ..., 2)`: any number of axes
        between those of the batch and the last.

    Returns:
      Values `(*batch, ..., channels)`, and which points are inside: in the closed
      rectangle from the first to the last pixel centre, where no zero takes part.

    Raises:
      ValueError: If `points` does not begin with the batch axes of `maps`.

    Reference:
      Jaderberg et al. 2015 (arXiv 1506.02025), sec. 3.3.

    >>> ramp = jnp.array([[[0.0], [10.0], [20.0]]])
    >>> values, inside = sample_map(ramp, jnp.array([[0.5, 0.0], [2.5, 0.0]]))
    >>> print(values.tolist(), inside.tolist())
    [[5.0], [10.0]] [True, False]
    """
    axes = ("height", "width", "channels")
    require_shape("maps", maps, axes, "give maps with channels last.")
    require_shape("points", points, (2,), "give points (x, y).")
    batch, (height, width, channels) = maps.shape[:-3], maps.shape[-3:]
    require_equal_shapes(
        "give points for each map; maps are not broadcast.",
        maps=batch,
        points=points.shape[: len(batch)],
    )
    flat = maps.reshape(*batch, height * width, channels)
    positions = points.reshape(*batch, math.prod(points.shape[len(batch) : -1]), 2)
    # One pixel outside everything is zero; far away, integers would overflow.
    x = jnp.clip(positions[..., 0], -1, width)
    y = jnp.clip(positions[..., 1], -1, height)
    left, top = jnp.floor(x), jnp.floor(y)

    def tap(right: int, down: int) -> Array:
        column, row = (left + right).astype(jnp.int32), (top + down).astype(jnp.int32)
        is_inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        index = jnp.where(is_inside, row * width + column, 0)[..., None]
        values = jnp.take_along_axis(flat, index, axis=-2, mode="clip")
        return jnp.where(is_inside[..., None], values, 0)

    right, down = (x - left)[..., None], (y - top)[..., None]
    upper = (1 - right) * tap(0, 0) + right * tap(1, 0)
    lower = (1 - right) * tap(0, 1) + right * tap(1, 1)
    values = (1 - down) * upper + down * lower
    return values.reshape(*points.shape[:-1], channels), _is_inside(points, maps.shape)


def warp_by_flow(
    images: Float[Array, "*batch height width channels"],
    flow: Float[Array, "*batch height width 2"],
) -> tuple[
    Float[Array, "*batch height width channels"], Bool[Array, "*batch height width"]
]:
    """The second frame brought back onto the first: out(p) = image(p + flow(p)).

    Args:
      images: Second frames, or any maps on their grid.
      flow: Flow from the first frames to the second, pixels.

    Returns:
      The warped maps, zero where the flow points outside, and the mask of the pixels
      whose source is inside.

    Raises:
      ValueError: If the sizes differ.

    Reference:
      Jaderberg et al. 2015 (arXiv 1506.02025), sec. 3.3.

    >>> second = jnp.array([[[1.0], [2.0], [3.0]]])
    >>> right = jnp.array([[[1.0, 0.0]] * 3])
    >>> warped, inside = warp_by_flow(second, right)
    >>> print(warped[0, :, 0], inside[0])
    [2. 3. 0.] [ True  True False]
    """
    _require_flow("flow", flow)
    require_equal_shapes(
        "give one flow vector per pixel.",
        images=images.shape[:-1],
        flow=flow.shape[:-1],
    )
    return sample_map(images, _targets(flow))


def visible_mask(
    forward: Float[Array, "*batch height width 2"],
    backward: Float[Array, "*batch height width 2"],
    *,
    relative: float = 0.01,
    absolute: float = 0.5,
) -> Bool[Array, "*batch height width"]:
    """Which pixels of the first frame are seen in the second: there and back agree.

    With w the forward flow at a pixel and v the backward flow where w leads, a pixel
    counts as visible if |w + v|^2 < `relative` (|w|^2 + |v|^2) + `absolute`. What
    leaves the picture is not visible. Exchange the arguments for the second frame's
    pixels.

    Args:
      forward: Flow from the first frames to the second, pixels.
      backward: Flow from the second to the first, on the grid of the second.
      relative: Share of the squared lengths that is allowed as a difference.
      absolute: Squared difference that is always allowed, square pixels.

    Returns:
      True where visible; the complement is the occluded area.

    Raises:
      ValueError: If the shapes differ or a constant is negative.

    Reference:
      Sundaram, Brox and Keutzer, Dense point trajectories by GPU-accelerated large
      displacement optical flow, ECCV 2010, eq. 5 and its constants.

    >>> forward = jnp.zeros((1, 3, 2)).at[..., 0].set(1.0)
    >>> print(visible_mask(forward, -forward))
    [[ True  True False]]
    """
    _require_flow("forward", forward)
    require_equal_shapes(
        "give both flows of one pair of frames.",
        forward=forward.shape,
        backward=backward.shape,
    )
    require_at_least("relative", relative, 0)
    require_at_least("absolute", absolute, 0)
    returning, inside = sample_map(backward, _targets(forward))
    difference = jnp.sum((forward + returning) ** 2, axis=-1)
    lengths = jnp.sum(forward**2, axis=-1) + jnp.sum(returning**2, axis=-1)
    return inside & (difference < relative * lengths + absolute)


def pad_to_multiple(
    images: Float[Array, "*batch height width channels"],
    *,
    multiple: int = 8,
    mode: str = "sintel",
) -> Float[Array, "*batch padded_height padded_width channels"]:
    """Pictures enlarged to sides that are multiples of a number, by repeating the edge.

    Args:
      images: Pictures or flows.
      multiple: The number, 8 for a network of output stride 8.
      mode: `sintel` pads left and right, top and bottom by half each (the larger half
        right and bottom); `kitti` puts all rows at the bottom.

    Returns:
      The padded pictures; the same ones if both sides are multiples already.

    Raises:
      ValueError: If `mode` is unknown or `multiple` is below 1.

    Reference:
      Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), their released code's padding.

    >>> pad_to_multiple(jnp.zeros((13, 24, 3))).shape
    (16, 24, 3)
    """
    axes = ("height", "width", "channels")
    require_shape("images", images, axes, "give maps with channels last.")
    rows, columns = _padding(images.shape[-3:-1], multiple, mode)
    return jnp.pad(
        images, [(0, 0)] * (images.ndim - 3) + [rows, columns, (0, 0)], mode="edge"
    )


def remove_padding(
    padded: Float[Array, "*batch padded_height padded_width channels"],
    *,
    size: tuple[int, int],
    multiple: int = 8,
    mode: str = "sintel",
) -> Float[Array, "*batch height width channels"]:
    """The part of a padded map that `pad_to_multiple` was given.

    Args:
      padded: A map on the padded grid, such as the flow of padded frames.
      size: `(height, width)` before the padding.
      multiple: As it was padded.
      mode: As it was padded.

    Returns:
      The map on the grid of `size`.

    Raises:
      ValueError: If `padded` is not as large as pictures of this size become.

    Reference:
      Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), their released code's padding.

    >>> remove_padding(jnp.zeros((16, 24, 2)), size=(13, 24)).shape
    (13, 24, 2)
    """
    height, width = size
    (top, bottom), (left, right) = _padding(size, multiple, mode)
    remedy = f"give the map of pictures of {height} rows and {width} columns, padded."
    wanted = (top + height + bottom, left + width + right, "channels")
    require_shape("padded", padded, wanted, remedy)
    return padded[..., top : top + height, left : left + width, :]


def _padding(
    size: tuple[int, ...], multiple: int, mode: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """Rows above and below, columns left and right."""
    require_choice("mode", mode, PADDING_MODES)
    require_at_least("multiple", multiple, 1)
    rows, columns = (-side % multiple for side in size)
    above = rows // 2 if mode == "sintel" else 0
    return (above, rows - above), (columns // 2, columns - columns // 2)


def _require_flow(name: str, flow: Array) -> None:
    require_shape(name, flow, ("height", "width", 2), "give channels (x, y) last.")


def _targets(flow: Array) -> Array:
    """Where each pixel goes."""
    grid = pixel_grid(*flow.shape[-3:-1]).astype(flow.dtype)
    return jnp.broadcast_to(grid, flow.shape) + flow


def _is_inside(points: Array, shape: tuple[int, ...]) -> Array:
    x, y = points[..., 0], points[..., 1]
    height, width = shape[-3:-1]
    return (x >= 0) & (x <= width - 1) & (y >= 0) & (y <= height - 1)
