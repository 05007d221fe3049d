import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import metrics, numerics
from posejax.skeletons import TEMPLATE_15

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/template_warp/metrics.npz"


def load():
    with np.load(GOLDEN) as golden:
        return {key: golden[key] for key in golden.files}


def poses(seed, *batch):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(0, 100, (*batch, 15, 2)), jnp.float32)


def standing(wrist_right, wrist_left):
    """Shoulders at (20, 0) and (-20, 0), wrists as given relative to them."""
    joints = np.zeros((15, 2), np.float32)
    joints[9], joints[12] = (20, 0), (-20, 0)
    joints[11] = joints[9] + wrist_right
    joints[14] = joints[12] + wrist_left
    return jnp.asarray(joints)


def test_distances_by_hand():
    predicted = jnp.array([[3.0, 4.0], [1.0, 1.0], [jnp.nan, 0.0]])
    target = jnp.array([[0.0, 0.0], [1.0, 1.0], [7.0, jnp.nan]])
    valid = jnp.array([True, True, False])
    distances = metrics.joint_distances(predicted, target, joint_valid=valid)
    np.testing.assert_allclose(distances, [5.0, 0.0, 0.0])
    shares = metrics.normalized_l2(predicted, target, joint_valid=valid, image_size=50)
    np.testing.assert_allclose(shares, [0.1, 0.0, 0.0])


def test_a_joint_is_detected_strictly_within_its_share_of_the_box():
    target = jnp.zeros((4, 2))
    predicted = target.at[:, 0].set(jnp.array([0.0, 4.75, 5.0, 1.0]))
    valid = jnp.array([True, True, True, False])
    hits = metrics.pdj(
        predicted, target, jnp.array(20.0), joint_valid=valid, threshold=0.25
    )
    np.testing.assert_array_equal(hits, [1, 1, 0, 0])


def test_a_joint_that_is_no_number_is_not_detected():
    hits = metrics.pdj(jnp.full((1, 2), jnp.nan), jnp.zeros((1, 2)), jnp.array(9.0))
    np.testing.assert_array_equal(hits, [0])


def test_distances_do_not_change_when_both_poses_move_or_turn():
    predicted, target = poses(0, 3), poses(1, 3)
    cos, sin = np.cos(0.7), np.sin(0.7)
    turn = jnp.array([[cos, -sin], [sin, cos]])
    one = metrics.joint_distances(predicted, target)
    other = metrics.joint_distances(predicted @ turn + 9, target @ turn + 9)
    np.testing.assert_allclose(one, other, rtol=1e-4)


def test_distance_has_no_gradient_where_joints_coincide_or_do_not_count():
    predicted = jnp.array([[1.0, 2.0], [jnp.nan, 0.0], [4.0, 0.0]])
    target = jnp.array([[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]])
    valid = jnp.array([True, False, True])

    def total(p):
        return metrics.joint_distances(p, target, joint_valid=valid).sum()

    np.testing.assert_allclose(jax.grad(total)(predicted), [[0, 0], [0, 0], [1, 0]])


@pytest.mark.usefixtures("float64")
def test_gradients_of_distances_are_their_derivatives():
    predicted, target = (poses(s, 2).astype(jnp.float64) for s in (2, 3))
    check_grads(jax.jit(metrics.joint_distances), (predicted, target), order=1)


def test_sides_are_exchanged_by_name():
    joints = poses(4)
    swapped = metrics.swap_sides(joints)
    for name, other in (("kneeR", "kneeL"), ("wristL", "wristR"), ("neck", "neck")):
        np.testing.assert_array_equal(
            swapped[TEMPLATE_15.index(name)], joints[TEMPLATE_15.index(other)]
        )
    np.testing.assert_array_equal(metrics.swap_sides(swapped), joints)


def test_a_person_seen_from_behind_is_scored_with_the_better_assignment():
    target = poses(5, 2)
    predicted = jnp.stack([target[0] + 1, metrics.swap_sides(target[1])])
    diagonal = jnp.array([100.0, 100.0])
    free = metrics.pdj_left_right_free(predicted, target, diagonal)
    np.testing.assert_array_equal(free, np.ones((2, 15)))
    np.testing.assert_allclose(
        metrics.pdj(predicted, target, diagonal).mean(1)[1], 3 / 15
    )
    shares = metrics.normalized_l2_left_right_free(predicted, target, image_size=100)
    np.testing.assert_allclose(shares[0], np.full(15, np.sqrt(2) / 100), rtol=1e-4)
    np.testing.assert_array_equal(shares[1], np.zeros(15))


