"""Files of optical flow: Middlebury's `.flo`, KITTI's PNG, PFM.

A flow is `(height, width, 2)` float32, x before y, in pixels; row 0 is at the top.
Readers refuse a file that is not exactly what its header says. Writers write beside the
target and rename, so that a file is there whole or not at all.
"""

import dataclasses
import pathlib
import struct

import cv2
import numpy as np
from absl import logging
from jaxtyping import Bool, Float, Shaped, UInt16

from posejax.data.map_files import (
    Path,
    known_values,
    read_whole,
    require_length,
    write_whole,
)
from posejax.data.pfm_files import read_pfm, write_pfm

FLOW_SUFFIXES = (".flo", ".png", ".pfm")
# Middlebury's readers take a component above the first number as unknown and their
# writers store the second.
UNKNOWN_ABOVE, _UNKNOWN = 1e9, 1e10
_FLO_MAGIC = 202021.25
_PNG_MARK, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND"
# Some writers append a few bytes of their own after the end of the picture.
_END_MARGIN = 64
_PNG_KINDS = {0: "grey", 2: "RGB", 3: "palette", 4: "grey with alpha", 6: "RGBA"}
# KITTI's PNGs hold 64 u + 2^15 and 256 d.
_KITTI_STEPS, _KITTI_ZERO, _DISPARITY_STEPS, _LARGEST = 64, 2**15, 256, 2**16 - 1


@dataclasses.dataclass(frozen=True)
class FlowField:
    """A flow and where it is known.

    Attributes:
      flow: `(height, width, 2)` float32, pixels. What it holds where it is not known
        has no meaning.
      valid: `(height, width)` bool, True where it is known.
    """

    flow: Float[np.ndarray, "height width 2"]
    valid: Bool[np.ndarray, "height width"]


def known_flow(
    flow: Float[np.ndarray, "height width 2"], *, limit: int | float = UNKNOWN_ABOVE
) -> Bool[np.ndarray, "height width"]:
    """Which vectors are finite with both components smaller than a limit.

    Args:
      flow: Flow, pixels.
      limit: The limit; 1000 in the published training on dense data.

    Returns:
      True where known.
    """
    return np.asarray(np.all(np.abs(flow) < limit, axis=-1))


def read_flow(path: Path) -> FlowField:
    """Reads a flow of any of the formats, by the end of its name.

    Args:
      path: `.flo`, `.png` (KITTI's) or `.pfm` (the first two of three channels).

    Returns:
      The flow. In `.flo` and `.pfm` files components of 1e9 and more, and those that
      are no numbers, mean unknown.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If its name has another end or it is not of that format.
    """
    match _suffix(path):
        case ".png":
            return read_kitti_flow(path)
        case ".pfm":
            values = read_pfm(path)
            if values.ndim != 3:
                raise ValueError(
                    f"{path} is a PFM file of one channel; a flow has three, of which "
                    "the first two are used (header PF)."
                )
            flow = np.ascontiguousarray(values[..., :2])
        case _:
            flow = read_flo(path)
    return FlowField(flow, known_flow(flow))


def write_flow(
    path: Path,
    flow: Float[np.ndarray, "height width 2"],
    *,
    valid: Bool[np.ndarray, "height width"] | None = None,
) -> None:
    """Writes a flow in any of the formats, by the end of its name.

    Args:
      path: `.flo` (exact), `.png` (KITTI's, in steps of 1/64 pixel) or `.pfm` (exact).
      flow: Flow, pixels.
      valid: Where it is known; everywhere by default. Unknown vectors are written as
        1e10 (`.flo`, `.pfm`) or zeros (`.png`).

    Raises:
      ValueError: If the name has another end, or the flow is not finite where known.
    """
    suffix = _suffix(path)
    if suffix == ".png":
        write_kitti_flow(path, flow, valid=valid)
        return
    known = _known(flow, valid)
    marked = np.where(known[..., None], flow, _UNKNOWN).astype(np.float32)
    (write_pfm if suffix == ".pfm" else write_flo)(path, marked)


