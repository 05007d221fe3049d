import numpy as np
import pytest

from posejax.render.grids import (
    as_uint8,
    caption,
    frame_row,
    heatmap_overlay,
    image_grid,
    stack_rows,
    template_heatmap,
)


def test_floats_are_rounded_cut_and_never_stretched():
    values = np.array([-1.0, 0.0, 0.5, 0.502, 1.0, 9.0, np.nan])
    picture = np.repeat(values[None, :, None], 3, axis=-1)
    np.testing.assert_array_equal(
        as_uint8(picture)[0, :, 0], [0, 0, 128, 128, 255, 255, 0]
    )


def test_bytes_pass_through_and_other_integers_are_refused():
    picture = np.arange(12, dtype=np.uint8).reshape(2, 2, 3)
    assert as_uint8(picture) is picture
    with pytest.raises(TypeError, match="int64"):
        as_uint8(picture.astype(np.int64))


def test_a_grid_puts_picture_n_in_row_and_column_of_n():
    images = np.stack([np.full((4, 5, 3), 10 * n, np.uint8) for n in range(5)])
    grid = image_grid(images, columns=3, padding=2, background=(255, 255, 255))
    assert grid.shape == (2 * 6 + 2, 3 * 7 + 2, 3)
    for n in range(5):
        top, left = 2 + 6 * (n // 3), 2 + 7 * (n % 3)
        assert (grid[top : top + 4, left : left + 5] == 10 * n).all()
    assert (grid[8:12, 16:21] == 255).all()  # the empty place
    assert (grid[:2] == 255).all()


def test_a_grid_is_not_wider_than_its_pictures():
    images = np.zeros((2, 4, 4, 3), np.uint8)
    assert image_grid(images, columns=6, padding=0).shape == (4, 8, 3)


@pytest.mark.parametrize(
    ("count", "columns", "padding"), [(0, 6, 2), (1, 0, 2), (1, 6, -1)]
)
def test_an_impossible_grid_is_refused(count, columns, padding):
    images = np.zeros((count, 4, 4, 3), np.uint8)
    with pytest.raises(ValueError, match=f"columns={columns} and padding={padding}"):
        image_grid(images, columns=columns, padding=padding)


def test_a_heat_map_is_the_sum_of_the_parts_cut_at_one():
    parts = np.zeros((2, 3, 2))
    parts[0, 1] = [0.25, 0.25]
    parts[1, 2] = [0.9, 0.8]
    picture = template_heatmap(parts)
    expected = np.array([[0, 128, 0], [0, 0, 255]], np.uint8)
    np.testing.assert_array_equal(picture, np.repeat(expected[..., None], 3, axis=-1))


def test_a_colour_map_runs_from_dark_to_bright_and_is_rgb():
    ramp = np.linspace(0, 1, 8)[None, :, None]
    picture = template_heatmap(ramp, color_map="inferno")
    assert (np.diff(picture.astype(int).sum(axis=-1)) > 0).all()
    middle = picture[0, 4]
    assert middle[0] > middle[2]  # inferno is red in the middle, not blue
    with pytest.raises(ValueError, match="expected one of"):
        template_heatmap(ramp, color_map="jet")


def test_an_overlay_leaves_cold_pixels_as_they_are():
    frame = np.full((4, 4, 3), 77, np.uint8)
    parts = np.zeros((4, 4, 1))
    parts[1, 2] = 1.0
    picture = heatmap_overlay(frame, parts, opacity=1.0)
    hot = template_heatmap(parts, color_map="inferno")[1, 2]
    np.testing.assert_array_equal(picture[1, 2], hot)
    picture[1, 2] = 77
    np.testing.assert_array_equal(picture, frame)


def test_a_row_brings_frames_to_one_height_in_order():
    red = np.zeros((20, 10, 3), np.uint8) + np.array([255, 0, 0], np.uint8)
    blue = np.zeros((40, 40, 3), np.uint8) + np.array([0, 0, 255], np.uint8)
    row = frame_row([red, blue], padding=3)
    assert row.shape == (26, 3 + 10 + 3 + 20 + 3, 3)
    assert tuple(row[13, 5]) == (255, 0, 0)
    assert tuple(row[13, 25]) == (0, 0, 255)
    assert (row[:, 13:16] == 255).all()


def test_captions_stand_above_their_frames():
    frames = [np.zeros((60, 60, 3), np.uint8)] * 2
    row = frame_row(frames, ["frame 1", ""], padding=4)
    assert row.shape[0] == 60 + 8 + 18
    strip = row[4:22]
    assert (strip[:, 4:64] < 100).any()
    assert (strip[:, 68:128] == 255).all()


def test_a_missing_caption_or_frame_is_refused():
    frame = np.zeros((8, 8, 3), np.uint8)
    with pytest.raises(ValueError, match="2 images and 1 captions"):
        frame_row([frame, frame], ["one"])
    with pytest.raises(ValueError, match="0 images"):
        frame_row([])


def test_a_long_caption_is_set_smaller_until_it_fits():
    strip = caption("a caption of many words", width=150, size=24)
    assert strip.shape == (36, 150, 3)
    ink = np.flatnonzero((strip < 128).any(axis=(0, 2)))
    assert ink[0] >= 0
    assert ink[-1] < 150
    assert np.ptp(ink) > 75
    assert (strip[:, :1] == 255).all()


def test_stacked_rows_are_filled_with_white():
    narrow, wide = np.zeros((3, 4, 3), np.uint8), np.zeros((2, 9, 3), np.uint8)
    page = stack_rows([narrow, wide])
    assert page.shape == (5, 9, 3)
    assert (page[:3, 4:] == 255).all()
    assert (page[3:] == 0).all()
    with pytest.raises(ValueError, match="rows is empty"):
        stack_rows([])
