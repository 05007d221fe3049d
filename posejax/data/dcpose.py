"""Detections of DCPose: joints in the picture for every frame of a video, from JSON.

A file is `{"Info": [{"keypoints": [[x, y, score], ... 17 joints]}, ...]}`, one entry
per frame that was looked at, in pixels of the full picture. Joints are those of
`skeletons.POSETRACK_17`.

Reference:
  Liu et al., Deep dual consecutive network for human pose estimation, CVPR 2021
  (arXiv 2103.07254); Arko et al. 2022 (arXiv 2210.15121), how detections are used.
"""

import json
import os
import pathlib
from typing import Any

import numpy as np
from jaxtyping import Float

from posejax.skeletons import LSP_14, POSETRACK_17

# Of all others there is no counterpart, or (the hips) none at the same place.
_SHARED_JOINTS = tuple(
    f"{side}_{joint}"
    for joint in ("shoulder", "elbow", "wrist", "knee", "ankle")
    for side in ("left", "right")
)
_EARS = tuple(POSETRACK_17.index(f"{side}_ear") for side in ("left", "right"))


def read_dcpose(
    path: str | os.PathLike[str], *, num_frames: int | None = None
) -> Float[np.ndarray, "frames 17 3"]:
    """Reads the detections of a video.

    A frame without a person (an entry whose `keypoints` are empty or missing), and the
    frames behind the last entry if there are fewer entries than frames, are zero: their
    joints have no confidence.

    Args:
      path: The JSON file.
      num_frames: Frames of the clip; as many as there are entries by default.

    Returns:
      (x, y, score) of each joint, pixels, float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file, a number is not finite, or it has more entries
        than the clip has frames.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected DCPose's JSON.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    entries = content.get("Info") if isinstance(content, dict) else None
    if not isinstance(entries, list):
        raise ValueError(f"{path} has no list Info; expected DCPose's JSON.")
    if num_frames is None:
        num_frames = len(entries)
    if len(entries) > num_frames:
        raise ValueError(
            f"{path} has {len(entries)} entries for {num_frames} frames; give the "
            "detections of the frames that the poses are from."
        )
    keypoints = np.zeros((num_frames, POSETRACK_17.num_joints, 3), np.float32)
    for frame, entry in enumerate(entries):
        rows = entry.get("keypoints") if isinstance(entry, dict) else entry
        if rows:
            keypoints[frame] = _row(rows, f"entry {frame} of {path}")
    return keypoints


def lsp_detections(
    keypoints: Float[np.ndarray, "frames 17 3"],
) -> tuple[Float[np.ndarray, "frames 14 2"], Float[np.ndarray, "frames 14"]]:
    """Detections in the order of `skeletons.LSP_14`, with confidence 1 or 0.

    Hips, neck and head top have none. The detector's score is not used: a joint counts
    unless it is at (0, 0), which is how a missing one is written.

    Args:
      keypoints: (x, y, score) of the joints of `skeletons.POSETRACK_17`, pixels.

    Returns:
      Points, zero where there is none, and confidences.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), their code.

    >>> points, confidence = lsp_detections(np.ones((1, 17, 3)))
    >>> confidence[0].astype(int).tolist()
    [1, 1, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0]
    """
    points = np.zeros((len(keypoints), LSP_14.num_joints, 2), keypoints.dtype)
    for joint in _SHARED_JOINTS:
        source = keypoints[:, POSETRACK_17.index(joint), :2]
        points[:, LSP_14.index(joint)] = source
    return points, (points != 0).any(axis=-1).astype(keypoints.dtype)


def posetrack_detections(
    keypoints: Float[np.ndarray, "frames 17 3"],
) -> tuple[Float[np.ndarray, "frames 17 2"], Float[np.ndarray, "frames 17"]]:
    """Detections in their own order, with the detector's score as confidence.

    Ears are left out, and a joint at (0, 0) is missing: zero, with confidence 0.

    Args:
      keypoints: (x, y, score) of the joints of `skeletons.POSETRACK_17`, pixels.

    Returns:
      Points and confidences.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), their code's variant for Sintel.

    >>> points, confidence = posetrack_detections(np.ones((1, 17, 3)))
    >>> confidence[0, :5].tolist()
    [1.0, 1.0, 1.0, 0.0, 0.0]
    """
    points = keypoints[..., :2].copy()
    points[:, list(_EARS)] = 0
    is_known = (points != 0).any(axis=-1)
    return points, np.where(is_known, keypoints[..., 2], 0).astype(keypoints.dtype)


def _row(rows: Any, where: str) -> np.ndarray:
    try:
        numbers = np.array(rows, np.float32)
    except (TypeError, ValueError):
        numbers = np.zeros(0, np.float32)
    if numbers.shape != (POSETRACK_17.num_joints, 3):
        raise ValueError(
            f"keypoints of {where} are no {POSETRACK_17.num_joints} rows of x, y and "
            "score; expected the joints of PoseTrack as DCPose writes them."
        )
    if not np.isfinite(numbers).all():
        raise ValueError(
            f"keypoints of {where} are not finite; write a missing joint as zeros."
        )
    return numbers
