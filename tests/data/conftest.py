"""A small prepared data set: striped crops whose red level is the record's index."""

import cv2
import numpy as np
import pytest

CROP_SIZE = 32
FOLDERS = {
    "train": [("S1/0.0,0.0,1.0,1.0_a", 7), ("S1/1.0,0.0,2.0,1.0_a", 6), ("S5/a_b", 4)],
    "test": [("S9/0.0,0.0,1.0,1.0_a", 4), ("S9/0.0,0.0,1.0,1.0_b", 1), ("S11/c_a", 5)],
}
# Every split is cut into shards of about this many bytes.
SHARD_BYTES = 3000


def drawn_image(index: int, *, size: int = CROP_SIZE) -> np.ndarray:
    """RGB; red: the index; green: brighter to the right; blue: noise."""
    image = np.zeros((size, size, 3), np.uint8)
    image[..., 0] = index
    image[..., 1] = np.arange(size) * 4
    image[..., 2] = np.random.default_rng(index).integers(0, 256, (size, size))
    return image


def _records(split: str, *, crop_size: int, extension: str):
    from datasets import records

    index = 0
    for folder, count in FOLDERS[split]:
        for _ in range(count):
            image = drawn_image(index, size=crop_size)[..., ::-1]
            _, encoded = cv2.imencode(extension, np.ascontiguousarray(image))
            pose = np.stack([np.arange(32.0) + index, 100 + np.arange(32.0)], axis=-1)
            pose[7] = np.nan  # the right-hand knee of the picture is unknown
            yield (
                index,
                records.frame_record(
                    image=encoded.tobytes(),
                    box=np.array([[10.0, 20.0], [40.0, 60.0]]),
                    crop_matrix=np.array([[0.5, 0.0, 1.0], [0.0, 0.5, -2.0]]),
                    subject=folder.split("/")[0],
                    camera=folder[-1],
                    action="Wälking",
                    take="Walking.a",
                    frame=index,
                    pose_2d=pose,
                ),
            )
            index += 1


def write_frames(
    data_dir,
    *,
    name="drawn",
    crop_size=CROP_SIZE,
    extension=".png",
    labels=True,
    splits=("train", "test"),
):
    """Writes the data set and returns its directory."""
    import tensorflow_datasets as tfds

    from datasets import base, records

    class Drawn(base.OrderedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")
        BUILDER_CONFIGS = (tfds.core.BuilderConfig(name="crops"),)

        def _info(self):
            return self.make_info(
                features=records.frame_features(crop_size), description="Drawn."
            )

        def _split_generators(self, dl_manager):
            self.set_metadata(
                records.frame_metadata(
                    folders={split: FOLDERS[split] for split in splits},
                    crop_size=crop_size,
                    labels=labels,
                    source="Drawn by the tests.",
                )
            )
            return {
                split: _records(split, crop_size=crop_size, extension=extension)
                for split in splits
            }

        def _generate_examples(self):
            raise AssertionError("the split generators yield the records")

    Drawn.name = name
    shard_bytes, base.SHARD_BYTES = base.SHARD_BYTES, SHARD_BYTES
    try:
        builder = Drawn(config="crops", data_dir=data_dir)
        builder.progress = "none"
        builder.download_and_prepare()
    finally:
        base.SHARD_BYTES = shard_bytes
    return builder.data_path


@pytest.fixture(scope="session")
def drawn_dir(tmp_path_factory):
    """A data directory that holds the data set `drawn`; read only."""
    path = tmp_path_factory.mktemp("prepared")
    write_frames(path)
    return path


@pytest.fixture
def damaged(tmp_path):
    """A fresh data directory and the directory of the data set in it, to be damaged."""
    import pathlib

    return tmp_path, pathlib.Path(write_frames(tmp_path))


@pytest.fixture(scope="session")
def frames_writer():
    """`write_frames`, to write other variants."""
    return write_frames


@pytest.fixture(scope="session")
def image_of():
    """`drawn_image`: the picture of a record."""
    return drawn_image
