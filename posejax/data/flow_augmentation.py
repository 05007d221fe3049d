"""Augmentation of pairs of frames with their flow, numpy and OpenCV.

An example is a mapping with `image_1` and `image_2`, `(height, width, 3)` uint8 RGB,
`flow` `(height, width, 2)` float32, x before y, pixels from the first to the second,
and `valid` `(height, width)` bool, where the flow is known. Other entries are dropped.

`augment_dense` is for flow that is known almost everywhere (rendered scenes) and
resamples it; `augment_sparse` is for measured flow (KITTI, HD1K), whose vectors keep
their values and move to the nearest pixel. Each first draws (`draw_*`) and then applies
what was drawn, which is a function of numbers alone.

Reference:
  Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), supplement, and their released
  code, after Ilg et al., FlowNet 2.0, CVPR 2017.
"""

import dataclasses
from collections.abc import Mapping

import cv2
import numpy as np
from jaxtyping import Bool, Float

from posejax.data.color_jitter import (
    ERASED_PX,
    draw_colors,
    erase_parts,
    jitter_colors,
)

Example = Mapping[str, np.ndarray]

# Probabilities and ranges of the published training. Colours: range of the factors,
# turn of the hue, and how often the two frames are changed in different ways.
_DENSE_COLORS, _SPARSE_COLORS = (0.4, 0.5 / 3.14, 0.2), (0.3, 0.3 / 3.14, 0.0)
_RESIZED, _STRETCHED, _MAX_STRETCH = 0.8, 0.8, 0.2
_MIRRORED, _UPSIDE_DOWN = 0.5, 0.1
_DENSE_MARGIN, _SPARSE_MARGIN = 8, 1
_SPARSE_BEYOND = (
    50,
    20,
)  # how far an origin may be drawn outside before it is moved in
# A resampled pixel is known if all the pixels that it is made of are.
_KNOWN_SHARE = 0.999


@dataclasses.dataclass(frozen=True)
class SpatialDraw:
    """What is done to the grid of an example.

    Attributes:
      scale: Factors of width and height; (1, 1) leaves the pixels as they are.
      flip: Whether left and right, and whether top and bottom, are exchanged.
      origin: `(x, y)` of the crop in the resized and flipped picture; moved inside if
        it lies outside.
    """

    scale: tuple[float, float] = (1.0, 1.0)
    flip: tuple[bool, bool] = (False, False)
    origin: tuple[int, int] = (0, 0)


def augment_dense(
    example: Example,
    rng: np.random.Generator,
    *,
    crop: tuple[int, int],
    log2_scale: tuple[float, float],
    use_flips: bool = True,
    erased_px: tuple[int, int] = ERASED_PX,
) -> dict[str, np.ndarray]:
    """Colours, an erased part of the second frame, scale, stretch, flips, crop.

    Args:
      example: A pair whose flow is known almost everywhere.
      rng: Source of all draws.
      crop: `(height, width)` of the result, pixels.
      log2_scale: Smallest and largest binary logarithm of the scale.
      use_flips: Whether pictures are mirrored.
      erased_px: Shortest and longest side of the erased parts, pixels; the published
        ones are for pictures of 368 rows and more.

    Returns:
      The new example. A picture that is too small for the crop is enlarged, also where
      no change of scale was drawn.

    Raises:
      ValueError: If the arrays do not go together or an option is out of its range.
    """
    _check(example, crop, log2_scale)
    changed = _recolored(example, rng, _DENSE_COLORS, erased_px)
    size = changed["image_1"].shape[:2]
    draw = draw_dense(
        rng, size=size, crop=crop, log2_scale=log2_scale, use_flips=use_flips
    )
    return apply_dense(changed, draw, crop=crop)


def augment_sparse(
    example: Example,
    rng: np.random.Generator,
    *,
    crop: tuple[int, int],
    log2_scale: tuple[float, float],
    use_flips: bool = False,
    erased_px: tuple[int, int] = ERASED_PX,
) -> dict[str, np.ndarray]:
    """Colours of both frames alike, an erased part, scale, mirror images, crop.

    Args:
      example: A pair with measured flow.
      rng: Source of all draws.
      crop: `(height, width)` of the result, pixels.
      log2_scale: Smallest and largest binary logarithm of the scale.
      use_flips: Whether left and right are exchanged in half of the examples.
      erased_px: Shortest and longest side of the erased parts, pixels.

    Returns:
      The new example; flow that is not known is zero.

    Raises:
      ValueError: If the arrays do not go together or an option is out of its range.
    """
    _check(example, crop, log2_scale)
    changed = _recolored(example, rng, _SPARSE_COLORS, erased_px)
    size = changed["image_1"].shape[:2]
    draw = draw_sparse(
        rng, size=size, crop=crop, log2_scale=log2_scale, use_flips=use_flips
    )
    return apply_sparse(changed, draw, crop=crop)


