"""The embedded sample of optical flow: what is promised of it, and exactness."""

import pathlib

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import prepare
from datasets.flow_sample import flow_sample_dataset_builder as sample
from datasets.people_sample import wardrobe
from datasets.people_sample.processes import processed
from posejax.data.transforms import decode_image


def built(folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    """The tiny set, prepared without any files."""
    found = prepare.prepare(
        "flow_sample", config="tiny", data_dir=folder, progress="none"
    )
    return tfds.builder_from_directory(found)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> tfds.core.DatasetBuilder:
    return built(tmp_path_factory.mktemp("tiny"))


def rows(builder, split):
    return list(builder.as_data_source(split))


def shard_bytes(builder) -> dict[str, bytes]:
    folder = pathlib.Path(builder.data_path)
    return {f.name: f.read_bytes() for f in sorted(folder.rglob("*.array_record*"))}


def test_two_builds_have_the_same_bytes(tiny, tmp_path):
    first = shard_bytes(tiny)
    assert len(first) == 2
    assert first == shard_bytes(built(tmp_path))


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_the_pairs():
    jobs = [sample.Job(kind, "test", 0, 32, 48) for kind in ("layers", "people")]
    one, two = (
        list(processed(sample.drawn_record, jobs, num_workers=n)) for n in (1, 2)
    )
    for first, second in zip(one, two, strict=True):
        assert first.keys() == second.keys()
        for key in first:
            np.testing.assert_array_equal(first[key], second[key])


def test_the_sets_have_the_promised_sizes():
    full, tiny = sample.Builder.BUILDER_CONFIGS
    counts = {
        (config.name, split, kind): sum(
            job.kind == kind for job in sample.jobs_of(config, split)
        )
        for config in (full, tiny)
        for split in ("train", "test")
        for kind in ("layers", "people")
    }
    assert list(counts.values()) == [1500, 300, 100, 40, 6, 2, 2, 1]
    assert (full.height, full.width) == (160, 224)


def test_the_metadata_list_kinds_and_sizes(tiny):
    metadata = tiny.info.metadata
    assert metadata["folders"]["train"] == [
        {"name": "layers", "count": 6},
        {"name": "people", "count": 2},
    ]
    assert metadata["sizes"] == {"train": [[8, 64, 96]], "test": [[3, 64, 96]]}
    assert metadata["content"] == "flow"
    assert not metadata["sparse"]
    assert "drawn by posejax" in metadata["source"]


def test_the_flow_is_known_everywhere_and_something_moves(tiny):
    for split in ("train", "test"):
        for record in rows(tiny, split):
            assert record["image_1"].shape == record["image_2"].shape == (64, 96, 3)
            assert record["flow"].shape == (64, 96, 2)
            assert record["valid"].all()
            assert np.abs(record["flow"]).max() > 0.05


def test_what_is_held_out_is_not_trained_on(tiny):
    seen, held_out = (
        {record["image_1"].tobytes() for record in rows(tiny, split)}
        for split in ("train", "test")
    )
    assert len(seen) == 8
    assert len(held_out) == 3
    assert not seen & held_out
    names = {person.name for person in wardrobe.TEST}
    jobs = [sample.Job("people", "test", i, 64, 96) for i in range(2)]
    drawn = {sample.drawn_record(job)["name"].split("/")[1] for job in jobs}
    assert drawn == names


@pytest.mark.parametrize("kind", ["layers", "people"])
def test_the_flow_brings_the_second_picture_back_to_the_first(kind):
    x, y = np.meshgrid(np.arange(224), np.arange(160))
    gains = []
    for index in range(3):
        record = sample.drawn_record(sample.Job(kind, "train", index, 160, 224))
        one, two = (decode_image(record[k]) for k in ("image_1", "image_2"))
        flow = record["flow"]
        gaps = []
        for tried in (flow, -flow):
            at = (np.stack([x, y], axis=-1) + tried).astype(np.float32)
            back = cv2.remap(two, at, None, cv2.INTER_LINEAR)
            gap = np.abs(back.astype(float) - one).mean(axis=-1)
            # The median leaves out what is hidden in the second picture.
            gaps.append(np.median(gap[np.linalg.norm(flow, axis=-1) > 0.5]))
        gains.append(gaps[0] / gaps[1])
    assert np.median(gains) < 0.6
