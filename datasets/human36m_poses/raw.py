"""Raw files of Human3.6M's poses: VideoPose3D's npz files, or the owners' CDF files."""

import pathlib

import numpy as np

from datasets.human36m.annotations import read_joints
from datasets.human36m.tree import SPELLINGS_OF_S1
from posejax.data.h36m_cameras import H36M_SUBJECTS
from posejax.data.pose_files import Keypoints, read_keypoints, read_poses_3d
from posejax.data.recordings import PoseSet, h36m_pose_set
from posejax.skeletons import H36M_17, H36M_32, remap

POSES_FILE = "data_3d_h36m.npz"
KEYPOINTS_PREFIX = "data_2d_h36m_"
CDF_FOLDERS = ("MyPoseFeatures/D3_Positions", "Poses_D3_Positions", "D3_Positions")
# This file of the owners is damaged, and the published splits do without it.
DAMAGED = {("S11", "Directions")}


def open_poses(root: pathlib.Path, *, allow_pickle: bool) -> PoseSet:
    """Reads the poses and whatever detections lie beside them.

    Args:
      root: Folder with `data_3d_h36m.npz` or the subjects' CDF files, and any
        `data_2d_h36m_<detector>.npz`.
      allow_pickle: Whether npz files may be pickles, as the published ones are.

    Returns:
      The recordings of S1, S5, S6, S7, S8, S9 and S11, as far as they are there.

    Raises:
      FileNotFoundError: If there are no poses.
      ValueError: If a file is not what it should be.
    """
    path = root / POSES_FILE
    if path.is_file():
        poses = read_poses_3d(path, allow_pickle=allow_pickle)
    else:
        poses = _cdf_poses(root)
    unknown = {subject for subject, _ in poses} - set(H36M_SUBJECTS)
    if unknown:
        raise ValueError(
            f"{path} has subjects {', '.join(sorted(unknown))}; expected "
            f"{', '.join(H36M_SUBJECTS)}."
        )
    keypoints: dict[str, Keypoints] = {}
    for file in sorted(root.glob(f"{KEYPOINTS_PREFIX}*.npz")):
        name = file.stem.removeprefix(KEYPOINTS_PREFIX)
        keypoints[name] = read_keypoints(file, allow_pickle=allow_pickle)
    return h36m_pose_set(poses, keypoints)


def _cdf_poses(root: pathlib.Path) -> dict[tuple[str, str], np.ndarray]:
    poses = {}
    for subject in H36M_SUBJECTS:
        folders = [root / subject / name for name in CDF_FOLDERS]
        folder = next((f for f in folders if f.is_dir()), None)
        for path in sorted(folder.glob("*.cdf")) if folder else ():
            family, _, number = path.stem.partition(" ")
            family = SPELLINGS_OF_S1.get(family, family)
            action = f"{family} {number}" if number else family
            if (subject, action) not in DAMAGED:
                poses[subject, action] = read_cdf_poses(path)
    if not poses:
        raise FileNotFoundError(
            f"{root} has neither {POSES_FILE} nor S1/{CDF_FOLDERS[0]}/*.cdf "
            "(datasets/README.md shows the tree)."
        )
    return poses


def read_cdf_poses(path: pathlib.Path) -> np.ndarray:
    """Reads the world joints of a recording.

    Args:
      path: `D3_Positions/<action>.cdf`, which holds 32 joints in millimetres.

    Returns:
      Joints (frames, 17, 3), order `H36M_17`, metres, float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no CDF file, has no `Pose`, one of another width, or joints
        that are not finite.
    """
    archive = "Poses_D3_Positions"
    stored = read_joints(path, axes=3, archive=archive)
    joints = (stored / 1000).astype(np.float32)
    if not np.isfinite(joints).all():
        raise ValueError(
            f"pose file {path} has joints that are not finite; unpack {archive} of its "
            "subject again."
        )
    return joints[:, remap(H36M_32, H36M_17)]
