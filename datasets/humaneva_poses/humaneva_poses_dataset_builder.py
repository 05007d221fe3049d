"""HumanEva as posture_pose needs it: poses and detections, no pictures."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import pose_records
from datasets.base import OrderedBuilder
from datasets.humaneva_poses import raw

SOURCE = (
    "HumanEva-I (Sigal et al. 2010), humaneva.is.tue.mpg.de: for research by "
    "registered persons; neither the files nor these poses may be handed on."
)


class Builder(OrderedBuilder):
    """Poses of HumanEva-I at 60 Hz; train `Train/S1-S3`, test `Validate/S1-S3`.

    The poses are those of humaneva.is.tue.mpg.de, whose licence is for research by
    registered persons. `manual_dir` holds the files that VideoPose3D's scripts make of
    them, or the same converted to plain arrays (`python -m datasets.convert`)::

        data_3d_humaneva15.npz                  joints in the world, metres
        data_2d_humaneva15_<detector>.npz       one or more: detectron_pt_coco, gt, ...

    Files as published are pickles and need `--allow_pickle`; the reader rebuilds arrays
    and runs no code.

    A record is one part of one action of one subject (`Walking 1 chunk0`) with all
    three cameras (`pose_records`), order `HUMANEVA_15`. The parts are those of the
    file, which has left out the frames without motion capture. The cameras have no
    intrinsics: true joints are not projected, and no loss without labels can be had.
    Detections of subjects without poses (`Unlabeled/...`) are left out.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="poses", description="All actions, 60 Hz.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put data_3d_humaneva15.npz and data_2d_humaneva15_<detector>.npz into a "
        "folder and pass it as --manual_dir (datasets/README.md)."
    )
    allow_pickle: bool = False

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=pose_records.pose_features(),
            description="Poses and detections of HumanEva-I.",
            homepage="http://humaneva.is.tue.mpg.de/",
            citation="Sigal, Balan, Black: HumanEva, IJCV 87, 2010",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        made = raw.open_poses(
            pathlib.Path(dl_manager.manual_dir), allow_pickle=self.allow_pickle
        )
        splits = pose_records.split_by_subject(made, test_subjects=raw.TEST_SUBJECTS)
        self.set_metadata(pose_records.pose_metadata(made, splits, source=SOURCE))
        return pose_records.record_streams(splits, tuple(made.layouts))

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")
