"""What people do: the poses of a take as functions of time.

An arm is given by five angles in degrees: how far it is lifted from hanging down, in
which direction (0 forward, 90 sideways), how far it is turned outward about itself, how
far the elbow is bent, and how far the forearm waves.
"""

import dataclasses
import zlib

import numpy as np

from datasets.people_sample.bodies import (
    LEFT_ARM,
    LEFT_LEG,
    RIGHT_ARM,
    RIGHT_LEG,
    Build,
    bone_offsets,
)
from datasets.people_sample.curves import (
    Keys,
    about_x,
    about_y,
    about_z,
    keys,
    wander,
)
from datasets.people_sample.gait import (
    Path,
    footsteps,
    leg_rotations,
    pelvis_height,
)
from posejax.skeletons import H36M_32

FPS = 25
PLACE_M = 0.8  # from the middle of the room to where someone stands, at most
SECONDS = 10.0
TURNED_AWAY = 0.1  # share of standing takes in which the cameras see the back

ARM_POSES = {
    "hang": (9, 80, 0, 14, 0),
    "hang_front": (20, 25, -20, 30, 0),
    "hip": (42, 112, -62, 88, 0),
    "cross": (28, 15, -62, 92, 0),
    "phone": (38, 40, -8, 138, 0),
    "carry": (14, 40, -10, 88, 0),
    "wave": (72, 82, 82, 88, 22),
    "wave_high": (148, 84, 20, 24, 16),
    "forward": (84, 12, 0, 8, 0),
    "diagonal": (82, 48, 0, 8, 0),
    "side": (87, 88, 0, 6, 0),
    "low_side": (52, 84, 0, 10, 0),
    "up": (158, 70, 0, 8, 0),
    "head": (95, 80, 62, 128, 0),
    "explain": (32, 30, 30, 75, 8),
}

CADENCE_HZ = {True: 0.85, False: 0.36}  # strides per second, walking or standing

# A joint turns with its parent; the upper arms, however, with the chest, so that a
# shrug of the collar moves the shoulder but not the direction of the arm.
TURNS_WITH = tuple(
    12 if joint in (RIGHT_ARM[1], LEFT_ARM[1]) else parent
    for joint, parent in enumerate(H36M_32.parents)
)


@dataclasses.dataclass(frozen=True)
class Action:
    """What a person does during a take.

    Attributes:
      name: Name, as in Human3.6M.
      arms: Names of the arm poses that occur.
      mirrored: How often both arms take the same pose.
      walks: Whether the person walks in a circle.
      crouch_m: How deep the person crouches at most.
      spread_m: Smallest and largest distance of a foot from the middle.
      bow_deg: How far the trunk bends forward at most.
    """

    name: str
    arms: tuple[str, ...]
    mirrored: float = 0.2
    walks: bool = False
    crouch_m: float = 0.03
    spread_m: tuple[float, float] = (0.09, 0.14)
    bow_deg: float = 8.0


# Everybody crouches now and then. A pair of training frames shares its crop window, so
# where nobody moves up or down, nothing tells a model that is trained on pairs how high
# in the picture a person is.
ACTIONS = (
    Action(
        "Directions",
        ("hang", "hang", "forward", "diagonal", "side", "side", "low_side", "up"),
        crouch_m=0.24,
        spread_m=(0.09, 0.18),
    ),
    Action(
        "Greeting",
        ("hang", "wave", "wave_high", "forward", "hang_front", "explain"),
        crouch_m=0.18,
        bow_deg=26.0,
    ),
    Action(
        "Posing",
        ("side", "side", "side", "up", "hip", "head", "low_side", "cross", "hang"),
        mirrored=0.65,
        crouch_m=0.36,
        spread_m=(0.10, 0.36),
        bow_deg=14.0,
    ),
    Action(
        "Waiting",
        ("hang", "hip", "cross", "phone", "carry", "hang_front", "head"),
        mirrored=0.45,
        crouch_m=0.20,
    ),
    Action(
        "Walking", ("hang", "hang", "hang", "phone", "carry", "low_side"), walks=True
    ),
)


@dataclasses.dataclass(frozen=True)
class Motion:
    """The body over time, world frame.

    Attributes:
      joints: (frames, 32, 3) joints, metres.
      rotations: (frames, 32, 3, 3) rest frame of the body to world, one per joint.
    """

    joints: np.ndarray
    rotations: np.ndarray