def draw_dense(
    rng: np.random.Generator,
    *,
    size: tuple[int, int],
    crop: tuple[int, int],
    log2_scale: tuple[float, float],
    use_flips: bool = True,
) -> SpatialDraw:
    """Draws scale, stretch of each axis, flips and the place of the crop.

    Args:
      rng: Source of the draws.
      size: `(height, width)` of the pictures.
      crop: `(height, width)` of the result.
      log2_scale: Smallest and largest binary logarithm of the scale.
      use_flips: Whether pictures are mirrored.

    Returns:
      What to do; the resized picture is at least 8 pixels larger than the crop.
    """
    smallest = _smallest_scale(size, crop, _DENSE_MARGIN)
    scale = np.full(2, 2.0 ** rng.uniform(*log2_scale))
    if rng.random() < _STRETCHED:
        scale = scale * 2.0 ** rng.uniform(-_MAX_STRETCH, _MAX_STRETCH, 2)
    scale = _drawn_scale(rng, np.maximum(scale, smallest), size, crop, smallest)
    flip = rng.random(2) < (_MIRRORED, _UPSIDE_DOWN)
    height, width = _resized(size, scale)
    origin = (
        int(rng.integers(max(1, width - crop[1]))),
        int(rng.integers(max(1, height - crop[0]))),
    )
    flips = (use_flips and bool(flip[0]), use_flips and bool(flip[1]))
    return SpatialDraw(scale, flips, origin)


def draw_sparse(
    rng: np.random.Generator,
    *,
    size: tuple[int, int],
    crop: tuple[int, int],
    log2_scale: tuple[float, float],
    use_flips: bool = False,
) -> SpatialDraw:
    """Draws one scale, a mirror image and the place of the crop.

    The place is drawn from a larger range and moved inside, so that crops at the sides
    and at the bottom are more frequent than others.

    Args:
      rng: Source of the draws.
      size: `(height, width)` of the pictures.
      crop: `(height, width)` of the result.
      log2_scale: Smallest and largest binary logarithm of the scale.
      use_flips: Whether left and right are exchanged in half of the examples.

    Returns:
      What to do; the resized picture is at least a pixel larger than the crop.
    """
    smallest = _smallest_scale(size, crop, _SPARSE_MARGIN)
    wanted = np.full(2, max(2.0 ** rng.uniform(*log2_scale), smallest))
    scale = _drawn_scale(rng, wanted, size, crop, smallest)
    flip = bool(rng.random() < _MIRRORED)
    height, width = _resized(size, scale)
    room = max(0, width - crop[1]), max(0, height - crop[0])
    across, below = _SPARSE_BEYOND
    x = int(rng.integers(-across, room[0] + across))
    y = int(rng.integers(0, room[1] + below))
    origin = min(max(x, 0), room[0]), min(y, room[1])
    return SpatialDraw(scale, (use_flips and flip, False), origin)


