"""Portable float maps (PFM), as FlyingThings3D stores flow and disparity."""

import re

import numpy as np
from jaxtyping import Float

from posejax.data.map_files import (
    Path,
    known_values,
    read_whole,
    require_length,
    write_whole,
)


def read_pfm(path: Path) -> Float[np.ndarray, "height width *channels"]:
    """Reads a portable float map of either byte order, rows stored bottom first.

    Args:
      path: The file.

    Returns:
      `(height, width, 3)` of a file `PF`, `(height, width)` of a file `Pf`; float32,
      as stored: the size of the scale in the header is not applied.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If the header or the length is wrong.

    Reference:
      Debevec, the PFM format; Mayer et al., A large dataset to train convolutional
      networks for disparity, optical flow, and scene flow estimation, CVPR 2016.
    """
    data = read_whole(path)
    channels = {b"PF": 3, b"Pf": 1}.get(data[:2])
    if channels is None:
        raise ValueError(f"{path} does not begin with PF or Pf; expected a PFM file.")
    try:
        # One blank, of any kind, ends the header; the next byte is data.
        width, height, scale, start = _pfm_header(data)
    except ValueError:
        raise ValueError(
            f"{path} has a header {data[:40]!r}; expected PF or Pf, width, height and "
            "a scale that is not zero."
        ) from None
    require_length(path, len(data) - start, width, height, channels)
    order = "<f4" if scale < 0 else ">f4"
    values = np.frombuffer(data, order, offset=start).astype(np.float32)
    rows = values.reshape((height, width, 3) if channels == 3 else (height, width))
    return np.ascontiguousarray(rows[::-1])


def write_pfm(path: Path, values: Float[np.ndarray, "height width *channels"]) -> None:
    """Writes a portable float map, little-endian.

    Args:
      path: The file.
      values: `(height, width)`, `(height, width, 3)`, or a flow `(height, width, 2)`,
        whose third channel is written as zeros.

    Raises:
      ValueError: If the shape is none of these, or a value is not finite.

    Reference:
      Debevec, the PFM format; Mayer et al., A large dataset to train convolutional
      networks for disparity, optical flow, and scene flow estimation, CVPR 2016.
    """
    if values.ndim == 3 and values.shape[-1] == 2:
        values = np.concatenate([values, np.zeros_like(values[..., :1])], axis=-1)
    last = ("height", "width") if values.ndim == 2 else ("height", "width", 3)
    known_values("values", values, last, None)
    kind = "Pf" if values.ndim == 2 else "PF"
    header = f"{kind}\n{values.shape[1]} {values.shape[0]}\n-1.0\n".encode()
    write_whole(path, header + np.asarray(values[::-1], "<f4").tobytes())


def _pfm_header(data: bytes) -> tuple[int, int, float, int]:
    """Width, height and scale, and where the data begins.

    Raises:
      ValueError: If the header is not of that form.
    """
    fields = re.match(rb"P[Ff]\s+(\d+)\s+(\d+)\s+([-+.\deE]+)\s", data[:200])
    if fields is None or not float(fields[3]):
        raise ValueError("no header")
    return int(fields[1]), int(fields[2]), float(fields[3]), fields.end()
