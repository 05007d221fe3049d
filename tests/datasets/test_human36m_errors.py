"""What is wrong with a raw file is said in one line that names it and the remedy."""

import shutil

import cv2
import fake_human36m as fake
import h5py
import numpy as np
import pytest

from datasets.human36m import annotations, decoding, raw, tree
from tests.refusals import assert_refused_in_one_line


@pytest.fixture
def root(tmp_path):
    fake.write_take(tmp_path, "S9")
    return tmp_path


def find(root):
    return tree.find_takes(root, "S9", take_filter="reference", needs_poses=True)


def decode(root):
    (take,) = find(root)
    return decoding.decode_take(take, root / "cache" / "take", crop_size=64)


def test_a_whole_take_is_decoded(root):
    assert decode(root) == 6


def test_missing_subjects_are_named(root):
    assert_refused_in_one_line(
        lambda: raw.check_subjects(root), "S1, S5", kind=FileNotFoundError
    )


@pytest.mark.parametrize(
    ("folder", "archive"),
    [
        ("Videos", "Videos_S9"),
        ("MySegmentsMat", "Segments_mat_gt_bb_S9"),
        ("MyPoseFeatures", "Poses_D2_Positions_S9"),
    ],
)
def test_missing_folders_name_their_archive(root, folder, archive):
    shutil.rmtree(root / "S9" / folder)
    assert_refused_in_one_line(
        lambda: find(root), archive, "unpack", kind=FileNotFoundError
    )


@pytest.mark.parametrize("path", [fake.mask_path, fake.pose_path])
def test_missing_annotations_are_named(root, path):
    path(root, "S9").unlink()
    name = path(root, "S9").name
    assert_refused_in_one_line(
        lambda: find(root), name, "unpack", kind=FileNotFoundError
    )


def test_a_subject_without_usable_videos_is_refused(root):
    fake.video_path(root, "S9").rename(fake.video_path(root, "S9", "Eating.54138969"))
    assert_refused_in_one_line(
        lambda: find(root), "no video of the activities", kind=FileNotFoundError
    )