def motion(build: Build, subject: str, action: Action, times: np.ndarray) -> Motion:
    """Returns the poses of a person at some times of a take.

    Args:
      build: Proportions of the person.
      subject: Name of the person; with the action it decides all chance.
      action: What the person does.
      times: (frames,) seconds from the start of the take.
    """
    rng = np.random.default_rng(zlib.crc32(f"{subject} {action.name}".encode()))
    offsets = bone_offsets(build)
    path = _walk(rng) if action.walks else _stand(rng)
    local = _trunk_rotations(rng, action, times)
    for arm, rotations in _arm_rotations(rng, action, times).items():
        local[:, arm] = rotations
    local[:, 0] = about_z(path(times)[1]) @ local[:, 0]
    world = np.empty_like(local)
    for joint, parent in enumerate(TURNS_WITH):
        world[:, joint] = local[:, joint]
        if parent >= 0:
            world[:, joint] = world[:, parent] @ local[:, joint]
    root = _stand_on_feet(rng, action, build, path, times, offsets, world)
    joints = np.empty((len(times), 32, 3))
    joints[:, 0] = root
    for joint, parent in enumerate(H36M_32.parents[1:], start=1):
        joints[:, joint] = joints[:, parent] + world[:, parent] @ offsets[joint]
    return Motion(joints, world)


