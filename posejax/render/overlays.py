"""Skeletons, boxes and captions drawn over frames.

Pictures are `(height, width, 3)` uint8 RGB. A joint is `(x, y)` in pixels of the
picture it is drawn on, x to the right, y down; (0, 0) is the *centre* of the top left
pixel. Nothing here fails for joints that are missing, not finite or far outside.
"""

import itertools
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

CYAN = (0, 220, 235)
ORANGE = (255, 145, 0)
BLACK = (0, 0, 0)
WHITE = (255, 255, 255)
RGB = tuple[int, int, int]

_SUBPIXEL_BITS = 4
_MARGIN = 64.0  # pixels outside the picture that are still handed to the rasteriser


def draw_skeleton(
    image: UInt8[np.ndarray, "height width 3"],
    joints: Float[np.ndarray, "joints 2"],
    *,
    chains: Sequence[Sequence[int]],
    valid: Bool[np.ndarray, " joints"] | None = None,
    line_color: RGB = CYAN,
    joint_colors: RGB | Sequence[RGB] = ORANGE,
    box: Float[np.ndarray, "2 2"] | None = None,
    box_color: RGB = WHITE,
    thickness: float | int | None = None,
    radius: float | int | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Draws polylines through joints, dots on the joints and, if wanted, a box.

    Lines and dots are anti-aliased, have sub-pixel positions and a thin dark rim, so
    that they stay readable on any background. A segment is drawn if both of its ends
    are valid and finite.

    Args:
      image: The frame; it is not changed.
      joints: Joint positions in pixels of `image`.
      chains: Joint indices of each polyline.
      valid: Which joints are known; None means all.
      line_color: Colour of the polylines.
      joint_colors: One colour for all joints, or one per joint.
      box: `[[x0, y0], [x1, y1]]` in pixels of `image`.
      box_color: Colour of the box.
      thickness: Width of the lines in pixels; None scales it with the picture.
      radius: Radius of the dots in pixels; None scales it with the picture.

    Returns:
      A new picture of the same size.

    Raises:
      ValueError: If a chain names a joint that does not exist, or the number of colours
        is not the number of joints.
    """
    count = len(joints)
    if any(not 0 <= index < count for chain in chains for index in chain):
        raise ValueError(
            f"chains is {chains}; its indices must lie in 0..{count - 1} because "
            f"joints has {count} rows."
        )
    colors = _colors_per_joint(joint_colors, count)
    known = np.asarray(np.isfinite(joints).all(axis=-1))
    if valid is not None:
        known = np.logical_and(known, valid)
    scale = max(image.shape[:2]) / 256
    width = 2.0 * scale if thickness is None else float(thickness)
    dot = 2.6 * scale if radius is None else float(radius)
    canvas = np.ascontiguousarray(image).copy()
    if box is not None and np.isfinite(box).all():
        corners = np.array(
            [box[0], (box[1, 0], box[0, 1]), box[1], (box[0, 0], box[1, 1])]
        )
        for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
            _draw_line(canvas, start, end, box_color, 0.6 * width)
    segments = [pair for chain in chains for pair in itertools.pairwise(chain)]
    segments = [(i, j) for i, j in segments if known[i] and known[j]]
    rim = max(1.0, 0.8 * scale)
    for color, line_width in ((BLACK, width + rim), (line_color, width)):
        for i, j in segments:
            _draw_line(canvas, joints[i], joints[j], color, line_width)
    for index in np.flatnonzero(known):
        _draw_dot(canvas, joints[index], BLACK, dot + 0.5 * rim)
        _draw_dot(canvas, joints[index], colors[index], dot)
    return canvas


def distinct_colors(count: int) -> tuple[RGB, ...]:
    """Returns RGB colours from dark blue to red that are easy to tell apart.

    Args:
      count: How many.

    Returns:
      That many colours.
    """
    levels = np.linspace(20, 235, max(count, 1)).round().astype(np.uint8)[:, None]
    table = cv2.applyColorMap(levels, cv2.COLORMAP_TURBO)[:count, 0]
    return tuple((int(r), int(g), int(b)) for b, g, r in table)


def enlarge(
    image: UInt8[np.ndarray, "height width 3"],
    joints: Float[np.ndarray, "joints 2"],
    *,
    factor: int,
) -> tuple[UInt8[np.ndarray, "rows columns 3"], Float[np.ndarray, "joints 2"]]:
    """Magnifies a small frame, and moves the joints with it, before drawing.

    Args:
      image: The frame.
      joints: Joint positions in pixels of `image`.
      factor: Whole magnification, at least 1.

    Returns:
      The magnified frame and the joints in its pixels.

    Raises:
      ValueError: If `factor` is below 1.
    """
    if factor < 1:
        raise ValueError(f"factor is {factor}; the magnification must be at least 1.")
    size = (image.shape[1] * factor, image.shape[0] * factor)
    bigger = cv2.resize(image, size, interpolation=cv2.INTER_CUBIC)
    # Pixel centres: the centre of pixel 0 becomes the middle of `factor` pixels.
    return bigger, (joints + 0.5) * factor - 0.5


def _colors_per_joint(
    joint_colors: RGB | Sequence[RGB], count: int
) -> list[tuple[int, ...]]:
    table = np.asarray(joint_colors, dtype=int)
    if table.size == 0:
        table = table.reshape(0, 3)
    if table.shape == (3,):
        table = np.tile(table, (count, 1))
    if table.shape != (count, 3):
        raise ValueError(
            f"joint_colors has shape {table.shape}; give one RGB colour or {count}, "
            "one per joint."
        )
    return [tuple(int(channel) for channel in color) for color in table]


def _clipped(
    start: np.ndarray, end: np.ndarray, shape: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Cuts a segment to the picture plus a margin (Liang and Barsky), None if outside.

    The rasteriser counts in 32-bit integers; a network that has just started may well
    put a joint ten million pixels away.
    """
    start, end = np.asarray(start, float), np.asarray(end, float)
    high = np.array([shape[1] + _MARGIN, shape[0] + _MARGIN])
    enter, leave, step = 0.0, 1.0, end - start
    for axis in range(2):
        for edge, sign in ((-_MARGIN, -1.0), (high[axis], 1.0)):
            room, speed = sign * (edge - start[axis]), sign * step[axis]
            if speed == 0:
                if room < 0:
                    return None
            elif speed < 0:
                enter = max(enter, room / speed)
            else:
                leave = min(leave, room / speed)
    if enter > leave:
        return None
    return start + enter * step, start + leave * step


def _fixed_point(point: np.ndarray) -> tuple[int, int]:
    x, y = np.round(point * (1 << _SUBPIXEL_BITS)).astype(int)
    return int(x), int(y)


def _draw_line(
    canvas: np.ndarray,
    start: np.ndarray,
    end: np.ndarray,
    color: tuple[int, ...],
    width: float,
) -> None:
    segment = _clipped(start, end, canvas.shape)
    if segment is None:
        return
    cv2.line(
        canvas,
        _fixed_point(segment[0]),
        _fixed_point(segment[1]),
        color,
        max(1, round(width)),
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )


def _draw_dot(
    canvas: np.ndarray, center: np.ndarray, color: tuple[int, ...], radius: float
) -> None:
    height, width = canvas.shape[:2]
    x, y = (float(value) for value in center)
    if not (-_MARGIN < x < width + _MARGIN and -_MARGIN < y < height + _MARGIN):
        return
    cv2.circle(
        canvas,
        _fixed_point(np.array([x, y])),
        max(1, round(radius * (1 << _SUBPIXEL_BITS))),
        color,
        cv2.FILLED,
        cv2.LINE_AA,
        _SUBPIXEL_BITS,
    )
