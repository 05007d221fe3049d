"""Human3.6M's poses: a tiny set in each of the raw layouts."""

import numpy as np
import pytest

from datasets import prepare
from datasets.human36m_poses import raw
from posejax.data.h36m_cameras import H36M_SUBJECTS, h36m_cameras
from posejax.data.pose_cameras import projected_pixels
from posejax.data.pose_conversion import convert_pose_file
from posejax.data.pose_sequences import pose_sequences
from posejax.data.pose_source import read_pose_set
from posejax.skeletons import H36M_17, H36M_32, remap
from tests.datasets import fake_human36m

FRAMES = 3
ACTIONS = ("Walking", "Walking 1")
KEPT = remap(H36M_32, H36M_17)


def world(subject, action):
    """32 joints near the middle of the room, metres."""
    rng = np.random.default_rng([len(action), int(subject[1:])])
    return (rng.uniform(-0.5, 0.5, (FRAMES, 32, 3)) + 0.9).astype(np.float32)


def write_published(folder, *, detectors=("gt", "cpn_ft_h36m_dbb")):
    """Writes the files as VideoPose3D's scripts do."""
    folder.mkdir(exist_ok=True)
    poses = {s: {a: world(s, a) for a in ACTIONS} for s in H36M_SUBJECTS}
    np.savez(folder / raw.POSES_FILE, positions_3d=np.array(poses))
    for number, name in enumerate(detectors):
        found = {
            s: {
                a: [
                    # Detections go on for some frames after the poses.
                    np.pad(
                        projected_pixels(pose[:, KEPT], camera) + number,
                        ((0, 2), (0, 0), (0, 0)),
                    )
                    for camera in h36m_cameras(s)
                ]
                for a, pose in actions.items()
            }
            for s, actions in poses.items()
        }
        found["S2"] = found["S1"]
        metadata = {
            "num_joints": 17,
            "keypoints_symmetry": [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]],
        }
        np.savez(
            folder / f"{raw.KEYPOINTS_PREFIX}{name}.npz",
            positions_2d=np.array(found),
            metadata=np.array(metadata),
        )
    return folder


def write_owners_tree(folder):
    for subject in H36M_SUBJECTS:
        for action in (*ACTIONS, "TakingPhoto 1", "Directions"):
            path = folder / subject / raw.CDF_FOLDERS[0] / f"{action}.cdf"
            fake_human36m.write_poses(path, world(subject, action) * 1000)
    return folder


def read_back(manual_dir, data_dir, **options):
    prepare.prepare(
        "human36m_poses",
        manual_dir=manual_dir,
        data_dir=data_dir,
        progress="none",
        **options,
    )
    return read_pose_set(str(data_dir), "human36m_poses")


def test_published_files_become_records_with_all_their_detectors(tmp_path):
    folder = write_published(tmp_path / "raw")
    found = read_back(folder, tmp_path / "data", allow_pickle=True)
    assert (found.fps, found.skeleton) == (50, "h36m_17")
    assert set(found.layouts) == {"gt", "cpn_ft_h36m_dbb"}
    names = [(r.subject, r.action) for r in found.recordings]
    assert names == [(s, a) for s in H36M_SUBJECTS for a in ACTIONS]
    for recording in found.recordings[:3]:
        expected = world(recording.subject, recording.action)[:, KEPT]
        np.testing.assert_array_equal(recording.poses_3d, expected)
        exact = [projected_pixels(expected, camera) for camera in recording.cameras]
        np.testing.assert_array_equal(recording.keypoints["gt"], exact)
        np.testing.assert_allclose(
            recording.keypoints["cpn_ft_h36m_dbb"], np.add(exact, 1), atol=1e-3
        )
    made = pose_sequences(found, subjects=("S9",), detector="cpn_ft_h36m_dbb")
    off = (made.poses_2d - made.targets_2d) * 500
    np.testing.assert_allclose(off, 1, atol=1e-3)


def test_a_pickle_is_refused_unless_it_is_asked_for(tmp_path):
    folder = write_published(tmp_path / "raw")
    with pytest.raises(ValueError, match="pass allow_pickle=True") as error:
        read_back(folder, tmp_path / "data")
    assert "\n" not in str(error.value)


def test_converted_files_need_no_pickle_and_give_the_same(tmp_path):
    folder = write_published(tmp_path / "raw", detectors=("cpn_ft_h36m_dbb",))
    plain = tmp_path / "plain"
    plain.mkdir()
    for path in folder.iterdir():
        convert_pose_file(path, plain / path.name, allow_pickle=True)
    one = read_back(folder, tmp_path / "one", allow_pickle=True)
    two = read_back(plain, tmp_path / "two")
    assert one.layouts == two.layouts
    for left, right in zip(one.recordings, two.recordings, strict=True):
        np.testing.assert_array_equal(left.poses_3d, right.poses_3d)
        for name in one.layouts:
            np.testing.assert_array_equal(left.keypoints[name], right.keypoints[name])


def test_the_owners_files_are_read_in_metres_under_the_published_names(tmp_path):
    found = read_back(write_owners_tree(tmp_path / "raw"), tmp_path / "data")
    actions = {
        s: [r.action for r in found.recordings if r.subject == s] for s in H36M_SUBJECTS
    }
    assert sorted(actions["S1"]) == ["Directions", "Photo 1", "Walking", "Walking 1"]
    assert sorted(actions["S11"]) == ["Photo 1", "Walking", "Walking 1"]
    walking = next(r for r in found.recordings if r.action == "Walking 1")
    np.testing.assert_allclose(
        walking.poses_3d, world("S1", "Walking 1")[:, KEPT], atol=1e-6
    )
    assert not found.layouts


def test_poses_that_cannot_be_used_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"neither data_3d_h36m\.npz nor"):
        raw.open_poses(tmp_path, allow_pickle=False)
    path = tmp_path / "S1" / raw.CDF_FOLDERS[0] / "Walking.cdf"
    fake_human36m.write_poses(path, np.zeros((2, 32, 2), "f4"))
    with pytest.raises(ValueError, match=r"Walking\.cdf has a Pose of \(2, 64\)"):
        raw.open_poses(tmp_path, allow_pickle=False)
    path.write_bytes(b"no CDF")
    with pytest.raises(ValueError, match=r"Walking\.cdf cannot be read as CDF"):
        raw.open_poses(tmp_path, allow_pickle=False)
    np.savez(tmp_path / raw.POSES_FILE, **{"S4/Walking": np.zeros((1, 17, 3))})
    with pytest.raises(ValueError, match="has subjects S4; expected S1"):
        raw.open_poses(tmp_path, allow_pickle=False)


def test_a_set_without_test_subjects_is_refused(tmp_path):
    folder = tmp_path / "raw"
    folder.mkdir()
    np.savez(folder / raw.POSES_FILE, **{"S1/Walking": world("S1", "Walking")})
    with pytest.raises(ValueError, match="split test would be empty"):
        read_back(folder, tmp_path / "data")
