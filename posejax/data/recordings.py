"""Recorded poses as they come: world joints, detections in pixels, cameras.

A recording is one action of one subject, seen by all cameras at the same time. A pose
set is what a prepared folder or a pair of pose files holds.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from posejax.data.h36m_cameras import H36M_FPS, h36m_camera, h36m_cameras
from posejax.data.humaneva_cameras import HUMANEVA_FPS, humaneva_cameras
from posejax.data.keypoint_layouts import KeypointLayout
from posejax.data.pose_cameras import PoseCamera
from posejax.data.pose_files import Keypoints


@dataclasses.dataclass(frozen=True)
class Recording:
    """One action of one subject.

    Attributes:
      subject: Name of the subject.
      action: Name of the action, with the number of its take: `Walking 1`.
      poses_3d: Joints (frames, joints, 3) in the world, metres; None if unknown.
      keypoints: By detector, joints (cameras, frames, joints, 2), source pixels.
      cameras: The cameras.
    """

    subject: str
    action: str
    poses_3d: Float[np.ndarray, "frames joints 3"] | None
    keypoints: Mapping[str, np.ndarray]
    cameras: tuple[PoseCamera, ...]

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        if self.poses_3d is not None:
            return len(self.poses_3d)
        return next(iter(self.keypoints.values())).shape[1]


@dataclasses.dataclass(frozen=True)
class PoseSet:
    """Recordings that belong together.

    Attributes:
      recordings: In the order of the files.
      layouts: Which joints each detector finds.
      skeleton: Name of the joint set of the poses.
      fps: Frames per second.
    """

    recordings: tuple[Recording, ...]
    layouts: Mapping[str, KeypointLayout]
    skeleton: str
    fps: float


def action_family(action: str) -> str:
    """Returns the name up to the first blank, under which takes are reported.

    >>> action_family("Walking 1")
    'Walking'
    """
    return action.partition(" ")[0]


def h36m_pose_set(
    poses_3d: Mapping[tuple[str, str], np.ndarray],
    keypoints: Mapping[str, Keypoints],
) -> PoseSet:
    """Puts files of Human3.6M together.

    Args:
      poses_3d: Joints (frames, 17, 3) by (subject, action), metres.
      keypoints: Detections by the name of the detector. What is longer than the poses
        is cut; subjects without poses are left out.

    Returns:
      The set, with the cameras of Human3.6M.

    Raises:
      ValueError: If detections are missing or too short, or a subject has no cameras.
    """
    recordings = matched_recordings(poses_3d, keypoints, cameras_of=h36m_cameras)
    return PoseSet(recordings, _layouts(keypoints), "h36m_17", float(H36M_FPS))


def humaneva_pose_set(
    poses_3d: Mapping[tuple[str, str], np.ndarray],
    keypoints: Mapping[str, Keypoints],
) -> PoseSet:
    """Puts files of HumanEva together; its cameras have no intrinsics.

    Args:
      poses_3d: Joints (frames, 15, 3) or (frames, 20, 3) by (subject, action), metres.
      keypoints: Detections by the name of the detector.

    Raises:
      ValueError: If detections are missing or too short, or a subject has no cameras.
    """
    recordings = matched_recordings(poses_3d, keypoints, cameras_of=humaneva_cameras)
    joints = next(iter(poses_3d.values())).shape[1]
    return PoseSet(
        recordings, _layouts(keypoints), f"humaneva_{joints}", float(HUMANEVA_FPS)
    )


def custom_pose_set(keypoints: Keypoints, *, fps: float, detector: str) -> PoseSet:
    """Makes a set of a person's own videos: detections only.

    The camera is a stand-in, the first of Human3.6M's S1, by which results are drawn
    upright. It has no intrinsics.

    Args:
      keypoints: The detections, with the size of every video's pictures.
      fps: Frames per second.
      detector: Name under which the detections are known.

    Raises:
      ValueError: If the size of a video's pictures is unknown.
    """
    recordings = []
    for (subject, action), views in keypoints.positions.items():
        if subject not in keypoints.resolutions:
            raise ValueError(
                f"the size of the pictures of video {subject!r} is unknown; expected "
                "video_metadata with its w and h."
            )
        camera = dataclasses.replace(
            h36m_camera("S1", 0),
            name="stand-in",
            resolution=keypoints.resolutions[subject],
            intrinsics=None,
        )
        found = {detector: np.stack(views)}
        recordings.append(
            Recording(subject, action, None, found, (camera,) * len(views))
        )
    return PoseSet(tuple(recordings), {detector: keypoints.layout}, "h36m_17", fps)


def matched_recordings(
    poses_3d: Mapping[tuple[str, str], np.ndarray],
    keypoints: Mapping[str, Keypoints],
    *,
    cameras_of: Callable[[str], tuple[PoseCamera, ...]],
) -> tuple[Recording, ...]:
    """Finds the detections of every action; the order is that of the poses.

    Args:
      poses_3d: Joints (frames, joints, 3) by (subject, action), metres.
      keypoints: Detections by the name of the detector.
      cameras_of: The cameras of a subject.

    Raises:
      ValueError: If detections are missing or too short, or their number of cameras is
        not that of the subject.
    """
    recordings = []
    for (subject, action), poses in poses_3d.items():
        cameras = cameras_of(subject)
        found = {
            name: _matched(
                detections.positions.get((subject, action)),
                num_frames=len(poses),
                num_cameras=len(cameras),
                where=f"{subject}/{action} in the detections {name!r}",
            )
            for name, detections in keypoints.items()
        }
        recordings.append(Recording(subject, action, poses, found, cameras))
    if not recordings:
        raise ValueError("poses_3d is empty; expected at least one action.")
    return tuple(recordings)


def _matched(
    views: Sequence[np.ndarray] | None, *, num_frames: int, num_cameras: int, where: str
) -> np.ndarray:
    if views is None:
        raise ValueError(
            f"{where} is missing; use files of the same subjects and actions, or leave "
            "the action out."
        )
    if len(views) != num_cameras:
        raise ValueError(
            f"{where} has {len(views)} cameras; the subject has {num_cameras}."
        )
    for number, view in enumerate(views):
        if len(view) < num_frames:
            raise ValueError(
                f"{where} has {len(view)} frames of camera {number}, the poses have "
                f"{num_frames}; detections may be longer than the poses, not shorter."
            )
    # Videos run on for some frames after the poses end.
    return np.stack([view[:num_frames] for view in views])


def _layouts(keypoints: Mapping[str, Keypoints]) -> dict[str, KeypointLayout]:
    return {name: detections.layout for name, detections in keypoints.items()}
