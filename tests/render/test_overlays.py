import numpy as np
import pytest

from posejax.render.overlays import CYAN, distinct_colors, draw_skeleton, enlarge
from posejax.templates import SKELETON_CHAINS

GRAY = np.full((64, 64, 3), 90, np.uint8)
RED = (255, 0, 0)


def test_a_line_lies_between_its_joints_and_nowhere_else():
    joints = np.array([[10.0, 32.0], [50.0, 32.0]])
    picture = draw_skeleton(GRAY, joints, chains=[(0, 1)], thickness=1, radius=1)
    np.testing.assert_allclose(picture[32, 30], CYAN, atol=25)
    np.testing.assert_allclose(
        picture[31, 12:48], picture[33, 12:48].astype(int), atol=8
    )
    assert (picture[:28] == 90).all()
    assert (picture[36:] == 90).all()
    assert (picture[:, :6] == 90).all()
    assert (picture[:, 54:] == 90).all()


def test_joint_coordinates_are_x_then_y_and_pixel_centres():
    picture = draw_skeleton(
        GRAY, np.array([[20.0, 40.0]]), chains=[], joint_colors=RED, radius=2
    )
    assert tuple(picture[40, 20]) == RED
    changed = np.argwhere((picture != 90).any(axis=-1))
    np.testing.assert_allclose(changed.mean(axis=0), [40.0, 20.0], atol=0.26)


def test_the_frame_itself_is_not_changed():
    before = GRAY.copy()
    draw_skeleton(GRAY, np.array([[20.0, 40.0], [1.0, 2.0]]), chains=[(0, 1)])
    np.testing.assert_array_equal(GRAY, before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_joints_that_are_not_finite_and_their_lines_are_left_out(bad):
    joints = np.array([[10.0, 32.0], [bad, 32.0]])
    picture = draw_skeleton(GRAY, joints, chains=[(0, 1)], radius=2)
    assert (picture[:, 20:] == 90).all()
    assert (picture[32, 10] != 90).any()


def test_invalid_joints_and_their_lines_are_left_out():
    joints = np.array([[10.0, 32.0], [50.0, 32.0]])
    seen = np.array([True, False])
    picture = draw_skeleton(GRAY, joints, chains=[(0, 1)], valid=seen, radius=2)
    assert (picture[:, 20:] == 90).all()


@pytest.mark.parametrize("far", [70.0, 1e4, 1e9, 1e30, -1e9])
def test_a_line_to_a_joint_far_outside_keeps_its_direction(far):
    joints = np.array([[32.0, 32.0], [far, 32.0]])
    picture = draw_skeleton(GRAY, joints, chains=[(0, 1)], thickness=1)
    inside = 60 if far > 0 else 4
    np.testing.assert_allclose(picture[32, inside], CYAN, atol=25)
    assert (picture[:26] == 90).all()


def test_a_skeleton_wholly_outside_changes_nothing():
    joints = np.array([[500.0, 500.0], [900.0, 300.0], [-1e12, 4e11]])
    picture = draw_skeleton(GRAY, joints, chains=[(0, 1, 2)])
    # The last segment runs towards the picture but passes it on one side.
    np.testing.assert_array_equal(picture[:, 40:], GRAY[:, 40:])
    picture = draw_skeleton(GRAY, joints, chains=[(0, 1)])
    np.testing.assert_array_equal(picture, GRAY)


def test_each_joint_takes_its_own_colour():
    joints = np.array([[10.0, 10.0], [40.0, 40.0]])
    colors = [(255, 0, 0), (0, 0, 255)]
    picture = draw_skeleton(GRAY, joints, chains=[], joint_colors=colors, radius=3)
    assert tuple(picture[10, 10]) == colors[0]
    assert tuple(picture[40, 40]) == colors[1]


def test_a_box_is_drawn_along_its_four_sides():
    box = np.array([[8.0, 12.0], [40.0, 50.0]])
    picture = draw_skeleton(
        GRAY, np.zeros((0, 2)), chains=[], joint_colors=(), box=box, box_color=RED
    )
    for y, x in [(12, 20), (50, 20), (30, 8), (30, 40)]:
        np.testing.assert_allclose(picture[y, x], RED, atol=25)
    assert tuple(picture[30, 20]) == (90, 90, 90)


def test_drawing_scales_with_the_picture():
    joints = np.array([[0.2, 0.5], [0.8, 0.5]])
    shares = []
    for size in (512, 2048):
        frame = np.zeros((size, size, 3), np.uint8)
        picture = draw_skeleton(frame, joints * size, chains=[(0, 1)])
        shares.append((picture > 100).any(axis=-1).mean())
    assert shares[1] == pytest.approx(shares[0], rel=0.3)


def test_a_chain_with_an_unknown_joint_is_refused():
    with pytest.raises(ValueError, match=r"chains is .* must lie in 0\.\.2"):
        draw_skeleton(GRAY, np.zeros((3, 2)), chains=SKELETON_CHAINS)


def test_a_wrong_number_of_colours_is_refused():
    with pytest.raises(ValueError, match="one RGB colour or 3"):
        draw_skeleton(GRAY, np.zeros((3, 2)), chains=[], joint_colors=[RED, RED])


def test_distinct_colors_are_distinct():
    colors = distinct_colors(15)
    assert len(set(colors)) == 15
    gaps = [
        np.abs(np.subtract(a, b)).sum() for a in colors for b in colors if a is not b
    ]
    assert min(gaps) > 20
    assert distinct_colors(0) == ()


def test_enlarging_moves_pixel_centres_to_the_middle_of_their_blocks():
    frame = np.zeros((8, 8, 3), np.uint8)
    frame[2, 5] = 255
    bigger, joints = enlarge(frame, np.array([[5.0, 2.0]]), factor=5)
    assert bigger.shape == (40, 40, 3)
    np.testing.assert_allclose(joints, [[27.0, 12.0]])
    assert bigger[12, 27].min() > 200
    with pytest.raises(ValueError, match="factor is 0"):
        enlarge(frame, joints, factor=0)
