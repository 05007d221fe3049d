"""What Detectron found in a video: the best person of each frame, and bad files."""

import numpy as np
import pytest

from posejax.data.detectron_keypoints import read_detectron_keypoints
from posejax.data.keypoint_inputs import read_keypoint_input
from posejax.data.pose_conversion import convert_pose_file
from posejax.data.pose_files import read_keypoints
from posejax.render import write_video

SIZE = {"w": 640, "h": 480}


def person(value):
    """Joints of a person, (17, 2)."""
    return np.stack([100.0 + value + np.arange(17), 200.0 + value - np.arange(17)], 1)


def found(*people):
    """The two lists of classes of a frame, of people given as (score, joints)."""
    if not people:
        return [[], []], [[], []]
    boxes = np.array([[0, 0, 9, 9, score] for score, _ in people], np.float32)
    rows = [
        np.concatenate([joints.T, np.zeros((1, 17)), np.ones((1, 17))]).astype("f4")
        for _, joints in people
    ]
    return [[], boxes], [[], np.array(rows)]


def write(path, frames, *, metadata=SIZE, **changes):
    """Writes frames as the inference scripts do: arrays of objects."""
    arrays = {}
    for column, name in enumerate(("boxes", "keypoints")):
        array = np.empty((len(frames), 2), object)
        for row, frame in enumerate(frames):
            array[row, 0], array[row, 1] = frame[column]
        arrays[name] = array
    arrays |= {"segments": np.array([None] * len(frames)), "metadata": metadata}
    arrays |= changes
    np.savez(path, **{name: x for name, x in arrays.items() if x is not None})
    return path


FRAMES = [
    found(),
    found((0.8, person(9)), (0.95, person(0))),
    found(),
    found((0.9, person(2))),
    found(),
]


def test_the_best_person_counts_and_missing_frames_are_interpolated(tmp_path):
    path = write(tmp_path / "walk.mp4.npz", FRAMES)
    with pytest.raises(ValueError, match="pass allow_pickle=True"):
        read_keypoint_input(path)
    source = read_keypoint_input(path, allow_pickle=True)
    (sequence,) = source.sequences
    assert (source.kind, source.layout.name) == ("videos", "coco")
    assert (sequence.name, sequence.camera.resolution) == ("walk.mp4", (640, 480))
    assert sequence.frames.tolist() == [0, 1, 2, 3, 4]
    expected = [person(value) for value in (0, 0, 1, 2, 2)]
    np.testing.assert_allclose(sequence.keypoints, expected, rtol=1e-6)


def test_people_may_come_as_a_list_and_classes_as_one(tmp_path):
    boxes, keypoints = np.empty(1, object), np.empty(1, object)
    frame = FRAMES[1]
    boxes[0], keypoints[0] = frame[0], [[], list(frame[1][1])]
    path = write(tmp_path / "a.npz", FRAMES[:1], boxes=boxes, keypoints=keypoints)
    (view,) = read_detectron_keypoints(path, allow_pickle=True).positions["a", "custom"]
    np.testing.assert_allclose(view, [person(0)])


def test_the_video_beside_the_file_is_found_by_its_name(tmp_path):
    write_video(tmp_path / "walk.mp4", [np.zeros((48, 64, 3), np.uint8)] * 5, 30)
    path = write(tmp_path / "walk.mp4.npz", FRAMES, metadata={"w": 64, "h": 48})
    (sequence,) = read_keypoint_input(path, allow_pickle=True).sequences
    assert (sequence.video, sequence.fps) == (tmp_path / "walk.mp4", 30.0)


def test_a_converted_file_needs_no_pickle_and_gives_the_same(tmp_path):
    path = write(tmp_path / "walk.mp4.npz", FRAMES)
    convert_pose_file(path, tmp_path / "plain.npz", allow_pickle=True)
    one = read_keypoint_input(path, allow_pickle=True).sequences[0]
    two = read_keypoint_input(tmp_path / "plain.npz").sequences[0]
    np.testing.assert_array_equal(one.keypoints, two.keypoints)
    assert (one.name, one.camera.resolution) == (two.name, two.camera.resolution)
    assert read_keypoints(tmp_path / "plain.npz").layout.name == "coco"


def with_nan():
    joints = person(0)
    joints[3, 1] = np.nan
    return [found((0.9, joints))]


def other(column, value):
    """One frame whose class of people is something else."""
    frame = [list(part) for part in found((0.9, person(0)))]
    frame[column][1] = value
    return [frame]


@pytest.mark.parametrize(
    ("frames", "changes", "words"),
    [
        ([found()] * 3, {}, "has no person in 3 frames"),
        (FRAMES, {"metadata": None}, "has no metadata; expected what Detectron"),
        (FRAMES, {"metadata": {"w": 640}}, "expected a dictionary with w and h"),
        (FRAMES, {"metadata": np.zeros(2)}, "expected a dictionary with w and h"),
        (FRAMES, {"metadata": {"w": 0, "h": 1}}, r"metadata of .* \{'w': 0"),
        (FRAMES, {"boxes": np.zeros(())}, r"boxes of .* have shape \(\)"),
        (FRAMES, {"keypoints": np.zeros((0, 2))}, r"keypoints of .* shape \(0, 2\)"),
        (FRAMES, {"boxes": np.zeros((4, 2, 0))}, "boxes of 4 frames and keypoints of"),
        (FRAMES, {"boxes": np.zeros((5, 1))}, "boxes of frame 0 of .* second class"),
        (other(0, np.zeros((1, 4))), {}, r"boxes of frame 0 of .* shape \(1, 4\)"),
        (other(0, "none"), {}, "boxes of frame 0 of .* hold no numbers"),
        (other(1, np.zeros((1, 4, 16))), {}, r"keypoints of frame 0 .* \(1, 4, 16\)"),
        (other(1, np.zeros((2, 4, 17))), {}, r"\(2, 4, 17\); expected \(1 people"),
        (other(1, np.zeros(17)), {}, r"keypoints of frame 0 of .* shape \(17,\)"),
        (with_nan(), {}, "frame 0 of .* not finite"),
    ],
)
def test_files_that_cannot_be_used_are_named(tmp_path, frames, changes, words):
    path = write(tmp_path / "a.npz", frames, **changes)
    with pytest.raises(ValueError, match=words) as error:
        read_detectron_keypoints(path, allow_pickle=True)
    assert "\n" not in str(error.value)
