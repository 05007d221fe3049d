"""Clips of files: which frames and labels are read, and what is refused."""

import numpy as np
import pytest

from posejax.data import h36m_camera, h36m_clips, lsp_labels, sintel_clips
from posejax.data.clip_files import clip_from_files, point_clip_from_files
from posejax.data.clip_labels import labels_as
from posejax.data.metro import write_metro
from posejax.data.pose_files import read_poses_3d
from posejax.skeletons import H36M_17, LSP_14, POSETRACK_17
from tests.data import fake_clips
from tests.refusals import assert_refused_in_one_line

NAME = "S9/Walking 1.60457274"


@pytest.fixture(scope="module")
def human36m(tmp_path_factory):
    root = tmp_path_factory.mktemp("h36m")
    return fake_clips.write_human36m(root, fake_clips.VIDEOS, labelled=9)


@pytest.fixture(scope="module")
def sintel(tmp_path_factory):
    return fake_clips.write_sintel(tmp_path_factory.mktemp("sintel"), detected=2)


@pytest.fixture
def files(tmp_path):
    """One clip from files: frames, poses, detections."""
    fake_clips.write_film(tmp_path / "walk.mp4", 3)
    write_metro(tmp_path / "poses.npz", fake_clips.estimates())
    fake_clips.write_detections(tmp_path / "found.json")
    return {
        "frames": tmp_path / "walk.mp4",
        "poses": tmp_path / "poses.npz",
        "detections": tmp_path / "found.json",
    }


def number_of(image):
    return round(float(image[4:12, 4:12].mean()) / 12)


def test_clips_are_those_with_estimates_but_for_all_and_the_damaged_video(human36m):
    names = h36m_clips.h36m_clip_names(str(human36m))
    assert names == (
        "S9/TakingPhoto.60457274", NAME, "S11/Directions 1.60457274",
    )  # fmt: skip


def test_every_fifth_frame_from_the_second_is_read(human36m):
    clip = h36m_clips.h36m_clip(str(human36m), NAME)
    assert [number_of(image) for image in clip.images] == [1, 6, 11]
    assert clip.fps == 10
    short = h36m_clips.h36m_clip(str(human36m), NAME, max_frames=2)
    assert [number_of(image) for image in short.images] == [1, 6]
    assert len(short.truth.joints) == 2


def test_labels_are_in_camera_axes_and_of_the_used_frames_as_far_as_there_are(human36m):
    clip = h36m_clips.h36m_clip(str(human36m), NAME)
    world = read_poses_3d(human36m / "data_3d_h36m.npz")["S9", "Walking 1"]
    expected = lsp_labels(world[[1, 6]], h36m_camera("S9", "60457274"))
    np.testing.assert_allclose(clip.truth.pose[:2], expected, atol=1e-6)
    assert not np.allclose(clip.truth.pose[0] - clip.truth.pose[0, :1], world[1, 3])
    # The video outlasts its 9 labels; joints are those of the fourth camera.
    assert np.isnan(clip.truth.pose[2]).all()
    assert clip.truth.joint_valid.tolist() == [[True] * 17, [True] * 17, [False] * 17]
    assert clip.truth.joints[:2].max() < 50


def test_frames_behind_the_last_detection_have_none(human36m):
    clip = h36m_clips.h36m_clip(str(human36m), NAME)
    assert clip.confidence[:2].sum() == 20
    assert not clip.confidence[2].any()


def test_labels_of_another_name_are_found_and_missing_ones_are_none(human36m, tmp_path):
    photo = h36m_clips.h36m_clip(str(human36m), "S9/TakingPhoto.60457274")
    assert photo.truth is not None
    root = fake_clips.write_human36m(tmp_path)
    (root / "data_3d_h36m.npz").unlink()
    assert h36m_clips.h36m_clip(str(root), NAME).truth is None


