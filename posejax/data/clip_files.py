"""Clips from files: frames, METRO's estimates, DCPose's detections."""

import itertools
import pathlib
from collections.abc import Iterator

import numpy as np

from posejax.data.clips import Clip, ClipTruth, first_labels
from posejax.data.dcpose import lsp_detections, posetrack_detections, read_dcpose
from posejax.data.metro import read_metro
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
    """Reads a clip with bodies.

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
    count = estimates.num_frames
    joints, confidence = _detections(detections, count)
    wanted = min(count, max_frames) if max_frames else count
    seen = _used_frames(frames, used)
    images = list(itertools.islice(seen, wanted))
    is_longer = not max_frames and next(seen, None) is not None
    if len(images) < wanted or is_longer:
        found = f"more than {count}" if is_longer else len(images)
        raise ValueError(
            f"{frames} has {found} frames for the {count} poses of {poses}; give the "
            "frames that the poses are of."
        )
    if truth is not None:
        _require_labels(name, truth, count)
    kept = slice(wanted)
    return Clip(
        name,
        _stacked(images, frames),
        _rate(frames, used),
        pose=estimates.pose[kept],
        camera=estimates.camera[kept],
        scale=estimates.scale[kept],
        origin=estimates.origin[kept],
        detections=joints[kept],
        confidence=confidence[kept],
        truth=None if truth is None else first_labels(truth, wanted),
    )


def point_clip_from_files(
    name: str,
    *,
    frames: pathlib.Path,
    detections: pathlib.Path,
    used: slice | None = None,
    max_frames: int = 0,
    truth: ClipTruth | None = None,
) -> Clip:
    """Reads a clip without bodies: joints are only known in the frames.

    Args:
      name: Of the clip.
      frames: A video, or a folder of pictures in their order.
      detections: DCPose's JSON. Frames behind its last entry have none.
      used: Which of the frames are used, and the detections of; None for all.
      max_frames: Reads so many of them at most; 0 reads all.
      truth: What is known for evaluation, of at least as many frames.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If a file is not what it should be, or there are fewer frames than
        detections.
    """
    seen = _used_frames(frames, used)
    images = list(itertools.islice(seen, max_frames or None))
    keypoints = read_dcpose(detections)
    if len(keypoints) > len(images) and not 0 < max_frames <= len(images):
        raise ValueError(
            f"{detections} has {len(keypoints)} entries for the {len(images)} frames "
            f"of {frames}; give the detections of these frames."
        )
    count = len(images)
    missing = np.zeros((max(count - len(keypoints), 0), *keypoints.shape[1:]))
    keypoints = np.concatenate([keypoints[:count], missing.astype(np.float32)])
    joints, confidence = posetrack_detections(keypoints)
    return Clip(
        name,
        _stacked(images, frames),
        _rate(frames, used),
        pose=None,
        camera=None,
        scale=None,
        origin=None,
        detections=joints,
        confidence=confidence,
        truth=None if truth is None else first_labels(truth, count),
    )


def _used_frames(frames: pathlib.Path, used: slice | None) -> Iterator[np.ndarray]:
    used = used or slice(None)
    start, step = used.start or 0, used.step or 1
    return itertools.islice(read_frames(frames), start, used.stop, step)


def _stacked(images: list[np.ndarray], frames: pathlib.Path) -> np.ndarray:
    if len({image.shape for image in images}) > 1:
        raise ValueError(f"{frames} has frames of different sizes; expected one size.")
    if not images:
        raise ValueError(f"{frames} has none of the frames that are used.")
    return np.stack(images)


def _rate(frames: pathlib.Path, used: slice | None) -> float:
    step = used.step if used is not None and used.step else 1
    return (open_video(frames).fps or FPS) / step


def _detections(path: pathlib.Path | None, count: int) -> tuple[np.ndarray, np.ndarray]:
    if path is None:
        shape = (count, LSP_14.num_joints)
        return np.zeros((*shape, 2), np.float32), np.zeros(shape, np.float32)
    return lsp_detections(read_dcpose(path, num_frames=count))


def _require_labels(name: str, truth: ClipTruth, count: int) -> None:
    if truth.joints is not None and len(truth.joints) != count:
        raise ValueError(
            f"clip {name!r} has {len(truth.joints)} labelled frames and {count} poses; "
            "give labels of the same frames."
        )
