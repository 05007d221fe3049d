"""Clips from files: frames, METRO's estimates, DCPose's detections."""

import itertools
import pathlib

import numpy as np

from posejax.data.clips import Clip, ClipTruth
from posejax.data.dcpose import lsp_detections, read_dcpose
from posejax.data.metro import MetroEstimates, read_metro
from posejax.data.video import open_video, read_frames
from posejax.skeletons import LSP_14

# Of clips whose frames do not say.
FPS = 25.0


def clip_from_files(
    name: str,
    *,
    frames: pathlib.Path,
    poses: pathlib.Path,
    detections: pathlib.Path | None = None,
    used: slice | None = None,
    max_frames: int = 0,
    truth: ClipTruth | None = None,
) -> Clip:
    """Reads a clip.

    Args:
      name: Of the clip.
      frames: A video, or a folder of pictures in their order.
      poses: Plain file of METRO's estimates, see `read_metro`.
      detections: DCPose's JSON; None for no detections. Frames behind its last entry
        have none.
      used: Which of the frames the estimates are of; None for all.
      max_frames: Reads so many of them at most; 0 reads all.
      truth: What is known for evaluation, of all the used frames.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If a file is not what it should be, or there are not as many frames
        as estimates.
    """
    estimates = read_metro(poses)
    used = used or slice(None)
    count = estimates.num_frames
    wanted = min(count, max_frames) if max_frames else count
    seen = itertools.islice(
        read_frames(frames), used.start or 0, used.stop, used.step or 1
    )
    images = list(itertools.islice(seen, wanted))
    if len(images) < wanted or (not max_frames and next(seen, None) is not None):
        found = len(images) + (len(images) == wanted)
        raise ValueError(
            f"{frames} has {'at least ' if found > count else ''}{found} frames for the "
            f"{count} poses of {poses}; give the frames that the poses are of."
        )
    if len({image.shape for image in images}) > 1:
        raise ValueError(f"{frames} has frames of different sizes; expected one size.")
    joints, confidence = _detections(detections, count)
    if truth is not None and len(truth.joints) != count:
        raise ValueError(
            f"clip {name!r} has {len(truth.joints)} labelled frames and {count} poses; "
            "give labels of the same frames."
        )
    fps = (open_video(frames).fps or FPS) / (used.step or 1)
    kept = slice(wanted)
    return Clip(
        name,
        np.stack(images),
        fps,
        **_estimates(estimates, kept),
        detections=joints[kept],
        confidence=confidence[kept],
        truth=None if truth is None else _first(truth, wanted),
    )


def _detections(path: pathlib.Path | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    if path is None:
        shape = (count, LSP_14.num_joints)
        return np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    return lsp_detections(read_dcpose(path, num_frames=count))


def _estimates(estimates: MetroEstimates, kept: slice) -> dict[str, np.ndarray]:
    return {
        "pose": estimates.pose[kept],
        "camera": estimates.camera[kept],
        "scale": estimates.scale[kept],
        "origin": estimates.origin[kept],
    }


def _first(truth: ClipTruth, count: int) -> ClipTruth:
    return ClipTruth(
        None if truth.pose is None else truth.pose[:count],
        truth.joints[:count],
        truth.joint_valid[:count],
        None if truth.flow is None else truth.flow[: count - 1],
    )
