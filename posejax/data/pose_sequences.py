"""Pose sequences ready for training: one per recording and camera, one behind another.

All frames lie in one array, so that they can stay on a device and a window is an index.
The order is subject, action, camera: the views of a recording are neighbours and run at
the same time.
"""

import dataclasses
import hashlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

from posejax import checks
from posejax.data import pose_cameras
from posejax.data.keypoint_layouts import LAYOUT_OF_SKELETON, LAYOUTS, KeypointLayout
from posejax.data.recordings import PoseSet, Recording, action_family

EXACT = "gt"  # the detector that errs nowhere: projections of the true joints
_WITHOUT_NOSE = "h36m_16"
_THORAX, _NOSE, _HEAD_WITHOUT_NOSE = 8, 9, 9


@dataclasses.dataclass(frozen=True)
class PoseSequences:
    """Sequences in one array per quantity; F frames of S sequences.

    Attributes:
      poses_2d: (F, joints, 2) detections, normalised image coordinates.
      targets_2d: (F, joints, 2) projections of the true joints, or what the file of
        exact keypoints says; None if unknown.
      poses_3d: (F, joints, 3) in camera axes, metres: joint 0 is the root's place, all
        others are relative to the root; None if unknown.
      offsets: (S,) first frame of each sequence.
      lengths: (S,) number of frames of each sequence.
      subjects: Name of the subject, one per sequence.
      actions: Name of the action, one per sequence.
      cameras: Name of the camera, one per sequence.
      intrinsics: (S, 9) normalised; None if a camera is not calibrated.
      extrinsics: (S, 7) orientation (w, x, y, z), camera to world, and place, metres.
      resolutions: (S, 2) width and height of the pictures, pixels.
      azimuths_deg: (S,) view angles of plots.
      num_views: Sequences k * num_views and the following are the views of recording k.
      layout: The joints of `poses_2d`.
      skeleton: Name of the joint set of `poses_3d`.
      has_nose: Whether the nose was detected; if not, it is put between thorax and head
        top in `poses_2d`, and errors leave it out.
      fps: Frames per second.
    """

    poses_2d: Float[np.ndarray, "F joints 2"]
    targets_2d: Float[np.ndarray, "F joints_3d 2"] | None
    poses_3d: Float[np.ndarray, "F joints_3d 3"] | None
    offsets: Int[np.ndarray, " S"]
    lengths: Int[np.ndarray, " S"]
    subjects: tuple[str, ...]
    actions: tuple[str, ...]
    cameras: tuple[str, ...]
    intrinsics: Float[np.ndarray, "S 9"] | None
    extrinsics: Float[np.ndarray, "S 7"]
    resolutions: Int[np.ndarray, "S 2"]
    azimuths_deg: Float[np.ndarray, " S"]
    num_views: int
    layout: KeypointLayout
    skeleton: str
    has_nose: bool
    fps: float

    def __len__(self) -> int:
        return len(self.lengths)

    def frames(self, sequence: int) -> slice:
        """Returns where the frames of a sequence lie."""
        start = int(self.offsets[sequence])
        return slice(start, start + int(self.lengths[sequence]))


