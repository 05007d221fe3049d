"""Motion in Biovision's BVH files: the skeleton's tree, its channels, its joints.

A file states the tree (`HIERARCHY`: an offset from the parent and the channels of each
joint) and one row of numbers per frame (`MOTION`). Angles are degrees; the rotations of
a joint are applied in the order in which its channels are named, the last one first.
"""

import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

_AXES = {"X": 0, "Y": 1, "Z": 2}
END = "#end"  # what the ends of branches, which have no name, are called after


@dataclasses.dataclass(frozen=True)
class Motion:
    """A recording.

    Attributes:
      names: Joint names; the end of a branch is its joint's name and `END`.
      parents: Index of each joint's parent; -1 for the root.
      positions: (frames, joints, 3) in the file's unit and axes.
      fps: Frames per second.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    positions: np.ndarray
    fps: float


@dataclasses.dataclass
class _Joint:
    name: str
    parent: int
    offset: tuple[float, ...] = (0.0, 0.0, 0.0)
    channels: tuple[str, ...] = ()


def read_bvh(path: pathlib.Path) -> Motion:
    """Reads a file and places its joints.

    Args:
      path: The file.

    Returns:
      The motion, float64.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no BVH file, or its rows do not fit its channels.
    """
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected a BVH file.")
    text = path.read_text(encoding="utf-8", errors="replace")
    head, motion, tail = text.partition("MOTION")
    if "HIERARCHY" not in head or not motion:
        raise ValueError(f"{path} has no HIERARCHY and MOTION; expected a BVH file.")
    joints = _tree(head.partition("HIERARCHY")[2].split(), path)
    rows, fps = _rows(tail, sum(len(j.channels) for j in joints), path)
    return Motion(
        names=tuple(joint.name for joint in joints),
        parents=tuple(joint.parent for joint in joints),
        positions=_placed(joints, rows),
        fps=fps,
    )


def _tree(tokens: list[str], path: pathlib.Path) -> list[_Joint]:
    joints: list[_Joint] = []
    open_joints: list[int] = []
    words: Iterator[str] = iter(tokens)
    try:
        for word in words:
            if word in ("ROOT", "JOINT", "End"):
                name = next(words)
                parent = open_joints[-1] if open_joints else -1
                if word == "End":
                    name = f"{joints[parent].name}{END}"
                joints.append(_Joint(name, parent))
                if next(words) != "{":
                    raise ValueError(f"joint {name} is not opened")
                open_joints.append(len(joints) - 1)
            elif word == "OFFSET":
                joints[-1].offset = tuple(float(next(words)) for _ in range(3))
            elif word == "CHANNELS":
                names = [next(words) for _ in range(int(next(words)))]
                joints[-1].channels = tuple(_channel(name) for name in names)
            elif word == "}":
                open_joints.pop()
            else:
                raise ValueError(f"unknown word {word!r}")
    except (ValueError, IndexError, StopIteration) as error:
        raise ValueError(
            f"HIERARCHY of {path} cannot be read after joint "
            f"{joints[-1].name if joints else '(none)'} ({error}); export it again."
        ) from error
    if open_joints or not joints:
        raise ValueError(f"HIERARCHY of {path} ends early; export it again.")
    return joints


def _channel(name: str) -> str:
    if name[:1].upper() not in _AXES or name[1:].lower() not in (
        "position",
        "rotation",
    ):
        raise ValueError(f"unknown channel {name!r}")
    return name[0].upper() + name[1:].lower()


def _rows(text: str, num_channels: int, path: pathlib.Path) -> tuple[np.ndarray, float]:
    try:
        words = text.split()
        # "Frames: 12 Frame Time: 0.0333", also without the blank.
        frames = words.index("Time:")
        count, seconds = int(words[1]), float(words[frames + 1])
        numbers = np.array(words[frames + 2 :], np.float64)
    except (ValueError, IndexError) as error:
        raise ValueError(
            f"MOTION of {path} cannot be read ({error}); expected 'Frames: N', "
            "'Frame Time: S' and one row of numbers per frame."
        ) from error
    if count < 1 or numbers.size != count * num_channels or not seconds > 0:
        raise ValueError(
            f"MOTION of {path} has {numbers.size} numbers for {count} frames of "
            f"{num_channels} channels, {seconds} s each; export it again."
        )
    if not np.isfinite(numbers).all():
        raise ValueError(f"MOTION of {path} has numbers that are not finite.")
    return numbers.reshape(count, num_channels), 1 / seconds


def _placed(joints: list[_Joint], rows: np.ndarray) -> np.ndarray:
    """Forward kinematics; all frames at once, joint by joint down the tree."""
    frames = len(rows)
    positions = np.empty((frames, len(joints), 3))
    rotations = np.empty((len(joints), frames, 3, 3))
    column = 0
    for index, joint in enumerate(joints):
        offset = np.tile(joint.offset, (frames, 1))
        turned = np.tile(np.eye(3), (frames, 1, 1))
        moved = [c for c in joint.channels if c.endswith("position")]
        for channel in joint.channels:
            values, column = rows[:, column], column + 1
            axis = _AXES[channel[0]]
            if channel in moved:
                # A stated position takes the place of the offset.
                offset[:, axis] = values
            else:
                turned = turned @ _about(axis, np.deg2rad(values))
        if joint.parent < 0:
            positions[:, index], rotations[index] = offset, turned
            continue
        above = rotations[joint.parent]
        shift = np.einsum("fij,fj->fi", above, offset)
        positions[:, index] = positions[:, joint.parent] + shift
        rotations[index] = above @ turned
    return positions


def _about(axis: int, angles: np.ndarray) -> np.ndarray:
    """Rotation matrices (frames, 3, 3) about a coordinate axis."""
    matrix = np.tile(np.eye(3), (len(angles), 1, 1))
    one, two = (axis + 1) % 3, (axis + 2) % 3
    cosine, sine = np.cos(angles), np.sin(angles)
    matrix[:, one, one], matrix[:, two, two] = cosine, cosine
    matrix[:, one, two], matrix[:, two, one] = -sine, sine
    return matrix
