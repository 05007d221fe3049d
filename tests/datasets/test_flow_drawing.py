"""Drawn pairs: the flow is exact, and what is said to be hidden is."""

import cv2
import numpy as np
import pytest

from datasets.flow_sample import drawing
from datasets.flow_sample.drawing import drawn_pair

HEIGHT, WIDTH = 64, 96


@pytest.fixture(scope="module")
def pairs():
    return [drawn_pair(i, height=HEIGHT, width=WIDTH, seed=3) for i in range(6)]


def warped_back(pair):
    grid = np.stack(np.meshgrid(np.arange(WIDTH), np.arange(HEIGHT)), -1)
    places = (grid + pair.flow).astype(np.float32)
    return cv2.remap(pair.image_2, places, None, cv2.INTER_LINEAR)


def difference(image, other):
    return np.abs(image.astype(float) - other).mean(axis=-1)


def test_the_second_frame_fetched_along_the_flow_is_the_first_where_it_is_seen(pairs):
    moved, still, hidden = [], [], []
    for pair in pairs:
        found = difference(warped_back(pair), pair.image_1)
        moved.append(found[~pair.occluded].mean())
        hidden.append(found[pair.occluded].mean())
        still.append(difference(pair.image_2, pair.image_1).mean())
    assert np.mean(moved) < 0.4 * np.mean(still)
    assert np.mean(moved) < 0.3 * np.mean(hidden)
    assert 0.005 < np.mean([pair.occluded.mean() for pair in pairs]) < 0.4


def test_a_pair_is_a_function_of_its_arguments(pairs):
    again = drawn_pair(2, height=HEIGHT, width=WIDTH, seed=3)
    for found, wanted in zip(again, pairs[2], strict=True):
        np.testing.assert_array_equal(found, wanted)
    other = drawn_pair(2, height=HEIGHT, width=WIDTH, seed=4)
    assert difference(other.image_1, pairs[2].image_1).mean() > 5


def test_a_point_later_shows_the_same_place_of_its_layer():
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 60, (50, 2))
    bends = 0
    for layer in drawing._random_layers(rng, HEIGHT, WIDTH):
        before, after = layer.motions
        later = drawing._later(layer, points)
        np.testing.assert_allclose(
            drawing._places(before, points), drawing._places(after, later), atol=1e-3
        )
        bends += np.abs(after.amplitudes).sum() > 0
    assert bends > 0


def test_pictures_and_flow_have_the_documented_types(pairs):
    for pair in pairs:
        assert pair.image_1.shape == pair.image_2.shape == (HEIGHT, WIDTH, 3)
        assert pair.image_1.dtype == np.uint8
        assert pair.flow.dtype == np.float32
        assert np.isfinite(pair.flow).all()
        assert pair.occluded.dtype == bool
