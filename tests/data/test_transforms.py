"""Decoding, resizing, mirroring and the joints of the template."""

import pathlib

import cv2
import numpy as np
import pytest

from posejax.data import crops, transforms

METRICS = pathlib.Path(__file__).parent.parent / "golden/template_warp/metrics.npz"


def encoded(image, extension):
    done, data = cv2.imencode(extension, np.ascontiguousarray(image[..., ::-1]))
    assert done
    return data.tobytes()


def test_a_png_comes_back_exactly_in_rgb_order(image_of):
    image = image_of(200)
    np.testing.assert_array_equal(
        transforms.decode_image(encoded(image, ".png")), image
    )


def test_a_jpeg_comes_back_in_rgb_order():
    image = np.full((16, 16, 3), (250, 10, 90), np.uint8)
    decoded = transforms.decode_image(encoded(image, ".jpg"))
    assert np.abs(decoded.astype(int) - image).max() <= 3


def test_a_grey_picture_gets_three_equal_channels():
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    data = cv2.imencode(".png", grey)[1].tobytes()
    np.testing.assert_array_equal(
        transforms.decode_image(data), np.repeat(grey[..., None], 3, axis=-1)
    )


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\nIEND"])
def test_bytes_that_are_no_picture_are_refused(data):
    with pytest.raises(ValueError, match="no PNG or JPEG picture"):
        transforms.decode_image(data)


@pytest.mark.parametrize("extension", [".png", ".jpg"])
@pytest.mark.parametrize("kept", [0.3, 0.9])
def test_a_picture_that_is_cut_short_is_refused(image_of, extension, kept):
    data = encoded(image_of(3, size=96), extension)
    with pytest.raises(ValueError, match="cut short"):
        transforms.decode_image(data[: int(kept * len(data))])


def test_halving_a_picture_takes_means_of_four_pixels():
    image = np.random.default_rng(0).integers(0, 256, (8, 8, 3)).astype(np.uint8)
    means = image.reshape(4, 2, 4, 2, 3).mean(axis=(1, 3))
    resized = transforms.resize_image(image, size=4)
    assert resized.dtype == np.uint8
    assert np.abs(resized - means).max() <= 0.5


def test_enlarging_a_ramp_keeps_it_a_ramp():
    image = np.repeat((np.arange(8) * 20)[None, :, None], 8, axis=0)
    resized = transforms.resize_image(
        np.broadcast_to(image, (8, 8, 3)).astype(np.uint8), size=16
    )
    inside = resized[5, 1:-1, 0].astype(int)
    np.testing.assert_array_equal(np.diff(inside), 10)


def test_a_picture_of_the_right_size_is_not_touched(image_of):
    image = image_of(1)
    assert transforms.resize_image(image, size=32) is image


def test_a_picture_that_is_not_square_is_refused():
    with pytest.raises(ValueError, match="image is 6 x 4 and size is 4; expected a sq"):
        transforms.resize_image(np.zeros((4, 6, 3), np.uint8), size=4)


def test_mirroring_twice_changes_nothing(image_of):
    image = image_of(5)
    mirrored = transforms.mirror_image(image)
    np.testing.assert_array_equal(mirrored[:, 0], image[:, -1])
    np.testing.assert_array_equal(transforms.mirror_image(mirrored), image)


def test_joints_follow_the_matrix_and_unknown_ones_are_zero():
    pose = np.stack([np.arange(32.0), -np.arange(32.0)], axis=-1)
    valid = np.ones(32, bool)
    valid[19] = False
    matrix = np.array([[2.0, 0.0, 100.0], [0.0, 2.0, 200.0]])
    joints, known = transforms.template_joints(pose, valid, matrix)
    assert joints[1].tolist() == [112.0, 188.0]  # hipR is the anatomical left hip: 6
    assert not known[11]  # wristR
    assert known.sum() == 14
    assert joints[11].tolist() == [0.0, 0.0]


def test_scaling_the_matrix_scales_the_joints(image_of):
    rng = np.random.default_rng(0)
    pose, matrix = rng.normal(size=(32, 2)), rng.normal(size=(2, 3))
    valid = np.ones(32, bool)
    joints, _ = transforms.template_joints(pose, valid, matrix)
    halved, _ = transforms.template_joints(
        pose, valid, transforms.scale_matrix(matrix, factor=0.5)
    )
    np.testing.assert_allclose(halved, joints / 2)


@pytest.mark.golden
def test_joints_and_boxes_in_the_crop_agree_with_the_stored_ones():
    golden = np.load(METRICS)
    for i, (pose, box) in enumerate(
        zip(golden["in/pose32"], golden["in/bbox"], strict=True)
    ):
        matrix = crops.crop_matrix(box)
        joints, _ = transforms.template_joints(pose, np.ones(32, bool), matrix)
        np.testing.assert_allclose(joints, golden["out/gt_joints"][i], atol=1e-6)
        corners = golden["out/gt_bbox"][i]
        np.testing.assert_allclose(
            crops.box_diagonal(box, matrix),
            np.linalg.norm(corners[1] - corners[0]),
            atol=1e-6,
        )