def read_flo(path: Path) -> Float[np.ndarray, "height width 2"]:
    """Reads Middlebury's `.flo`: magic number, width, height, rows of (u, v).

    Args:
      path: The file, little-endian float32.

    Returns:
      The flow as it is stored, float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If the magic number or the length is wrong.

    Reference:
      Baker et al., A database and evaluation methodology for optical flow, IJCV 2011,
      the format of the accompanying code.
    """
    data = read_whole(path)
    if len(data) < 12 or struct.unpack_from("<f", data)[0] != _FLO_MAGIC:
        raise ValueError(
            f"{path} does not begin with the number {_FLO_MAGIC} ('PIEH'); expected a "
            ".flo file, little-endian."
        )
    width, height = struct.unpack_from("<ii", data, 4)
    require_length(path, len(data) - 12, width, height, 2)
    flow = np.frombuffer(data, "<f4", offset=12).reshape(height, width, 2)
    return flow.astype(np.float32)


def write_flo(path: Path, flow: Float[np.ndarray, "height width 2"]) -> None:
    """Writes Middlebury's `.flo`.

    Args:
      path: The file.
      flow: Flow, pixels; stored as float32.

    Raises:
      ValueError: If it is no flow or not finite.

    Reference:
      Baker et al., A database and evaluation methodology for optical flow, IJCV 2011,
      the format of the accompanying code.
    """
    _known(flow, None)
    header = struct.pack("<fii", _FLO_MAGIC, flow.shape[1], flow.shape[0])
    write_whole(path, header + np.asarray(flow, "<f4").tobytes())


def read_kitti_flow(path: Path) -> FlowField:
    """Reads KITTI's flow: a PNG of 16 bits, 64 u + 2^15, 64 v + 2^15, known or not.

    Args:
      path: The file.

    Returns:
      The flow. Unknown vectors, stored as zeros, come back as (-512, -512).

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no PNG of three channels of 16 bits.

    Reference:
      Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015, the
      format of the KITTI 2015 benchmark.
    """
    raw = _read_png_16(path, kind="RGB", what="a flow of KITTI").astype(np.float32)
    return FlowField((raw[..., :2] - _KITTI_ZERO) / _KITTI_STEPS, raw[..., 2] > 0)


def write_kitti_flow(
    path: Path,
    flow: Float[np.ndarray, "height width 2"],
    *,
    valid: Bool[np.ndarray, "height width"] | None = None,
) -> None:
    """Writes KITTI's flow, rounded to the nearest 1/64 pixel.

    Components beyond -512 ... 511.98 pixels, which the format cannot hold, are clipped
    to that range, and the log says how many.

    Args:
      path: The file, ending in `.png`.
      flow: Flow, pixels.
      valid: Where it is known; everywhere by default. The rest is written as zeros.

    Raises:
      ValueError: If it is no flow or not finite where known.

    Reference:
      Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015, the
      format of the KITTI 2015 benchmark.
    """
    known = _known(flow, valid)
    steps = np.rint(_KITTI_STEPS * np.where(known[..., None], flow, 0.0)) + _KITTI_ZERO
    stored = _clipped(path, steps, "flow components", "-512 to 511.98 px")
    raw = np.concatenate([stored, np.ones_like(stored[..., :1])], axis=-1)
    _write_png(path, np.where(known[..., None], raw, np.uint16(0))[..., ::-1])


def read_kitti_disparity(path: Path) -> FlowField:
    """Reads KITTI's disparity, a grey PNG of 16 bits holding 256 d, as a flow.

    Args:
      path: The file.

    Returns:
      The flow (-d, 0), known where the stored number is not zero.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no PNG of one channel of 16 bits.

    Reference:
      Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015, the
      format of the KITTI 2015 benchmark.
    """
    raw = _read_png_16(path, kind="grey", what="a disparity map of KITTI")
    disparity = raw.astype(np.float32) / _DISPARITY_STEPS
    return FlowField(np.stack([-disparity, np.zeros_like(disparity)], -1), raw > 0)


