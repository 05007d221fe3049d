"""The embedded sample: people drawn by posejax, with everything known about them."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from datasets import pose_records, records
from datasets.base import OrderedBuilder
from datasets.people_sample import crops, poses, videos
from datasets.people_sample.processes import num_processors

SOURCE = (
    "drawn by posejax (datasets/people_sample): articulated people with known joints; "
    "no recording of any person; Apache-2.0"
)


@dataclasses.dataclass
class SampleConfig(tfds.core.BuilderConfig):
    """A form of the sample.

    Attributes:
      crop_size: Side of the crops, pixels.
      tiny: Whether it is a few pictures only, for tests.
      whole_frames: Whether it holds whole videos in place of crops.
      poses: Whether it holds poses and no pictures.
    """

    crop_size: int = 128
    tiny: bool = False
    whole_frames: bool = False
    poses: bool = False


class Builder(OrderedBuilder):
    """Five drawn people for training, two others to test, in front of four cameras.

    A little Human3.6M: the same subjects' names, cameras' names, joint order, raster
    crops and folders, on frames of 256 x 256 pixels, a quarter of the original. Nothing
    is downloaded. Every pixel is a function of the code alone.

    Licence: Apache-2.0, as the code that draws it.
    """

    VERSION = tfds.core.Version("1.1.0")
    RELEASE_NOTES = {  # noqa: RUF012 - a TFDS field
        "1.1.0": "People crouch and move about more; 2800 training crops, not 1800.",
        "1.0.0": "First version.",
    }
    BUILDER_CONFIGS = [  # noqa: RUF012 - a TFDS field
        SampleConfig(
            name="crops",
            description="2800 crops of five people, 360 of two others, 128 x 128.",
        ),
        SampleConfig(
            name="tiny",
            description="24 crops of two people, 10 of another, 64 x 64, for tests.",
            crop_size=64,
            tiny=True,
        ),
        SampleConfig(
            name="frames",
            description="56 clips of 32 frames, 25 a second, with flow and 3-D joints.",
            whole_frames=True,
        ),
        SampleConfig(
            name="tiny_frames",
            description="3 clips of 4 frames with flow and 3-D joints, for tests.",
            tiny=True,
            whole_frames=True,
        ),
        SampleConfig(
            name="poses",
            description="35 recordings of 200 frames in 3-D, seen by four cameras.",
            poses=True,
        ),
        SampleConfig(
            name="poses_tiny",
            description="6 recordings of 12 frames in 3-D, for tests.",
            tiny=True,
            poses=True,
        ),
    ]

    def _info(self) -> tfds.core.DatasetInfo:
        config = self.builder_config
        if config.poses:
            features = pose_records.pose_features()
        elif config.whole_frames:
            features = videos.frame_features()
        else:
            features = records.frame_features(config.crop_size)
        return self.make_info(features=features, description=Builder.__doc__)

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        del dl_manager
        if self.builder_config.poses:
            return self._poses()
        if self.builder_config.whole_frames:
            return self._clips()
        return self._crops()

    def _workers(self) -> int:
        if self.builder_config.tiny:
            return 1  # starting processes takes longer than the drawing
        return self.num_workers or num_processors()

    def _crops(self) -> dict[str, Iterator[Any]]:
        config = self.builder_config
        shots = crops.tiny_shots if config.tiny else crops.full_shots
        folders = crops.collect_folders(
            shots(config.crop_size),
            num_workers=self._workers(),
            progress=self.progress,
        )
        self.set_metadata(
            records.frame_metadata(
                folders={
                    split: [(name, len(group)) for name, group in named.items()]
                    for split, named in folders.items()
                },
                crop_size=config.crop_size,
                labels=True,
                source=SOURCE,
            )
        )
        return {
            split: enumerate(record for group in named.values() for record in group)
            for split, named in folders.items()
        }

    def _clips(self) -> dict[str, Iterator[Any]]:
        clips = videos.tiny_clips() if self.builder_config.tiny else videos.full_clips()
        self.set_metadata(videos.clip_metadata(clips, SOURCE))
        return {
            split: enumerate(videos.clip_stream(group, num_workers=self._workers()))
            for split, group in clips.items()
        }

    def _poses(self) -> dict[str, Iterator[Any]]:
        made = poses.tiny_poses() if self.builder_config.tiny else poses.full_poses()
        splits = pose_records.split_by_subject(made, test_subjects=poses.TEST_SUBJECTS)
        self.set_metadata(pose_records.pose_metadata(made, splits, source=SOURCE))
        return pose_records.record_streams(splits, tuple(made.layouts))

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")
