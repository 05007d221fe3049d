"""Raw files of HumanEva's poses: VideoPose3D's npz files, of the skeleton of 15 joints.

A recording whose motion capture broke down comes in parts: frames that are missing are
left out, and what lies between them is called `Walking 1 chunk0`, `Walking 1 chunk2`.
"""

import pathlib

from posejax.data.humaneva_cameras import HUMANEVA_SUBJECTS
from posejax.data.pose_files import read_keypoints, read_poses_3d
from posejax.data.recordings import PoseSet, humaneva_pose_set
from posejax.skeletons import HUMANEVA_15

POSES_FILE = "data_3d_humaneva15.npz"
KEYPOINTS_PREFIX = "data_2d_humaneva15_"
TRAIN_SUBJECTS = tuple(f"Train/{name}" for name in HUMANEVA_SUBJECTS)
TEST_SUBJECTS = tuple(f"Validate/{name}" for name in HUMANEVA_SUBJECTS)


def open_poses(root: pathlib.Path, *, allow_pickle: bool) -> PoseSet:
    """Reads the poses and the detections that lie beside them.

    Args:
      root: Folder with `data_3d_humaneva15.npz` and at least one
        `data_2d_humaneva15_<detector>.npz`.
      allow_pickle: Whether npz files may be pickles, as the published ones are.

    Returns:
      The recordings of `Train/S1` to `Train/S3` and `Validate/S1` to `Validate/S3`, as
      far as they are there. Detections of others (`Unlabeled/...`) are left out.

    Raises:
      FileNotFoundError: If there are no poses or no detections.
      ValueError: If a file is not what it should be.
    """
    path = root / POSES_FILE
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; expected the file of VideoPose3D's preparation script "
            "(datasets/README.md shows the tree)."
        )
    files = sorted(root.glob(f"{KEYPOINTS_PREFIX}*.npz"))
    if not files:
        # The cameras have no intrinsics, so that nothing can be projected instead.
        raise FileNotFoundError(
            f"{root} has no {KEYPOINTS_PREFIX}<detector>.npz; expected at least one, "
            "for example of the detector detectron_pt_coco."
        )
    poses = read_poses_3d(
        path, num_joints=(HUMANEVA_15.num_joints,), allow_pickle=allow_pickle
    )
    subjects = (*TRAIN_SUBJECTS, *TEST_SUBJECTS)
    unknown = {subject for subject, _ in poses} - set(subjects)
    if unknown:
        raise ValueError(
            f"{path} has subjects {', '.join(sorted(unknown))}; expected "
            f"{', '.join(subjects)}."
        )
    keypoints = {
        file.stem.removeprefix(KEYPOINTS_PREFIX): read_keypoints(
            file, subjects=subjects, allow_pickle=allow_pickle
        )
        for file in files
    }
    return humaneva_pose_set(poses, keypoints)