def _walk(rng: np.random.Generator) -> Path:
    sense = rng.choice([-1.0, 1.0])
    start, speed = rng.uniform(0, 2 * np.pi), rng.uniform(0.85, 1.1)
    radius = wander(rng, 0.05, mean=rng.uniform(0.55, 0.75), fastest_hz=0.2)

    def path(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        angle = start + sense * speed * times
        ground = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
        heading = angle if sense > 0 else angle - np.pi
        return radius(times)[..., None] * ground, heading

    return path


def _stand(rng: np.random.Generator) -> Path:
    # People stand anywhere in the middle of the room, so that their size and place in
    # the crop vary as they do in Human3.6M.
    away, towards = rng.uniform(0.1, PLACE_M), rng.uniform(0, 2 * np.pi)
    x = wander(rng, 0.3, mean=away * np.cos(towards), fastest_hz=0.15)
    y = wander(rng, 0.3, mean=away * np.sin(towards), fastest_hz=0.15)
    facing = rng.uniform(-22, 22) + (180 if rng.random() < TURNED_AWAY else 0)
    heading = wander(rng, 0.28, mean=np.deg2rad(facing), fastest_hz=0.16)

    def path(times: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.stack([x(times), y(times)], axis=-1), heading(times)

    return path


def _trunk_rotations(
    rng: np.random.Generator, action: Action, times: np.ndarray
) -> np.ndarray:
    """Rotations relative to `TURNS_WITH`, identity where nothing turns by itself."""
    bows = rng.uniform(-0.15, 1.0, (9, 1)) ** 3 * action.bow_deg
    bow = np.deg2rad(keys(rng, bows, rest_s=(0.3, 1.4), move_s=(0.8, 1.3))(times)[:, 0])
    lean = wander(rng, 0.045)(times)
    twist = wander(rng, 0.10)(times)
    half = about_z(twist / 2) @ about_y(lean / 2) @ about_x(-bow / 2)
    local = np.tile(np.eye(3), (len(times), 32, 1, 1))
    local[:, 0] = about_y(wander(rng, 0.03)(times)) @ about_x(wander(rng, 0.03)(times))
    local[:, 11] = local[:, 12] = half
    look = about_z(wander(rng, 0.28)(times)) @ about_x(
        wander(rng, 0.11, mean=-0.05)(times)
    )
    local[:, 13] = look @ about_y(wander(rng, 0.05)(times))
    return local


def _arm_keys(rng: np.random.Generator, action: Action) -> tuple[Keys, Keys]:
    count = 9
    names = rng.choice(action.arms, (2, count))
    # Neighbouring keys differ, so that people do not freeze.
    for row in names:
        for i in range(1, count):
            if row[i] == row[i - 1]:
                row[i] = rng.choice([a for a in action.arms if a != row[i - 1]])
    both = rng.random(count) < action.mirrored
    names[1, both] = names[0, both]
    values = np.array([[ARM_POSES[name] for name in row] for row in names], np.float64)
    values[..., :4] += rng.normal(0, 5, (2, count, 4))
    right = keys(rng, values[0], rest_s=(0.3, 1.2), move_s=(0.7, 1.1))
    # Arms that mirror each other move at the same time.
    if action.mirrored > 0.4:
        return right, Keys(values[1], right.starts, right.durations)
    return right, keys(rng, values[1], rest_s=(0.3, 1.2), move_s=(0.7, 1.1))


def _arm_rotations(
    rng: np.random.Generator, action: Action, times: np.ndarray
) -> dict[tuple[int, ...], np.ndarray]:
    """Rotations of collar, shoulder, elbow and wrist of both arms."""
    curves = _arm_keys(rng, action)
    stride = 2 * np.pi * CADENCE_HZ[action.walks] * times
    result = {}
    for arm, curve, side in ((RIGHT_ARM, curves[0], 1.0), (LEFT_ARM, curves[1], -1.0)):
        angles = curve(times)
        angles[:, :4] += np.stack([wander(rng, 2.5)(times) for _ in range(4)], axis=-1)
        wave = np.sin(2 * np.pi * rng.uniform(1.2, 1.5) * times) * angles[:, 4]
        angles[:, 2] += 0.6 * wave
        angles[:, 3] = np.maximum(angles[:, 3] + wave, 3.0)
        lift, towards, turn, bend, _ = np.deg2rad(angles).T
        swing = np.zeros_like(times)
        if action.walks:
            # The arm swings against the leg of its side, the more the lower it hangs.
            swing = -side * 0.42 * np.sin(stride) * np.cos(np.clip(lift, 0, np.pi / 2))
            bend += 0.25 * (1 + np.sin(-side * stride))
        shoulder = (
            about_x(swing)
            @ about_z(-side * towards)
            @ about_x(lift)
            @ about_z(side * towards)
            @ about_z(-side * turn)
        )
        shrug = about_y(-side * 0.30 * np.maximum(lift - 1.0, 0.0))
        wrist = about_x(np.deg2rad(8) + wander(rng, 0.12)(times))
        result[arm[:4]] = np.stack([shrug, shoulder, about_x(bend), wrist], axis=1)
    return result


def _stand_on_feet(
    rng: np.random.Generator,
    action: Action,
    build: Build,
    path: Path,
    times: np.ndarray,
    offsets: np.ndarray,
    world: np.ndarray,
) -> np.ndarray:
    """Fills in the rotations of the legs; returns the hip centre (frames, 3)."""
    spreads = rng.uniform(*action.spread_m, (7, 1)) * build.size
    spread = keys(rng, spreads, rest_s=(0.5, 1.5), move_s=(1.0, 1.5))
    depths = rng.uniform(0, 1, (8, 1)) ** 1.5 * action.crouch_m
    crouch = keys(rng, depths, rest_s=(0.3, 1.0), move_s=(0.9, 1.3))
    shift = rng.uniform()
    ground, heading = path(times)
    cadence = CADENCE_HZ[action.walks]
    sway = 0.018 * np.sin(2 * np.pi * (cadence * times + shift + 0.95))
    across = np.stack([np.cos(heading), np.sin(heading)], axis=-1)
    root = np.concatenate(
        [ground + sway[:, None] * across, np.zeros((len(times), 1))], axis=-1
    )
    legs = (RIGHT_LEG, LEFT_LEG)
    hips = np.stack([root + world[:, 0] @ offsets[leg[0]] for leg in legs], axis=1)
    feet = [
        footsteps(
            path,
            times,
            side=side,
            spread=lambda t: spread(t)[:, 0],
            cadence_hz=cadence,
            phase=shift + (0.0 if side > 0 else 0.5),
            size=build.size,
        )
        for side in (1.0, -1.0)
    ]
    thigh, shin = -offsets[2, 2], -offsets[3, 2]
    ankles = np.stack([foot.ankles for foot in feet], axis=1)
    raised = pelvis_height(hips, ankles, thigh + shin) - crouch(times)[:, 0]
    root[:, 2] = raised
    hips[..., 2] += raised[:, None]
    for index, leg in enumerate(legs):
        solved = leg_rotations(hips[:, index], feet[index], thigh, shin)
        for joint, rotation in zip(leg, (*solved, solved[2], solved[2]), strict=True):
            world[:, joint] = rotation
    return root
