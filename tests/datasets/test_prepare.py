"""The prepare command: names, folders, full disks, order of records."""

import os
import subprocess
import sys
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import base, prepare, records
from datasets.progress import track


class Counted(base.OrderedBuilder, skip_registration=True):
    """Twelve records, the number of each in its take; may be made to fail."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name="crops")]  # noqa: RUF012
    keys = range(12)
    failure: BaseException | None = None
    count = 12

    def _info(self):
        return self.make_info(features=records.frame_features(8), description="Test.")

    def _split_generators(self, dl_manager):
        self.set_metadata(
            records.frame_metadata(
                folders={"train": [("a", 5), ("b", self.count - 5)]},
                crop_size=8,
                labels=False,
                source="drawn",
            )
        )
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        image = records.encode_png(np.zeros((8, 8, 3), np.uint8))
        for key in self.keys:
            if self.failure is not None and key == 7:
                raise self.failure
            record = records.frame_record(
                image=image,
                box=np.zeros((2, 2)),
                crop_matrix=np.eye(2, 3),
                subject="a",
                camera="c",
                action="",
                take=f"take {key}",
                frame=key,
            )
            yield key, record


@pytest.fixture
def counted(monkeypatch):
    builder = type("Counted", (Counted,), {}, skip_registration=True)
    builder.name = "counted"
    monkeypatch.setitem(prepare.BUILDERS, "counted", lambda: builder)
    return builder


def run(data_dir, **options):
    return prepare.prepare("counted", data_dir=data_dir, progress="none", **options)


def test_records_come_back_in_the_order_of_their_keys(counted, tmp_path, monkeypatch):
    monkeypatch.setattr(base, "SHARD_BYTES", 2000)
    folder = run(tmp_path)
    assert folder == tmp_path / "counted" / "crops" / "1.0.0"
    builder = tfds.builder_from_directory(folder)
    source = builder.as_data_source("train")
    assert builder.info.splits["train"].num_shards > 1
    assert [source[i]["frame"] for i in range(len(source))] == list(range(12))
    assert builder.info.metadata["folders"]["train"][1] == {"name": "b", "count": 7}
    assert not builder.info.metadata["labels"]


def test_nothing_imports_tensorflow_or_jax(tmp_path):
    code = (
        "import sys, datasets.human36m.human36m_dataset_builder as b;"
        "b.Builder(config='crops', data_dir='.');"
        "sys.exit('tensorflow' in sys.modules or 'jax' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_a_finished_set_is_not_built_again(counted, tmp_path):
    folder = run(tmp_path)
    counted.failure = ValueError("built twice")
    assert run(tmp_path) == folder


def test_leftovers_of_a_killed_run_are_removed(counted, tmp_path):
    leftover = tmp_path / "counted" / "crops" / "incomplete.ABC123_1.0.0"
    leftover.mkdir(parents=True)
    (leftover / "train.part-00000").write_bytes(b"half")
    folder = run(tmp_path)
    assert [p.name for p in folder.parent.iterdir()] == ["1.0.0"]


def test_a_second_process_waits_and_finds_the_set(counted, tmp_path):
    threads = [threading.Thread(target=run, args=(tmp_path,)) for _ in range(2)]
    # Threads share a process, but each opens the lock anew, which is what counts.
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=60)
    folder = run(tmp_path)
    assert len(tfds.builder_from_directory(folder).as_data_source("train")) == 12


def test_the_cache_is_gone_when_the_set_is_finished(counted, tmp_path):
    cache = tmp_path / "counted" / ".decoded" / "crops"
    (cache / "S1").mkdir(parents=True)
    run(tmp_path)
    assert not cache.exists()


@pytest.mark.parametrize(
    "failure",
    [
        OSError(28, "No space left on device"),
        RuntimeError("write() failed: No space left on device; writing x; at byte 9"),
    ],
)
def test_a_full_disk_is_named_and_leaves_nothing_that_looks_finished(
    counted, tmp_path, failure
):
    counted.failure = failure
    with pytest.raises(OSError, match=r"is full .* free.*another --data_dir"):
        run(tmp_path)
    assert not list((tmp_path / "counted").glob("crops/*"))
    counted.failure = None
    assert run(tmp_path).is_dir()


def test_a_folder_that_cannot_be_written_to_is_named(counted, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    with pytest.raises(PermissionError, match="cannot be written to"):
        run(tmp_path / "file" / "data")

    def refuse(path, *args, **options):
        raise PermissionError(13, "Permission denied", os.fspath(path))

    monkeypatch.setattr(prepare.pathlib.Path, "mkdir", refuse)
    with pytest.raises(PermissionError, match=r"data_dir .* choose another --data_dir"):
        run(tmp_path / "data")


def test_other_errors_pass_unchanged(counted, tmp_path):
    counted.failure = FileNotFoundError("video x is missing")
    with pytest.raises(FileNotFoundError, match="video x is missing"):
        run(tmp_path)


def test_builders_that_lie_about_order_or_count_are_refused(counted, tmp_path):
    counted.keys = [0, 2]
    with pytest.raises(ValueError, match="record 1 of split train has key 2"):
        run(tmp_path)
    counted.keys = range(11)
    with pytest.raises(ValueError, match="got 11 records, its folders hold 12"):
        run(tmp_path)
    counted.keys = ()
    with pytest.raises(ValueError, match="no records"):
        run(tmp_path)


def test_unknown_names_are_answered_with_the_nearest(counted, tmp_path):
    with pytest.raises(ValueError, match="did you mean 'human36m'"):
        prepare.prepare("human3.6m", data_dir=tmp_path)
    with pytest.raises(ValueError, match="did you mean 'crops'"):
        run(tmp_path, config="crop")
    assert not list(tmp_path.iterdir())


def test_raw_files_are_asked_for(tmp_path):
    with pytest.raises(ValueError, match="--manual_dir"):
        prepare.prepare("human36m", data_dir=tmp_path)
    with pytest.raises(FileNotFoundError, match="is not a folder"):
        prepare.prepare("human36m", data_dir=tmp_path, manual_dir=tmp_path / "missing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="is empty"):
        prepare.prepare("human36m", data_dir=tmp_path, manual_dir=tmp_path / "empty")


def test_only_array_record_is_written(counted, tmp_path):
    with pytest.raises(ValueError, match="only 'array_record'"):
        counted(config="crops", data_dir=tmp_path, file_format="tfrecord")


def test_the_command_answers_errors_in_one_line_with_code_2(counted, tmp_path, capsys):
    assert prepare.main(["human3.6m", "--data_dir", str(tmp_path)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: name is 'human3.6m'")
    assert captured.err.count("\n") == 1
    counted.failure = OSError(28, "No space left on device")
    assert prepare.main(["counted", "--data_dir", str(tmp_path)]) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith("error: the disk of")


def test_the_command_prints_the_folder(counted, tmp_path, capsys):
    assert prepare.main(["counted", "--data_dir", str(tmp_path)]) == 0
    captured = capsys.readouterr()
    assert captured.out.startswith(str(tmp_path / "counted" / "crops" / "1.0.0"))
    assert captured.out.count("\n") == 1
    assert "writing train: 12 of 12 records, done" in captured.err


def test_an_interrupted_command_says_that_it_can_go_on(counted, tmp_path, capsys):
    counted.failure = KeyboardInterrupt()
    assert prepare.main(["counted", "--data_dir", str(tmp_path)]) == 130
    assert "goes on where it stopped" in capsys.readouterr().err
    assert not list((tmp_path / "counted").glob("crops/*"))


def test_records_say_what_is_wrong_with_a_shape():
    options = {
        "image": b"",
        "box": np.zeros((2, 2)),
        "crop_matrix": np.eye(2, 3),
        "subject": "a",
        "camera": "b",
        "action": "c",
        "take": "d",
        "frame": 3,
    }
    pose = np.ones((32, 2))
    pose[4, 1] = np.nan
    record = records.frame_record(**options, pose_2d=pose)
    assert list(np.flatnonzero(~record["pose_valid"])) == [4]
    assert np.isfinite(record["pose_2d"]).all()
    with pytest.raises(ValueError, match=r"box of frame 3 of d has shape \(4,\)"):
        records.frame_record(**{**options, "box": np.zeros(4)})
    with pytest.raises(ValueError, match=r"pose_2d of frame 3 of d has shape"):
        records.frame_record(**options, pose_2d=np.ones((17, 2)))


def test_permutations_depend_on_folder_and_seed_only():
    first = records.permutation(50, "S1/a_1")
    np.testing.assert_array_equal(first, records.permutation(50, "S1/a_1"))
    np.testing.assert_array_equal(np.sort(first), np.arange(50))
    assert (first != records.permutation(50, "S1/a_2")).any()
    assert (first != records.permutation(50, "S1/a_1", seed=1)).any()


def test_progress_in_lines_counts_and_passes_items_on(capsys):
    items = track(
        range(3), total=3, description="testing", unit="things", progress="lines"
    )
    assert list(items) == [0, 1, 2]
    assert capsys.readouterr().err == "testing: 3 of 3 things, done\n"
    with pytest.raises(ValueError, match="progress is 'loud'"):
        list(track([], total=0, description="", unit="", progress="loud"))
