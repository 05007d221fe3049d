"""HumanEva's poses: a tiny set in the raw layout, published and plain."""

import numpy as np
import pytest

from datasets import prepare
from datasets.humaneva_poses import raw
from posejax.data.humaneva_cameras import humaneva_cameras
from posejax.data.keypoint_layouts import LAYOUTS
from posejax.data.pose_sequences import pose_sequences
from posejax.data.pose_source import read_pose_set
from tests.datasets import fake_humaneva


def read_back(manual_dir, data_dir, **options):
    prepare.prepare(
        "humaneva_poses",
        manual_dir=manual_dir,
        data_dir=data_dir,
        progress="none",
        **options,
    )
    return read_pose_set(str(data_dir), "humaneva_poses")


@pytest.fixture(scope="module", name="published")
def _published(tmp_path_factory):
    folder = tmp_path_factory.mktemp("humaneva")
    raw_files = fake_humaneva.write(folder / "raw")
    return read_back(raw_files, folder / "data", allow_pickle=True)


def test_every_part_of_a_recording_is_a_record_with_all_detectors(published):
    assert (published.fps, published.skeleton) == (60, "humaneva_15")
    assert published.layouts == {
        "detectron_pt_coco": LAYOUTS["coco"], "gt": LAYOUTS["humaneva15"],
    }  # fmt: skip
    names = [(r.subject, r.action) for r in published.recordings]
    assert names == [
        (subject, action)
        for subject in fake_humaneva.SUBJECTS
        for action in fake_humaneva.PARTS
    ]
    for one in published.recordings:
        expected = fake_humaneva.world(one.subject, one.action)
        np.testing.assert_array_equal(one.poses_3d, expected)
        for name, layout in published.layouts.items():
            found = fake_humaneva.detected(one.subject, one.action, layout.num_joints)
            np.testing.assert_array_equal(one.keypoints[name], found)


def test_the_cameras_are_those_of_the_person_without_a_lens(published):
    one = published.recordings[-1]
    expected = humaneva_cameras("S3")
    assert [camera.name for camera in one.cameras] == ["C1", "C2", "C3"]
    for found, known in zip(one.cameras, expected, strict=True):
        assert found.resolution == (640, 480)
        assert found.intrinsics is None
        np.testing.assert_array_equal(found.extrinsics, known.extrinsics)


def test_actions_are_chosen_by_the_name_before_take_and_part(published):
    found = pose_sequences(
        published,
        subjects=("Validate/S2",),
        actions=("Walking", "Jog"),
        detector="detectron_pt_coco",
    )
    assert found.actions[::3] == (
        "Walking 1 chunk0", "Walking 1 chunk2", "Jog 1 chunk0",
    )  # fmt: skip
    assert found.poses_3d.shape == (3 * 12, 15, 3)
    # From the file of exact keypoints, although nothing can be projected.
    assert found.targets_2d.shape == (3 * 12, 15, 2)
    assert found.intrinsics is None


def test_plain_files_need_no_switch_and_give_the_same(published, tmp_path):
    found = read_back(fake_humaneva.write_plain(tmp_path / "raw"), tmp_path / "data")
    assert found.layouts == published.layouts
    for one, other in zip(found.recordings, published.recordings, strict=True):
        np.testing.assert_array_equal(one.poses_3d, other.poses_3d)
        for name in found.layouts:
            np.testing.assert_array_equal(one.keypoints[name], other.keypoints[name])


def refused(folder, error, *words, allow_pickle=True):
    with pytest.raises(error) as caught:
        raw.open_poses(folder, allow_pickle=allow_pickle)
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)


def test_files_that_are_missing_are_named(tmp_path):
    refused(tmp_path, FileNotFoundError, "data_3d_humaneva15.npz is missing")
    fake_humaneva.write(tmp_path / "a", detectors=())
    refused(tmp_path / "a", FileNotFoundError, "has no data_2d_humaneva15_<detector>")


def test_files_that_are_wrong_are_named(tmp_path):
    folder = fake_humaneva.write(tmp_path / "a")
    refused(folder, ValueError, "allow_pickle=True", allow_pickle=False)
    path = folder / raw.POSES_FILE
    pose = fake_humaneva.world("Train/S1", "Jog 1 chunk0")
    np.savez(path, **{"Train/S1/Jog 1 chunk0": np.zeros((2, 20, 3))})
    refused(folder, ValueError, "has shape (2, 20, 3)", "15 joints")
    np.savez(path, **{"S1/Jog 1 chunk0": pose})
    refused(folder, ValueError, "has subjects S1; expected Train/S1, Train/S2")
    pose[2, 3] = np.nan
    np.savez(path, **{"Train/S1/Jog 1 chunk0": pose})
    refused(folder, ValueError, "not finite in 1 frames, first in frame 2")
    np.savez(path, **{"Train/S1/Jog 2 chunk0": np.ones((2, 15, 3))})
    refused(folder, ValueError, "Train/S1/Jog 2 chunk0 in the detections", "is missing")


def test_a_set_without_one_of_the_splits_is_refused(tmp_path):
    folder = fake_humaneva.write(tmp_path / "raw")
    pose = fake_humaneva.world("Train/S1", "Jog 1 chunk0")
    np.savez(folder / raw.POSES_FILE, **{"Train/S1/Jog 1 chunk0": pose})
    with pytest.raises(ValueError, match="split test would be empty"):
        read_back(folder, tmp_path / "data", allow_pickle=True)
