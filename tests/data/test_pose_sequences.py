"""From recordings to sequences: subsets, camera axes, order, and what is refused."""

import dataclasses

import numpy as np
import pytest

from posejax.data import pose_sequences as sequences
from posejax.data.h36m_cameras import h36m_camera, h36m_cameras
from posejax.data.pose_cameras import camera_to_world, projected_pixels
from posejax.data.pose_files import LAYOUTS, KeypointLayout, Keypoints
from posejax.data.recordings import (
    PoseSet,
    Recording,
    custom_pose_set,
    h36m_pose_set,
    humaneva_pose_set,
)
from tests import fill


def people(frames, joints=17, seed=0):
    """World joints near the middle of the room."""
    rng = np.random.default_rng(seed)
    return (rng.uniform(-0.5, 0.5, (frames, joints, 3)) + 0.9).astype(np.float32)


def detections(poses, subject, *, extra=0, seed=3):
    """Projections with noise, with `extra` frames at the end."""
    rng = np.random.default_rng(seed)
    views = []
    for camera in h36m_cameras(subject):
        pixels = projected_pixels(poses, camera)
        pixels = np.concatenate([pixels, pixels[:extra]])
        views.append((pixels + rng.normal(size=pixels.shape)).astype(np.float32))
    return tuple(views)


@pytest.fixture(scope="module", name="pose_set")
def _pose_set():
    poses = {
        ("S1", "Walking"): people(5, seed=1),
        ("S1", "Walking 1"): people(4, seed=2),
        ("S1", "WalkTogether"): people(6, seed=3),
        ("S5", "Walking"): people(7, seed=4),
    }
    positions = {
        key: detections(pose, key[0], extra=len(key[1]) % 3)
        for key, pose in poses.items()
    }
    positions["S2", "Walking"] = detections(poses["S5", "Walking"], "S5")
    cpn = Keypoints(LAYOUTS["h36m"], positions)
    return h36m_pose_set(poses, {"cpn": cpn})


@pytest.mark.golden
def test_subsets_start_and_end_where_the_stored_ones_do():
    table = fill.golden("generators", system="posture_pose")[0]["out/subset_table"]
    for length, stride, subset, kept, start in table.tolist():
        frames = sequences.subset_frames(int(length), subset=subset, stride=int(stride))
        expected = np.arange(start, start + kept, stride)
        np.testing.assert_array_equal(frames, expected)


def test_without_a_share_every_nth_frame_from_the_first_is_kept():
    assert sequences.subset_frames(7, stride=3).tolist() == [0, 3, 6]
    assert len(sequences.subset_frames(3, subset=0.01, stride=5)) == 1


def test_sequences_are_ordered_by_subject_action_camera(pose_set):
    found = sequences.pose_sequences(
        pose_set, subjects=("S5", "S1"), actions=("Walking",), detector="cpn"
    )
    assert found.subjects == ("S5",) * 4 + ("S1",) * 8
    assert found.actions == ("Walking",) * 8 + ("Walking 1",) * 4
    assert found.cameras[:4] == ("54138969", "55011271", "58860488", "60457274")
    assert found.lengths.tolist() == [7] * 4 + [5] * 4 + [4] * 4
    assert found.num_views == 4
    assert found.frames(5) == slice(33, 38)
    assert len(found.poses_2d) == len(found.poses_3d) == 64


