"""What files of dense maps have in common: bytes in and out, and checks of both."""

import os
import pathlib
import uuid

import numpy as np
from jaxtyping import Bool

from posejax.checks import require_equal_shapes, require_shape

Path = str | os.PathLike[str]


def read_whole(path: Path) -> bytes:
    """Reads a file.

    Args:
      path: The file.

    Returns:
      Its bytes.

    Raises:
      FileNotFoundError: If it is missing.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing or no file; give a file to read.")
    return path.read_bytes()


def write_whole(path: Path, data: bytes) -> None:
    """Writes a file whole or not at all; an older one stays until the end.

    Args:
      path: The file; its folder is created.
      data: The bytes.
    """
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        draft.write_bytes(data)
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def require_length(
    path: Path, found: int, width: int, height: int, channels: int
) -> None:
    """Checks the bytes after a header against the size that it names.

    Args:
      path: The file, for the error.
      found: Number of bytes after the header.
      width: Columns.
      height: Rows.
      channels: Numbers of four bytes per pixel.

    Raises:
      ValueError: If the size is not positive or the length differs.
    """
    if width < 1 or height < 1:
        raise ValueError(
            f"{path} says it is {width} x {height}; expected positive sizes: it is "
            "damaged or of another byte order."
        )
    expected = 4 * width * height * channels
    if found != expected:
        state = "cut short" if found < expected else "longer than its header says"
        raise ValueError(
            f"{path} is {state}: {width} x {height} pixels of {channels} numbers are "
            f"{expected} bytes, found {found}; copy it again."
        )


def known_values(
    name: str,
    values: np.ndarray,
    last: tuple[int | str, ...],
    valid: np.ndarray | None,
) -> Bool[np.ndarray, "height width"]:
    """Checks a map that is to be written, and says where it is known.

    Args:
      name: What the map is called in errors.
      values: `(height, width)` or `(height, width, channels)`.
      last: Its axes, as `require_shape` takes them.
      valid: Where it is known; everywhere if None.

    Returns:
      True where it is known.

    Raises:
      ValueError: If the shape is another, or a known value is no number that float32
        can hold.
    """
    values = np.asarray(values)
    require_shape(name, values, last, "give one map.")
    if values.ndim != len(last) or values.size == 0:
        raise ValueError(
            f"{name} has shape {values.shape}; expected one map of at least one pixel."
        )
    pixels = values.shape[:2]
    known = np.ones(pixels, bool) if valid is None else np.asarray(valid, bool)
    require_equal_shapes(
        "give one truth value per pixel.", pixels=pixels, valid=known.shape
    )
    is_number = np.abs(values) <= np.finfo(np.float32).max
    bad = known & ~is_number.reshape(*pixels, -1).all(axis=-1)
    if bad.any():
        y, x = np.argwhere(bad)[0]
        raise ValueError(
            f"{name} is not finite at {bad.sum()} known pixels, first at x = {x}, "
            f"y = {y}; mark unknown pixels in `valid`, or repair them."
        )
    return known