def test_the_better_assignment_is_never_worse_and_sees_only_joints_that_count():
    predicted, target = poses(6, 50), poses(7, 50)
    valid = jnp.asarray(np.random.default_rng(8).random((50, 15)) < 0.5)
    diagonal = jnp.full(50, 600.0)
    broken = jnp.where(valid[..., None], target, jnp.nan)

    def frames(values):
        return np.asarray(numerics.masked_mean(values, valid))

    options = {"joint_valid": valid}
    free = metrics.pdj_left_right_free(predicted, broken, diagonal, **options)
    plain = metrics.pdj(predicted, broken, diagonal, **options)
    assert np.all(frames(free) >= frames(plain))
    options["image_size"] = 100
    free = metrics.normalized_l2_left_right_free(predicted, broken, **options)
    plain = metrics.normalized_l2(predicted, broken, **options)
    assert np.all(np.isfinite(free))
    assert np.all(frames(free) <= frames(plain))
    assert np.any(frames(free) < frames(plain))


def test_arms_are_out_up_to_the_angle_and_on_their_own_side():
    slope = np.tan(np.deg2rad(20))
    right, left = np.array([10.0, 0.0]), np.array([-10.0, 0.0])
    tilt = np.array([0.0, 10 * slope])
    assert metrics.arms_out(standing(right, left))
    assert metrics.arms_out(standing(right + 0.99 * tilt, left - 0.99 * tilt))
    assert not metrics.arms_out(standing(right + 1.01 * tilt, left))
    assert not metrics.arms_out(standing(right, left - 1.01 * tilt))
    assert not metrics.arms_out(standing(left, left))  # across the chest
    assert not metrics.arms_out(standing(right, right))
    assert metrics.arms_out(standing(right + 2 * tilt, left), angle_deg=40.0)


def test_arms_are_down_below_the_shoulder_only():
    down = np.array([0.0, 10.0])
    assert metrics.arms_down(standing(down, [9.9, 10.0]))
    assert not metrics.arms_down(standing(down, [10.1, 10.0]))
    assert not metrics.arms_down(standing(-down, down))
    assert not metrics.arms_down(standing(down, -down))
    assert not metrics.arms_down(standing(down * 0, down))
    assert metrics.arms_down(standing(down, [10.1, 10.0]), angle_deg=40.0)


@pytest.mark.parametrize("joint", ["shoulderR", "wristR", "shoulderL", "wristL"])
def test_a_frame_with_an_unknown_arm_joint_is_in_no_subset(joint):
    valid = jnp.ones(15, bool).at[TEMPLATE_15.index(joint)].set(False)
    out = standing([9.0, 0.0], [-9.0, 0.0])
    down = standing([0.0, 9.0], [0.0, 9.0])
    elbow = jnp.ones(15, bool).at[TEMPLATE_15.index("elbowL")].set(False)
    assert not metrics.arms_out(out, joint_valid=valid)
    assert not metrics.arms_down(down, joint_valid=valid)
    assert metrics.arms_out(out, joint_valid=elbow)
    assert metrics.arms_down(down, joint_valid=elbow)


def test_a_batch_of_frames_equals_a_loop_and_jit_equals_no_jit():
    predicted, target, diagonal = poses(9, 3), poses(10, 3), jnp.full(3, 900.0)
    functions = (
        (metrics.joint_distances, (predicted, target)),
        (metrics.pdj, (predicted, target, diagonal)),
        (metrics.pdj_left_right_free, (predicted, target, diagonal)),
        (metrics.arms_down, (predicted,)),
    )
    for function, args in functions:
        loop = [function(*one) for one in zip(*args, strict=True)]
        np.testing.assert_allclose(function(*args), jnp.stack(loop), rtol=1e-6)
        np.testing.assert_allclose(jax.jit(function)(*args), jnp.stack(loop), rtol=1e-6)


@pytest.mark.golden
@pytest.mark.parametrize("enable", [True, False], ids=["float64", "float32"])
def test_scores_equal_the_stored_ones(enable):
    golden = load()
    rtol = 1e-6 if enable else 1e-5
    with jax.enable_x64(enable):
        predicted, target, diagonal = (
            jnp.asarray(golden[f"in/metric_{key}"])
            for key in ("pred", "gt", "diagonal")
        )
        distances = metrics.joint_distances(predicted, target)
        np.testing.assert_allclose(
            distances, golden["out/distances"], rtol=rtol, atol=rtol
        )
        scores = {
            "pdj": metrics.pdj(predicted, target, diagonal),
            "l2": metrics.normalized_l2(predicted, target, image_size=256),
        }
        for name, values in scores.items():
            for key, axis in (("_by_joint", 0), ("_by_frame", 1), ("", None)):
                stored = golden[f"out/{name}{key}"]
                np.testing.assert_allclose(values.mean(axis), stored, rtol=rtol)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_arm_subsets_equal_the_stored_ones():
    golden = load()
    joints = jnp.asarray(golden["in/arms_pose"])
    np.testing.assert_array_equal(metrics.arms_out(joints), golden["out/arms_out_20"])
    np.testing.assert_array_equal(metrics.arms_down(joints), golden["out/arms_down_45"])
