"""Crop geometry against stored values, by hand, and at its edges."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from posejax.data import crops

GOLDEN = pathlib.Path(__file__).parent.parent / "golden" / "template_warp" / "crop.npz"


def golden_frame(golden):
    """The synthetic frame: cosine waves over rows and columns, divided by the rows."""
    amplitude, u, v, phase = golden["in/frame_waves"][:, 0]
    height, width = 1002, 1000
    i = np.arange(height)[:, None, None, None] / height
    j = np.arange(width)[None, :, None, None] / height
    waves = amplitude * np.cos(2 * np.pi * (u * i + v * j) + phase)
    return np.clip(np.rint(127.5 + 60 * waves.sum(-1)), 0, 255).astype(np.uint8)


@pytest.mark.golden
def test_cells_and_matrices_agree_with_the_stored_ones():
    golden = np.load(GOLDEN)
    for i, box in enumerate(golden["in/bbox"]):
        matrix = crops.crop_matrix(box)
        np.testing.assert_array_equal(crops.raster_cells(box), golden["out/cells"][i])
        np.testing.assert_allclose(matrix, golden["out/matrix"][i], atol=1e-9)
        np.testing.assert_allclose(
            crops.invert_matrix(matrix), golden["out/inverse_matrix"][i], atol=1e-9
        )


@pytest.mark.golden
def test_crops_agree_with_the_stored_ones():
    golden = np.load(GOLDEN)
    frame = golden_frame(golden)
    for i, box in enumerate(golden["in/bbox"]):
        crop = crops.crop_image(frame, crops.crop_matrix(box), 256)[::4, ::4]
        difference = np.abs(crop.astype(int) - golden["out/crop"][i].astype(int))
        assert difference.max() <= 2


def test_crop_matrix_by_hand():
    # Cells 1..3 by 0..2: two rows, hence 400 source pixels about (340, 170).
    box = np.array([[171, 0], [509, 340]])
    scale = 256 / 400
    expected = [[scale, 0, 128 - scale * 340], [0, scale, 128 - scale * 170]]
    np.testing.assert_allclose(crops.crop_matrix(box), expected)


def test_window_of_a_box_on_raster_lines_is_not_enlarged():
    box = np.array([[170, 340], [340, 680]])
    np.testing.assert_array_equal(crops.raster_cells(box), [[1, 2], [2, 4]])


def test_crop_size_scales_the_matrix():
    box = np.array([[345, 161], [820, 680]])
    np.testing.assert_allclose(
        crops.crop_matrix(box, crop_size=64), crops.crop_matrix(box) / 4
    )


def test_cell_scales_with_the_frame():
    box = np.array([[345.0, 161.0], [820.0, 680.0]])
    small = crops.apply_matrix(crops.crop_matrix(box / 2, cell=85.0), box / 2)
    large = crops.apply_matrix(crops.crop_matrix(box), box)
    np.testing.assert_allclose(small, large)


def test_invert_matrix_undoes_the_map():
    rng = np.random.default_rng(0)
    matrix = rng.normal(size=(4, 2, 3))
    points = rng.normal(size=(4, 7, 2))
    back = crops.apply_matrix(
        crops.invert_matrix(matrix), crops.apply_matrix(matrix, points)
    )
    np.testing.assert_allclose(back, points, atol=1e-12)


def test_apply_matrix_over_a_batch_equals_the_loop():
    rng = np.random.default_rng(1)
    matrix = rng.normal(size=(3, 2, 3))
    points = rng.normal(size=(3, 5, 2))
    loop = [
        [m @ [x, y, 1.0] for x, y in p] for m, p in zip(matrix, points, strict=True)
    ]
    np.testing.assert_allclose(crops.apply_matrix(matrix, points), loop)


def test_box_diagonal_is_that_of_the_box_in_the_crop():
    box = np.array([[100, 100], [400, 500]])
    matrix = np.array([[0.5, 0.0, 7.0], [0.0, 0.5, -3.0]])
    np.testing.assert_allclose(crops.box_diagonal(box, matrix), 250.0)


def test_crop_is_black_outside_the_frame_and_keeps_channels():
    image = np.full((20, 20, 3), (10, 20, 30), np.uint8)
    crop = crops.crop_image(image, np.array([[1.0, 0, 0], [0, 1.0, 0]]), 32)
    np.testing.assert_array_equal(crop[5, 5], [10, 20, 30])
    assert crop[25:].max() == 0
    grey = crops.crop_image(image[..., :1], np.array([[1.0, 0, 0], [0, 1.0, 0]]), 8)
    assert grey.shape == (8, 8, 1)


@pytest.mark.parametrize(
    ("box", "words"),
    [
        ([[5.0, 5.0], [1.0, 9.0]], "x0 <= x1"),
        ([[0.0, np.nan], [1.0, 9.0]], "finite"),
        ([[0.0, 170.0], [100.0, 170.0]], "no height"),
    ],
)
def test_bad_boxes_are_refused(box, words):
    with pytest.raises(ValueError, match=words):
        crops.raster_cells(np.array(box))


def test_bad_sizes_are_refused():
    box = np.array([[0, 0], [9, 9]])
    with pytest.raises(ValueError, match="crop_size is 0"):
        crops.crop_matrix(box, crop_size=0)
    with pytest.raises(ValueError, match="cell is 0"):
        crops.crop_matrix(box, cell=0.0)
    with pytest.raises(ValueError, match="singular"):
        crops.invert_matrix(np.zeros((2, 3)))
    with pytest.raises(ValueError, match="at least one pixel"):
        crops.crop_image(np.zeros((0, 4, 3), np.uint8), np.eye(2, 3), 8)


def test_the_module_does_not_import_jax():
    code = "import sys, posejax.data.crops; sys.exit('jax' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
