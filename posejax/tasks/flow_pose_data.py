"""The clips of flow_pose: which there are, and how much of each is used."""

import pathlib
from collections.abc import Callable
from typing import NamedTuple

from posejax.checks import require_at_least, require_choice
from posejax.data.clip_files import clip_from_files, point_clip_from_files
from posejax.data.clips import Clip, cropped, first_frames, resized
from posejax.data.degraded_estimates import Faults
from posejax.data.h36m_clips import h36m_clip, h36m_clip_names
from posejax.data.sample_clips import sample_clip, sample_clip_names
from posejax.data.sintel_clips import sintel_clip, sintel_clip_names
from posejax.tasks.flow_pose_kinds import points_of, pose_kind
from posejax.typing import Config, TaskData

DATA_SETS = {
    "human36m_clips": ("raw",),
    "sintel_clips": ("raw",),
    "people_sample": ("frames", "tiny_frames"),
}
# Of files as they are handed out: nothing is prepared.
FILES = ("human36m_clips", "sintel_clips")
# What is known of the clips: bodies, joints in the frames, or either.
_KINDS = {
    "human36m_clips": ("3d",),
    "sintel_clips": ("2d",),
    "people_sample": ("3d", "2d"),
}


class ClipSet(NamedTuple):
    """Clips that are read one at a time.

    Attributes:
      names: Of the clips, in order.
      read: Name to clip; raises ValueError or FileNotFoundError in one line.
    """

    names: tuple[str, ...]
    read: Callable[[str], Clip]


def clip_set(config: Config, data_dir: str) -> ClipSet:
    """Returns the clips that a config names.

    Args:
      config: See `configs/bases/flow_pose.py`.
      data_dir: Folder of the prepared data sets.

    Raises:
      FileNotFoundError: the clips are not there.
      ValueError: a clip that there is not, or a value that is not legal.
    """
    data = config.data
    require_at_least("config.data.every", data.every, 1)
    require_choice("config.data.name", data.name, DATA_SETS)
    pose_kind(config)
    require_choice("config.pose.kind", config.pose.kind, _KINDS[data.name])
    if data.name == "people_sample":
        names = sample_clip_names(data_dir, config=data.config, split=data.split)

        def read(name: str) -> Clip:
            return sample_clip(
                data_dir,
                name,
                config=data.config,
                split=data.split,
                every=data.every,
                faults=Faults(**config.faults.to_dict()),
                seed=config.seed,
                has_bodies=config.pose.kind == "3d",
            )

    elif data.name == "sintel_clips":
        names = sintel_clip_names(data.root)

        def read(name: str) -> Clip:
            return sintel_clip(data.root, name, max_frames=data.max_frames)

    else:
        names = h36m_clip_names(data.root)

        def read(name: str) -> Clip:
            return h36m_clip(data.root, name, max_frames=data.max_frames)

    for name in data.clips:
        require_choice("config.data.clips", name, names)
    return ClipSet(
        tuple(data.clips) or names, lambda name: shrunk_clip(read(name), config)
    )


def make_data(config: Config, data_dir: str) -> TaskData:
    """Refuses: clips are no training data, they are optimised one by one.

    Raises:
      ValueError: always; says which mode to use.
    """
    del config, data_dir
    raise ValueError(
        "flow_pose has no training data of its own; run it with --mode train, which "
        "optimises every clip of the config."
    )


def files_clip(config: Config, frames: str) -> Clip:
    """Reads one clip from files, and returns as much of it as `config.data` says.

    Args:
      config: `poses`, `detections`, `first` and `every` of its `files`.
      frames: A video, or a folder of pictures in their order.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If one is not named, or not what it should be.
    """
    files, path = config.files, pathlib.Path(frames)
    pose_kind(config)
    has_bodies = config.pose.kind == "3d"
    require_at_least("config.files.first", files.first, 0)
    require_at_least("config.files.every", files.every, 1)
    needed, what = ("poses", "METRO's estimates (a plain npz)")
    if not has_bodies:
        needed, what = ("detections", "DCPose's detections (a JSON)")
    if not files[needed]:
        raise ValueError(
            f"config.files.{needed} is '', and config.pose.kind {config.pose.kind!r} "
            f"starts from {what}; name the file: --config.files.{needed}=FILE."
        )
    detections = pathlib.Path(files.detections) if files.detections else None
    options = {
        "frames": path,
        "used": slice(files.first, None, files.every),
        "max_frames": config.data.max_frames,
    }
    if has_bodies:
        clip = clip_from_files(
            path.stem,
            poses=pathlib.Path(files.poses),
            detections=detections,
            **options,
        )
    else:
        assert detections is not None
        clip = point_clip_from_files(path.stem, detections=detections, **options)
    return shrunk_clip(clip, config)


def shrunk_clip(clip: Clip, config: Config) -> Clip:
    """Returns as much of a clip as `config.data` says: frames, size, window.

    Args:
      clip: The whole clip.
      config: `max_frames`, `scale`, `crop` and `crop_margin` of its `data`.
    """
    data = config.data
    clip = resized(first_frames(clip, data.max_frames), data.scale)
    if data.crop:
        joints = points_of(pose_kind(config), clip)
        clip = cropped(clip, joints, data.crop_margin)
    return clip
