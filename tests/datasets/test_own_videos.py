"""The builder of a person's own videos, from a drawn walk to records."""

import json

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import prepare
from datasets.own_videos import tree
from posejax.data import crops, windows
from posejax.skeletons import H36M_32, TEMPLATE_15, remap
from tests.data import moving_figure

FRAMES = 20


def _prepare(manual_dir, data_dir):
    folder = prepare.prepare(
        "own_videos", manual_dir=manual_dir, data_dir=data_dir, progress="none"
    )
    return tfds.builder_from_directory(folder)


def _write_boxes(path, boxes):
    rows = [{"frame": t, "box": b.ravel().tolist()} for t, b in enumerate(boxes)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


@pytest.fixture(name="raw")
def _raw(tmp_path):
    """A walk with boxes and joints, and one of pictures for background subtraction."""
    folder = tmp_path / "raw"
    (folder / "b").mkdir(parents=True)
    frames, boxes = moving_figure.walk(FRAMES)
    moving_figure.write_video(folder / "a.mp4", frames)
    _write_boxes(folder / "a.boxes.jsonl", boxes)
    joints = np.repeat(boxes.mean(axis=1)[:, None], 15, axis=1)
    joints += np.arange(15)[:, None]
    valid = np.ones((FRAMES, 15), bool)
    valid[:, 3] = False
    np.savez(folder / "a.joints.npz", joints=joints, valid=valid)
    for t, frame in enumerate(moving_figure.walk(FRAMES, seed=5)[0]):
        cv2.imwrite(str(folder / "b" / f"{t}.png"), frame[..., ::-1])
    return folder


def _records(builder, split):
    return list(builder.as_data_source(split))


def test_every_frame_becomes_a_record_in_the_folders_that_the_metadata_name(
    raw, tmp_path
):
    builder = _prepare(raw, tmp_path / "data")
    metadata = builder.info.metadata
    assert metadata["boxes"] == {"a": "boxes.jsonl", "b": "background"}
    assert metadata["labels"]
    seen = {"a": [], "b": []}
    for split, late in (("train", False), ("test", True)):
        records = _records(builder, split)
        position = 0
        for folder in metadata["folders"][split]:
            members = records[position : position + folder["count"]]
            position += folder["count"]
            assert len({np.asarray(m["crop_matrix"]).tobytes() for m in members}) == 1
            for member in members:
                take = member["take"].decode()
                assert folder["name"].startswith(f"{take}/")
                assert (member["frame"] >= 0.8 * FRAMES) == late
                seen[take].append(member["frame"])
        assert position == len(records)
    assert sorted(seen["a"]) == list(range(FRAMES))
    assert sorted(seen["b"]) == list(range(FRAMES))


def test_crops_show_the_person_and_joints_land_in_their_slots(raw, tmp_path):
    builder = _prepare(raw, tmp_path / "data")
    frames, boxes = moving_figure.walk(FRAMES)
    slots = remap(H36M_32, TEMPLATE_15)
    for record in _records(builder, "test"):
        if record["take"] != b"a":
            assert not record["pose_valid"].any()
            continue
        t = record["frame"]
        np.testing.assert_allclose(record["box"], boxes[t], atol=1e-3)
        expected = crops.crop_image(frames[t], record["crop_matrix"], 256)
        assert np.abs(record["image"].astype(int) - expected).mean() < 6
        inside = crops.apply_matrix(record["crop_matrix"], record["box"])
        assert inside.min() >= 0
        assert inside.max() <= 256
        assert np.flatnonzero(record["pose_valid"]).tolist() == sorted(
            set(slots) - {slots[3]}
        )
        center = boxes[t].mean(axis=0)
        np.testing.assert_allclose(record["pose_2d"][slots[5]], center + 5, atol=1e-3)
        assert not record["pose_2d"][slots[3]].any()


def test_the_same_videos_give_the_same_bytes(raw, tmp_path):
    first = _prepare(raw, tmp_path / "one")
    second = _prepare(raw, tmp_path / "two")
    assert first.info.metadata == second.info.metadata
    skip = {"image": tfds.decode.SkipDecoding()}
    for split in ("train", "test"):
        ones = first.as_data_source(split, decoders=skip)
        twos = second.as_data_source(split, decoders=skip)
        assert [(r["frame"], r["image"]) for r in ones] == [
            (r["frame"], r["image"]) for r in twos
        ]


def test_a_folder_is_permuted(raw, tmp_path):
    records = _records(_prepare(raw, tmp_path / "data"), "train")
    order = [r["frame"] for r in records if r["take"] == b"b"]
    assert order != sorted(order)


def test_too_few_frames_are_refused_and_nothing_is_left(tmp_path):
    raw = tmp_path / "raw"
    raw.mkdir()
    frames, boxes = moving_figure.walk(4)
    moving_figure.write_video(raw / "a.mp4", frames)
    _write_boxes(raw / "a.boxes.jsonl", boxes[:1])
    with pytest.raises(ValueError, match="1 frames with a person") as error:
        _prepare(raw, tmp_path / "data")
    assert "\n" not in str(error.value)
    assert not (tmp_path / "data/own_videos/crops/1.0.0").exists()


def _read_everything(folder):
    for take in tree.find_takes(folder):
        count, size = tree.count_frames(take)
        tree.find_boxes(take, num_frames=count, image_size=size)
        tree.read_joints(take, num_frames=count)


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        (
            "a.box.json",
            '{"box": [900, 900, 950, 990]}',
            "a.box.json.*outside the image",
        ),
        ("a.box.json", '{"box": [1, 2, 3]}', r"box is \[1, 2, 3\]"),
        ("a.box.json", '{"bax": [1, 2, 3, 4]}', "keys"),
        ("a.box.json", "{", "no JSON"),
        ("a.box.json", '{"from": "magic"}', "from is 'magic'"),
        ("a.box.json", '{"from": "joints"}', "a.joints.npz is missing"),
        ("a.mot.txt", "1;2", "expected 'frame,id,x,y,width,height"),
        ("a.joints.npz", "text", "cannot be read as an npz"),
        ("a.avi", "text", "give each video a name of its own"),
        ("b.mp4", "text", "b.mp4 cannot be read"),
        ("b.mp4", "", "b.mp4 is empty"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(tmp_path, name, content, words):
    frames, _ = moving_figure.walk(12)
    moving_figure.write_video(tmp_path / "a.mp4", frames)
    (tmp_path / name).write_text(content)
    with pytest.raises(ValueError, match=words) as error:
        _read_everything(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_without_videos_says_what_belongs_there(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match=r"holds no video.*\.mp4"):
        tree.find_takes(tmp_path)


def test_pictures_of_different_sizes_are_refused(tmp_path):
    folder = tmp_path / "a"
    folder.mkdir()
    for t, width in enumerate((20, 24)):
        cv2.imwrite(str(folder / f"{t}.png"), np.zeros((16, width, 3), np.uint8))
    with pytest.raises(ValueError, match="frame 1 is 24 x 16, frame 0 is 20 x 16"):
        tree.count_frames(tree.find_takes(tmp_path)[0])


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"poses": np.zeros((3, 15, 2))}, "expected 'joints'"),
        (
            {"joints": np.zeros((4, 15, 2))},
            r"shape \(4, 15, 2\); expected \(3, 15, 2\)",
        ),
        (
            {"joints": np.zeros((3, 15, 2)), "valid": np.ones(3)},
            r"valid has shape \(3,",
        ),
        ({"joints": np.zeros((3, 15, 2)), "skeleton": "cat"}, "skeleton is 'cat'"),
    ],
)
def test_joints_that_do_not_fit_are_named(tmp_path, arrays, words):
    np.savez(tmp_path / "a.joints.npz", **arrays)
    with pytest.raises(ValueError, match=words):
        tree.read_joints(tree.Take("a", tmp_path / "a.mp4"), num_frames=3)


