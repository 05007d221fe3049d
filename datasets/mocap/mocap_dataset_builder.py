"""Builder of `mocap`: anybody's motion capture, seen by the cameras of Human3.6M."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds
from absl import logging

from datasets import pose_records
from datasets.base import OrderedBuilder
from datasets.mocap.clips import cast, read_clips
from datasets.mocap.staging import resampled, staged
from datasets.progress import track
from posejax.data.h36m_cameras import H36M_SUBJECTS
from posejax.data.pose_files import LAYOUTS
from posejax.data.recordings import PoseSet, Recording
from posejax.skeletons import H36M_17

TEST_SUBJECTS = ("S9", "S11")


@dataclasses.dataclass
class MocapConfig(tfds.core.BuilderConfig):
    """Configuration of the builder.

    Attributes:
      fps: Frames per second of the records.
      noise: Whether there are detections with errors besides the exact ones.
    """

    fps: float = 30.0
    noise: bool = False


class Builder(OrderedBuilder):
    """Motion capture as if it were Human3.6M: its seven subjects, its four cameras.

    Licence: that of the files; nothing is downloaded. `manual_dir` holds any of::

        <name>.npz             arrays `<source subject>/<clip>`: (frames, 17, 3) joints
                               in the order `H36M_17`, metres, z up, the floor at z = 0;
                               30 frames a second, or `fps` of its `metadata` (JSON)
        <source subject>/<clip>.bvh
                               skeletons named as in CMU's conversion, LaFAN1, Mixamo or
                               Bandai Namco; unit and upward axis are found out
        subjects.json          optional: which of S1 S5 S6 S7 S8 S9 S11 plays what,
                               {"<source>": "S1", "<source>/walk*": "S9"}

    Every clip is played by one of Human3.6M's subjects (`clips.cast`): it gets the
    subject's body (bones scaled along the tree, left as right, a function of the
    subject's name), a heading and a place at random such that all four cameras see
    every joint at 2 m or more, and the subject's cameras. A clip that covers too much
    ground is halved (`walk_a`, `walk_b`). An action is named `<activity> <source>
    <clip>`, so that reports by activity work. `train` is S1, S5, S6, S7, S8, `test` is
    S9 and S11.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        MocapConfig(name="poses", description="30 frames a second."),
        MocapConfig(
            name="poses_noisy",
            description="30 frames a second, with detections that err.",
            noise=True,
        ),
        MocapConfig(
            name="poses_50fps",
            description="50 frames a second, as in Human3.6M.",
            fps=50.0,
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put npz or BVH files of motion capture into a folder and pass it as "
        "--manual_dir (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=pose_records.pose_features(),
            description="Motion capture seen by the cameras of Human3.6M.",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        root = pathlib.Path(dl_manager.manual_dir)
        made = self._stage(root)
        splits = pose_records.split_by_subject(made, test_subjects=TEST_SUBJECTS)
        metadata = pose_records.pose_metadata(
            made, splits, source="Motion capture of the user; so is its licence."
        )
        self.set_metadata(metadata)
        return pose_records.record_streams(splits, tuple(made.layouts))

    def _stage(self, root: pathlib.Path) -> PoseSet:
        config = self.builder_config
        clips = read_clips(root)
        players = cast(clips, root)
        recordings: list[Recording] = []
        left_out = []
        for clip, player in track(
            zip(clips, players, strict=True),
            total=len(clips),
            description="staging",
            unit="clips",
            progress=self.progress,
        ):
            parts = staged(
                resampled(clip.joints, clip.fps, config.fps),
                subject=player,
                action=f"{clip.family} {clip.source} {clip.name}",
                fps=config.fps,
                noise=config.noise,
            )
            recordings += parts
            if not parts:
                left_out.append(f"{clip.source}/{clip.name}")
        if left_out:
            logging.warning(
                "%d clips cover too much ground for the cameras and are left out: %s",
                len(left_out),
                ", ".join(left_out[:10]),
            )
        recordings.sort(key=lambda r: H36M_SUBJECTS.index(r.subject))
        layouts = {"noisy": LAYOUTS["h36m"]} if config.noise else {}
        return PoseSet(tuple(recordings), layouts, H36M_17.name, config.fps)

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")
