"""FlyingThings3D as RAFT trains on it: the left camera, forth and back in time."""

import pathlib
from collections.abc import Iterator
from typing import Any, ClassVar

import tensorflow_datasets as tfds

from datasets import flow_records
from datasets.base import OrderedBuilder

SOURCE = (
    "FlyingThings3D (Mayer et al. 2016), lmb.informatik.uni-freiburg.de: for research; "
    "see the archive's own terms."
)
STEMS = {"into_future": "OpticalFlowIntoFuture", "into_past": "OpticalFlowIntoPast"}


class Builder(OrderedBuilder):
    """Rendered things in flight, 960 x 540 pixels: the training part, left camera.

    `manual_dir` holds the archives `RGB images (cleanpass)` or `(finalpass)` and
    `Optical flow`, unpacked; of these::

        frames_cleanpass/TRAIN/<A B C>/<0000>/left/0006.png ... 0015.png
        frames_finalpass/TRAIN/...
        optical_flow/TRAIN/<A B C>/<0000>/into_future/left/
                                          OpticalFlowIntoFuture_0006_L.pfm ...
        optical_flow/TRAIN/<A B C>/<0000>/into_past/left/
                                          OpticalFlowIntoPast_0006_L.pfm ...

    Two frames that follow each other give two records: from the earlier to the later,
    and from the later to the earlier. All forward pairs come first. `train` is the
    folder TRAIN; the folder TEST is not used.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        tfds.core.BuilderConfig(name="clean", description="Without blur."),
        tfds.core.BuilderConfig(name="final", description="With blur."),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Unpack the pictures and the optical flow of FlyingThings3D into a folder and "
        "pass it as --manual_dir (datasets/README.md)."
    )

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=flow_records.flow_features(),
            description="Rendered things in flight, with exact optical flow.",
            homepage=(
                "https://lmb.informatik.uni-freiburg.de/resources/datasets/"
                "SceneFlowDatasets.en.html"
            ),
            citation=(
                "Mayer et al.: A large dataset to train convolutional networks for "
                "disparity, optical flow, and scene flow estimation, CVPR 2016"
            ),
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        root = pathlib.Path(dl_manager.manual_dir)
        return flow_records.raw_splits(
            self,
            {"train": find_scenes(root, f"frames_{self.builder_config.name}pass")},
            sparse=False,
            source=SOURCE,
        )

    def _generate_examples(self, **kwargs: Any) -> Iterator[Any]:
        raise RuntimeError(f"records come from _split_generators, not from {kwargs}.")


def find_scenes(
    root: pathlib.Path, pictures: str
) -> dict[str, list[flow_records.RawPair]]:
    """Finds the pairs of all scenes, both directions.

    Args:
      root: Holds the unpacked archives.
      pictures: `frames_cleanpass` or `frames_finalpass`.

    Returns:
      Per direction and scene its pairs, in the order of time.

    Raises:
      FileNotFoundError: If a folder or a file of a pair is missing.
    """
    frames = root / pictures / "TRAIN"
    flows = root / "optical_flow" / "TRAIN"
    names = [
        f"{letter}/{scene}"
        for letter in flow_records.subfolders(frames, flows)
        for scene in flow_records.subfolders(frames / letter, flows / letter)
    ]
    scenes = {
        f"{direction}/{name}": _pairs(
            frames / name / "left", flows / name / direction / "left", name
        )
        for direction in STEMS
        for name in names
    }
    flow_records.require_complete(scenes, frames, "A/0000/left/0006.png ...")
    return scenes


def _pairs(
    frames: pathlib.Path, flows: pathlib.Path, scene: str
) -> list[flow_records.RawPair]:
    direction = flows.parent.name
    stem = STEMS[direction]
    # Every frame has a flow of its own; that which leads out of the scene is not used.
    numbers = [
        number
        for found in (
            flow_records.files_by_number(frames, r"(\d+)\.png"),
            flow_records.files_by_number(flows, stem + r"_(\d+)_L\.pfm"),
        )
        for (number,) in found
    ]
    pairs = []
    for earlier in range(min(numbers, default=0), max(numbers, default=0)):
        first, second = earlier, earlier + 1
        if direction == "into_past":
            first, second = second, first
        pairs.append(
            flow_records.RawPair(
                name=f"{scene}/{first:04d}-{second:04d}",
                image_1=frames / f"{first:04d}.png",
                image_2=frames / f"{second:04d}.png",
                flow=flows / f"{stem}_{first:04d}_L.pfm",
            )
        )
    return pairs
