"""Pictures made of pictures: grids, captioned rows, heat maps of a template.

Pictures are RGB, `(height, width, 3)`, uint8; where floats are accepted they lie in
0..1 and are cut to that range, never stretched: grey levels compare between pictures.
"""

import functools
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float, Shaped, UInt8

from posejax.checks import require_choice
from posejax.render.overlays import BLACK, RGB, WHITE

_COLOR_MAPS = {"inferno": cv2.COLORMAP_INFERNO, "viridis": cv2.COLORMAP_VIRIDIS}


def as_uint8(
    images: Shaped[np.ndarray, "*batch height width 3"],
) -> UInt8[np.ndarray, "*batch height width 3"]:
    """Rounds floats in 0..1 to bytes; bytes pass through.

    Args:
      images: uint8, or float. Values outside 0..1 are cut, not-a-number becomes black.

    Returns:
      The same pictures as uint8.

    Raises:
      TypeError: If the numbers are neither uint8 nor float.
    """
    if images.dtype == np.uint8:
        return images
    if not np.issubdtype(images.dtype, np.floating):
        raise TypeError(
            f"images has dtype {images.dtype}; give uint8 or float in 0..1."
        )
    bounded = np.nan_to_num(images.astype(np.float32), nan=0.0).clip(0.0, 1.0)
    return np.round(255 * bounded).astype(np.uint8)


