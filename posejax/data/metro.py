"""Estimates of METRO for one video: bodies, cameras, and the crops they were seen in.

A plain file is an npz with, for T frames, `joints3d` (T, 14, 3), `camera` (T, 3),
`scale` (T,) or (T, 2), `start_pt` (T, 2) and `img_size`, a number. The published files
hold pickled PyTorch tensors; `importers.convert_metro_estimates` makes plain ones of
them.

Reference:
  Lin, Wang and Liu, End-to-end human pose and mesh reconstruction with transformers,
  CVPR 2021 (arXiv 2012.09760); the crop is that of Kanazawa et al., HMR, CVPR 2018.
"""

import dataclasses
import os
import pathlib

import numpy as np
from jaxtyping import Float

from posejax.data.object_arrays import read_arrays
from posejax.skeletons import LSP_14

_NAMES = ("joints3d", "camera", "scale", "start_pt", "img_size")


@dataclasses.dataclass(frozen=True)
class MetroEstimates:
    """What METRO says of the frames of a video.

    Attributes:
      pose: Joints of `skeletons.LSP_14` relative to the pelvis, metres; axes of the
        crop's camera (x right, y down, z forward).
      camera: (s, tx, ty) of the weak-perspective camera.
      scale: Factors (x, y) by which each picture was resized.
      center: Centre (x, y) of the crop in the resized picture, pixels.
      crop_size: Side of the crop, pixels.
    """

    pose: Float[np.ndarray, "frames 14 3"]
    camera: Float[np.ndarray, "frames 3"]
    scale: Float[np.ndarray, "frames 2"]
    center: Float[np.ndarray, "frames 2"]
    crop_size: float

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.pose)

    @property
    def origin(self) -> Float[np.ndarray, "frames 2"]:
        """Upper left corner (x, y) of each crop in the resized picture, pixels."""
        return self.center - np.float32(self.crop_size / 2)


def read_metro(path: str | os.PathLike[str]) -> MetroEstimates:
    """Reads a plain file of METRO's estimates.

    Args:
      path: The npz file.

    Returns:
      The estimates, float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file, its arrays have different numbers of frames, or
        a number is not finite.
    """
    path = pathlib.Path(path)
    try:
        arrays = read_arrays(path)
    except ValueError as error:
        if "pickle" not in str(error):
            raise
        raise ValueError(
            f"{path} holds Python objects, as METRO's published files do; make a plain "
            "file of it with importers.convert_metro_estimates."
        ) from error
    missing = [name for name in _NAMES if name not in arrays]
    if missing:
        raise ValueError(
            f"{path} has arrays {', '.join(sorted(arrays)) or 'none'} and lacks "
            f"{', '.join(missing)}; expected METRO's estimates as plain arrays."
        )
    if arrays["scale"].ndim == 1:
        arrays["scale"] = np.repeat(arrays["scale"][:, None], 2, axis=1)
    shapes = {
        "joints3d": (LSP_14.num_joints, 3),
        "camera": (3,),
        "scale": (2,),
        "start_pt": (2,),
    }
    frames = len(arrays["joints3d"]) if arrays["joints3d"].ndim else 0
    for name, shape in shapes.items():
        arrays[name] = _numbers(arrays[name], (frames, *shape), f"{name} of {path}")
    size = _numbers(arrays["img_size"], (), f"img_size of {path}")
    if frames == 0 or not size > 0 or not np.all(arrays["scale"] > 0):
        raise ValueError(
            f"{path} has {frames} frames, img_size {size:g} and the least scale "
            f"{np.min(arrays['scale'], initial=np.inf):g}; expected at least one frame "
            "and positive sizes."
        )
    return MetroEstimates(
        pose=arrays["joints3d"],
        camera=arrays["camera"],
        scale=arrays["scale"],
        center=arrays["start_pt"],
        crop_size=float(size),
    )


def write_metro(path: str | os.PathLike[str], estimates: MetroEstimates) -> None:
    """Writes a plain file of estimates, whole or not at all.

    Args:
      path: The file, ending in `.npz`.
      estimates: The estimates.

    Raises:
      ValueError: If the name ends otherwise.
    """
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path is {str(path)!r}; expected a name ending in .npz.")
    part = path.with_name(f"{path.name}.part")
    try:
        with open(part, "wb") as file:
            np.savez(
                file,
                joints3d=estimates.pose,
                camera=estimates.camera,
                scale=estimates.scale,
                start_pt=estimates.center,
                img_size=np.float32(estimates.crop_size),
            )
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _numbers(array: np.ndarray, shape: tuple[int, ...], where: str) -> np.ndarray:
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{where} has shape {array.shape} ({array.dtype}); expected {shape} "
            "numbers, one row per frame of joints3d."
        )
    array = array.astype(np.float32)
    if not np.isfinite(array).all():
        rows = np.isfinite(array.reshape(max(len(array), 1) if shape else 1, -1))
        raise ValueError(
            f"{where} is not finite, first in frame {np.argmin(rows.all(axis=1))}; "
            "leave out these frames."
        )
    return array
