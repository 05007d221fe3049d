"""FlyingChairs, divided as RAFT divides it."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import flow_records
from datasets.base import OrderedBuilder

SOURCE = (
    "FlyingChairs (Dosovitskiy et al. 2015), lmb.informatik.uni-freiburg.de: for "
    "research; see the archive's own terms."
)
SPLIT_FILE = "chairs_split.txt"
SPLITS = {"1": "train", "2": "test"}


class Builder(OrderedBuilder):
    """Chairs that move before photographs: 22872 pairs of 512 x 384 pixels.

    `manual_dir` is FlyingChairs_release, unpacked, and one file more::

        data/00001_img1.ppm  data/00001_img2.ppm  data/00001_flow.flo ...
        chairs_split.txt      a line per pair, 1: train, 2: held out; it comes with the
                              code of RAFT (github.com/princeton-vl/RAFT)

    `test` are the pairs that RAFT validates on (22232 and 640 pairs).
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="pairs", description="All pairs.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack FlyingChairs.zip of lmb.informatik.uni-freiburg.de, put "
        "chairs_split.txt of RAFT's repository beside the folder data and pass both's "
        "folder as --manual_dir (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=flow_records.flow_features(),
            description="Drawn chairs before photographs, with exact optical flow.",
            homepage=(
                "https://lmb.informatik.uni-freiburg.de/resources/datasets/"
                "FlyingChairs.en.html"
            ),
            citation=(
                "Dosovitskiy et al.: FlowNet: learning optical flow with convolutional "
                "networks, ICCV 2015"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        found = find_pairs(pathlib.Path(dl_manager.manual_dir))
        return flow_records.raw_splits(
            self,
            {split: {"data": pairs} for split, pairs in found.items()},
            sparse=False,
            source=SOURCE,
        )

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")


def find_pairs(root: pathlib.Path) -> dict[str, list[flow_records.RawPair]]:
    """Finds the pairs of both splits; line i of the split file is pair i.

    Args:
      root: Holds `data` and the split file.

    Returns:
      Per split its pairs, by number.

    Raises:
      FileNotFoundError: If the split file, or a file of a pair, is missing.
      ValueError: If the split file does not belong to these pairs.
    """
    data = root / "data"
    marks = _read_marks(root / SPLIT_FILE)
    found = flow_records.files_by_number(data, r"(\d+)_flow\.flo")
    if found and max(found)[0] > len(marks):
        raise ValueError(
            f"{root / SPLIT_FILE} has {len(marks)} lines, but {data} holds pair "
            f"{max(found)[0]}; expected one line per pair."
        )
    splits: dict[str, list[flow_records.RawPair]] = {
        name: [] for name in SPLITS.values()
    }
    for number, mark in enumerate(marks, 1):
        stem = f"{number:05d}"
        splits[SPLITS[mark]].append(
            flow_records.RawPair(
                name=stem,
                image_1=data / f"{stem}_img1.ppm",
                image_2=data / f"{stem}_img2.ppm",
                flow=data / f"{stem}_flow.flo",
            )
        )
    flow_records.require_complete(splits, data, "00001_img1.ppm ...")
    return splits


def _read_marks(path: pathlib.Path) -> list[str]:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; it comes with the code of RAFT "
            "(github.com/princeton-vl/RAFT), copy it there."
        )
    marks = path.read_text(encoding="utf-8", errors="replace").split()
    for line, mark in enumerate(marks, 1):
        if mark not in SPLITS:
            raise ValueError(
                f"{path} says {mark[:20]!r} of pair {line}; expected 1 (train) or 2 "
                "(held out)."
            )
    return marks
