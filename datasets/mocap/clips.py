"""Motion capture clips as their owners hand them out, and who plays them.

A clip keeps the name of its source subject and its own. Which of Human3.6M's subjects
plays it decides its split, its body and its cameras.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping, Sequence

import numpy as np

from datasets.mocap.body import human_joints
from datasets.mocap.bvh import read_bvh
from posejax.data.h36m_cameras import H36M_SUBJECTS
from posejax.data.pose_files import read_poses_3d

NPZ_FPS = 30.0
SUBJECTS_FILE = "subjects.json"


@dataclasses.dataclass(frozen=True)
class Clip:
    """A recording of somebody.

    Attributes:
      source: Name of the source subject.
      name: Name of the clip.
      joints: (frames, 17, 3) joints, metres, z up, floor near z = 0.
      fps: Frames per second.
    """

    source: str
    name: str
    joints: np.ndarray
    fps: float

    @property
    def family(self) -> str:
        """The activity: the name without numbers of takes and parts."""
        plain = re.sub(r"(_?(part|take)?_?\d+)+$", "", self.name.split(" ", 1)[0])
        return plain or self.name


def read_clips(root: pathlib.Path) -> list[Clip]:
    """Reads `*.npz` and `<subject>/**/*.bvh` of a folder, sorted by name.

    Args:
      root: The folder. Arrays of an npz file are `<subject>/<clip>`, (frames, 17, 3)
        metres, z up, 30 frames a second or as `fps` of its JSON `metadata` says. The
        subject of a BVH file is the first folder below `root`.

    Returns:
      The clips.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If a file is not what it should be, or two clips have one name.
    """
    clips: dict[tuple[str, str], Clip] = {}
    files = [*sorted(root.glob("*.npz")), *sorted(root.rglob("*.bvh"))]
    if not files:
        raise FileNotFoundError(
            f"{root} holds neither <name>.npz nor <subject>/<clip>.bvh "
            "(datasets/README.md shows the tree)."
        )
    for path in files:
        for clip in _npz_clips(path) if path.suffix == ".npz" else [_bvh(path, root)]:
            if (clip.source, clip.name) in clips:
                raise ValueError(
                    f"{path} has a second clip {clip.source}/{clip.name}; give each "
                    "clip a name of its own."
                )
            clips[clip.source, clip.name] = clip
    return [clips[key] for key in sorted(clips)]


def _npz_clips(path: pathlib.Path) -> list[Clip]:
    fps = NPZ_FPS
    with np.load(path, allow_pickle=False) as file:
        if "metadata" in file.files:
            fps = float(json.loads(str(file["metadata"])).get("fps", fps))
    poses = read_poses_3d(path, num_joints=(17,))
    return [
        Clip(source, name, joints.astype(np.float64), fps)
        for (source, name), joints in poses.items()
    ]


def _bvh(path: pathlib.Path, root: pathlib.Path) -> Clip:
    parts = path.relative_to(root).parts
    if len(parts) < 2:
        raise ValueError(
            f"{path} lies in no folder of a subject; expected <subject>/<clip>.bvh."
        )
    motion = read_bvh(path)
    joints = human_joints(motion, str(path))
    # The floor is where the lower ankle is lowest, less its height above the sole.
    ankles = joints[:, [3, 6], 2].min(axis=1)
    joints[..., 2] += 0.09 - np.percentile(ankles, 5)
    name = " ".join((path.stem, *parts[1:-1]))
    return Clip(parts[0], name, joints, motion.fps)


def cast(clips: Sequence[Clip], root: pathlib.Path) -> list[str]:
    """Decides which subject of Human3.6M plays each clip.

    `subjects.json` in the folder says it, `{"<source>": "S1", "<source>/walk*": "S9"}`,
    where patterns of clips win over sources. Without it units of clips go, the longest
    first, to the subject that has the fewest frames so far. A unit is a source subject
    if there are at least seven of them, otherwise an activity of a source subject; so
    all subjects have something to do, and none shares a unit with another.

    Args:
      clips: The clips.
      root: Folder that may hold the file.

    Returns:
      The name of the subject of each clip.

    Raises:
      ValueError: If the file is not what it should be or leaves out a clip, or there
        are fewer units than subjects.
    """
    path = root / SUBJECTS_FILE
    if path.is_file():
        return _cast_by_file(clips, path)
    by_source = len({clip.source for clip in clips}) >= len(H36M_SUBJECTS)
    units = [(c.source, "" if by_source else c.family) for c in clips]
    frames: dict[tuple[str, str], float] = {}
    for unit, clip in zip(units, clips, strict=True):
        frames[unit] = frames.get(unit, 0.0) + len(clip.joints) / clip.fps
    if len(frames) < len(H36M_SUBJECTS):
        raise ValueError(
            f"{root} has {len(frames)} activities of source subjects; expected at "
            f"least {len(H36M_SUBJECTS)}, one for each of {', '.join(H36M_SUBJECTS)}, "
            f"or a file {SUBJECTS_FILE} that says who plays what."
        )
    load = dict.fromkeys(H36M_SUBJECTS, 0.0)
    player = {}
    for unit in sorted(frames, key=lambda unit: (-frames[unit], unit)):
        player[unit] = min(load, key=lambda subject: load[subject])
        load[player[unit]] += frames[unit]
    return [player[unit] for unit in units]


def _cast_by_file(clips: Sequence[Clip], path: pathlib.Path) -> list[str]:
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    if not isinstance(table, dict) or not set(table.values()) <= set(H36M_SUBJECTS):
        raise ValueError(
            f"{path} names subjects {table}; expected pairs of a source subject, or "
            f"'<source>/<pattern of clips>', and one of {', '.join(H36M_SUBJECTS)}."
        )
    return [_player(clip, table, path) for clip in clips]


def _player(clip: Clip, table: Mapping[str, str], path: pathlib.Path) -> str:
    place = pathlib.PurePosixPath(clip.source, clip.name)
    for pattern, subject in table.items():
        if "/" in pattern and place.match(pattern):
            return subject
    if clip.source not in table:
        raise ValueError(
            f"{path} has no subject for {place}; add {clip.source!r} or a pattern."
        )
    return table[clip.source]
