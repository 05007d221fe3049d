"""Clips of MPI Sintel with DCPose's detections: scenes with one person.

The folder holds, for a scene `alley_2`::

    training/final/alley_2/frame_0001.png ...
    training/flow/alley_2/frame_0001.flo ...    true flow to the next frame, optional
    dcpose_sintel/result_alley_2.json           one entry per frame

There are no bodies and no labelled joints: flow is judged in all pixels.

Reference:
  Butler, Wulff, Stanley, Black, A naturalistic open source movie for optical flow
  evaluation, ECCV 2012; Arko et al. 2022 (arXiv 2210.15121), their code's variant.
"""

import pathlib

import numpy as np

from posejax.data.clip_files import point_clip_from_files
from posejax.data.clips import Clip, ClipTruth
from posejax.data.flow_files import read_flo
from posejax.data.video import image_files

SCENES = ("alley_2", "bamboo_2", "cave_2", "cave_4")  # the published ones
_FRAMES, _FLOW = "training/final", "training/flow"
_DETECTIONS, _PREFIX = "dcpose_sintel", "result_"


def sintel_clip_names(root: str) -> tuple[str, ...]:
    """Returns the scenes that have detections.

    Args:
      root: The folder.

    Raises:
      FileNotFoundError: If there is none.
    """
    folder = pathlib.Path(root).expanduser() / _DETECTIONS
    found = sorted(folder.glob(f"{_PREFIX}*.json"))
    if not root or not found:
        raise FileNotFoundError(
            f"config.data.root is {root!r}, which has no {_DETECTIONS}/{_PREFIX}"
            "alley_2.json or other scene; name the folder with MPI Sintel's training "
            f"frames and {_DETECTIONS}."
        )
    return tuple(path.stem.removeprefix(_PREFIX) for path in found)


def sintel_clip(root: str, name: str, *, max_frames: int = 0) -> Clip:
    """Reads a scene.

    Args:
      root: The folder.
      name: One of `sintel_clip_names`.
      max_frames: Reads so many frames at most; 0 reads all.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If a file is not what it should be.
    """
    folder = pathlib.Path(root).expanduser()
    frames = folder / _FRAMES / name
    return point_clip_from_files(
        name,
        frames=frames,
        detections=folder / _DETECTIONS / f"{_PREFIX}{name}.json",
        max_frames=max_frames,
        truth=_truth(folder / _FLOW / name, frames, max_frames),
    )


def _truth(
    folder: pathlib.Path, frames: pathlib.Path, max_frames: int
) -> ClipTruth | None:
    """Returns the true flow of a scene, or None where there is none."""
    if not folder.is_dir() or not frames.is_dir():
        return None
    stems = [path.stem for path in image_files(frames)[: max_frames or None]]
    flows = [read_flo(folder / f"{stem}.flo") for stem in stems[:-1]]
    if len({flow.shape for flow in flows}) > 1:
        raise ValueError(f"{folder} has flow of different sizes; expected one size.")
    return ClipTruth(None, None, None, np.stack(flows)) if flows else None
