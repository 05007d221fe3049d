"""Feet, pelvis height and legs: feet stand still on the floor and step where needed.

Each foot follows its own place beside the body's path: it stands at the place that
belongs to the middle of its stance and swings to the next one. The pelvis is as high as
both legs allow, and the knees follow from hip and ankle.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from datasets.people_sample.bodies import ANKLE_HEIGHT_M
from datasets.people_sample.curves import about_x, about_z, ease

STANCE = 0.62  # share of a stride in which the foot stands
STRETCH = 0.993  # longest leg over thigh plus shin: no knee is ever locked

Path = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""Times (frames,) to ground positions (frames, 2) in metres and headings in radians."""


@dataclasses.dataclass(frozen=True)
class Steps:
    """One foot over time.

    Attributes:
      ankles: (frames, 3) world, metres.
      headings: (frames,) radians, 0 along +y, positive towards -x.
      pitches: (frames,) radians, positive with the toes up.
    """

    ankles: np.ndarray
    headings: np.ndarray
    pitches: np.ndarray


def footsteps(
    path: Path,
    times: np.ndarray,
    *,
    side: float,
    spread: Callable[[np.ndarray], np.ndarray],
    cadence_hz: float,
    phase: float,
    size: float,
) -> Steps:
    """Places one foot.

    Args:
      path: The way of the body.
      times: (frames,) seconds.
      side: +1 right foot, -1 left foot.
      spread: Distance of the foot from the path, metres, as a function of time.
      cadence_hz: Strides per second.
      phase: Share of a stride by which this foot is ahead.
      size: Size of the person, scales heights.
    """
    strides = times * cadence_hz + phase
    stride = np.floor(strides)
    swing = np.clip((strides - stride - STANCE) / (1 - STANCE), 0.0, 1.0)

    def stand(index: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        middle = (index + STANCE / 2 - phase) / cadence_hz
        ground, heading = path(middle)
        heading = heading - side * 0.16  # toes point a little outward
        across = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
        return ground + side * spread(middle)[:, None] * across, heading

    (here, heading), (there, next_heading) = stand(stride), stand(stride + 1)
    moved = ease(swing)
    ground = here + moved[:, None] * (there - here)
    length = np.linalg.norm(there - here, axis=-1)
    effort = length / (length + 0.12)
    lift = 0.11 * effort * np.sin(np.pi * swing) ** 2
    pitches = -0.75 * effort * np.sin(np.pi * swing) * (1 - 1.35 * swing)
    ankles = np.concatenate([ground, (ANKLE_HEIGHT_M * size + lift)[:, None]], axis=-1)
    return Steps(ankles, heading + moved * (next_heading - heading), pitches)


def pelvis_height(
    hips: np.ndarray, ankles: np.ndarray, leg_length: float
) -> np.ndarray:
    """Returns how much to raise the pelvis so that the tighter leg is just stretched.

    Args:
      hips: (frames, 2, 3) hip joints for a pelvis at height 0, metres.
      ankles: (frames, 2, 3) ankles, metres.
      leg_length: Thigh plus shin, metres.
    """
    across = np.linalg.norm(hips[..., :2] - ankles[..., :2], axis=-1)
    reach = np.sqrt(np.maximum((STRETCH * leg_length) ** 2 - across**2, 0.01))
    heights = ankles[..., 2] - hips[..., 2] + reach
    # A smooth minimum: a hard one would jerk when the weight changes legs.
    sharpness = 45.0
    return -np.log(np.exp(-sharpness * heights).sum(axis=-1)) / sharpness


def leg_rotations(
    hips: np.ndarray, steps: Steps, thigh: float, shin: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Solves hip and knee for given ends of a leg.

    Args:
      hips: (frames, 3) hip joint, world.
      steps: The foot.
      thigh: Length in metres.
      shin: Length in metres.

    Returns:
      World rotations (frames, 3, 3) of thigh, shin and foot.
    """
    down = steps.ankles - hips
    longest = STRETCH * (thigh + shin) + 0.004
    distance = np.minimum(np.linalg.norm(down, axis=-1), longest)
    down /= np.linalg.norm(down, axis=-1, keepdims=True)
    foot = about_z(steps.headings)
    ahead = foot[..., 1] - down * (down * foot[..., 1]).sum(-1, keepdims=True)
    ahead /= np.linalg.norm(ahead, axis=-1, keepdims=True)
    at_hip = _corner(thigh, distance, shin)
    at_ankle = _corner(shin, distance, thigh)
    frame = np.stack([np.cross(ahead, -down), ahead, -down], axis=-1)
    return (
        frame @ about_x(at_hip),
        frame @ about_x(-at_ankle),
        foot @ about_x(steps.pitches),
    )


def _corner(first: float, second: np.ndarray, opposite: float) -> np.ndarray:
    cosine = (first**2 + second**2 - opposite**2) / (2 * first * second)
    return np.arccos(np.clip(cosine, -1.0, 1.0))
