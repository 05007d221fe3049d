"""A tiny HumanEva in the raw layout: the files of VideoPose3D's preparation script."""

import numpy as np

from datasets.humaneva_poses import raw
from posejax.data import pose_files
from posejax.data.keypoint_layouts import LAYOUTS
from posejax.data.pose_conversion import convert_pose_file

# Frames of each part; frames between chunk0 and chunk2 were not captured.
PARTS = {
    "Walking 1 chunk0": 5,
    "Walking 1 chunk2": 3,
    "Jog 1 chunk0": 4,
    "Box 1 chunk0": 4,
    "Gestures 1 chunk0": 2,
}
SUBJECTS = (*raw.TRAIN_SUBJECTS, *raw.TEST_SUBJECTS)
DETECTORS = {"detectron_pt_coco": "coco", "gt": "humaneva15"}


def world(subject, action):
    """15 joints of a person in the middle of the room, metres."""
    rng = np.random.default_rng([SUBJECTS.index(subject), *action.encode()])
    place = np.array([0.0, 0.0, 1.0])
    shape = (PARTS[action], 15, 3)
    return (place + rng.uniform(-0.5, 0.5, shape)).astype(np.float32)


def detected(subject, action, joints):
    """Detections of the three cameras, pixels."""
    rng = np.random.default_rng([joints, SUBJECTS.index(subject), *action.encode()])
    shape = (PARTS[action], joints, 2)
    return [rng.uniform(100, 400, shape).astype(np.float32) for _ in range(3)]


def write(folder, *, detectors=tuple(DETECTORS)):
    """Writes the files as they are published: objects, hence pickles."""
    folder.mkdir(parents=True)
    poses = {s: {a: world(s, a) for a in PARTS} for s in SUBJECTS}
    np.savez(folder / raw.POSES_FILE, positions_3d=np.array(poses))
    for name in detectors:
        layout = LAYOUTS[DETECTORS[name]]
        joints = layout.num_joints
        found = {s: {a: detected(s, a, joints) for a in PARTS} for s in SUBJECTS}
        # Whoever has no motion capture, and a video that nobody looked at.
        found["Unlabeled/Train/S1"] = {"Walking 1 chunk1": [np.zeros((1, joints, 2))]}
        found["Unlabeled/S4"] = {"Box 2": [None, None, None]}
        metadata = {
            "layout_name": layout.name,
            "num_joints": joints,
            "keypoints_symmetry": [list(layout.left), list(layout.right)],
        }
        np.savez(
            folder / f"{raw.KEYPOINTS_PREFIX}{name}.npz",
            positions_2d=np.array(found),
            metadata=np.array(metadata),
        )
    return folder


def write_plain(folder):
    """Writes the same as plain arrays."""
    published = write(folder / "published")
    plain = folder / "plain"
    plain.mkdir()
    convert_pose_file(
        published / raw.POSES_FILE, plain / raw.POSES_FILE, allow_pickle=True
    )
    for name in DETECTORS:
        file = f"{raw.KEYPOINTS_PREFIX}{name}.npz"
        found = pose_files.read_keypoints(
            published / file, subjects=SUBJECTS, allow_pickle=True
        )
        pose_files.write_keypoints(plain / file, found)
    return plain
