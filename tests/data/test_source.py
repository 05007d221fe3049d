"""Opening prepared data, finding records, and every way in which files are damaged."""

import json
import pathlib
import pickle
import shutil
import subprocess
import sys

import cloudpickle
import numpy as np
import pytest

from posejax.data import source

REMEDY = "delete .* and prepare the data set again"


def open_drawn(data_dir, split="train"):
    return source.open_source(str(data_dir), "drawn", split=split)


def shards_of(directory, split="train"):
    return sorted(directory.glob(f"*-{split}.array_record*"))


def overwrite(path, *, start, data):
    with path.open("r+b") as file:
        file.seek(start)
        file.write(data)


def read_all(frames, indices):
    return [frames[index] for index in indices]


def one_line(error):
    return "\n" not in str(error.value)


def test_records_come_in_the_order_in_which_they_were_written(drawn_dir):
    frames = open_drawn(drawn_dir)
    assert len(frames) == 17
    assert len(frames.shards) > 3
    assert [frames[i]["frame"] for i in range(17)] == list(range(17))


def test_a_record_is_arrays_and_strings_beside_the_encoded_image(drawn_dir):
    record = open_drawn(drawn_dir)[8]
    assert record["action"] == "Wälking"
    assert (record["subject"], record["camera"]) == ("S1", "a")
    assert record["pose_2d"][0].tolist() == [8.0, 100.0]
    assert record["pose_2d"].dtype == np.float32
    assert record["crop_matrix"].dtype == np.float64
    assert not record["pose_valid"][7]
    assert record["pose_valid"].sum() == 31
    assert record["image"].startswith(b"\x89PNG")


def test_the_image_alone_is_the_image_of_the_record(drawn_dir):
    frames = open_drawn(drawn_dir, "test")
    assert frames.image(3) == frames[3]["image"]


def test_folders_lie_one_behind_the_other(drawn_dir):
    folders = open_drawn(drawn_dir).folders
    assert [(f.start, f.count) for f in folders] == [(0, 7), (7, 6), (13, 4)]
    assert folders[2].name == "S5/a_b"


def test_an_index_outside_the_split_is_refused(drawn_dir):
    with pytest.raises(IndexError, match="index is 17; expected 0 to 16"):
        open_drawn(drawn_dir)[17]


@pytest.mark.parametrize("library", [pickle, cloudpickle])
def test_a_source_survives_pickling(drawn_dir, library):
    frames = open_drawn(drawn_dir)
    assert frames[2]["frame"] == 2  # with a reader open
    copy = pickle.loads(library.dumps(frames))
    assert copy.folders == frames.folders
    assert copy.image(11) == frames.image(11)


def test_a_data_set_that_is_missing_says_how_to_prepare_it(tmp_path):
    with pytest.raises(FileNotFoundError) as error:
        open_drawn(tmp_path)
    assert (
        "python -m datasets.prepare drawn --config crops --manual_dir DIR "
        f"--data_dir {tmp_path}" in (str(error.value))
    )
    assert one_line(error)
    assert not source.is_prepared(str(tmp_path), "drawn")
    assert source.splits(str(tmp_path), "drawn") == ()


def test_a_data_set_of_another_config_does_not_count(drawn_dir):
    assert source.is_prepared(str(drawn_dir), "drawn")
    assert not source.is_prepared(str(drawn_dir), "drawn", config="frames")


def test_a_half_written_data_set_is_not_prepared(damaged):
    data_dir, directory = damaged
    directory.rename(directory.with_name("1.0.0.incomplete.ABC123"))
    assert not source.is_prepared(str(data_dir), "drawn")
    (directory.parent / "2.0.0").mkdir()
    assert not source.is_prepared(str(data_dir), "drawn")


def test_the_newest_version_is_opened(damaged):
    data_dir, directory = damaged
    shutil.copytree(directory, directory.with_name("1.0.10"))
    shutil.copytree(directory, directory.with_name("1.0.9"))
    assert open_drawn(data_dir).directory.endswith("1.0.10")


def test_an_unknown_split_is_refused_with_the_known_ones(drawn_dir):
    with pytest.raises(ValueError, match=r"split is 'dev'; .* has test, train\."):
        open_drawn(drawn_dir, "dev")
    assert set(source.splits(str(drawn_dir), "drawn")) == {"train", "test"}


@pytest.mark.parametrize("kept", [0, 1000, 65536, -1])
def test_a_shard_that_is_cut_short_is_found_when_the_data_are_opened(damaged, kept):
    data_dir, directory = damaged
    shard = shards_of(directory)[1]
    shard.write_bytes(shard.read_bytes()[:kept])
    with pytest.raises(source.DataError, match=REMEDY) as error:
        open_drawn(data_dir)
    assert str(shard) in str(error.value)
    assert one_line(error)


def test_a_shard_that_is_missing_is_found_when_the_data_are_opened(damaged):
    data_dir, directory = damaged
    shards_of(directory)[-1].unlink()
    with pytest.raises(source.DataError, match="No such file") as error:
        open_drawn(data_dir)
    assert one_line(error)
    assert len(open_drawn(data_dir, "test")) == 10


def test_a_shard_of_other_data_is_found_when_the_data_are_opened(damaged):
    data_dir, directory = damaged
    first, *_, last = shards_of(directory)
    shutil.copy(first, last)
    with pytest.raises(source.DataError, match=r"has . records instead of"):
        open_drawn(data_dir)


@pytest.mark.parametrize("start", [40, 1500])
def test_changed_bytes_name_shard_and_record_and_spare_other_shards(damaged, start):
    data_dir, directory = damaged
    shard = shards_of(directory)[1]
    overwrite(shard, start=start, data=b"\xa5" * 1200)
    frames = open_drawn(data_dir)
    first = frames.shards[1].start
    with pytest.raises(source.DataError, match=REMEDY) as error:
        read_all(frames, range(first, first + frames.shards[1].count))
    assert str(shard) in str(error.value)
    assert "train index" in str(error.value)
    assert one_line(error)
    assert frames[0]["frame"] == 0
    assert frames[16]["frame"] == 16


@pytest.mark.parametrize(
    "file", ["dataset_info.json", "features.json", "metadata.json"]
)
def test_a_description_that_is_cut_short_is_refused(damaged, file):
    data_dir, directory = damaged
    path = directory / file
    path.write_text(path.read_text()[:30])
    with pytest.raises(source.DataError, match=REMEDY) as error:
        open_drawn(data_dir)
    assert one_line(error)


def test_folders_that_do_not_account_for_all_records_are_refused(damaged):
    data_dir, directory = damaged
    path = directory / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["folders"]["train"][0]["count"] = 9
    path.write_text(json.dumps(metadata))
    with pytest.raises(source.DataError, match=r"lists 19 records .* shards hold 17"):
        open_drawn(data_dir)
    del metadata["folders"]["train"], metadata["labels"]
    path.write_text(json.dumps(metadata))
    with pytest.raises(source.DataError, match="lacks labels"):
        open_drawn(data_dir)


def test_the_data_package_imports_neither_jax_nor_tensorflow():
    program = (
        "import sys, posejax.data, posejax.data.loaders\n"
        "print([m for m in ('jax', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        check=True,
        cwd=pathlib.Path(__file__).parent.parent.parent,
    )
    assert done.stdout.strip() == "[]"
