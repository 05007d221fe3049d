"""Keypoints from four kinds of files, and the files that are refused."""

import json

import numpy as np
import pytest

from posejax.data import keypoint_inputs, pose_files
from posejax.data.keypoint_layouts import LAYOUT_SKELETONS
from posejax.render import write_video
from posejax.skeletons import COCO_17, H36M_17

READ = keypoint_inputs.read_keypoint_input


def joints(frames=4, count=17, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(100, 400, (frames, count, 2)).astype(np.float32)


def write_person(path, **changes):
    """Writes a good file of one person, with some arrays changed or (None) left out."""
    arrays = {
        "keypoints": joints(), "layout": "h36m", "width": 640, "height": 480,
        "fps": 25.0,
    }  # fmt: skip
    arrays |= changes
    kept = {name: value for name, value in arrays.items() if value is not None}
    np.savez(path, **kept)
    return path


def write_detections(path, positions, *, layout="coco", sizes=None):
    found = pose_files.Keypoints(pose_files.LAYOUTS[layout], positions, sizes or {})
    pose_files.write_keypoints(path, found)
    return path


def coco_row(image, points, score=0.9):
    triples = np.concatenate([points, np.ones((len(points), 1))], axis=-1)
    return {"image_id": image, "keypoints": triples.ravel().tolist(), "score": score}


def coco_data_set(count, points, *, names=COCO_17.joints):
    """A data set of `count` frames; `points` by frame number."""
    images = [
        {"id": n, "width": 640, "height": 480, "file_name": f"walk/{n:03d}.png"}
        for n in range(count)
    ]
    category = {"id": 1, "name": "person"}
    if names is not None:
        category["keypoints"] = list(names)
    return {
        "images": images,
        "annotations": [coco_row(n, value) for n, value in points.items()],
        "categories": [category],
    }


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def test_the_layouts_have_a_joint_set_each():
    assert list(LAYOUT_SKELETONS) == list(pose_files.LAYOUTS)
    for name, layout in pose_files.LAYOUTS.items():
        skeleton = LAYOUT_SKELETONS[name]
        assert skeleton.num_joints == layout.num_joints
        np.testing.assert_array_equal(skeleton.mirror(), layout.mirror())


def test_a_file_of_one_person_says_all_that_lifting_needs(tmp_path):
    path = write_person(tmp_path / "walk.npz")
    found = READ(path)
    (sequence,) = found.sequences
    assert (found.kind, found.layout.name, sequence.name) == ("person", "h36m", "walk")
    np.testing.assert_array_equal(sequence.keypoints, joints())
    assert sequence.camera.resolution == (640, 480)
    assert sequence.fps == 25.0
    assert sequence.frames.tolist() == [0, 1, 2, 3]
    assert not sequence.is_camera_known
    assert sequence.video is None
    assert sequence.ground_truth is None


def test_confidences_are_left_away_and_a_joint_set_names_its_layout(tmp_path):
    scored = np.concatenate([joints(), np.ones((4, 17, 1), np.float32)], axis=-1)
    changes = {"layout": "coco_17", "keypoint_names": np.array(COCO_17.joints)}
    path = write_person(tmp_path / "a.npz", keypoints=scored, **changes)
    assert READ(path).layout.name == "coco"
    np.testing.assert_array_equal(READ(path).sequences[0].keypoints, joints())
    unnamed = write_person(tmp_path / "b.npz", **(changes | {"layout": None}))
    assert READ(unnamed).layout.name == "coco"


def test_a_camera_and_the_truth_are_taken_from_the_file(tmp_path):
    quaternion = np.array([0.5, 0.5, -0.5, 0.5])
    truth = np.ones((4, 17, 3))
    path = write_person(
        tmp_path / "a.npz", camera_orientation=quaternion, ground_truth=truth,
        camera_translation=np.arange(3.0), frame_index=np.array([1, 2, 5, 9]),
    )  # fmt: skip
    (sequence,) = READ(path).sequences
    assert sequence.is_camera_known
    np.testing.assert_array_equal(sequence.camera.orientation, quaternion)
    np.testing.assert_array_equal(sequence.camera.translation, [0, 1, 2])
    np.testing.assert_array_equal(sequence.ground_truth, truth)
    assert sequence.frames.tolist() == [1, 2, 5, 9]


def swapped(names, one, other):
    names = list(names)
    names[one], names[other] = names[other], names[one]
    return np.array(names)


def with_nan():
    values = joints()
    values[2, 5, 0] = np.nan
    return values


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"keypoints": joints(count=16)}, r"have 16 joints; layout 'h36m' has 17"),
        ({"layout": "template_15"}, r"layout of .* is 'template_15'; expected one of"),
        ({"layout": None}, r"does not say which joints .* add layout"),
        (
            {"keypoint_names": swapped(H36M_17.joints, 1, 4)},
            r"keypoint 1 of .* is 'left_hip'; layout 'h36m' has 'right_hip' there",
        ),
        (
            {"layout": None, "keypoint_names": swapped(COCO_17.joints, 5, 6)},
            r"keypoint 5 of .* is 'right_shoulder'; layout 'coco' has 'left_shoulder'",
        ),
        ({"layout": None, "keypoint_names": np.array(["a"] * 17)}, "keypoint names of"),
        ({"keypoint_names": np.array(["nose"])}, r"names 1 keypoints; .* has 17"),
        ({"keypoints": with_nan()}, r"not finite in 1 frames, first in frame 2"),
        ({"keypoints": joints() / 640}, r"lie within .* expected pixels"),
        ({"keypoints": joints(0)}, r"have no frames"),
        ({"keypoints": joints()[0]}, r"have shape \(17, 2\)"),
        ({"width": None}, r"size of the pictures of 'a' .* is unknown; give width"),
        ({"width": 0}, r"width of .* is 0; expected one positive number"),
        ({"fps": np.array("fast")}, r"fps of .* is 'fast'"),
        ({"frame_index": np.array([3, 2, 1, 0])}, r"frame_index of .* not increasing"),
        ({"ground_truth": np.ones((3, 17, 3))}, r"ground_truth of .* \(4, 17, 3\)"),
        ({"camera_orientation": np.ones(4)}, "only one of camera_orientation and"),
        (
            {"camera_orientation": np.ones(4), "camera_translation": np.ones(3)},
            r"camera_orientation of .* has length 2; expected a unit quaternion",
        ),
        ({"boxes": np.ones(4)}, r"has no metadata; expected what Detectron writes"),
    ],
)  # fmt: skip
def test_a_file_of_one_person_that_is_wrong_is_refused(tmp_path, changes, message):
    path = write_person(tmp_path / "a.npz", **changes)
    with pytest.raises(ValueError, match=message):
        READ(path)


