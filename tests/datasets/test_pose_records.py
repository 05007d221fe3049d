"""Prepared poses and the way back into sequences, with the embedded sample."""

import json
import pathlib
import time

import numpy as np
import pytest

from datasets import prepare
from datasets.people_sample import poses
from posejax.data.pose_sequences import pose_sequences
from posejax.data.pose_source import read_pose_set
from posejax.data.source import DataError


@pytest.fixture(scope="module", name="tiny_dir")
def _tiny_dir(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tiny")
    prepare.prepare(
        "people_sample", config="poses_tiny", data_dir=folder, progress="none"
    )
    return str(folder)


def test_what_was_written_is_read_back(tiny_dir):
    made = poses.tiny_poses()
    found = read_pose_set(tiny_dir, "people_sample", config="poses_tiny")
    assert (found.skeleton, found.fps) == (made.skeleton, made.fps)
    assert len(found.recordings) == len(made.recordings) == 6
    for one, two in zip(found.recordings, made.recordings, strict=True):
        assert (one.subject, one.action) == (two.subject, two.action)
        np.testing.assert_array_equal(one.poses_3d, two.poses_3d)
        for left, right in zip(one.cameras, two.cameras, strict=True):
            assert left.name == right.name
            assert left.resolution == right.resolution
            assert left.azimuth_deg == right.azimuth_deg
            np.testing.assert_array_equal(left.intrinsics, right.intrinsics)
            np.testing.assert_array_equal(left.extrinsics, right.extrinsics)


def test_only_the_subjects_that_are_asked_for_are_read(tiny_dir):
    found = read_pose_set(
        tiny_dir, "people_sample", config="poses_tiny", subjects=("S9",)
    )
    assert [r.subject for r in found.recordings] == ["S9", "S9"]
    sequences = pose_sequences(found, subjects=("S9",))
    assert len(sequences) == 8
    with pytest.raises(ValueError, match="subject is 'S8'; expected one of"):
        read_pose_set(tiny_dir, "people_sample", config="poses_tiny", subjects=("S8",))


def test_a_set_that_is_not_prepared_or_damaged_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match="--config poses_tiny --data_dir"):
        read_pose_set(str(tmp_path), "people_sample", config="poses_tiny")
    folder = prepare.prepare(
        "people_sample", config="poses_tiny", data_dir=tmp_path, progress="none"
    )
    path = folder / "metadata.json"
    metadata = json.loads(path.read_text())
    metadata["folders"]["train"].pop()
    path.write_text(json.dumps(metadata))
    with pytest.raises(DataError, match=r"split train holds 4 records, .* lists 3"):
        read_pose_set(str(tmp_path), "people_sample", config="poses_tiny")
    path.write_text(json.dumps({"folders": {}, "crop_size": 1}))
    with pytest.raises(ValueError, match="holds pictures, not poses"):
        read_pose_set(str(tmp_path), "people_sample", config="poses_tiny")
    for shard in folder.glob("*train*array_record*"):
        shard.write_bytes(shard.read_bytes()[:100])
    path.write_text(json.dumps({**metadata, "folders": {"train": [{"name": "S1/A"}]}}))
    with pytest.raises(DataError, match="split train cannot be read") as error:
        read_pose_set(str(tmp_path), "people_sample", config="poses_tiny")
    assert "\n" not in str(error.value)


@pytest.fixture(scope="module", name="sample")
def _sample(tmp_path_factory):
    folder = tmp_path_factory.mktemp("sample")
    started = time.monotonic()
    path = prepare.prepare(
        "people_sample", config="poses", data_dir=folder, progress="none"
    )
    return folder, path, time.monotonic() - started


def test_the_sample_is_small(sample):
    _, path, _ = sample
    size = sum(f.stat().st_size for f in pathlib.Path(path).rglob("*"))
    assert size < 1 << 20


def test_the_sample_has_the_subjects_of_human36m_in_every_picture(sample):
    folder, _, _ = sample
    found = read_pose_set(str(folder), "people_sample")
    subjects = list(dict.fromkeys(r.subject for r in found.recordings))
    assert subjects == ["S1", "S5", "S6", "S7", "S8", "S9", "S11"]
    for names in (("S1",), ("S5", "S6", "S7", "S8"), ("S9", "S11")):
        made = pose_sequences(found, subjects=names, min_depth_m=2.0)
        assert len(made) == 4 * 5 * len(names)
        limits = made.resolutions[0] / made.resolutions[0, 0]
        assert (np.abs(made.poses_2d) <= limits).all()
        assert made.poses_3d[:, 0, 2].max() < 7.5
        # People move, and their bones do not grow.
        thigh = np.linalg.norm(made.poses_3d[:, 2] - made.poses_3d[:, 1], axis=-1)
        first = made.frames(0)
        assert thigh[first].std() < 1e-3
        assert made.poses_3d[first, 13].std(axis=0).max() > 0.02


def test_the_sample_says_which_way_is_up(sample):
    folder, _, _ = sample
    for recording in read_pose_set(str(folder), "people_sample").recordings[:5]:
        # People crouch: the head is above the pelvis, and high most of the time.
        heads = recording.poses_3d[:, 10, 2]
        assert (heads > recording.poses_3d[:, 0, 2] + 0.4).all()
        assert np.median(heads) > 1.2
        assert (recording.poses_3d[:, [3, 6], 2] > 0).all()
