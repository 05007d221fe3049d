"""The sample as poses alone: joints of every frame, seen by the cameras of Human3.6M.

These cameras stand around the room, where those of the sample's pictures stand on one
side, and they have the distortion of real lenses.
"""

from collections.abc import Sequence

import numpy as np

from datasets.people_sample.motion import ACTIONS, Action, motion
from datasets.people_sample.wardrobe import TEST, TRAIN, Person
from posejax.data.h36m_cameras import h36m_cameras
from posejax.data.recordings import PoseSet, Recording
from posejax.skeletons import H36M_17, H36M_32, remap

POSE_FPS = 25
NUM_FRAMES = 200
TEST_SUBJECTS = tuple(person.name for person in TEST)

# The middle of the room in the world of the cameras, metres: there everybody is in the
# picture of every camera, the root at 3.2 to 7 m.
_MIDDLE_M = (0.2, 0.2, 0.0)
# Joints are rounded to a quarter of a millimetre, which halves the size on disk.
_PER_METRE = 4096


def full_poses() -> PoseSet:
    """Returns the poses of all people and actions."""
    return _pose_set((*TRAIN, *TEST), ACTIONS, np.arange(NUM_FRAMES))


def tiny_poses() -> PoseSet:
    """Returns a few frames of three people, for tests."""
    people = (*TRAIN[:2], TEST[0])
    return _pose_set(people, (ACTIONS[0], ACTIONS[4]), np.arange(50, 62))


def _pose_set(
    people: Sequence[Person], actions: Sequence[Action], frames: np.ndarray
) -> PoseSet:
    recordings = tuple(
        _recording(person, action, frames) for person in people for action in actions
    )
    return PoseSet(recordings, {}, H36M_17.name, float(POSE_FPS))


def _recording(person: Person, action: Action, frames: np.ndarray) -> Recording:
    moved = motion(person.build, person.name, action, frames / POSE_FPS)
    joints = moved.joints[:, remap(H36M_32, H36M_17)] + np.array(_MIDDLE_M)
    return Recording(
        subject=person.name,
        action=action.name,
        poses_3d=(np.round(joints * _PER_METRE) / _PER_METRE).astype(np.float32),
        keypoints={},
        cameras=h36m_cameras(person.name),
    )
