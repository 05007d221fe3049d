"""Optical flow as colours: the direction is the hue, the length the saturation.

Reference:
  Baker et al., A database and evaluation methodology for optical flow, IJCV 2011, the
  colour wheel of their fig. 2 and accompanying code.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from posejax.checks import require_shape

# Steps from red to yellow, to green, to cyan, to blue, to magenta, and back to red:
# more of them where the eye sees smaller differences.
_SEGMENTS = (15, 6, 4, 11, 13, 6)
# Which channel changes in each segment, and whether it rises.
_CHANGES = ((1, True), (0, False), (2, True), (1, False), (0, True), (2, False))
_BEYOND = 0.75  # what is longer than the largest radius is darkened by this factor
_SMALLEST_RADIUS = 1e-5  # added to the largest radius, so that zero flow is white


def color_wheel() -> UInt8[np.ndarray, "55 3"]:
    """The colours of the directions, from red through yellow, green and blue to red.

    Returns:
      RGB, one row per direction.
    """
    wheel = []
    color = np.array([255, 0, 0])
    for steps, (channel, rises) in zip(_SEGMENTS, _CHANGES, strict=True):
        ramp = 255 * np.arange(steps) // steps
        part = np.tile(color, (steps, 1))
        part[:, channel] = ramp if rises else 255 - ramp
        wheel.append(part)
        color[channel] = 255 if rises else 0
    return np.concatenate(wheel).astype(np.uint8)


def flow_colors(
    flow: Float[np.ndarray, "height width 2"],
) -> UInt8[np.ndarray, "height width 3"]:
    """Colours of vectors whose length is given in radii of the wheel.

    Args:
      flow: x (right) before y (down). Zero is white, length 1 has the full colour, and
        what is longer is darkened.

    Returns:
      RGB picture; vectors that are not finite are black.

    Raises:
      ValueError: If it is no flow of one pair.
    """
    require_shape("flow", flow, ("height", "width", 2), "give the flow of one pair.")
    is_finite = np.asarray(np.isfinite(flow).all(axis=-1))
    u, v = np.moveaxis(
        np.where(is_finite[..., None], flow, 0).astype(np.float64), -1, 0
    )
    wheel = color_wheel() / 255.0
    turn = (np.arctan2(-v, -u) / np.pi + 1) / 2 * (len(wheel) - 1)
    before = np.floor(turn).astype(int)
    share = (turn - before)[..., None]
    after = (before + 1) % len(wheel)
    hue = (1 - share) * wheel[before] + share * wheel[after]
    radius = np.hypot(u, v)[..., None]
    color = np.where(radius <= 1, 1 - radius * (1 - hue), _BEYOND * hue)
    return np.where(is_finite[..., None], np.floor(255 * color), 0).astype(np.uint8)


def flow_to_image(
    flow: Float[np.ndarray, "height width 2"],
    *,
    valid: Bool[np.ndarray, "height width"] | None = None,
    max_length: int | float | None = None,
    clip_flow: int | float | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Colours of a flow; the longest vector has the full colour.

    Args:
      flow: x (right) before y (down), pixels.
      valid: Where it is known; the rest is black and does not set the scale.
      max_length: Length that has the full colour, pixels; the longest vector's by
        default. Give one to compare several pictures.
      clip_flow: Both components are clipped to -clip_flow ... clip_flow first; not
        clipped by default.

    Returns:
      RGB picture. Vectors that are not finite are black.

    Raises:
      ValueError: If it is no flow of one pair, or a number is not positive.
    """
    require_shape("flow", flow, ("height", "width", 2), "give the flow of one pair.")
    for name, number in (("max_length", max_length), ("clip_flow", clip_flow)):
        if number is not None and not number > 0:
            raise ValueError(
                f"{name} is {number!r}; expected a positive number of pixels or None."
            )
    known = np.asarray(np.isfinite(flow).all(axis=-1))
    if valid is not None:
        known &= valid
    vectors = np.where(known[..., None], flow, 0).astype(np.float64)
    if clip_flow is not None:
        vectors = np.clip(vectors, -clip_flow, clip_flow)
    longest = np.linalg.norm(vectors, axis=-1).max(initial=0.0)
    scale = longest if max_length is None else max_length
    colors = flow_colors(vectors / (scale + _SMALLEST_RADIUS))
    return np.where(known[..., None], colors, 0).astype(np.uint8)


def flow_beneath_frame(
    frame: UInt8[np.ndarray, "height width 3"],
    flow: Float[np.ndarray, "height width 2"],
    *,
    max_length: int | float | None = None,
) -> UInt8[np.ndarray, "two_heights width 3"]:
    """The first frame of a pair, and under it its flow in colours.

    Args:
      frame: The frame, RGB.
      flow: The flow on its grid, pixels.
      max_length: As in `flow_to_image`.

    Returns:
      One picture.

    Raises:
      ValueError: If frame and flow differ in size.
    """
    if frame.shape[:2] != flow.shape[:2]:
        raise ValueError(
            f"frame has shape {frame.shape} and flow {flow.shape}; give the flow of "
            "this frame, without padding."
        )
    return np.concatenate([frame, flow_to_image(flow, max_length=max_length)])
