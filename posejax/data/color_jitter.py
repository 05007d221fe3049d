"""Random colours of pictures, and random parts erased; numpy and OpenCV.

Brightness, contrast, saturation and hue change as in torchvision's `ColorJitter`, in a
random order; computed in float32 and rounded once, where that library rounds after
each.
"""

import dataclasses
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import UInt8

# Weights of R, G, B in the grey level: luma of ITU-R BT.601.
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# Sides of an erased rectangle, pixels, and how often there are any.
ERASED_PX, _ERASED = (50, 99), 0.5
_CHANGES = ("brightness", "contrast", "saturation", "hue")


@dataclasses.dataclass(frozen=True)
class ColorDraw:
    """What is done to the colours of pictures.

    Attributes:
      brightness: Factor of all values.
      contrast: Factor of the distance from the mean grey level of the pictures.
      saturation: Factor of the distance from each pixel's own grey level.
      hue: Turn of the hue as a share of the whole circle, -0.5 to 0.5.
      order: The names of the four in the order in which they are done.
    """

    brightness: float = 1.0
    contrast: float = 1.0
    saturation: float = 1.0
    hue: float = 0.0
    order: tuple[str, ...] = _CHANGES


def draw_colors(rng: np.random.Generator, *, strength: float, hue: float) -> ColorDraw:
    """Draws what is done to the colours.

    Args:
      rng: Source of the draws.
      strength: The three factors lie within 1 - strength ... 1 + strength.
      hue: Largest turn of the hue, as a share of the circle.

    Returns:
      The factors, the turn and the order.
    """
    brightness, contrast, saturation = (
        float(factor) for factor in rng.uniform(1 - strength, 1 + strength, 3)
    )
    turn = float(rng.uniform(-hue, hue))
    order = tuple(_CHANGES[i] for i in rng.permutation(len(_CHANGES)))
    return ColorDraw(brightness, contrast, saturation, turn, order)


def jitter_colors(
    images: Sequence[UInt8[np.ndarray, "height width 3"]], draw: ColorDraw
) -> list[UInt8[np.ndarray, "height width 3"]]:
    """Changes the colours of pictures in one way, their mean grey level being shared.

    Args:
      images: RGB pictures of one size.
      draw: What to do.

    Returns:
      The changed pictures.
    """
    values = np.concatenate(images).astype(np.float32)
    for change in draw.order:
        match change:
            case "brightness":
                values = values * draw.brightness
            case "contrast":
                mean = float((values @ _LUMA).mean())
                values = mean + draw.contrast * (values - mean)
            case "saturation":
                grey = (values @ _LUMA)[..., None]
                values = grey + draw.saturation * (values - grey)
            case _:
                values = _turned(values, draw.hue)
        values = np.clip(values, 0, 255, dtype=np.float32)
    return np.split(np.rint(values).astype(np.uint8), len(images))


def _turned(values: np.ndarray, hue: float) -> np.ndarray:
    if hue == 0:
        return values
    hsv = cv2.cvtColor(values, cv2.COLOR_RGB2HSV)  # of float32, hue is in degrees
    hsv[..., 0] = (hsv[..., 0] + 360 * hue) % 360
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)


def erase_parts(
    image: np.ndarray,
    rng: np.random.Generator,
    erased_px: tuple[int, int] = ERASED_PX,
) -> np.ndarray:
    """Covers, in half the calls, one or two rectangles with the mean colour.

    They stand for what is occluded in the second frame. The published sides are 50 to
    99 pixels whatever the size of the picture; what lies outside is cut off.

    Args:
      image: `(height, width, 3)` uint8.
      rng: Source of the draws.
      erased_px: Shortest and longest side, pixels.

    Returns:
      A new picture, or `image` itself.
    """
    if rng.random() >= _ERASED:
        return image
    height, width = image.shape[:2]
    mean = image.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    erased = image.copy()
    for _ in range(rng.integers(1, 3)):
        x, y = rng.integers(width), rng.integers(height)
        across, down = rng.integers(erased_px[0], erased_px[1] + 1, 2)
        erased[y : y + down, x : x + across] = mean
    return erased