def test_files_of_other_kinds_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz is missing"):
        READ(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match="is a folder"):
        READ(tmp_path)
    (tmp_path / "a.mp4").touch()
    with pytest.raises(ValueError, match=r"ends in '\.mp4'; expected \.npz .* 2-D"):
        READ(tmp_path / "a.mp4")
    (tmp_path / "empty.npz").touch()
    with pytest.raises(ValueError, match=r"empty\.npz cannot be read as an npz"):
        READ(tmp_path / "empty.npz")
    (tmp_path / "empty.json").touch()
    with pytest.raises(ValueError, match=r"empty\.json is no JSON"):
        READ(tmp_path / "empty.json")


def test_an_array_of_objects_is_refused_unless_it_is_allowed(tmp_path):
    positions = {"a.mp4": {"custom": [joints()]}}
    metadata = {
        "layout_name": "coco", "num_joints": 17, "keypoints_symmetry":
        [list(range(1, 17, 2)), list(range(2, 17, 2))],
        "video_metadata": {"a.mp4": {"w": 640, "h": 480}},
    }  # fmt: skip
    path = tmp_path / "data_2d_custom_a.npz"
    np.savez(path, positions_2d=positions, metadata=metadata)
    with pytest.raises(ValueError, match="saved as Python objects"):
        READ(path)
    found = READ(path, allow_pickle=True)
    assert [one.name for one in found.sequences] == ["a.mp4"]
    np.testing.assert_array_equal(found.sequences[0].keypoints, joints())


def test_every_own_video_becomes_a_sequence_with_its_size(tmp_path):
    positions = {
        ("a.mp4", "custom"): (joints(3),),
        ("b.mp4", "custom"): (joints(5, seed=1),),
    }
    sizes = {"a.mp4": (640, 480), "b.mp4": (320, 240)}
    path = write_detections(tmp_path / "2d.npz", positions, sizes=sizes)
    found = READ(path)
    assert (found.kind, found.layout.name) == ("videos", "coco")
    assert [one.camera.resolution for one in found.sequences] == list(sizes.values())
    assert [len(one.keypoints) for one in found.sequences] == [3, 5]
    sizes.pop("b.mp4")
    write_detections(path, positions, sizes=sizes)
    with pytest.raises(ValueError, match=r"pictures of 'b\.mp4' in .* is unknown"):
        READ(path)
    assert READ(path, resolution=(320, 240)).sequences[1].camera.resolution[0] == 320


