"""Human3.6M from a folder that the reference's scripts preprocessed."""

import json
import shutil

import cv2
import fake_human36m as fake
import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets.prepare import prepare
from posejax.data import crops
from tests.refusals import assert_refused_in_one_line


@pytest.fixture
def root(tmp_path):
    return fake.write_preprocessed(tmp_path / "manual")


def build(root, *, config="crops"):
    return prepare(
        "human36m",
        config=config,
        manual_dir=root,
        data_dir=root.parent / "data",
        progress="none",
    )


def read(folder, split):
    source = tfds.builder_from_directory(folder).as_data_source(split)
    return [source[i] for i in range(len(source))]


def assert_refused(root, *words, kind=ValueError, config="crops"):
    assert_refused_in_one_line(lambda: build(root, config=config), *words, kind=kind)
    assert not list((root.parent / "data").glob("human36m/crops/*"))


def test_the_published_order_is_kept(root):
    folder = build(root)
    frames = [r["frame"] for r in read(folder, "test")]
    assert frames == [2, 1, 0, 2, 1, 0]
    metadata = tfds.builder_from_directory(folder).info.metadata
    assert metadata["folders"]["test"] == [
        {"name": "S9/0.0,1.0,1.0,2.0_54138969", "count": 3},
        {"name": "S11/0.0,1.0,1.0,2.0_54138969", "count": 3},
    ]


def test_test_records_have_box_pose_take_and_picture(root):
    for record in read(build(root), "test"):
        frame = record["frame"]
        np.testing.assert_array_equal(record["box"], fake.box_of(frame))
        np.testing.assert_array_equal(record["pose_2d"], fake.pose_of(frame))
        number = {b"S9": 5, b"S11": 6}[record["subject"]]
        np.testing.assert_array_equal(
            record["image"][0, 0], [10 * frame, 20 * number, 200]
        )
        assert record["take"] == b"Walking.54138969"
        assert record["action"] == b"Walking"
        matrix = crops.crop_matrix(np.array([[0.0, 170.0], [170.0, 340.0]]))
        np.testing.assert_array_equal(record["crop_matrix"], matrix)


def test_training_records_know_what_the_optional_files_say(root):
    (root / "data_dict.json").write_text(
        json.dumps(
            {
                subject: {
                    fake.NAMES[0]: [
                        {
                            "frame": f"/elsewhere/h36m/training/{subject}/frames/"
                            f"{fake.NAMES[0]}/frame{i:04d}.png",
                            "bounding_box": fake.encoded(fake.box_of(i), "int64"),
                        }
                        for i in range(3)
                    ]
                }
                for subject in fake.TRAIN
            }
        )
    )
    for record in read(build(root), "train"):
        np.testing.assert_array_equal(record["box"], fake.box_of(record["frame"]))
        assert record["take"] == b"Walking.54138969"
        assert not record["pose_valid"].any()


def test_without_the_optional_files_the_window_stands_for_the_box(root):
    (root / "mapping_preprocessed.json").unlink()
    record = read(build(root), "train")[0]
    np.testing.assert_array_equal(record["box"], [[0, 170], [170, 340]])
    assert (record["take"], record["frame"], record["action"]) == (b"", -1, b"")


@pytest.mark.parametrize("place", ["preprocessed", "preprocessed/training"])
def test_the_inner_folders_are_found_too(root, place):
    folder = prepare(
        "human36m",
        manual_dir=root / place,
        data_dir=root.parent / "data",
        progress="none",
    )
    assert len(read(folder, "train")) == 15


def test_the_other_choice_of_takes_is_refused(root):
    assert_refused(root, "crops_all", "--config crops", config="crops_all")


def test_a_missing_mapping_is_refused(root):
    (root / "preprocessed_to_orig.json").unlink()
    assert_refused(root, "preprocessed_to_orig.json", "step 5", kind=FileNotFoundError)


def test_a_damaged_mapping_is_refused(root):
    path = root / "preprocessed_to_orig.json"
    path.write_text("{")
    assert_refused(root, "preprocessed_to_orig.json", "JSON")
    path.write_text(json.dumps({"a/b/c.png": {"bbox": [[0, 0], [1, 1]]}}))
    assert_refused(root, "a/b/c.png", "damaged")
    path.write_text("{}")
    assert_refused(root, "no entry for", "S9")


def test_a_missing_subject_is_refused(root):
    shutil.rmtree(root / "preprocessed" / "training" / "S6")
    assert_refused(root, "S6", "no crops", kind=FileNotFoundError)


def test_a_folder_with_another_name_is_refused(root):
    (root / "preprocessed" / "training" / "S6" / "old").mkdir()
    assert_refused(root, "old", "not named like")


def test_damaged_pictures_are_refused(root):
    folder = root / "preprocessed" / "training" / "S6" / "0.0,1.0,1.0,2.0_54138969"
    path = sorted(folder.iterdir())[0]
    data = path.read_bytes()
    for damaged in (b"", data[:-30], b"no picture"):
        path.write_bytes(damaged)
        assert_refused(root, path.name, "delete it")
    cv2.imwrite(str(path), np.zeros((8, 8, 3), np.uint8))
    assert_refused(root, path.name, "(8, 8, 3)")
