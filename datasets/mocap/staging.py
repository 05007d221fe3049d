"""Puts clips on the stage: another body, another rate, a place that all cameras see."""

import dataclasses
import zlib

import numpy as np

from posejax.data.h36m_cameras import h36m_cameras
from posejax.data.pose_cameras import PoseCamera, projected_pixels, world_to_camera
from posejax.data.recordings import Recording
from posejax.skeletons import H36M_17

MIN_DEPTH_M = 2.0
MARGIN_PX = 20.0
TRIES = 24
SHORTEST_S = 1.0  # a clip that does not fit is halved until its parts are shorter
REACH_M = 1.0  # of the random place from the middle of the stage
MIDDLE_M = (0.2, 0.2)  # in the world of Human3.6M's cameras
NOISE_PX = 4.0  # typical error of a joint; a few are far off
OUTLIERS = 0.02
OUTLIER_PX = 40.0

# Joints are rounded to a quarter of a millimetre, which halves the size on disk.
_PER_METRE = 4096

# Bones by the joint that they end in, and how much they vary between people; the two
# sides of a body vary alike.
_GROUPS = {
    "legs": ((2, 3, 5, 6), 0.05),
    "hips": ((1, 4), 0.08),
    "trunk": ((7, 8), 0.05),
    "head": ((9, 10), 0.05),
    "shoulders": ((11, 14), 0.08),
    "upper arms": ((12, 15), 0.05),
    "forearms": ((13, 16), 0.05),
}
_SIZE_SPREAD = 0.05
_BONES = tuple((joint, parent) for parent, joint in H36M_17.bones)


def seeded(*names: str) -> np.random.Generator:
    """Returns a generator that depends on the names only."""
    return np.random.default_rng([zlib.crc32(name.encode()) for name in names])


def bone_scales(subject: str) -> np.ndarray:
    """Returns by how much each bone of a subject is longer than in the clips.

    Args:
      subject: Decides the body.

    Returns:
      (17,) factors by the joint that a bone ends in, 0.75 to 1.35.
    """
    rng = seeded("body", subject)
    scales = np.ones(H36M_17.num_joints)
    for bones, spread in _GROUPS.values():
        scales[list(bones)] = np.exp(np.clip(rng.normal(0, spread), -0.15, 0.15))
    return scales * np.exp(np.clip(rng.normal(0, _SIZE_SPREAD), -0.1, 0.1))


def with_body(joints: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """Scales the bones along the tree; directions stay, the feet stay on the floor.

    Args:
      joints: (frames, 17, 3) joints, z up.
      scales: (17,) factors by the joint that a bone ends in.

    Returns:
      The joints (frames, 17, 3).
    """
    scaled = np.empty_like(joints)
    # Shorter legs take shorter steps.
    scaled[:, 0] = joints[:, 0] * scales[2]
    for joint, parent in _BONES:
        bone = joints[:, joint] - joints[:, parent]
        scaled[:, joint] = scaled[:, parent] + scales[joint] * bone
    floor, new_floor = (
        np.percentile(pose[:, [3, 6], 2].min(axis=1), 5) for pose in (joints, scaled)
    )
    scaled[..., 2] += floor - new_floor
    return scaled


def resampled(joints: np.ndarray, fps: float, wanted: float) -> np.ndarray:
    """Returns joints at another rate, linearly between frames.

    Args:
      joints: (frames, 17, 3).
      fps: Frames per second of the joints.
      wanted: Frames per second of the result.
    """
    times = np.arange(0, (len(joints) - 1) / fps + 1e-9, 1 / wanted) * fps
    first = np.minimum(times.astype(int), max(len(joints) - 2, 0))
    share = (times - first)[:, None, None]
    after = joints[np.minimum(first + 1, len(joints) - 1)]
    return joints[first] * (1 - share) + after * share


@dataclasses.dataclass(frozen=True)
class Staged:
    """A part of a clip where all cameras see it: its joints and which part it is."""

    joints: np.ndarray
    part: str


def placed(
    joints: np.ndarray, cameras: tuple[PoseCamera, ...], *, fps: float, name: str
) -> list[Staged]:
    """Turns and moves a clip so that every joint is in the picture of every camera.

    Headings and places are tried at random, from far and wide to the middle. A clip
    that finds no place is halved; parts that find none and are too short are left out.

    Args:
      joints: (frames, 17, 3) joints, z up.
      cameras: The cameras.
      fps: Frames per second.
      name: Decides the random headings and places.

    Returns:
      The parts that found a place.
    """
    return _placed(joints, cameras, fps, name, "")


def _placed(
    joints: np.ndarray,
    cameras: tuple[PoseCamera, ...],
    fps: float,
    name: str,
    part: str,
) -> list[Staged]:
    rng = seeded("place", name, part)
    low, high = joints[:, 0, :2].min(axis=0), joints[:, 0, :2].max(axis=0)
    centred = joints - np.append((low + high) / 2, 0)
    for attempt in range(TRIES):
        heading, towards = rng.uniform(0, 2 * np.pi, 2)
        away = rng.uniform(0, REACH_M) * (1 - attempt / TRIES)
        place = np.append(MIDDLE_M, 0.0)
        place[:2] += away * np.array([np.cos(towards), np.sin(towards)])
        moved = centred @ _turn(heading).T + place
        if _in_view(moved, cameras):
            rounded = np.round(moved * _PER_METRE) / _PER_METRE
            return [Staged(rounded.astype(np.float32), part)]
    half = len(joints) // 2
    if half < SHORTEST_S * fps:
        return []
    return [
        *_placed(joints[:half], cameras, fps, name, f"{part}a"),
        *_placed(joints[half:], cameras, fps, name, f"{part}b"),
    ]


def _turn(angle: float) -> np.ndarray:
    cosine, sine = np.cos(angle), np.sin(angle)
    return np.array([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1.0]])


