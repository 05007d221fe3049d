"""Two frames of one size, for optical flow."""

import os
import pathlib

import numpy as np
from jaxtyping import UInt8

from posejax.data.video import VideoError, read_image

# OpenCV refuses a PNG that was cut short, and fills up a JPEG with grey; its last bytes
# tell. Some writers append a few bytes of their own, hence the margin.
_JPEG_MARK, _JPEG_END, _END_MARGIN = b"\xff\xd8", b"\xff\xd9", 64


def read_frame_pair(
    first: str | os.PathLike[str], second: str | os.PathLike[str]
) -> tuple[UInt8[np.ndarray, "height width 3"], UInt8[np.ndarray, "height width 3"]]:
    """Reads two pictures (PNG, JPEG, PPM, ...) as RGB of 8 bits, upright.

    Grey pictures are repeated in all three channels, alpha is left away, and of 16 bits
    the upper 8 are kept.

    Args:
      first: The earlier frame.
      second: The later one.

    Returns:
      Both frames.

    Raises:
      FileNotFoundError: If one is missing.
      VideoError: If one is no picture or cut short.
      ValueError: If their sizes differ.
    """
    frames = read_frame(first), read_frame(second)
    sizes = [f"{frame.shape[1]} x {frame.shape[0]}" for frame in frames]
    if sizes[0] != sizes[1]:
        raise ValueError(
            f"{first} is {sizes[0]} and {second} is {sizes[1]} pixels; flow needs two "
            "frames of one size: crop or resize one of them."
        )
    return frames


def read_frame(path: str | os.PathLike[str]) -> UInt8[np.ndarray, "height width 3"]:
    """Reads one picture as RGB of 8 bits, upright; see `read_frame_pair`.

    Args:
      path: The picture.

    Returns:
      The frame.

    Raises:
      FileNotFoundError: If it is missing.
      VideoError: If it is no picture or cut short.
    """
    path = pathlib.Path(path)
    image = read_image(path)
    with open(path, "rb") as file:
        is_jpeg = file.read(2) == _JPEG_MARK
        file.seek(-min(_END_MARGIN, path.stat().st_size), os.SEEK_END)
        if is_jpeg and _JPEG_END not in file.read():
            raise VideoError(f"{path} is a JPEG that is cut short; copy it again.")
    return image
