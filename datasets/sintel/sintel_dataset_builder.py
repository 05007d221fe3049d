"""MPI Sintel as RAFT trains on it and is measured on it."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import flow_records
from datasets.base import OrderedBuilder

SOURCE = (
    "MPI Sintel (Butler et al. 2012), sintel.is.tue.mpg.de; the film is (c) Blender "
    "Foundation, CC BY 3.0."
)


class Builder(OrderedBuilder):
    """The training scenes of MPI Sintel, 1041 pairs of 1024 x 436 pixels.

    `manual_dir` is MPI-Sintel-complete, unpacked::

        training/clean/<scene>/frame_0001.png ...
        training/final/<scene>/frame_0001.png ...
        training/flow/<scene>/frame_0001.flo ...       none for a scene's last frame

    `train` is all of it: the flow of the test scenes is not published. Figures of
    models that have not seen Sintel are measured on `train`.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="clean", description="Without blur and haze."),
        tfds.core.BuilderConfig(name="final", description="As in the film."),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack MPI-Sintel-complete.zip of sintel.is.tue.mpg.de into a folder and pass "
        "it as --manual_dir (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=flow_records.flow_features(),
            description="Frames of an animated film with exact optical flow.",
            homepage="http://sintel.is.tue.mpg.de/",
            citation=(
                "Butler, Wulff, Stanley, Black: A naturalistic open source movie for "
                "optical flow evaluation, ECCV 2012"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        root = pathlib.Path(dl_manager.manual_dir)
        return flow_records.raw_splits(
            self,
            {"train": find_scenes(root, self.builder_config.name)},
            sparse=False,
            source=SOURCE,
        )

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")


def find_scenes(
    root: pathlib.Path, rendering: str
) -> dict[str, list[flow_records.RawPair]]:
    """Finds the pairs of all scenes.

    Args:
      root: The unpacked archive.
      rendering: `clean` or `final`.

    Returns:
      Per scene its pairs, in the order of the film.

    Raises:
      FileNotFoundError: If a folder or a file of a pair is missing.
    """
    training = root / "training"
    pictures, flows = training / rendering, training / "flow"
    scenes = {}
    for scene in flow_records.subfolders(pictures, flows):
        frames = flow_records.files_by_number(pictures / scene, r"frame_(\d+)\.png")
        fields = flow_records.files_by_number(flows / scene, r"frame_(\d+)\.flo")
        last = max([n for (n,) in frames] + [n + 1 for (n,) in fields], default=0)
        scenes[scene] = [
            flow_records.RawPair(
                name=f"{scene}/frame_{i:04d}",
                image_1=pictures / scene / f"frame_{i:04d}.png",
                image_2=pictures / scene / f"frame_{i + 1:04d}.png",
                flow=flows / scene / f"frame_{i:04d}.flo",
            )
            for i in range(1, last)
        ]
    flow_records.require_complete(
        scenes, pictures, "<scene>/frame_0001.png, frame_0002.png ..."
    )
    return scenes
