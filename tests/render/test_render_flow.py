import numpy as np
import pytest

from posejax import render
from tests.fill import golden
from tests.refusals import assert_refused_in_one_line


@pytest.fixture(scope="module")
def stored():
    return golden("flow_viz", system="flow_pose")[0]


@pytest.mark.golden
def test_the_wheel_equals_the_stored_one(stored):
    np.testing.assert_array_equal(render.color_wheel(), stored["out/wheel"])


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "picture"),
    [("flow", "image"), ("flow_random", "image_random"), ("flow_zero", "image_zero")],
)
def test_pictures_of_flows_equal_the_stored_ones(stored, name, picture):
    image = render.flow_to_image(stored[f"in/{name}"].astype(np.float64))
    assert image.dtype == np.uint8
    expected = stored[f"out/{picture}"].astype(int)
    assert np.abs(image - expected).max() <= 1
    # The other picture of the file is the same with its channels in another order.
    if picture == "image":
        assert np.abs(image[..., ::-1] - stored["out/image_bgr"].astype(int)).max() <= 1


@pytest.mark.golden
def test_vectors_longer_than_the_radius_are_darkened_as_stored(stored):
    flow = stored["in/flow_random"].astype(np.float64)
    image = render.flow_colors(flow / 4)
    difference = image - stored["out/colors_out_of_range"].astype(int)
    assert np.abs(difference).max() <= 1


@pytest.mark.golden
def test_clipping_keeps_negative_components_where_the_published_one_wipes_them(stored):
    flow = stored["in/flow"].astype(np.float64)
    clipped = render.flow_to_image(flow, clip_flow=3.0)
    expected = render.flow_to_image(np.clip(flow, -3, 3))
    np.testing.assert_array_equal(clipped, expected)
    published = render.flow_to_image(np.clip(flow, 0, 3))
    assert np.abs(published - stored["out/image_clip3"].astype(int)).max() <= 1
    assert np.abs(published.astype(int) - clipped).max() > 50


def test_zero_is_white_right_is_red_and_opposite_directions_differ():
    flow = np.array([[[0.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]]])
    still, right, left, down, up = render.flow_to_image(flow)[0].astype(int)
    assert still.tolist() == [255, 255, 255]
    assert right[0] == 255
    assert right[1:].max() < 30
    assert left[0] < 30
    for one, other in ((right, left), (down, up)):
        assert np.abs(one - other).max() > 150


def test_unknown_vectors_are_black_and_do_not_set_the_scale():
    flow = np.random.default_rng(0).normal(size=(4, 5, 2))
    expected = render.flow_to_image(flow)
    spoiled, valid = flow.copy(), np.ones((4, 5), bool)
    longest = np.unravel_index(np.linalg.norm(flow, axis=-1).argmin(), (4, 5))
    for value in (1e10, np.nan, np.inf):
        spoiled[longest], valid[longest] = value, False
        image = render.flow_to_image(spoiled, valid=valid)
        assert image[longest].tolist() == [0, 0, 0]
        np.testing.assert_array_equal(image[valid], expected[valid])


def test_one_largest_length_makes_pictures_comparable():
    flow = np.full((2, 3, 2), (1.0, 0.5))
    alone = render.flow_to_image(flow)
    half = render.flow_to_image(flow, max_length=2 * np.hypot(1.0, 0.5))
    assert (half >= alone).all()
    assert (half != alone).any()
    twice = render.flow_to_image(2 * flow, max_length=2 * np.hypot(1.0, 0.5))
    assert np.abs(twice.astype(int) - alone).max() <= 1


def test_the_frame_is_above_its_flow():
    frame = np.random.default_rng(1).integers(0, 256, (4, 6, 3)).astype(np.uint8)
    flow = np.random.default_rng(2).normal(size=(4, 6, 2))
    picture = render.flow_beneath_frame(frame, flow)
    np.testing.assert_array_equal(picture[:4], frame)
    np.testing.assert_array_equal(picture[4:], render.flow_to_image(flow))


@pytest.mark.parametrize(
    ("options", "named"),
    [({"max_length": 0.0}, "max_length is 0.0"), ({"clip_flow": -1.0}, "clip_flow is")],
)
def test_numbers_that_are_not_positive_are_refused(options, named):
    flow = np.zeros((2, 2, 2))
    assert_refused_in_one_line(lambda: render.flow_to_image(flow, **options), named)


def test_arrays_that_are_no_flow_of_this_frame_are_refused(monkeypatch):
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    frame = np.zeros((4, 6, 3), np.uint8)
    for call in (
        lambda: render.flow_to_image(np.zeros((4, 6, 3))),
        lambda: render.flow_colors(np.zeros((4, 2))),
        lambda: render.flow_beneath_frame(frame, np.zeros((4, 7, 2))),
    ):
        assert_refused_in_one_line(call, "shape")
