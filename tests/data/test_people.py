"""Boxes of people out of files, joints and fixed boxes."""

import json

import numpy as np
import pytest

from posejax.data import people

SIZE = (100, 80)


def _write_lines(path, entries):
    path.write_text("".join(json.dumps(e) + "\n" for e in entries))
    return path


def _read(path, **options):
    return people.read_boxes(path, num_frames=5, image_size=SIZE, **options)


def test_json_lines_give_the_best_box_of_each_frame(tmp_path):
    path = _write_lines(
        tmp_path / "a.jsonl",
        [
            {"frame": 1, "box": [1, 2, 30, 40], "score": 0.3},
            {"frame": 1, "box": [5, 6, 50, 60], "score": 0.9},
            {"frame": 3, "box": [1.5, 2.5, 30, 40]},
        ],
    )
    boxes, valid = _read(path)
    assert boxes.dtype == np.float32
    assert valid.tolist() == [False, True, False, True, False]
    assert boxes[1].tolist() == [[5, 6], [50, 60]]
    assert boxes[3].tolist() == [[1.5, 2.5], [30, 40]]
    assert not boxes[0].any()


def test_lines_of_other_videos_do_not_count(tmp_path):
    path = _write_lines(
        tmp_path / "a.jsonl",
        [
            {"frame": 0, "box": [1, 2, 30, 40], "video": "walk"},
            {"frame": 1, "box": [1, 2, 30, 40], "video": "run"},
            {"frame": 2, "box": [1, 2, 30, 40]},
        ],
    )
    assert _read(path, video="walk").valid.tolist() == [True, False, True, False, False]


MOT = """1,7,10,20,30,40,0.5,-1,-1,-1
2,7,11,20,30,40,0.5,-1,-1,-1
2,3,50,20,30,40,0.9,-1,-1,-1
3,3,50,20,30,40,0.9,-1,-1,-1
4,9,50,20,30,40,0,-1,-1,-1
"""


def test_mot_text_gives_the_most_confident_of_the_longest_tracks(tmp_path):
    path = tmp_path / "a.mot.txt"
    path.write_text(MOT)
    boxes, valid = _read(path)
    assert valid.tolist() == [False, True, True, False, False]
    assert boxes[1].tolist() == [[50, 20], [80, 60]]


def test_a_track_of_a_mot_file_can_be_chosen(tmp_path):
    path = tmp_path / "a.mot.txt"
    path.write_text(MOT)
    assert _read(path, track=7).valid.tolist() == [True, True, False, False, False]
    with pytest.raises(ValueError, match=r"no track 5; its tracks are \[3, 7\]"):
        _read(path, track=5)


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"frame": 0, "box": [200, 200, 300, 300]}, "outside the image of 100 x 80"),
        ({"frame": 0, "box": [50, 40, 200, 160]}, "outside the image"),
        ({"frame": 0, "box": [30, 2, 10, 40]}, "x0 < x1"),
        ({"frame": 5, "box": [1, 2, 30, 40]}, "frames 0 to 4"),
        ({"frame": -1, "box": [1, 2, 30, 40]}, "frames 0 to 4"),
        ({"frame": 1.5, "box": [1, 2, 30, 40]}, "'frame' must be an integer"),
        ({"frame": 0, "box": [1, 2, 30]}, "four numbers"),
        ({"frame": 0, "box": [1, 2, 30, "x"]}, "four numbers"),
        ({"frame": 0, "box": [1, 2, 30, float("nan")]}, "four numbers"),
        ({"frame": 0, "bbox": [1, 2, 30, 40]}, "'frame' and 'box'"),
        ({"frame": 0, "box": [1, 2, 30, 40], "id": 4}, "unknown key 'id'"),
        ([1, 2], "'frame' and 'box'"),
    ],
)
def test_a_line_that_cannot_be_used_is_named(tmp_path, entry, words):
    path = _write_lines(
        tmp_path / "a.jsonl", [{"frame": 2, "box": [1, 2, 30, 40]}, entry]
    )
    with pytest.raises(ValueError, match=r"a\.jsonl:2") as error:
        _read(path)
    assert words in str(error.value)
    assert "\n" not in str(error.value)


def test_files_that_are_no_boxes_are_named(tmp_path):
    path = tmp_path / "a.jsonl"
    with pytest.raises(FileNotFoundError, match="does not exist"):
        _read(path)
    path.write_text("")
    with pytest.raises(ValueError, match="no person found"):
        _read(path)
    path.write_text("{broken")
    with pytest.raises(ValueError, match=r"a.jsonl:1: no JSON"):
        _read(path)
    path.write_bytes(b"\xff\xfe\x00\xd8")
    with pytest.raises(ValueError, match="not a text file"):
        _read(path)
    other = tmp_path / "b.txt"
    other.write_text("1,2,three,4,5,6\n")
    with pytest.raises(ValueError, match=r"b\.txt:1: expected"):
        _read(other)


def test_a_box_a_little_over_the_edge_is_cut(tmp_path):
    path = _write_lines(tmp_path / "a.jsonl", [{"frame": 0, "box": [-5, 10, 60, 90]}])
    assert _read(path).boxes[0].tolist() == [[0, 10], [60, 80]]


def test_a_fixed_box_serves_every_frame():
    box = np.array([[10, 20], [30, 60]])
    boxes, valid = people.fixed_box(box, num_frames=3, image_size=SIZE)
    assert valid.all()
    np.testing.assert_array_equal(boxes, np.stack([box] * 3))
    with pytest.raises(ValueError, match="outside the image"):
        people.fixed_box(box + 200, num_frames=3, image_size=SIZE)


def test_boxes_from_joints_surround_the_valid_joints():
    joints = np.zeros((2, 5, 2))
    joints[0] = [[20, 20], [40, 20], [20, 60], [40, 60], [0, 0]]
    valid = np.array([[True, True, True, True, False], [True] + 4 * [False]])
    found = people.boxes_from_joints(joints, valid, image_size=SIZE, margin=0.1)
    assert found.valid.tolist() == [True, False]
    assert found.boxes[0].tolist() == [[16, 16], [44, 64]]
    with pytest.raises(ValueError, match="no person found"):
        people.boxes_from_joints(joints, valid & False, image_size=SIZE)


def test_boxes_from_joints_are_cut_at_the_edge():
    joints = np.array([[[0, 0], [99, 0], [0, 79], [99, 79]]], np.float64)
    found = people.boxes_from_joints(joints, np.ones((1, 4), bool), image_size=SIZE)
    assert found.boxes[0].tolist() == [[0, 0], [100, 80]]


def _track(values, valid):
    boxes = np.zeros((len(values), 2, 2), np.float32)
    boxes += np.array(values, np.float32)[:, None, None]
    return people.Boxes(boxes, np.array(valid, bool))


def test_short_gaps_are_filled_linearly_and_long_ones_stay():
    track = _track([0, 0, 0, 6, 0, 0, 0, 9], [1, 0, 0, 1, 0, 0, 0, 1])
    filled = people.fill_gaps(track, longest=2)
    assert filled.valid.tolist() == [1, 1, 1, 1, 0, 0, 0, 1]
    assert filled.boxes[:4, 0, 0].tolist() == [0, 2, 4, 6]


def test_smoothing_removes_one_wrong_box_and_ignores_frames_without():
    track = _track([1, 1, 50, 1, 7, 1], [1, 1, 1, 1, 0, 1])
    moved = people.smooth(track, window=5)
    assert moved.boxes[:, 0, 0].tolist() == [1, 1, 1, 1, 7, 1]
    assert moved.valid.tolist() == track.valid.tolist()