def test_poses_are_relative_to_a_root_that_keeps_its_place(pose_set):
    found = sequences.pose_sequences(pose_set, subjects=("S1",), detector="cpn")
    for index in (0, 6):
        recording = pose_set.recordings[index // 4]
        camera = recording.cameras[index % 4]
        pose = found.poses_3d[found.frames(index)].copy()
        pose[:, 1:] += pose[:, :1]
        np.testing.assert_allclose(
            camera_to_world(pose, camera), recording.poses_3d, atol=2e-6
        )
        np.testing.assert_array_equal(found.extrinsics[index], camera.extrinsics)
        np.testing.assert_array_equal(found.intrinsics[index], camera.intrinsics)
        assert tuple(found.resolutions[index]) == camera.resolution
    assert found.poses_3d.dtype == found.poses_2d.dtype == np.float32


def test_input_is_what_was_detected_and_targets_are_exact(pose_set):
    found = sequences.pose_sequences(pose_set, subjects=("S1",), detector="cpn")
    off = np.abs(found.poses_2d - found.targets_2d) * 500
    assert 0.5 < off.mean() < 1.5
    exact = sequences.pose_sequences(pose_set, subjects=("S1",))
    np.testing.assert_array_equal(exact.poses_2d, exact.targets_2d)
    camera = pose_set.recordings[0].cameras[0]
    pixels = projected_pixels(pose_set.recordings[0].poses_3d, camera)
    np.testing.assert_allclose(exact.poses_2d[:5], pixels / 500 - [1, 1.002], atol=1e-5)
    assert exact.layout == LAYOUTS["h36m"]


def test_stored_exact_keypoints_win_over_projections(pose_set):
    stored = np.full((4, 5, 17, 2), 500, np.float32)
    recording = dataclasses.replace(pose_set.recordings[0], keypoints={"gt": stored})
    one = PoseSet((recording,), {"gt": LAYOUTS["h36m"]}, "h36m_17", 50.0)
    found = sequences.pose_sequences(one, subjects=("S1",))
    expected = np.broadcast_to([0, -0.002], (17, 2))
    np.testing.assert_allclose(found.targets_2d[0], expected, atol=1e-6)


def test_views_of_a_subset_stay_synchronised(pose_set):
    found = sequences.pose_sequences(pose_set, subjects=("S1",), subset=0.5, stride=2)
    assert found.fps == 25
    for first in range(0, len(found), 4):
        worlds = []
        for view in range(4):
            pose = found.poses_3d[found.frames(first + view)].copy()
            pose[:, 1:] += pose[:, :1]
            camera = h36m_camera("S1", view)
            worlds.append(camera_to_world(pose, camera))
        np.testing.assert_allclose(worlds[1:], [worlds[0]] * 3, atol=1e-5)


def test_a_nose_is_put_between_thorax_and_head():
    keypoints = np.random.default_rng(0).normal(size=(3, 16, 2)).astype(np.float32)
    found = sequences.insert_nose(keypoints)
    np.testing.assert_array_equal(np.delete(found, 9, axis=1), keypoints)
    np.testing.assert_allclose(found[:, 9], keypoints[:, 8:10].mean(axis=1))
    poses = people(3)
    without = np.delete(np.stack(detections(poses, "S1")), 9, axis=2)
    recording = Recording("S1", "A", poses, {"hr": without}, h36m_cameras("S1"))
    one = PoseSet((recording,), {"hr": LAYOUTS["h36m_16"]}, "h36m_17", 50.0)
    made = sequences.pose_sequences(one, subjects=("S1",), detector="hr")
    assert made.poses_2d.shape == (12, 17, 2)
    assert made.layout == LAYOUTS["h36m"]
    assert not made.has_nose


def test_humaneva_has_poses_and_no_intrinsics():
    poses = {("Train/S1", "Walking 1"): people(3, joints=15)}
    seen = Keypoints(
        LAYOUTS["coco"], {("Train/S1", "Walking 1"): (np.zeros((4, 17, 2), "f4"),) * 3}
    )
    found = sequences.pose_sequences(
        humaneva_pose_set(poses, {"coco": seen}),
        subjects=("Train/S1",),
        detector="coco",
        min_depth_m=0.0,
    )
    assert found.num_views == 3
    assert found.intrinsics is None
    assert found.targets_2d is None
    assert found.poses_3d.shape == (9, 15, 3)
    assert found.skeleton == "humaneva_15"


def test_videos_of_ones_own_have_detections_only():
    keypoints = Keypoints(
        LAYOUTS["coco"],
        {("film", "custom"): (np.full((3, 17, 2), 320, np.float32),)},
        {"film": (640, 480)},
    )
    made = custom_pose_set(keypoints, fps=30.0, detector="coco")
    found = sequences.pose_sequences(made, subjects=("film",), detector="coco")
    assert found.poses_3d is None
    assert found.targets_2d is None
    np.testing.assert_allclose(found.poses_2d[0, 0], [0, 0.25])
    assert found.azimuths_deg.tolist() == [70]
    with pytest.raises(ValueError, match="size of the pictures of video 'film'"):
        custom_pose_set(
            dataclasses.replace(keypoints, resolutions={}), fps=30.0, detector="coco"
        )


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"subjects": ("S3",)}, "subject is 'S3'; expected one of 'S5', 'S1'"),
        ({"subjects": ()}, "subjects is empty"),
        ({"subjects": ("S1",), "actions": ("Walkin",)}, "action is 'Walkin'; expected"),
        ({"subjects": ("S1",), "detector": "hr"}, "detector is 'hr'; expected one of"),
        ({"subjects": ("S1",), "subset": 0.0}, "subset is 0.0"),
        ({"subjects": ("S1",), "stride": 0}, "stride is 0"),
        ({"subjects": ("S1",), "min_depth_m": 20.0}, "S1/Walking comes to .* 54138969"),
    ],
)
def test_what_is_not_there_is_named(pose_set, options, words):
    with pytest.raises(ValueError, match=words) as error:
        sequences.pose_sequences(pose_set, **options)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda views: views[:3], "has 3 cameras; the subject has 4"),
        (
            lambda views: (*views[:2], views[2][:4], views[3]),
            "has 4 frames of camera 2, the poses have 5",
        ),
        (None, "S1/Walking in the detections 'cpn' is missing"),
    ],
)
def test_detections_that_do_not_fit_the_poses_are_refused(change, words):
    poses = {("S1", "Walking"): people(5)}
    views = detections(poses["S1", "Walking"], "S1")
    positions = {("S1", "Walking"): change(views)} if change else {}
    with pytest.raises(ValueError, match=words):
        h36m_pose_set(poses, {"cpn": Keypoints(LAYOUTS["h36m"], positions)})


def test_a_layout_mirrors_its_own_pairs_only():
    layout = KeypointLayout("pair", 4, (1,), (3,))
    assert layout.mirror().tolist() == [0, 3, 2, 1]
