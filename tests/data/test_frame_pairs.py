"""Pairs of frames: which pictures are read, and how each becomes RGB of 8 bits."""

import cv2
import numpy as np
import pytest

from posejax import data
from tests.refusals import assert_refused_in_one_line


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (24, 32, 3)).astype(np.uint8)


def saved(path, pixels):
    assert cv2.imwrite(str(path), np.ascontiguousarray(pixels))
    return path


@pytest.mark.parametrize("suffix", [".png", ".ppm", ".bmp"])
def test_both_frames_come_back_in_rgb_order(tmp_path, image, suffix):
    first = saved(tmp_path / f"a{suffix}", image[..., ::-1])
    second = saved(tmp_path / f"b{suffix}", image[::-1, :, ::-1])
    frames = data.read_frame_pair(first, second)
    np.testing.assert_array_equal(frames[0], image)
    np.testing.assert_array_equal(frames[1], image[::-1])


def test_grey_is_repeated_alpha_is_dropped_and_of_16_bits_the_upper_are_kept(
    tmp_path, image
):
    grey = data.read_frame(saved(tmp_path / "g.png", image[..., 0]))
    np.testing.assert_array_equal(grey, np.repeat(image[..., :1], 3, axis=-1))
    alpha = np.concatenate([image[..., ::-1], image[..., :1]], axis=-1)
    np.testing.assert_array_equal(
        data.read_frame(saved(tmp_path / "a.png", alpha)), image
    )
    deep = image[..., ::-1].astype(np.uint16) * 256 + 200
    np.testing.assert_array_equal(
        data.read_frame(saved(tmp_path / "d.png", deep)), image
    )


def test_frames_of_different_sizes_are_refused_with_both_sizes(tmp_path, image):
    first = saved(tmp_path / "a.png", image)
    second = saved(tmp_path / "b.png", image[:-1])
    assert_refused_in_one_line(
        lambda: data.read_frame_pair(first, second), "32 x 24", "32 x 23", "b.png"
    )


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_frame_that_is_cut_short_is_refused(tmp_path, image, suffix):
    path = saved(tmp_path / f"a{suffix}", image)
    path.write_bytes(path.read_bytes()[:-120])
    assert_refused_in_one_line(
        lambda: data.read_frame(path), path.name, "cut short", kind=data.VideoError
    )


def test_a_text_an_empty_file_and_no_file_are_refused(tmp_path, image):
    good = saved(tmp_path / "a.png", image)
    for raw, words in ((b"no picture", "cannot be read"), (b"", "is empty")):
        bad = tmp_path / "b.png"
        bad.write_bytes(raw)
        assert_refused_in_one_line(
            lambda bad=bad: data.read_frame_pair(good, bad), "b.png", words
        )
    assert_refused_in_one_line(
        lambda: data.read_frame_pair(good, tmp_path / "c.png"),
        "c.png",
        kind=FileNotFoundError,
    )