def test_sides_that_are_not_those_of_the_layout_are_refused(tmp_path):
    layout = pose_files.KeypointLayout("coco", 17, (1, 2), (3, 4))
    found = pose_files.Keypoints(layout, {("a", "custom"): (joints(),)}, {"a": (9, 9)})
    pose_files.write_keypoints(tmp_path / "2d.npz", found)
    with pytest.raises(ValueError, match=r"keypoints_symmetry .* in another order"):
        READ(tmp_path / "2d.npz")


def test_recordings_of_human36m_have_their_cameras(tmp_path):
    views = tuple(joints(2, seed=n) for n in range(4))
    positions = {("S9", "Walking 1"): views, ("S2", "Eating"): views}
    path = write_detections(tmp_path / "2d.npz", positions, layout="h36m")
    found = READ(path)
    assert found.kind == "recordings"
    assert [one.is_camera_known for one in found.sequences] == [True] * 4 + [False] * 4
    assert found.sequences[1].name == "S9/Walking 1/55011271"
    assert found.sequences[1].camera.resolution == (1000, 1000)
    assert found.sequences[4].camera.resolution == (1000, 1002)
    assert {one.fps for one in found.sequences} == {50.0}
    write_detections(path, {("anna", "Walking"): views}, layout="h36m")
    with pytest.raises(ValueError, match=r"anna/Walking .* size of its pictures"):
        READ(path)


def test_frames_of_coco_without_a_person_are_interpolated(tmp_path):
    one, other = joints(1)[0], joints(1, seed=1)[0]
    content = coco_data_set(4, {0: one, 2: other})
    found = READ(write_json(tmp_path / "a.json", content))
    (sequence,) = found.sequences
    assert (sequence.name, found.layout.name) == ("walk", "coco")
    expected = np.stack([one, (one + other) / 2, other, other])
    np.testing.assert_allclose(sequence.keypoints, expected, rtol=1e-6)


def test_coco_files_of_other_joints_are_known_by_their_names(tmp_path):
    points = {0: joints(1)[0]}
    content = coco_data_set(1, points, names=H36M_17.joints)
    assert READ(write_json(tmp_path / "a.json", content)).layout.name == "h36m"
    content = coco_data_set(1, points, names=None)
    assert READ(write_json(tmp_path / "a.json", content)).layout.name == "coco"
    names = swapped(COCO_17.joints, 0, 9)
    content = coco_data_set(1, points, names=names.tolist())
    with pytest.raises(ValueError, match=r"keypoint 0 of .* is 'left_wrist'; layout"):
        READ(write_json(tmp_path / "a.json", content))


def test_coco_files_without_a_person_or_with_few_joints_are_refused(tmp_path):
    empty = write_json(tmp_path / "a.json", coco_data_set(3, {}))
    with pytest.raises(ValueError, match="has no person"):
        READ(empty)
    few = coco_data_set(1, {0: joints(1, count=16)[0]})
    with pytest.raises(ValueError, match="have 48 numbers; expected 51"):
        READ(write_json(tmp_path / "b.json", few))


def test_a_list_of_results_needs_a_size_which_the_video_beside_it_has(tmp_path):
    rows = [coco_row(f"{n:06d}.jpg", joints(1, seed=n)[0]) for n in (1, 2)]
    path = write_json(tmp_path / "walk.json", rows)
    with pytest.raises(ValueError, match=r"put the video walk\.mp4 beside it"):
        READ(path)
    frames = [np.zeros((48, 64, 3), np.uint8)] * 3
    write_video(tmp_path / "walk.mp4", frames, 30)
    (sequence,) = READ(path).sequences
    assert sequence.camera.resolution == (64, 48)
    assert (sequence.fps, sequence.video) == (30.0, tmp_path / "walk.mp4")
    assert sequence.frames.tolist() == [1, 2]


def test_a_video_of_another_size_is_not_drawn_behind_the_keypoints(tmp_path):
    write_video(tmp_path / "a.mp4", [np.zeros((48, 64, 3), np.uint8)], 30)
    path = write_person(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"is 64x48 pixels, .* of 640x480"):
        READ(path)