def test_joints_of_the_full_skeleton_keep_their_order(tmp_path):
    joints = np.random.default_rng(0).random((3, 32, 2)).astype(np.float32)
    joints[1, 4] = np.nan
    np.savez(tmp_path / "a.joints.npz", joints=joints, skeleton="h36m_32")
    pose, valid = tree.read_joints(tree.Take("a", tmp_path / "a.mp4"), num_frames=3)
    assert not valid[1, 4]
    assert valid.sum() == 3 * 32 - 1
    np.testing.assert_array_equal(pose[valid], joints[valid])
    assert not pose[1, 4].any()


@pytest.mark.parametrize(
    ("ending", "content", "source"),
    [
        (".box.json", '{"box": [10, 20, 60, 100]}', "fixed"),
        (".box.json", '{"from": "joints", "margin": 0}', "joints"),
        (".box.json", '{"from": "background"}', "background"),
        (".mot.txt", "1,1,10,20,50,80,1\n3,1,10,20,50,80,1\n", "mot.txt"),
    ],
)
def test_boxes_come_from_where_the_file_says(tmp_path, ending, content, source):
    frames, _ = moving_figure.walk(12)
    moving_figure.write_video(tmp_path / "a.mp4", frames)
    corners = np.array([[10, 20], [60, 20], [10, 100], [60, 100]] + 11 * [[30, 30]])
    np.savez(tmp_path / "a.joints.npz", joints=np.stack(12 * [corners]).astype(float))
    (tmp_path / f"a{ending}").write_text(content)
    take = tree.find_takes(tmp_path)[0]
    found, where = tree.find_boxes(take, num_frames=12, image_size=(160, 120))
    assert where == source
    if source != "background":
        assert found.boxes[1].tolist() == [[10, 20], [60, 100]]
    assert found.valid.sum() == (3 if source == "mot.txt" else 12)


