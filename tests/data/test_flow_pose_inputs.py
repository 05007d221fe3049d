import numpy as np
import pytest
from fill import golden
from refusals import assert_refused_in_one_line

from posejax import data
from posejax.skeletons import LSP_14, POSETRACK_17


@pytest.mark.golden
def test_detections_in_the_order_of_lsp_equal_the_stored_ones():
    arrays, _ = golden("dcpose_to_j14", system="flow_pose")
    points, confidence = data.lsp_detections(arrays["in/keypoints"])
    np.testing.assert_array_equal(points, arrays["out/joints2d"])
    np.testing.assert_array_equal(confidence, arrays["out/confidence"])


def test_each_detection_keeps_its_name_and_others_are_missing():
    keypoints = np.zeros((1, 17, 3), np.float32)
    keypoints[0, :, 0] = 1 + np.arange(17)
    points, confidence = data.lsp_detections(keypoints)
    for joint, point, is_known in zip(
        LSP_14.joints, points[0], confidence[0], strict=True
    ):
        kept = joint not in ("right_hip", "left_hip", "neck", "head_top")
        assert is_known == kept
        assert point[0] == (1 + POSETRACK_17.index(joint) if kept else 0)


def test_without_ears_and_at_the_origin_there_is_no_confidence():
    keypoints = np.full((2, 17, 3), 0.7)
    keypoints[1, 9] = [0.0, 0.0, 0.9]
    points, confidence = data.posetrack_detections(keypoints)
    missing = [(0, 3), (0, 4), (1, 3), (1, 4), (1, 9)]
    assert [tuple(i) for i in np.argwhere(confidence == 0)] == missing
    assert [tuple(i) for i in np.argwhere((points == 0).all(-1))] == missing
    np.testing.assert_array_equal(confidence[confidence > 0], 0.7)


def test_boxes_hold_the_joints_with_their_margin_and_stay_in_the_picture():
    rng = np.random.default_rng(0)
    joints = rng.uniform(100, 200, size=(6, 14, 2)) + 30 * np.arange(6)[:, None, None]
    offsets, (height, width) = data.flow_boxes(
        joints, width=400, height=380, margin_px=8
    )
    assert offsets.shape == (5, 2)
    assert (offsets >= 0).all()
    assert (offsets + np.array([width, height]) <= [400, 380]).all()
    inside = (joints[:-1] >= offsets[:, None]) & (
        joints[:-1] <= offsets[:, None] + [width - 1, height - 1]
    )
    np.testing.assert_array_equal(inside, True)
    assert height * width < 380 * 400 / 4


def test_boxes_are_whole_pictures_where_joints_are_everywhere_and_none_for_one_frame():
    joints = np.array([[[-50.0, 3.0], [np.nan, 900.0], [30.0, 5.0]]] * 3)
    offsets, size = data.flow_boxes(joints, width=40, height=20)
    assert size == (20, 40)
    np.testing.assert_array_equal(offsets, 0)
    assert data.flow_boxes(joints[:1], width=40, height=20)[0].shape == (0, 2)


def test_joints_that_are_never_in_the_picture_are_refused_in_one_line():
    joints = np.full((3, 14, 2), -7.0)
    assert_refused_in_one_line(
        lambda: data.flow_boxes(joints, width=40, height=20),
        "outside the picture of 40 x 20 pixels in all 3 frames",
    )
    with pytest.raises(ValueError, match=r"joints has shape \(0, 14, 2\)"):
        data.flow_boxes(joints[:0], width=40, height=20)
    with pytest.raises(ValueError, match="expected 1 or more"):
        data.flow_boxes(-joints, width=40, height=20, margin_px=0)


def test_labels_are_turned_into_the_camera_and_centred():
    rng = np.random.default_rng(1)
    world = rng.normal(size=(3, 32, 3))
    camera = data.h36m_camera("S9", "60457274")
    found = data.lsp_labels(world, camera)
    w, x, y, z = camera.orientation.astype(float)
    rows = [
        [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
        [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
        [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
    ]
    order = [3, 2, 1, 6, 7, 8, 27, 26, 25, 17, 18, 19, 13, 15]
    centre = (world[:, 1] + world[:, 6])[:, None] / 2
    expected = (world[:, order] - centre) @ np.array(rows)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_allclose(found[:, 2] + found[:, 3], 0, atol=1e-6)


def test_17_joints_give_the_labels_that_32_give():
    world = np.random.default_rng(2).normal(size=(2, 32, 3))
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    np.testing.assert_array_equal(
        data.lsp_joints(world), data.lsp_joints(world[:, kept])
    )
    with pytest.raises(ValueError, match=r"\(2, 16, 3\); expected the 17 or 32 joints"):
        data.lsp_joints(world[:, :16])


def test_videos_are_named_as_the_pose_files_name_their_actions():
    assert data.video_action("Directions 1.60457274") == ("Directions 1", "60457274")
    assert data.video_action("TakingPhoto.54138969") == ("Photo", "54138969")
    for wrong in ("Directions 1", "Directions 1.123"):
        assert_refused_in_one_line(lambda w=wrong: data.video_action(w), repr(wrong))
    frames = list(range(40))
    assert frames[data.used_frames(4)] == [1, 6, 11, 16]
    assert frames[data.used_frames(0)] == []