@pytest.mark.parametrize(
    ("damage", "words", "kind"),
    [
        ("metro", ("results.npz", "lacks joints3d"), ValueError),
        ("no video", ("Walking 1.60457274.mp4", "does not exist"), FileNotFoundError),
        ("video", ("Walking 1.60457274.mp4",), ValueError),
        ("json", ("result_Walking 1.60457274.json", "no JSON"), ValueError),
        ("no json", ("result_Walking 1.60457274.json", "missing"), FileNotFoundError),
        ("short", ("has 2 frames for the 3 poses",), ValueError),
    ],
)
def test_a_damaged_or_missing_file_is_named_in_one_line(tmp_path, damage, words, kind):
    root = fake_clips.write_human36m(tmp_path)
    video = root / "S9/Videos/Walking 1.60457274.mp4"
    found = root / "dcpose_estimates_h36m/S9/result_Walking 1.60457274.json"
    match damage:
        case "metro":
            poses = root / "metro_estimates_h36m/S9/Walking 1.60457274_results.npz"
            np.savez(poses, poses=np.zeros((3, 14, 3)))
        case "no video":
            video.unlink()
        case "video":
            video.write_bytes(video.read_bytes()[:100])
        case "json":
            found.write_text('{"Info": [')
        case "no json":
            found.unlink()
        case "short":
            fake_clips.write_film(video, 8)
    assert_refused_in_one_line(
        lambda: h36m_clips.h36m_clip(str(root), NAME), *words, kind=kind
    )


def test_frames_and_estimates_of_different_counts_are_refused(files):
    fake_clips.write_film(files["frames"], 4)
    assert_refused_in_one_line(
        lambda: clip_from_files("walk", **files), "more than 3 frames for the 3 poses"
    )
    assert clip_from_files("walk", **files, max_frames=2).num_frames == 2
    fake_clips.write_detections(files["detections"], 5)
    del files["poses"]
    assert_refused_in_one_line(
        lambda: point_clip_from_files("walk", **files),
        "5 entries for the 4 frames",
    )
    assert point_clip_from_files("walk", **files, max_frames=3).num_frames == 3


def test_a_clip_needs_no_detections_if_it_has_bodies(files):
    del files["detections"]
    clip = clip_from_files("walk", **files)
    assert clip.has_bodies
    assert not clip.confidence.any()


def test_scenes_have_frames_detections_and_true_flow_but_no_bodies(sintel):
    assert sintel_clips.sintel_clip_names(str(sintel)) == sintel_clips.SCENES
    clip = sintel_clips.sintel_clip(str(sintel), "cave_2")
    np.testing.assert_array_equal(clip.images[1], fake_clips.frame(1, 2))
    assert not clip.has_bodies
    assert clip.detections.shape == (3, 17, 2)
    # No ears; two of the three frames are in the file.
    assert (clip.confidence > 0).sum(axis=1).tolist() == [15, 15, 0]
    assert clip.truth.joints is None
    np.testing.assert_array_equal(clip.truth.flow[1, 5, 5], [-1, 0])
    short = sintel_clips.sintel_clip(str(sintel), "cave_2", max_frames=2)
    assert len(short.truth.flow) == 1


def test_scenes_that_are_not_there_or_damaged_are_refused_by_name(tmp_path):
    assert_refused_in_one_line(
        lambda: sintel_clips.sintel_clip_names(str(tmp_path)),
        "config.data.root", "dcpose_sintel", kind=FileNotFoundError,
    )  # fmt: skip
    root = fake_clips.write_sintel(tmp_path, ("alley_2",))
    (root / "training/flow/alley_2/frame_0002.flo").unlink()
    assert_refused_in_one_line(
        lambda: sintel_clips.sintel_clip(str(root), "alley_2"),
        "frame_0002.flo", kind=FileNotFoundError,
    )  # fmt: skip


def test_labels_keep_their_names_in_another_joint_set():
    joints = np.arange(34.0).reshape(17, 2)
    lsp = labels_as(joints, LSP_14)
    for name in ("right_ankle", "left_wrist", "head_top"):
        found = lsp[LSP_14.index(name)]
        np.testing.assert_array_equal(found, joints[H36M_17.index(name)])
    np.testing.assert_array_equal(lsp[12], joints[H36M_17.index("thorax")])
    seen = labels_as(joints, POSETRACK_17)
    assert np.argwhere(np.isnan(seen[:, 0])).ravel().tolist() == [3, 4]  # ears
    np.testing.assert_array_equal(seen[1], lsp[12])
    np.testing.assert_array_equal(labels_as(lsp, LSP_14), lsp)
    assert_refused_in_one_line(lambda: labels_as(joints[:5], LSP_14), "(5, 2)")