def _swaying(count=60, *, tall=300, cell_edge=100.0):
    """Boxes of a person who crosses a line of the raster every few frames."""
    shift = 10 * np.sin(np.arange(count))
    low = np.stack([cell_edge + shift, np.full(count, 110.0)], axis=-1)
    return np.stack([low, low + np.array([120, tall])], axis=1).astype(np.float32)


def test_a_person_who_sways_over_a_line_stays_in_one_window():
    boxes = _swaying()
    own = {tuple(w.ravel()) for w in crops.raster_cells(boxes, cell=100.0)}
    assert len(own) > 1
    found = windows.stable_windows(boxes, cell=windows.choose_cell(boxes))
    assert windows.choose_cell(boxes) == 100
    assert len(np.unique(found.reshape(-1, 4), axis=0)) == 1


def test_windows_show_the_whole_box_at_a_useful_size():
    rng = np.random.default_rng(0)
    low = rng.uniform(0, 600, (200, 2))
    size = np.stack([rng.uniform(60, 150, 200), rng.uniform(150, 400, 200)], axis=-1)
    boxes = np.stack([low, low + size], axis=1).astype(np.float32)
    cell = windows.choose_cell(boxes)
    found = windows.stable_windows(boxes, cell=cell)
    own = crops.raster_cells(boxes, cell=float(cell))
    assert len(np.unique(found.reshape(-1, 4), axis=0)) < len(
        np.unique(own.reshape(-1, 4), axis=0)
    )
    for box, cells in zip(boxes, found, strict=True):
        window = cells * float(cell)
        matrix = crops.crop_matrix(window, cell=float(cell))
        corners = crops.apply_matrix(matrix, box)
        assert corners.min() >= 0
        assert corners.max() <= 256
        assert corners[1, 1] - corners[0, 1] > 256 / 5


def test_a_wide_box_keeps_its_own_window():
    box = np.array([[[0, 0], [900, 290]]], np.float32)
    found = windows.stable_windows(box, cell=100)
    np.testing.assert_array_equal(found, crops.raster_cells(box, cell=100.0))
