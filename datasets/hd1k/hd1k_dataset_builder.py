"""HD1K: street scenes whose flow was measured, in long sequences."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import flow_records
from datasets.base import OrderedBuilder

SOURCE = (
    "HD1K (Kondermann et al. 2016), hci-benchmark.iwr.uni-heidelberg.de: for research; "
    "see the terms there."
)


class Builder(OrderedBuilder):
    """The training sequences of HD1K, 1047 pairs of 2560 x 1080 pixels; sparse flow.

    `manual_dir` holds the archives `hd1k_input` and `hd1k_flow_gt`, unpacked::

        hd1k_input/image_2/000000_0000.png, 000000_0001.png ...    sequence, frame
        hd1k_flow_gt/flow_occ/000000_0000.png ...

    The flow of a sequence's last frame leads out of it and is not used. `train` is all
    of it.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="pairs", description="All training pairs.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack hd1k_input.zip and hd1k_flow_gt.zip of hci-benchmark.iwr.uni-heidelberg"
        ".de into a folder and pass it as --manual_dir (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=flow_records.flow_features(),
            description="Street scenes with measured, sparse optical flow.",
            homepage="http://hci-benchmark.iwr.uni-heidelberg.de/",
            citation=(
                "Kondermann et al.: The HCI benchmark suite: stereo and flow ground "
                "truth with uncertainties for urban autonomous driving, CVPR-W 2016"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        return flow_records.raw_splits(
            self,
            {"train": find_sequences(pathlib.Path(dl_manager.manual_dir))},
            sparse=True,
            source=SOURCE,
        )

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")


def find_sequences(root: pathlib.Path) -> dict[str, list[flow_records.RawPair]]:
    """Finds the pairs of all sequences.

    Args:
      root: Holds the unpacked archives.

    Returns:
      Per sequence its pairs, in the order of time.

    Raises:
      FileNotFoundError: If a folder or a file of a pair is missing.
    """
    pictures = root / "hd1k_input" / "image_2"
    flows = root / "hd1k_flow_gt" / "flow_occ"
    spans: dict[int, list[int]] = {}
    for folder in (pictures, flows):
        found = flow_records.files_by_number(folder, r"(\d+)_(\d+)\.png")
        for sequence, frame in found:
            spans.setdefault(sequence, []).append(frame)
    sequences = {
        f"{sequence:06d}": [
            flow_records.RawPair(
                name=f"{sequence:06d}_{frame:04d}",
                image_1=pictures / f"{sequence:06d}_{frame:04d}.png",
                image_2=pictures / f"{sequence:06d}_{frame + 1:04d}.png",
                flow=flows / f"{sequence:06d}_{frame:04d}.png",
            )
            for frame in range(min(frames), max(frames))
        ]
        for sequence, frames in sorted(spans.items())
    }
    flow_records.require_complete(
        sequences, pictures, "000000_0000.png, 000000_0001.png ..."
    )
    return sequences
