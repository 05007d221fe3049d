"""KITTI 2015: street scenes whose flow was measured by a laser scanner."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import flow_records
from datasets.base import OrderedBuilder

SOURCE = (
    "KITTI 2015 (Menze and Geiger 2015), cvlibs.net/datasets/kitti: CC BY-NC-SA 3.0."
)


class Builder(OrderedBuilder):
    """The 200 training pairs of KITTI 2015, about 1242 x 375 pixels; sparse flow.

    `manual_dir` is data_scene_flow, unpacked::

        training/image_2/000000_10.png  training/image_2/000000_11.png ...
        training/flow_occ/000000_10.png ...

    Sizes differ by a few pixels. `train` is all of it: the flow of the test pairs is
    not published. Figures of models that have not seen KITTI are measured on `train`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="pairs", description="All training pairs.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack data_scene_flow.zip of cvlibs.net/datasets/kitti into a folder and "
        "pass it as --manual_dir (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=flow_records.flow_features(),
            description="Street scenes with measured, sparse optical flow.",
            homepage="https://www.cvlibs.net/datasets/kitti/",
            citation="Menze, Geiger: Object scene flow for autonomous vehicles, CVPR "
            "2015",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        pairs = find_pairs(pathlib.Path(dl_manager.manual_dir))
        return flow_records.raw_splits(
            self,
            {"train": {"training": pairs}},
            sparse=True,
            source=SOURCE,
        )

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")


def find_pairs(root: pathlib.Path) -> list[flow_records.RawPair]:
    """Finds the pairs, by number.

    Args:
      root: The unpacked archive.

    Returns:
      A pair for each frame that ends in `_10` or has a flow.

    Raises:
      FileNotFoundError: If a folder or a file of a pair is missing.
    """
    pictures, flows = root / "training" / "image_2", root / "training" / "flow_occ"
    numbers = {
        number
        for folder in (pictures, flows)
        for (number,) in flow_records.files_by_number(folder, r"(\d+)_10\.png")
    }
    pairs = [
        flow_records.RawPair(
            name=f"{number:06d}_10",
            image_1=pictures / f"{number:06d}_10.png",
            image_2=pictures / f"{number:06d}_11.png",
            flow=flows / f"{number:06d}_10.png",
        )
        for number in sorted(numbers)
    ]
    flow_records.require_complete(
        {"training": pairs}, pictures, "000000_10.png, 000000_11.png ..."
    )
    return pairs
