import numpy as np
import pytest

from posejax import data
from tests.fill import golden


def test_a_vector_moves_to_its_end_and_its_neighbours_take_it():
    flow = np.zeros((4, 6, 2), np.float32)
    flow[...] = np.nan  # no other vector counts
    flow[2, 1] = (3.0, 0.0)
    flow[1, 1] = (0.0, -0.75)
    guess = data.forward_interpolate(flow)
    assert guess.dtype == np.float32
    assert guess[2, 4].tolist() == [3.0, 0.0]
    assert guess[0, 1].tolist() == [0.0, -0.75]
    assert guess[3, 5].tolist() == [3.0, 0.0]
    assert guess[0, 0].tolist() == [0.0, -0.75]


def test_a_constant_flow_is_its_own_guess():
    flow = np.broadcast_to(np.array([1.25, -0.5]), (5, 7, 2))
    np.testing.assert_array_equal(data.forward_interpolate(flow), flow)


@pytest.mark.parametrize("value", [100.0, -100.0, np.nan, np.inf])
def test_a_flow_that_leaves_the_picture_everywhere_gives_zeros(value):
    flow = np.full((3, 4, 2), value, np.float32)
    np.testing.assert_array_equal(data.forward_interpolate(flow), 0)


def test_every_pixel_gets_a_vector_of_the_nearest_end():
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(6, 8, 2)) * 3
    guess = data.forward_interpolate(flow)
    y, x = np.indices((6, 8))
    ends = np.stack([x, y], -1) + flow
    inside = np.all((ends > 0) & (ends < (8, 6)), axis=-1)
    for at in np.ndindex(6, 8):
        distances = np.linalg.norm(ends[inside] - at[::-1], axis=-1)
        assert guess[at].tolist() == flow[inside][np.argmin(distances)].tolist()


@pytest.mark.golden
def test_the_guess_equals_the_stored_one_but_for_ties():
    arrays, _ = golden("forward_interpolate", system="flow_pose")
    flow = np.moveaxis(arrays["in/flow"], 0, -1)
    expected = np.moveaxis(arrays["out/flow"], 0, -1)
    guess = data.forward_interpolate(flow)
    differs = np.any(guess != expected.astype(flow.dtype), axis=-1)
    y, x = np.indices(flow.shape[:2])
    ends = np.stack([x, y], -1) + flow
    for at in np.argwhere(differs):
        # Both vectors must end equally near.
        near = [
            np.linalg.norm(ends - at[::-1], axis=-1)[np.all(flow == v[*at], axis=-1)]
            for v in (guess, expected)
        ]
        assert np.isclose(near[0].min(), near[1].min(), rtol=1e-9)
    assert differs.mean() < 0.1


def test_a_batch_of_flows_is_refused():
    with pytest.raises(ValueError, match="one pair"):
        data.forward_interpolate.__wrapped__(np.zeros((2, 3, 4, 2)))
