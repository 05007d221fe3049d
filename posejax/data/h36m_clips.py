"""Clips of Human3.6M with METRO's and DCPose's estimates: S9 and S11, one camera, 10 fps.

The folder holds, for a subject S9 and a video `Walking 1.60457274`::

    S9/Videos/Walking 1.60457274.mp4
    metro_estimates_h36m/S9/Walking 1.60457274_results.npz      plain, see `data.metro`
    dcpose_estimates_h36m/S9/result_Walking 1.60457274.json
    data_2d_h36m_gt.npz  data_3d_h36m.npz                        plain, optional: labels

Every fifth frame is used, from the second on. The labels are those of VideoPose3D's
files: joints in the world, brought here into the axes of the camera. Frames behind the
last label have none.

Reference:
  Arko et al. 2022 (arXiv 2210.15121), their code's evaluation on Human3.6M.
"""

import functools
import pathlib
from collections.abc import Mapping

import numpy as np

from posejax.data.clip_files import clip_from_files
from posejax.data.clips import Clip, ClipTruth
from posejax.data.h36m_cameras import H36M_CAMERAS, h36m_camera
from posejax.data.h36m_lsp import lsp_labels, used_frames, video_action
from posejax.data.metro import read_metro
from posejax.data.pose_files import read_keypoints, read_poses_3d

SUBJECTS = ("S9", "S11")
CAMERA = "60457274"
# Damaged in the original; the label files do without it.
DAMAGED = {("S11", "Directions")}
_POSES, _DETECTIONS = "metro_estimates_h36m", "dcpose_estimates_h36m"
_SUFFIX = "_results.npz"


def h36m_clip_names(root: str) -> tuple[str, ...]:
    """Returns the clips that have estimates: `S9/Walking 1.60457274`, ...

    Args:
      root: The folder.

    Raises:
      FileNotFoundError: If there is none.
    """
    folder = pathlib.Path(root).expanduser()
    names = [
        f"{subject}/{path.name.removesuffix(_SUFFIX)}"
        for subject in SUBJECTS
        for path in sorted((folder / _POSES / subject).glob(f"*.{CAMERA}{_SUFFIX}"))
    ]
    names = [name for name in names if "_ALL" not in name and not _is_damaged(name)]
    if not root or not names:
        raise FileNotFoundError(
            f"config.data.root is {root!r}, which has no {_POSES}/S9/*.{CAMERA}"
            f"{_SUFFIX}; name the folder with videos and estimates (plain files: see "
            "`posejax.importers.convert_metro_estimates`)."
        )
    return tuple(names)


def h36m_clip(root: str, name: str, *, max_frames: int = 0) -> Clip:
    """Reads a clip.

    Args:
      root: The folder.
      name: One of `h36m_clip_names`.
      max_frames: Reads so many frames at most; 0 reads all.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If a file is not what it should be.
    """
    folder = pathlib.Path(root).expanduser()
    subject, _, video = name.partition("/")
    poses = folder / _POSES / subject / f"{video}{_SUFFIX}"
    used = used_frames(read_metro(poses).num_frames)
    return clip_from_files(
        name,
        frames=folder / subject / "Videos" / f"{video}.mp4",
        poses=poses,
        detections=folder / _DETECTIONS / subject / f"result_{video}.json",
        used=used,
        max_frames=max_frames,
        truth=_truth(folder, subject, video, used),
    )


def _is_damaged(name: str) -> bool:
    subject, _, video = name.partition("/")
    return (subject, video_action(video)[0]) in DAMAGED


def _truth(
    folder: pathlib.Path, subject: str, video: str, used: slice
) -> ClipTruth | None:
    """Returns the labels of a video, or None where the label files are not there."""
    paths = folder / "data_3d_h36m.npz", folder / "data_2d_h36m_gt.npz"
    if not all(path.is_file() for path in paths):
        return None
    positions, joints = _labels(*map(str, paths))
    action, camera = video_action(video)
    if (subject, action) not in positions or (subject, action) not in joints:
        return None
    points = joints[subject, action][H36M_CAMERAS.index(camera)][used]
    world = positions[subject, action][used]
    count = len(range(used.start, used.stop, used.step))
    points = _padded(points.astype(np.float32), count)
    pose = lsp_labels(world, h36m_camera(subject, camera)).astype(np.float32)
    known = np.asarray(np.isfinite(points).all(axis=-1))
    return ClipTruth(_padded(pose, count), points, known)


def _padded(labels: np.ndarray, count: int) -> np.ndarray:
    """Labels of so many frames, NaN behind the last: videos outlast their labels."""
    behind = np.full((max(count - len(labels), 0), *labels.shape[1:]), np.nan)
    return np.concatenate([labels, behind.astype(labels.dtype)])


@functools.lru_cache(maxsize=1)
def _labels(positions: str, joints: str) -> tuple[Mapping, Mapping]:
    return read_poses_3d(positions), read_keypoints(joints).positions