def pose_sequences(
    poses: PoseSet,
    *,
    subjects: Sequence[str],
    actions: Sequence[str] | None = None,
    detector: str = EXACT,
    subset: float = 1.0,
    stride: int = 1,
    min_depth_m: float = 1.0,
) -> PoseSequences:
    """Selects recordings and brings them into the axes of their cameras.

    Args:
      poses: The recordings.
      subjects: Names of the subjects, in the order that is wanted.
      actions: Names of actions (`Walking 1`) or of their families (`Walking`); None
        means all.
      detector: Whose keypoints are the input; `gt` may be missing in the set and is
        then projected.
      subset: Share of each recording that is kept, a run of frames; see
        `subset_frames`.
      stride: Every how manieth frame is kept.
      min_depth_m: Least distance of the root before a camera.

    Returns:
      The sequences, float32.

    Raises:
      ValueError: If a subject, action or detector is unknown, or a root is too near.
    """
    chosen = _chosen(poses, subjects, actions)
    num_views = len(chosen[0].cameras)
    parts: list[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]] = []
    for recording in chosen:
        if len(recording.cameras) != num_views:
            raise ValueError(
                f"{recording.subject}/{recording.action} has {len(recording.cameras)} "
                f"cameras, {chosen[0].subject}/{chosen[0].action} has {num_views}; "
                "select recordings with the same number."
            )
        frames = subset_frames(recording.num_frames, subset=subset, stride=stride)
        parts += _views(recording, frames, detector, min_depth_m)
    layout = _layout(poses, detector)
    poses_2d = network_keypoints(np.concatenate([part[0] for part in parts]), layout)
    lengths = np.array([len(part[0]) for part in parts])
    cameras = [camera for recording in chosen for camera in recording.cameras]
    intrinsics = [camera.intrinsics for camera in cameras]
    known = [row for row in intrinsics if row is not None]
    return PoseSequences(
        poses_2d=poses_2d,
        targets_2d=_joined([part[1] for part in parts]),
        poses_3d=_joined([part[2] for part in parts]),
        offsets=np.cumsum(lengths) - lengths,
        lengths=lengths,
        subjects=tuple(r.subject for r in chosen for _ in r.cameras),
        actions=tuple(r.action for r in chosen for _ in r.cameras),
        cameras=tuple(camera.name for camera in cameras),
        intrinsics=np.stack(known) if len(known) == len(intrinsics) else None,
        extrinsics=np.stack([camera.extrinsics for camera in cameras]),
        resolutions=np.array([camera.resolution for camera in cameras]),
        azimuths_deg=np.array([camera.azimuth_deg for camera in cameras], np.float32),
        num_views=num_views,
        layout=network_layout(layout),
        skeleton=poses.skeleton,
        has_nose=layout.name != _WITHOUT_NOSE,
        fps=poses.fps / stride,
    )


def deterministic_random(low: int, high: int, text: str) -> int:
    """Returns a number from low to high that depends on the text only.

    Args:
      low: Least value.
      high: Upper bound, reached with probability 2^-32 only.
      text: Decides the number, through the first four bytes of its SHA-256.

    >>> deterministic_random(0, 1246, "1383")
    403
    """
    first = int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")
    return int(first / (2**32 - 1) * (high - low)) + low


