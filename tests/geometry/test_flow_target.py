import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden

from posejax.geometry import (
    LSP_FLOW_BONES,
    POSETRACK_FLOW_BONES,
    flow_target,
    skeleton_points,
)


def painted_naively(flow, points, next_points, valid, radius):
    """One pixel of one square at a time."""
    target, painted = np.array(flow), np.zeros(flow.shape[:2], bool)
    for p, q, is_valid in zip(points, next_points, valid, strict=True):
        x, y = (int(np.round(c)) for c in np.nan_to_num(p))
        for row in range(y - radius, y + radius):
            for column in range(x - radius, x + radius):
                inside = 0 <= row < flow.shape[0] and 0 <= column < flow.shape[1]
                if is_valid and inside:
                    target[row, column], painted[row, column] = q - p, True
    return target, painted


def test_a_square_is_half_open_and_rounds_half_to_even():
    still = jnp.zeros((12, 12, 2))
    points, moved = jnp.array([[4.5, 5.5]]), jnp.array([[7.5, 4.5]])
    target, painted = flow_target(still, points, moved, radius=2)
    rows, columns = np.nonzero(np.asarray(painted))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 7, 2, 5)
    np.testing.assert_array_equal(np.asarray(target)[painted], [[3.0, -1.0]] * 16)
    np.testing.assert_array_equal(np.asarray(target)[~np.asarray(painted)], 0)


@pytest.mark.parametrize("radius", [1, 3])
def test_targets_equal_a_loop_over_pixels_at_borders_too(radius):
    rng = np.random.default_rng(0)
    flow = rng.normal(size=(17, 23, 2)).astype(np.float32)
    points = rng.uniform(-6, 30, size=(40, 2)).astype(np.float32)
    moved = (points + rng.normal(size=points.shape)).astype(np.float32)
    valid = rng.random(40) < 0.8
    points[~valid] = np.nan
    expected = painted_naively(flow, points, moved, valid, radius)
    paint = jax.jit(lambda *a: flow_target(*a[:3], valid=a[3], radius=radius))
    found = paint(flow, points, moved, valid)
    np.testing.assert_array_equal(found[0], expected[0])
    np.testing.assert_array_equal(found[1], expected[1])
    assert 0 < expected[1].mean() < 1
    each = jax.vmap(lambda *a: flow_target(*a[:3], valid=a[3], radius=radius))
    twice = each(*(np.stack([a, a]) for a in (flow, points, moved, valid)))
    np.testing.assert_array_equal(twice[0][1], expected[0])


def test_the_later_point_stays_and_all_outside_changes_nothing():
    still = jnp.ones((8, 8, 2))
    points = jnp.array([[3.0, 3.0], [4.0, 3.0]])
    target, _ = flow_target(still, points, points + jnp.array([[5.0], [7.0]]), radius=1)
    np.testing.assert_array_equal(np.asarray(target)[2, 2:5, 0], [5, 7, 7])
    far = points + jnp.array([[1e9], [-1e9]])
    target, painted = flow_target(still, far, far + 1, radius=1)
    np.testing.assert_array_equal(target, still)
    assert not painted.any()


def test_a_target_keeps_the_dtype_of_the_flow():
    points = jnp.array([[3.0, 3.0]])
    found, _ = flow_target(jnp.ones((8, 8, 2), jnp.float16), points, points + 1.5)
    assert found.dtype == jnp.float16


def test_points_of_a_bone_are_equally_spaced_and_missing_joints_have_none():
    joints = jnp.array([[0.0, 0.0], [21.0, 42.0], [0.0, 7.0]])
    valid = jnp.array([True, True, False])
    points, is_valid = skeleton_points(
        joints, bones=((0, 1), (1, 2)), joint_valid=valid
    )
    assert points.shape == (44, 2)
    np.testing.assert_allclose(points[:22, 0], np.arange(22), atol=1e-5)
    np.testing.assert_allclose(points[:22, 1], 2 * np.arange(22), atol=1e-5)
    np.testing.assert_array_equal(is_valid, [True] * 22 + [False] * 22)
    np.testing.assert_array_equal(points[22:], 0)


def test_the_bones_have_286_and_308_points_and_no_more_joints_than_there_are():
    for joints, bones, count in (
        (14, LSP_FLOW_BONES, 286),
        (17, POSETRACK_FLOW_BONES, 308),
    ):
        found = jax.eval_shape(
            lambda p, bones=bones: skeleton_points(p, bones=bones)[0],
            jnp.zeros((joints, 2)),
        )
        assert found.shape == (count, 2)
    with pytest.raises(ValueError, match="up to joint 16, joints has 14"):
        skeleton_points(jnp.zeros((14, 2)), bones=POSETRACK_FLOW_BONES)
    with pytest.raises(ValueError, match="num_between is -1; expected at least 0"):
        skeleton_points(jnp.zeros((14, 2)), num_between=-1)
    with pytest.raises(ValueError, match="radius is 0; expected at least 1"):
        flow_target(jnp.zeros((4, 4, 2)), *[jnp.zeros((1, 2))] * 2, radius=0)


@pytest.mark.golden
@pytest.mark.parametrize("radius", [15, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_targets_equal_the_stored_ones(radius, dtype):
    arrays, meta = golden(f"flow_target_nb{radius}", system="flow_pose")
    assert meta["pairs"] == [list(bone) for bone in LSP_FLOW_BONES]
    with jax.enable_x64(dtype == np.float64):
        joints = arrays["in/joints2d"].astype(dtype)
        points, valid = jax.jit(skeleton_points)(joints)
        paint = jax.jit(lambda *a: flow_target(*a[:3], valid=a[3], radius=radius))
        for pair, flow in enumerate(arrays["in/flow"]):
            target, painted = paint(
                flow.astype(dtype),
                *points[pair : pair + 2],
                valid[pair] & valid[pair + 1],
            )
            right = arrays["out/target_right"][pair]
            np.testing.assert_allclose(target, right, atol=2e-5)
            # Where the published code has lost a square, it keeps the flow.
            changed = np.any(right != flow, axis=-1)
            np.testing.assert_array_equal(np.asarray(painted) & changed, changed)
            stored = arrays["out/target_reference"][pair]
            differs = np.any(np.abs(stored - np.asarray(target)) > 2e-5, axis=-1)
            np.testing.assert_array_equal(differs & ~np.asarray(painted), False)


@pytest.mark.golden
def test_targets_in_the_picture_equal_the_stored_ones():
    arrays, meta = golden("flow_target_2d", system="flow_pose")
    assert meta["pairs"] == [list(bone) for bone in POSETRACK_FLOW_BONES]
    with jax.enable_x64(True):
        is_sure = arrays["in/confidence"] > meta["conf_threshold"]
        radius = meta["neighborhood"]
        paint = jax.jit(lambda *a: flow_target(*a[:3], valid=a[3], radius=radius))
        points, valid = jax.jit(
            lambda joints, known: skeleton_points(
                joints, bones=POSETRACK_FLOW_BONES, joint_valid=known
            )
        )(arrays["in/joints2d"], is_sure)
        for pair, flow in enumerate(arrays["in/flow"]):
            target, _ = paint(
                flow, *points[pair : pair + 2], valid[pair] & valid[pair + 1]
            )
            np.testing.assert_allclose(target, arrays["out/target"][pair], atol=1e-5)