def test_empty_unreadable_and_truncated_videos_are_refused(root):
    path = fake.video_path(root, "S9")
    data = path.read_bytes()
    for damaged in (b"", b"no video at all" * 50, data[: len(data) // 2]):
        path.write_bytes(damaged)
        assert_refused_in_one_line(lambda: decode(root), path.name)
    assert not list((root / "cache").glob("*"))


def test_a_video_with_fewer_frames_than_masks_is_refused(root):
    fake.write_video(
        fake.video_path(root, "S9"), [fake.frame_of("S9", i) for i in range(4)]
    )
    assert_refused_in_one_line(
        lambda: decode(root), "4 frames", "6 masks", "Walking.54138969.mp4"
    )


def test_a_few_frames_after_the_last_mask_are_left_out_but_not_many(root, monkeypatch):
    frames = [fake.frame_of("S9", i % 6) for i in range(8)]
    fake.write_video(fake.video_path(root, "S9"), frames)
    assert decode(root) == 6
    monkeypatch.setattr(decoding, "MAX_SURPLUS", 1)
    assert_refused_in_one_line(lambda: decode(root), "8 frames", "6 masks")


def test_fewer_poses_than_masks_are_refused(root):
    fake.write_poses(fake.pose_path(root, "S9"), np.zeros((3, 64), np.float32))
    assert_refused_in_one_line(lambda: decode(root), "3 poses", "6 masks", ".cdf")


def test_a_box_outside_the_picture_is_refused(root):
    boxes = [np.array([[300, 20], [379, 200]])] * 6
    fake.write_masks(fake.mask_path(root, "S9"), boxes, shape=(400, 400))
    assert_refused_in_one_line(
        lambda: decode(root), "[379, 200]", "360 x 340", "frame 0"
    )


def test_mask_files_that_are_none_are_refused(root):
    path = fake.mask_path(root, "S9")
    for damaged in (b"", b"MATLAB 5.0 MAT-file" * 40):
        path.write_bytes(damaged)
        assert_refused_in_one_line(
            lambda: annotations.read_boxes(path), path.name, "HDF5"
        )
    with h5py.File(path, "w") as file:
        file["Feat"] = np.zeros(3)
    assert_refused_in_one_line(
        lambda: annotations.read_boxes(path), "no variable Masks", "found: Feat"
    )
    with h5py.File(path, "w") as file:
        file["Masks"] = np.zeros((3, 1))
    assert_refused_in_one_line(
        lambda: annotations.read_boxes(path), path.name, "cannot be read"
    )
    with h5py.File(path, "w") as file:  # a reference to nothing: a ValueError of h5py
        file.create_dataset("Masks", (3, 1), dtype=h5py.ref_dtype)
    assert_refused_in_one_line(
        lambda: annotations.read_boxes(path), path.name, "cannot be read"
    )
    path.unlink()
    assert_refused_in_one_line(
        lambda: annotations.read_boxes(path), "missing", kind=FileNotFoundError
    )


def test_a_truncated_mask_file_is_refused(root):
    path = fake.mask_path(root, "S9")
    path.write_bytes(path.read_bytes()[:-800])
    assert_refused_in_one_line(lambda: annotations.read_boxes(path), path.name)


def test_empty_masks_and_silhouettes_are_refused(root):
    path = fake.mask_path(root, "S9")
    fake.write_masks(path, [fake.box_of(0), np.array([[5, 5], [1, 1]])])
    assert_refused_in_one_line(
        lambda: annotations.read_boxes(path), "mask 1 of", "empty"
    )
    silhouette = np.zeros((50, 40), np.uint8)
    silhouette[3, 30] = silhouette[45, 10] = 1
    with h5py.File(path, "w") as file:
        stored = file.create_dataset("#refs#/0", data=silhouette.T)
        masks = file.create_dataset("Masks", (1, 1), dtype=h5py.ref_dtype)
        masks[0, 0] = stored.ref
    assert_refused_in_one_line(
        lambda: annotations.read_boxes(path), "Segments_mat_gt_bs"
    )


def test_boxes_are_first_and_last_set_pixel(root):
    boxes = annotations.read_boxes(fake.mask_path(root, "S9"))
    np.testing.assert_array_equal(boxes, [fake.box_of(i) for i in range(6)])


def test_pose_files_that_are_none_are_refused(root):
    path = fake.pose_path(root, "S9")
    whole = path.read_bytes()
    for damaged in (b"", b"not a CDF" * 30, whole[: len(whole) // 2]):
        path.write_bytes(damaged)
        assert_refused_in_one_line(
            lambda: annotations.read_poses(path), path.name, "cannot be read"
        )
    fake.write_poses(path, np.zeros((6, 64), np.float32), variable="Other")
    assert_refused_in_one_line(
        lambda: annotations.read_poses(path), "no variable Pose", "Other"
    )
    fake.write_poses(path, np.zeros((6, 96), np.float32))
    assert_refused_in_one_line(
        lambda: annotations.read_poses(path), "(6, 96)", "(frames, 64)"
    )
    path.unlink()
    assert_refused_in_one_line(
        lambda: annotations.read_poses(path), "missing", kind=FileNotFoundError
    )


def test_an_unknown_take_filter_is_refused():
    assert_refused_in_one_line(
        lambda: tree.activity("x.1", take_filter="some"), "'some'", "reference"
    )


def test_a_worker_that_fails_reports_its_file(root):
    for subject in ("S5", "S6"):
        fake.write_take(root, subject)
    fake.video_path(root, "S6").write_bytes(b"")
    takes = [
        take
        for subject in ("S5", "S6", "S9")
        for take in tree.find_takes(
            root, subject, take_filter="reference", needs_poses=True
        )
    ]
    cv2.setNumThreads(1)
    assert_refused_in_one_line(
        lambda: decoding.decode_takes(
            takes, root / "cache", crop_size=64, num_workers=2, progress="none"
        ),
        "S6",
        "is empty",
    )