def apply_dense(
    example: Example, draw: SpatialDraw, *, crop: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Resizes (bilinear, half-pixel centres), flips and crops pictures and flow.

    Args:
      example: A pair.
      draw: What to do.
      crop: `(height, width)` of the result.

    Returns:
      The new example. Flow is multiplied by the scale, and its components change sign
      with the flips. It is known where all that it was made of was.

    Raises:
      ValueError: If the resized picture is smaller than the crop.
    """
    valid = np.asarray(example["valid"], bool)
    flow = np.where(valid[..., None], example["flow"], np.float32(0))
    images = [_resize(example[name], draw.scale) for name in ("image_1", "image_2")]
    if draw.scale != (1.0, 1.0):
        flow = _resize(flow, draw.scale) * np.array(draw.scale, np.float32)
        valid = _resize(valid.astype(np.float32), draw.scale) > _KNOWN_SHARE
    return _flip_and_crop((*images, flow, valid), draw, crop)


def apply_sparse(
    example: Example, draw: SpatialDraw, *, crop: tuple[int, int]
) -> dict[str, np.ndarray]:
    """Resizes and crops pictures, and moves each known vector to its nearest new pixel.

    Args:
      example: A pair.
      draw: What to do.
      crop: `(height, width)` of the result.

    Returns:
      The new example; flow that is not known is zero.

    Raises:
      ValueError: If the resized picture is smaller than the crop.
    """
    valid = np.asarray(example["valid"], bool)
    flow = np.where(valid[..., None], example["flow"], np.float32(0))
    images = [_resize(example[name], draw.scale) for name in ("image_1", "image_2")]
    if draw.scale != (1.0, 1.0):
        flow, valid = resize_sparse_flow(flow, valid, scale=draw.scale)
    return _flip_and_crop((*images, flow, valid), draw, crop)


def resize_sparse_flow(
    flow: Float[np.ndarray, "height width 2"],
    valid: Bool[np.ndarray, "height width"],
    *,
    scale: tuple[float, float],
) -> tuple[
    Float[np.ndarray, "new_height new_width 2"],
    Bool[np.ndarray, "new_height new_width"],
]:
    """Moves known vectors to the nearest pixels of a resized grid.

    Where several arrive, the last in reading order stays. What arrives in the first row
    or column is lost, as in the published training.

    Args:
      flow: Flow, pixels.
      valid: Where it is known.
      scale: Factors of width and height.

    Returns:
      The flow in pixels of the new grid, zero where unknown, and where it is known.
    """
    height, width = _resized(valid.shape, scale)
    y, x = np.nonzero(valid)
    # Half to even, as numpy rounds.
    column = np.rint(x * scale[0]).astype(np.int64)
    row = np.rint(y * scale[1]).astype(np.int64)
    kept = (column > 0) & (column < width) & (row > 0) & (row < height)
    moved = np.zeros((height, width, 2), flow.dtype)
    known = np.zeros((height, width), bool)
    at = row[kept], column[kept]
    moved[at] = flow[y[kept], x[kept]] * np.asarray(scale, flow.dtype)
    known[at] = True
    return moved, known


def _recolored(
    example: Example,
    rng: np.random.Generator,
    colors: tuple[float, float, float],
    erased_px: tuple[int, int],
) -> dict[str, np.ndarray]:
    strength, hue, asymmetric = colors
    images = [example["image_1"], example["image_2"]]
    if rng.random() < asymmetric:
        draws = [draw_colors(rng, strength=strength, hue=hue) for _ in images]
        pairs = zip(images, draws, strict=True)
        images = [jitter_colors([image], draw)[0] for image, draw in pairs]
    else:
        images = jitter_colors(images, draw_colors(rng, strength=strength, hue=hue))
    second = erase_parts(images[1], rng, erased_px)
    return {**example, "image_1": images[0], "image_2": second}


def _smallest_scale(size: tuple[int, int], crop: tuple[int, int], margin: int) -> float:
    return max((crop[0] + margin) / size[0], (crop[1] + margin) / size[1])


def _drawn_scale(
    rng: np.random.Generator,
    scale: np.ndarray,
    size: tuple[int, int],
    crop: tuple[int, int],
    smallest: float,
) -> tuple[float, float]:
    """The scale, or none in a share of the draws; what is too small is enlarged."""
    if rng.random() < _RESIZED:
        return float(scale[0]), float(scale[1])
    if size[0] < crop[0] or size[1] < crop[1]:
        return smallest, smallest
    return 1.0, 1.0


def _resized(size: tuple[int, ...], scale: tuple[float, float]) -> tuple[int, int]:
    """Height and width; OpenCV rounds half to even too."""
    return round(size[0] * scale[1]), round(size[1] * scale[0])


def _resize(array: np.ndarray, scale: tuple[float, float]) -> np.ndarray:
    if scale == (1.0, 1.0):
        return array
    # With factors instead of a size, positions are exactly those divided by the factor.
    return np.asarray(
        cv2.resize(
            array, None, fx=scale[0], fy=scale[1], interpolation=cv2.INTER_LINEAR
        )
    )


def _flip_and_crop(
    arrays: tuple[np.ndarray, ...], draw: SpatialDraw, crop: tuple[int, int]
) -> dict[str, np.ndarray]:
    height, width = arrays[0].shape[:2]
    if height < crop[0] or width < crop[1]:
        raise ValueError(
            f"the resized pictures are {width} x {height} and the crop is {crop[1]} x "
            f"{crop[0]}; give a smaller crop or a larger scale."
        )
    # Flow that points to the right points to the left in the mirror image.
    signs = np.array([-1 if flipped else 1 for flipped in draw.flip], np.float32)
    x = min(max(draw.origin[0], 0), width - crop[1])
    y = min(max(draw.origin[1], 0), height - crop[0])
    across, down = (-1 if flipped else 1 for flipped in draw.flip)
    window = slice(y, y + crop[0]), slice(x, x + crop[1])
    image_1, image_2, flow, valid = (
        np.ascontiguousarray(array[::down, ::across][window]) for array in arrays
    )
    flow = np.asarray(flow * signs, np.float32)
    return {"image_1": image_1, "image_2": image_2, "flow": flow, "valid": valid}


def _check(
    example: Example, crop: tuple[int, int], log2_scale: tuple[float, float]
) -> None:
    size = example["image_1"].shape[:2]
    wanted = {"image_1": 3, "image_2": 3, "flow": 2, "valid": None}
    for name, channels in wanted.items():
        shape = size if channels is None else (*size, channels)
        if example[name].shape != shape:
            raise ValueError(
                f"{name} has shape {example[name].shape} beside a first frame of "
                f"{size[1]} x {size[0]}; expected {shape}."
            )
    if min(crop) < 1:
        raise ValueError(f"crop is {crop}; expected a positive height and width.")
    if not log2_scale[0] <= log2_scale[1]:
        raise ValueError(
            f"log2_scale is {log2_scale}; expected the smaller number first."
        )
