"""The cameras of keypoints without any: those of their data set, or a stand-in."""

import dataclasses
import re
from collections.abc import Sequence

import numpy as np

from posejax.data.h36m_cameras import (
    H36M_FPS,
    H36M_SUBJECTS,
    h36m_camera,
    h36m_cameras,
)
from posejax.data.humaneva_cameras import (
    HUMANEVA_CAMERAS,
    HUMANEVA_FPS,
    HUMANEVA_RESOLUTION,
    HUMANEVA_SUBJECTS,
    humaneva_cameras,
)
from posejax.data.pose_cameras import PoseCamera


@dataclasses.dataclass(frozen=True)
class RecordedCameras:
    """The cameras that saw a recording of a data set.

    Attributes:
      cameras: All of them. Where orientation and place are unpublished, as those of
        subjects without poses are, stand-ins of their names and sizes.
      are_known: Whether orientation and place are those of the data set.
      fps: Frames per second.
    """

    cameras: tuple[PoseCamera, ...]
    are_known: bool
    fps: float


def recorded_cameras(subject: str) -> RecordedCameras | None:
    """Returns the cameras that saw a subject of Human3.6M or HumanEva; None: neither.

    Args:
      subject: `S1`, ... (Human3.6M), or `Train/S1`, `Validate/S1`, `Unlabeled/S4`,
        `Unlabeled/Train/S1`, ... (HumanEva).
    """
    if re.fullmatch(r"S\d+", subject):
        if subject in H36M_SUBJECTS:
            return RecordedCameras(h36m_cameras(subject), True, float(H36M_FPS))
        # The same cameras recorded everybody.
        sizes = [(camera.name, camera.resolution) for camera in h36m_cameras("S1")]
        return RecordedCameras(_stand_ins(sizes), False, float(H36M_FPS))
    if re.fullmatch(r"(Unlabeled/)?((Train|Validate)/)?S\d+", subject):
        if subject.rpartition("/")[2] in HUMANEVA_SUBJECTS:
            return RecordedCameras(humaneva_cameras(subject), True, float(HUMANEVA_FPS))
        sizes = [(name, HUMANEVA_RESOLUTION) for name in HUMANEVA_CAMERAS]
        return RecordedCameras(_stand_ins(sizes), False, float(HUMANEVA_FPS))
    return None


def upright_camera(resolution: tuple[int, int]) -> PoseCamera:
    """Returns the stand-in for a camera of which only the size is known.

    It looks as the first camera of Human3.6M's S1 did, slightly downwards, from the
    origin of the world, whose z axis points up.

    Args:
      resolution: Width and height of its pictures, pixels.
    """
    return dataclasses.replace(
        h36m_camera("S1", 0),
        name="stand-in",
        translation=np.zeros(3, np.float32),
        resolution=resolution,
        intrinsics=None,
    )


def _stand_ins(
    sizes: Sequence[tuple[str, tuple[int, int]]],
) -> tuple[PoseCamera, ...]:
    return tuple(
        dataclasses.replace(upright_camera(size), name=name) for name, size in sizes
    )