def write_kitti_disparity(
    path: Path,
    disparity: Float[np.ndarray, "height width"],
    *,
    valid: Bool[np.ndarray, "height width"] | None = None,
) -> None:
    """Writes KITTI's disparity, rounded to the nearest 1/256 pixel.

    Zero means unknown in this format: a known disparity is stored as 1/256 at least.
    Those of 256 and more are clipped, and the log says how many.

    Args:
      path: The file, ending in `.png`.
      disparity: Disparities, pixels, not negative where known.
      valid: Where they are known; everywhere by default.

    Raises:
      ValueError: If it is no map, or negative or not finite where known.

    Reference:
      Menze and Geiger, Object scene flow for autonomous vehicles, CVPR 2015, the
      format of the KITTI 2015 benchmark.
    """
    known = known_values("disparity", disparity, ("height", "width"), valid)
    values = np.where(known, disparity, 0.0)
    if np.any(values < 0):
        raise ValueError(
            f"disparity is negative at {np.sum(values < 0)} known pixels; give the "
            "distance to the left, or mark them in `valid`."
        )
    steps = np.maximum(np.rint(_DISPARITY_STEPS * values), 1)
    stored = _clipped(path, steps, "disparities", "1/256 to 255.99 px")
    _write_png(path, np.where(known, stored, np.uint16(0)))


def _known(flow: np.ndarray, valid: np.ndarray | None) -> np.ndarray:
    return known_values("flow", flow, ("height", "width", 2), valid)


def _suffix(path: Path) -> str:
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in FLOW_SUFFIXES:
        raise ValueError(
            f"{path} ends in {suffix!r}; a file of optical flow ends in one of "
            f"{', '.join(FLOW_SUFFIXES)}."
        )
    return suffix


def _clipped(path: Path, steps: np.ndarray, what: str, held: str) -> np.ndarray:
    """Numbers that 16 bits can hold; says how many they could not."""
    clipped = np.clip(steps, 0, _LARGEST)
    beyond = int(np.sum(clipped != steps))
    if beyond:
        logging.warning(
            "%s: %d of %d %s were clipped to what the format holds, %s.",
            *(path, beyond, steps.size, what, held),
        )
    return clipped.astype(np.uint16)


def _read_png_16(
    path: Path, *, kind: str, what: str
) -> UInt16[np.ndarray, "height width *channels"]:
    """Pixels of a PNG of 16 bits, RGB in that order."""
    data = read_whole(path)
    if not data.startswith(_PNG_MARK) or len(data) < 26:
        raise ValueError(f"{path} is no PNG picture; expected {what}, a PNG.")
    bits, found = data[24], _PNG_KINDS.get(data[25], "unknown")
    if (bits, found) != (16, kind):
        raise ValueError(
            f"{path} is a PNG of {bits} bits, {found}; expected {what}, 16 bits, "
            f"{kind}."
        )
    raw = None
    if _PNG_END in data[-_END_MARGIN:]:
        raw = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if raw is None or raw.dtype != np.uint16:
        raise ValueError(
            f"{path} cannot be decoded (damaged or cut short); copy it again."
        )
    return np.ascontiguousarray(raw[..., ::-1] if raw.ndim == 3 else raw)


def _write_png(path: Path, pixels: Shaped[np.ndarray, "height width *bgr"]) -> None:
    if pathlib.Path(path).suffix.lower() != ".png":
        raise ValueError(f"path is {str(path)!r}; expected a name ending in .png.")
    encoded = cv2.imencode(".png", np.ascontiguousarray(pixels))[1]
    write_whole(path, encoded.tobytes())