def image_grid(
    images: Shaped[np.ndarray, "count height width 3"],
    *,
    columns: int = 6,
    padding: int = 2,
    background: RGB = WHITE,
) -> UInt8[np.ndarray, "rows columns_px 3"]:
    """Lays pictures of one size out row by row.

    Args:
      images: The pictures, uint8 or float in 0..1.
      columns: Pictures per row; fewer pictures give a narrower grid.
      padding: Pixels between the pictures and around them.
      background: Colour of the gaps.

    Returns:
      One picture.

    Raises:
      ValueError: If there is no picture, or `columns` < 1, or `padding` < 0.
    """
    if len(images) == 0 or columns < 1 or padding < 0:
        raise ValueError(
            f"image_grid was given {len(images)} images, columns={columns} and "
            f"padding={padding}; it needs an image, columns >= 1 and padding >= 0."
        )
    count, height, width = images.shape[:3]
    columns = min(columns, count)
    rows = -(-count // columns)
    shape = (rows * (height + padding) + padding, columns * (width + padding) + padding)
    grid = np.full((*shape, 3), background, np.uint8)
    for index, image in enumerate(as_uint8(images)):
        top = padding + (index // columns) * (height + padding)
        left = padding + (index % columns) * (width + padding)
        grid[top : top + height, left : left + width] = image
    return grid


def template_heatmap(
    parts: Float[np.ndarray, "height width parts"], *, color_map: str = "gray"
) -> UInt8[np.ndarray, "height width 3"]:
    """The sum of a template's parts as a picture; 0 is black and 1 and above is full.

    Args:
      parts: One heat map per body part.
      color_map: 'gray', 'inferno' or 'viridis'.

    Returns:
      An RGB picture.

    Raises:
      ValueError: If the colour map is unknown.
    """
    total = np.repeat(parts.sum(axis=-1)[..., None], 3, axis=-1)
    gray = as_uint8(total)
    require_choice("color_map", color_map, ("gray", *_COLOR_MAPS))
    if color_map == "gray":
        return gray
    table = _COLOR_MAPS[color_map]
    return cv2.applyColorMap(np.ascontiguousarray(gray[..., 0]), table)[
        ..., ::-1
    ].copy()


def heatmap_overlay(
    image: UInt8[np.ndarray, "height width 3"],
    parts: Float[np.ndarray, "height width parts"],
    *,
    color_map: str = "inferno",
    opacity: float | int = 0.75,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lays the heat map of a template over a frame, opaque only where it is warm.

    Args:
      image: The frame.
      parts: One heat map per body part.
      color_map: As in `template_heatmap`.
      opacity: How much of the frame a value of 1 hides, 0 to 1.

    Returns:
      An RGB picture.
    """
    warmth = np.nan_to_num(parts.sum(axis=-1, keepdims=True)).clip(0.0, 1.0) * opacity
    color = template_heatmap(parts, color_map=color_map)
    return np.round(image * (1.0 - warmth) + color * warmth).astype(np.uint8)


def frame_row(
    images: Sequence[UInt8[np.ndarray, "_ _ 3"]],
    captions: Sequence[str] = (),
    *,
    height: int | None = None,
    padding: int = 4,
) -> UInt8[np.ndarray, "rows columns 3"]:
    """One row of frames, each with its caption above it, centred.

    Args:
      images: RGB frames; sizes may differ, heights are made equal.
      captions: One text per frame, or none at all. A text that is too wide for its
        frame is set smaller.
      height: Height of the frames in pixels; None takes that of the first.
      padding: White pixels between and around.

    Returns:
      One picture.

    Raises:
      ValueError: If there is no image or the number of captions is not that of images.
    """
    if len(images) == 0 or len(captions) not in (0, len(images)):
        raise ValueError(
            f"frame_row was given {len(images)} images and {len(captions)} captions; "
            "give at least one image and either no caption or one for each."
        )
    rows = images[0].shape[0] if height is None else height
    frames = [_with_height(image, rows) for image in images]
    if captions:
        title = max(12, round(rows / 12))
        frames = [
            np.concatenate([caption(text, width=frame.shape[1], size=title), frame])
            for text, frame in zip(captions, frames, strict=True)
        ]
    total = sum(frame.shape[1] + padding for frame in frames) + padding
    row = np.full((frames[0].shape[0] + 2 * padding, total, 3), WHITE, np.uint8)
    left = padding
    for frame in frames:
        row[padding : padding + frame.shape[0], left : left + frame.shape[1]] = frame
        left += frame.shape[1] + padding
    return row


def stack_rows(
    rows: Sequence[UInt8[np.ndarray, "_ _ 3"]],
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Puts rows of different widths under each other, white on the right.

    Args:
      rows: RGB pictures, from top to bottom.

    Returns:
      One picture.

    Raises:
      ValueError: If there is no row.
    """
    if len(rows) == 0:
        raise ValueError("rows is empty; stack_rows needs at least one picture.")
    width = max(row.shape[1] for row in rows)
    edges = [((0, 0), (0, width - row.shape[1]), (0, 0)) for row in rows]
    return np.concatenate(
        [
            np.pad(row, edge, constant_values=255)
            for row, edge in zip(rows, edges, strict=True)
        ]
    )


def caption(
    text: str, *, width: int, size: int = 16
) -> UInt8[np.ndarray, "height {width} 3"]:
    """A white strip with centred black text.

    Args:
      text: What to write.
      width: Width of the strip in pixels; a longer text is set smaller, at least 6 px.
      size: Height of the letters in pixels.

    Returns:
      The strip, about 1.5 `size` high whatever the text.
    """
    from PIL import Image, ImageDraw

    strip = Image.new("RGB", (width, round(1.5 * size)), WHITE)
    pen = ImageDraw.Draw(strip)
    font_size = size
    while font_size > 6 and pen.textlength(text, font=_font(font_size)) > width:
        font_size -= 1
    middle = (width / 2, strip.height / 2)
    pen.text(middle, text, fill=BLACK, font=_font(font_size), anchor="mm")
    return np.asarray(strip).copy()


@functools.lru_cache(maxsize=64)
def _font(size: int):
    from matplotlib import font_manager
    from PIL import ImageFont

    # matplotlib ships this font, so the letters are the same on every machine.
    return ImageFont.truetype(font_manager.findfont("DejaVu Sans"), size)


def _with_height(image: np.ndarray, height: int) -> np.ndarray:
    if image.shape[0] == height:
        return image
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    shrinks = height < image.shape[0]
    method = cv2.INTER_AREA if shrinks else cv2.INTER_CUBIC
    return cv2.resize(image, (width, height), interpolation=method)
