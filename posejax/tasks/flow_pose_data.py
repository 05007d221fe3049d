"""The clips of flow_pose: which there are, and how much of each is used."""

from collections.abc import Callable
from typing import NamedTuple

from posejax.checks import require_at_least, require_choice
from posejax.data.clips import Clip, cropped, first_frames, resized
from posejax.data.degraded_estimates import Faults
from posejax.data.h36m_clips import h36m_clip, h36m_clip_names
from posejax.data.sample_clips import sample_clip, sample_clip_names
from posejax.tasks.flow_pose import projected
from posejax.typing import Config, TaskData

DATA_SETS = {
    "human36m_clips": ("raw",),
    "people_sample": ("frames", "tiny_frames"),
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
            )

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


def shrunk_clip(clip: Clip, config: Config) -> Clip:
    """Returns as much of a clip as `config.data` says: frames, size, window.

    Args:
      clip: The whole clip.
      config: `max_frames`, `scale`, `crop` and `crop_margin` of its `data`.
    """
    data = config.data
    clip = resized(first_frames(clip, data.max_frames), data.scale)
    if data.crop:
        joints = projected(clip.pose, clip.camera, clip.scale, clip.origin)
        clip = cropped(clip, joints, data.crop_margin)
    return clip
