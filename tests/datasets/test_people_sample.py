import itertools
import pathlib

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import records
from datasets.people_sample import crops, wardrobe
from datasets.people_sample.people_sample_dataset_builder import Builder
from posejax.data.crops import apply_matrix, crop_matrix, raster_cells


def built(config: str, folder: pathlib.Path) -> Builder:
    builder = Builder(config=config, data_dir=str(folder))
    builder.progress = "none"
    builder.download_and_prepare()
    return builder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory) -> Builder:
    return built("tiny", tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def clips(tmp_path_factory) -> Builder:
    return built("tiny_frames", tmp_path_factory.mktemp("clips"))


def shard_bytes(folder: pathlib.Path) -> dict[str, bytes]:
    return {f.name: f.read_bytes() for f in sorted(folder.rglob("*.array_record*"))}


def clips_of(builder: Builder, split: str) -> list[list[dict]]:
    source = builder.as_data_source(split)
    ends = np.cumsum([f["count"] for f in builder.info.metadata["folders"][split]])
    return [
        [source[i] for i in range(start, end)]
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
    ]


def test_two_builds_have_the_same_bytes(tiny, tmp_path):
    again = built("tiny", tmp_path)
    first = shard_bytes(pathlib.Path(tiny.data_dir))
    assert first
    assert first == shard_bytes(pathlib.Path(again.data_dir))


@pytest.mark.slow
def test_the_number_of_processes_does_not_change_the_records():
    shots = crops.tiny_shots(32)
    one, two = (crops.collect_folders(shots, num_workers=n) for n in (1, 2))
    assert list(one["train"]) == list(two["train"])
    for name, folder in one["train"].items():
        for first, second in zip(folder, two["train"][name], strict=True):
            assert first["image"] == second["image"]
            assert first["frame"] == second["frame"]
            np.testing.assert_array_equal(first["pose_2d"], second["pose_2d"])


def test_the_full_sample_has_the_promised_size():
    counts = {
        split: sum(len(s.actions) * len(s.cameras) * len(s.frames) for s in group)
        for split, group in crops.full_shots(128).items()
    }
    assert counts == {"train": 2800, "test": 360}


def test_people_to_test_are_never_seen_in_training():
    train, test = ({p.name for p in g} for g in (wardrobe.TRAIN, wardrobe.TEST))
    assert train == {"S1", "S5", "S6", "S7", "S8"}
    assert test == {"S9", "S11"}
    looks = [person.top.colour for person in wardrobe.TRAIN + wardrobe.TEST]
    assert len(set(looks)) == len(looks)


@pytest.mark.parametrize("split", ["train", "test"])
def test_crop_records_agree_with_their_folder_and_their_box(tiny, split):
    source = tiny.as_data_source(split)
    names = [
        folder["name"]
        for folder in tiny.info.metadata["folders"][split]
        for _ in range(folder["count"])
    ]
    assert len(names) == len(source) == {"train": 24, "test": 10}[split]
    for name, record in zip(names, source, strict=True):
        cells = raster_cells(record["box"], cell=crops.CELL_PX)
        subject, camera = record["subject"].decode(), record["camera"].decode()
        assert name == records.folder_name(subject, cells, camera)
        np.testing.assert_allclose(
            record["crop_matrix"],
            crop_matrix(record["box"], crop_size=64, cell=crops.CELL_PX),
            atol=1e-5,
        )
        assert record["image"].shape == (64, 64, 3)
        assert record["pose_valid"].all()
        # The joints in the picture lie on the person; a hand may reach out of it.
        low, high = record["box"]
        pose = record["pose_2d"]
        seen = pose[np.all((pose >= 0) & (pose <= 255), axis=-1)]
        assert len(seen) >= 24
        assert np.all(seen > low - 4)
        assert np.all(seen < high + 4)
        joints = apply_matrix(record["crop_matrix"], pose)
        assert np.all(joints > 0)
        assert np.all(joints < 64)


def test_metadata_name_the_skeleton_the_frame_and_the_origin(tiny):
    metadata = tiny.info.metadata
    assert metadata["skeleton"] == "h36m_32"
    assert metadata["crop_size"] == 64
    assert metadata["labels"] is True
    assert "drawn by posejax" in metadata["source"]


def test_projecting_the_3d_joints_gives_the_2d_joints(clips):
    for clip in clips_of(clips, "train") + clips_of(clips, "test"):
        for record in clip:
            camera = record["pose_3d_world"] @ record["camera_rotation"].T
            camera = camera + record["camera_shift"]
            np.testing.assert_allclose(camera, record["pose_3d_camera"], atol=1e-5)
            image = camera @ record["camera_intrinsics"].T
            pixels = image[:, :2] / image[:, 2:]
            np.testing.assert_allclose(pixels, record["pose_2d"], atol=1e-3)


def test_the_cameras_of_a_clip_see_the_same_pose(clips):
    first, second = clips_of(clips, "train")
    for one, other in zip(first, second, strict=True):
        assert one["camera"] != other["camera"]
        np.testing.assert_array_equal(one["pose_3d_world"], other["pose_3d_world"])


def test_box_is_the_box_of_the_mask(clips):
    for clip in clips_of(clips, "train"):
        for record in clip:
            rows, columns = np.nonzero(record["mask"][..., 0])
            box = [[columns.min(), rows.min()], [columns.max(), rows.max()]]
            np.testing.assert_array_equal(record["box"], box)
            assert set(np.unique(record["mask"])) == {0, 255}


def test_every_frame_but_the_last_of_a_clip_has_flow_on_the_person_only(clips):
    for clip in clips_of(clips, "train") + clips_of(clips, "test"):
        assert [bool(r["has_flow"]) for r in clip] == [True] * 3 + [False]
        for record in clip:
            person = record["mask"][..., 0] > 0
            assert np.all(record["flow"][~person] == 0)
            assert np.any(record["flow"][person] != 0) == bool(record["has_flow"])


def test_flow_brings_the_next_picture_back_to_this_one(clips):
    clip = clips_of(clips, "test")[0]  # walking: the fastest
    x, y = np.meshgrid(np.arange(256), np.arange(256))
    for now, later in itertools.pairwise(clip):
        person = cv2.erode(now["mask"][..., 0], np.ones((3, 3), np.uint8)) > 0

        def difference(flow, now=now, later=later, person=person):
            back = cv2.remap(
                later["image"],
                (x + flow[..., 0]).astype(np.float32),
                (y + flow[..., 1]).astype(np.float32),
                cv2.INTER_LINEAR,
            )
            gap = np.abs(back.astype(float) - now["image"])[person]
            return gap.mean()

        # What is left is the blur of interpolation, not motion.
        moved = difference(now["flow"])
        assert moved < 0.85 * difference(0 * now["flow"])
        assert moved < 0.6 * difference(-now["flow"])


def test_the_background_of_a_camera_never_moves(clips):
    clip = clips_of(clips, "train")[0]
    top = int(min(record["box"][0, 1] for record in clip)) - 8
    assert top > 16
    for record in clip[1:]:
        np.testing.assert_array_equal(
            record["image"][: top // 8 * 8], clip[0]["image"][: top // 8 * 8]
        )


def test_the_set_opens_without_its_builder(tiny):
    opened = tfds.builder_from_directory(str(tiny.data_dir))
    assert opened.info.splits["train"].num_examples == 24
    assert opened.info.metadata["folders"] == tiny.info.metadata["folders"]