def _in_view(joints: np.ndarray, cameras: tuple[PoseCamera, ...]) -> bool:
    for camera in cameras:
        if world_to_camera(joints, camera)[..., 2].min() < MIN_DEPTH_M:
            return False
        pixels = projected_pixels(joints, camera)
        limit = np.array(camera.resolution) - MARGIN_PX
        if not ((pixels >= MARGIN_PX) & (pixels <= limit)).all():
            return False
    return True


def staged(
    joints: np.ndarray, *, subject: str, action: str, fps: float, noise: bool
) -> list[Recording]:
    """Returns the recordings of a clip as a subject of Human3.6M plays it.

    Args:
      joints: (frames, 17, 3) joints, z up, metres.
      subject: Who plays it; decides body and cameras.
      action: Name of the recordings; the parts of a halved clip are named after it.
      fps: Frames per second.
      noise: Whether there are detections with errors, `noisy`.
    """
    cameras = h36m_cameras(subject)
    name = f"{subject}/{action}"
    body = with_body(joints, bone_scales(subject))
    recordings = []
    for part in placed(body, cameras, fps=fps, name=name):
        label = f"{action}_{part.part}" if part.part else action
        found = {}
        if noise:
            rng = seeded("noise", subject, label)
            found["noisy"] = noisy_keypoints(part.joints, cameras, rng)
        recordings.append(Recording(subject, label, part.joints, found, cameras))
    return recordings


def noisy_keypoints(
    joints: np.ndarray, cameras: tuple[PoseCamera, ...], rng: np.random.Generator
) -> np.ndarray:
    """Returns projections with the errors of a detector, quarter pixels.

    Errors of a joint drift slowly (half a second) around true places; now and then a
    joint is far off for a moment.

    Args:
      joints: (frames, 17, 3) world joints, metres.
      cameras: The cameras.
      rng: Decides the errors.
    """
    exact = np.stack([projected_pixels(joints, camera) for camera in cameras])
    white = rng.normal(0, 1, exact.shape)
    width = min(12, exact.shape[1])
    kernel = np.ones(width) / np.sqrt(width)
    slow = np.apply_along_axis(lambda x: np.convolve(x, kernel, "same"), 1, white)
    error = NOISE_PX * (0.6 * slow + 0.4 * rng.normal(0, 1, exact.shape))
    far = rng.random(exact.shape[:3]) < OUTLIERS
    error[far] = rng.normal(0, OUTLIER_PX, (int(far.sum()), 2))
    return (np.round((exact + error) * 4) / 4).astype(np.float32)