def subset_frames(
    num_frames: int, *, subset: float = 1.0, stride: int = 1
) -> Int[np.ndarray, " kept"]:
    """Returns which frames of a sequence are kept.

    A share is one run of frames, whose start depends on the length of the sequence
    alone: the views of a recording stay synchronised. At least one frame is kept.

    Args:
      num_frames: Number of frames of the sequence, at least 1.
      subset: Share of the sequence, above 0 to 1.
      stride: Every how manieth frame of the run is kept.

    Raises:
      ValueError: If an argument is out of its range.

    >>> subset_frames(99, subset=0.1, stride=5).tolist()
    [24, 29]
    """
    checks.require_at_least("num_frames", num_frames, 1)
    checks.require_at_least("stride", stride, 1)
    if not 0 < subset <= 1:
        raise ValueError(f"subset is {subset!r}; expected a share above 0, at most 1.")
    if subset == 1:
        return np.arange(0, num_frames, stride)
    run = int(round(num_frames // stride * subset) * stride)
    run = min(max(run, 1), num_frames)
    start = deterministic_random(0, num_frames - run + 1, str(num_frames))
    return np.arange(start, start + run, stride)


def insert_nose(
    keypoints: Float[np.ndarray, "*batch 16 2"],
) -> Float[np.ndarray, "*batch 17 2"]:
    """Puts a nose between thorax and head top of 16 joints, `H36M_16` to `H36M_17`.

    Args:
      keypoints: Joints (x, y).

    Returns:
      The joints with the nose.

    Reference:
      Amadi and Agam, PosturePose, Sensors 23(24), 2023 (its HRNet keypoints).
    """
    nose = (keypoints[..., _THORAX, :] + keypoints[..., _HEAD_WITHOUT_NOSE, :]) / 2
    return np.insert(keypoints, _NOSE, nose, axis=-2)


def network_layout(layout: KeypointLayout) -> KeypointLayout:
    """Returns the joints that a network sees of detections: a missing nose is put in.

    Args:
      layout: That of the detections.
    """
    return LAYOUTS["h36m"] if layout.name == _WITHOUT_NOSE else layout


def network_keypoints(
    keypoints: Float[np.ndarray, "*batch joints 2"], layout: KeypointLayout
) -> Float[np.ndarray, "*batch joints_seen 2"]:
    """Returns the keypoints of `network_layout`.

    Args:
      keypoints: Joints (x, y) that were detected.
      layout: Which joints these are.
    """
    return insert_nose(keypoints) if layout.name == _WITHOUT_NOSE else keypoints


def _chosen(
    poses: PoseSet, subjects: Sequence[str], actions: Sequence[str] | None
) -> list[Recording]:
    known = list(dict.fromkeys(recording.subject for recording in poses.recordings))
    for subject in subjects:
        checks.require_choice("subject", subject, known)
    ours = [r for s in subjects for r in poses.recordings if r.subject == s]
    if not ours:
        raise ValueError(f"subjects is empty; expected some of {', '.join(known)}.")
    if actions is None:
        return ours
    names = {r.action for r in ours} | {action_family(r.action) for r in ours}
    for action in actions:
        checks.require_choice("action", action, names)
    return [r for r in ours if {r.action, action_family(r.action)} & set(actions)]


def _layout(poses: PoseSet, detector: str) -> KeypointLayout:
    if detector == EXACT and detector not in poses.layouts:
        return LAYOUTS[LAYOUT_OF_SKELETON[poses.skeleton]]
    return poses.layouts[
        checks.require_choice("detector", detector, {*poses.layouts, EXACT})
    ]


def _views(
    recording: Recording, frames: np.ndarray, detector: str, min_depth_m: float
) -> list[tuple[np.ndarray, np.ndarray | None, np.ndarray | None]]:
    """Per camera: detections, exact keypoints, poses; of the frames that are kept."""
    parts = []
    for view, camera in enumerate(recording.cameras):
        exact = _exact_keypoints(recording, view, frames)
        if detector in recording.keypoints:
            found = _normalized(recording.keypoints[detector][view, frames], camera)
        elif detector == EXACT and exact is not None:
            found = exact
        else:
            raise checks.unknown("detector", detector, recording.keypoints)
        poses = None
        if recording.poses_3d is not None:
            poses = pose_cameras.world_to_camera(recording.poses_3d[frames], camera)
            nearest = float(poses[:, 0, 2].min())
            if nearest < min_depth_m:
                raise ValueError(
                    f"the root of {recording.subject}/{recording.action} comes to "
                    f"{nearest:.2f} m before camera {camera.name}; expected at least "
                    f"min_depth_m = {min_depth_m}."
                )
            poses[:, 1:] -= poses[:, :1]
        parts.append((found, exact, poses))
    return parts


def _exact_keypoints(
    recording: Recording, view: int, frames: np.ndarray
) -> np.ndarray | None:
    camera = recording.cameras[view]
    if EXACT in recording.keypoints:
        return _normalized(recording.keypoints[EXACT][view, frames], camera)
    if recording.poses_3d is None or camera.intrinsics is None:
        return None
    points = pose_cameras.world_to_camera(recording.poses_3d[frames], camera)
    return pose_cameras.project_points(points, camera.intrinsics)


def _normalized(pixels: np.ndarray, camera: pose_cameras.PoseCamera) -> np.ndarray:
    return pose_cameras.normalize_screen_coordinates(
        pixels, resolution=camera.resolution
    )


def _joined(parts: list[np.ndarray | None]) -> np.ndarray | None:
    known = [part for part in parts if part is not None]
    return np.concatenate(known) if len(known) == len(parts) else None
