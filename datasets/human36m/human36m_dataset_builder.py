"""Human3.6M as template_warp needs it: every frame, cropped on a raster."""

import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import tensorflow_datasets as tfds

from datasets import records
from datasets.base import OrderedBuilder
from datasets.human36m import preprocessed, raw

SOURCE = (
    "Human3.6M (Ionescu et al. 2014), vision.imar.ro/human3.6m: for academic use by "
    "registered persons; neither the files nor these crops may be handed on."
)


@dataclasses.dataclass(kw_only=True)
class CropsConfig(tfds.core.BuilderConfig):
    """Which videos are used and how large the crops are.

    Attributes:
      take_filter: "reference" keeps the videos that the published runs saw (see
        `datasets.human36m.tree.activity`), "all" every take of the same activities.
      crop_size: Side of the crops, pixels.
    """

    take_filter: str = "reference"
    crop_size: int = 256


class Builder(OrderedBuilder):
    """Frames of Human3.6M, cropped to the person; train S1, S5-S8, test S9, S11.

    The files are those of vision.imar.ro/human3.6m, whose licence is for academic use
    by registered persons. `manual_dir` is one of two trees; which one is found out.

    The owners' archives, for each of S1 S5 S6 S7 S8 S9 S11 unpacked at one place:

      <S>/Videos/<take>.mp4                              Videos_<S>.tgz
      <S>/MySegmentsMat/ground_truth_bb/<take>.mat       Segments_mat_gt_bb_<S>.tgz
      <S>/MyPoseFeatures/D2_Positions/<take>.cdf         Poses_D2_Positions_<S>.tgz

    with takes such as `Walking.54138969` and `Walking 1.54138969`. Poses are needed for
    S9 and S11 only. The folders `videos`, `bboxes` and `../poses/<S>` of the layout
    that the reference works on are understood as well.

    Or what the reference's scripts made of them:

      preprocessed/training/<S>/<X0>,<Y0>,<X1>,<Y1>_<camera>/frame_<letters>.png
      preprocessed_to_orig.json      boxes and poses of S9 and S11
      mapping_preprocessed.json      optional: takes and frame numbers of the others
      data_dict.json                 optional: boxes of the others

    Every frame is decoded (50 Hz). Crops are kept in `.decoded` until the set is
    finished, so that an interrupted run goes on where it stopped.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First version."}  # noqa: RUF012 - as TFDS declares it
    BUILDER_CONFIGS = [  # noqa: RUF012
        CropsConfig(name="crops", description="The takes of the published runs."),
        CropsConfig(
            name="crops_all",
            description="Every take of the same activities.",
            take_filter="all",
        ),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Register at vision.imar.ro/human3.6m and unpack, for S1 S5 S6 S7 S8 S9 S11, "
        "Videos, Segments_mat_gt_bb and Poses_D2_Positions (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=records.frame_features(self.builder_config.crop_size),
            description="Frames of Human3.6M, cropped to the person on a raster.",
            homepage="http://vision.imar.ro/human3.6m/",
            citation=(
                "Ionescu, Papava, Olaru, Sminchisescu: Human3.6M, IEEE TPAMI 36(7), "
                "2014"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator]:
        root = pathlib.Path(dl_manager.manual_dir)
        if preprocessed.training_folder(root) is not None:
            return self._preprocessed(root)
        config = self.builder_config
        splits = raw.open_splits(
            root,
            self.cache_dir or pathlib.Path(self.data_dir).parent / ".decoded",
            take_filter=config.take_filter,
            crop_size=config.crop_size,
            num_workers=self.num_workers,
            progress=self.progress,
        )
        self._set_folders({name: split.folders for name, split in splits.items()})
        return {name: self._generate_examples(split) for name, split in splits.items()}

    def _preprocessed(self, root: pathlib.Path) -> dict[str, Iterator]:
        config = self.builder_config
        if config.take_filter != "reference":
            raise ValueError(
                f"config is {config.name!r}, but {root} was preprocessed with the "
                "reference's choice of takes; pass --config crops or the raw tree."
            )
        splits, originals = preprocessed.open_splits(root)
        self._set_folders(
            {
                name: [(f.name, len(f.files)) for f in folders]
                for name, folders in splits.items()
            }
        )
        return {
            name: preprocessed.generate(folders, originals)
            for name, folders in splits.items()
        }

    def _set_folders(self, folders: dict[str, list[tuple[str, int]]]) -> None:
        self.set_metadata(
            records.frame_metadata(
                folders=folders,
                crop_size=self.builder_config.crop_size,
                labels=True,
                source=SOURCE,
            )
        )

    def _generate_examples(
        self, split: raw.Split
    ) -> Iterator[tuple[int, records.Record]]:
        return raw.generate(split)
