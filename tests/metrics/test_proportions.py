import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import metrics
from posejax.skeletons import TEMPLATE_15

pytestmark = pytest.mark.slow

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/template_warp/metrics.npz"


def poses(seed, *batch):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.uniform(0, 100, (*batch, 15, 2)), jnp.float32)


def test_segments_are_measured_in_torsos():
    place = {"neck": (0, 8), "hipR": (3, 4), "kneeR": (3, 6), "chest": (0, 4)}
    place |= {"shoulderL": (-3, 8)}
    joints = np.zeros((15, 2), np.float32)
    for name, point in place.items():
        joints[TEMPLATE_15.index(name)] = point
    ratios = metrics.segment_ratios(jnp.asarray(joints))
    # abdomen-neck, abdomen-hipR, hipR-kneeR, ..., chest-shoulderL
    np.testing.assert_allclose(ratios[:3], [1.0, 5 / 8, 2 / 8])
    np.testing.assert_allclose(ratios[10], 5 / 8)


def test_proportions_do_not_depend_on_place_direction_size_or_side():
    joints = poses(0, 4)
    turn = jnp.array([[0.6, -0.8], [0.8, 0.6]])
    moved = metrics.segment_ratios(3 * joints @ turn - 7)
    ratios = metrics.segment_ratios(joints)
    np.testing.assert_allclose(moved, ratios, rtol=1e-4)
    swapped = metrics.segment_ratios(metrics.swap_sides(joints))
    order = np.array([0, 4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9])
    np.testing.assert_allclose(swapped, ratios[:, order], rtol=1e-6)


def test_a_body_without_torso_has_zero_ratios_and_no_gradient():
    collapsed = jnp.ones((15, 2)).at[3].set(9.0)
    with jax.debug_nans(True):
        total, gradient = jax.value_and_grad(lambda j: metrics.segment_ratios(j).sum())(
            collapsed
        )
    assert total == 0
    np.testing.assert_array_equal(gradient, np.zeros((15, 2)))


def test_consistency_by_hand():
    # Two segments vary: deviations 1 and sqrt(1/2), over 13.
    ratios = np.ones((3, 13))
    ratios[:, 1] = [0.5, 1.5, 2.5]
    ratios[:, 2] = [1.5, 1.5 + np.sqrt(1 / 2), 1.5 - np.sqrt(1 / 2)]
    found = metrics.proportion_consistency(jnp.asarray(ratios, jnp.float32))
    np.testing.assert_allclose(found.deviations[:3], [0, 1, np.sqrt(1 / 2)], rtol=1e-6)
    np.testing.assert_allclose(found.consistency, 13 / (1 + np.sqrt(1 / 2)), rtol=1e-6)
    assert found.without_torso == 0


def test_frames_without_torso_or_prediction_are_left_out_and_counted():
    ratios = metrics.segment_ratios(poses(1, 20))
    spoiled = jnp.concatenate([ratios, jnp.zeros((2, 13)), jnp.full((1, 13), jnp.nan)])
    whole = metrics.proportion_consistency(ratios)
    found = metrics.proportion_consistency(spoiled)
    assert found.without_torso == 3
    np.testing.assert_allclose(found.consistency, whole.consistency, rtol=1e-5)
    np.testing.assert_allclose(found.deviations, whole.deviations, rtol=1e-4)


def test_degenerate_data_sets_have_finite_consistency_and_gradient():
    still = jnp.broadcast_to(metrics.segment_ratios(poses(2)), (5, 13))
    nothing = jnp.zeros((5, 13))
    for ratios, expected in ((still, 1e6), (nothing, 0.0), (still[:1], 0.0)):
        with jax.debug_nans(True):
            value, gradient = jax.value_and_grad(
                lambda r: metrics.proportion_consistency(r).consistency
            )(ratios)
        np.testing.assert_allclose(value, expected)
        assert np.all(np.isfinite(gradient))


@pytest.mark.usefixtures("float64")
def test_gradients_of_proportions_are_their_derivatives():
    joints = poses(3, 4).astype(jnp.float64)
    check_grads(jax.jit(metrics.segment_ratios), (joints,), order=1)
    ratios = metrics.segment_ratios(joints)

    def deviation(ratios):
        return metrics.proportion_consistency(ratios).mean_deviation

    check_grads(jax.jit(deviation), (ratios,), order=1)


def test_batches_equal_loops():
    joints = poses(4, 3, 6)
    ratios = metrics.segment_ratios(joints)
    loop = jnp.stack([metrics.segment_ratios(one) for one in joints])
    np.testing.assert_allclose(ratios, loop, rtol=1e-6)
    sets = metrics.proportion_consistency(ratios)
    loops = [metrics.proportion_consistency(one) for one in ratios]
    np.testing.assert_allclose(
        sets.consistency, [one.consistency for one in loops], rtol=1e-5
    )


@pytest.mark.golden
@pytest.mark.parametrize("enable", [True, False], ids=["float64", "float32"])
def test_proportions_equal_the_stored_ones(enable):
    with np.load(GOLDEN) as golden:
        g = {key: golden[key] for key in golden.files}
    rtol = 1e-6 if enable else 1e-5
    with jax.enable_x64(enable):
        stored = jnp.asarray(g["out/joints_midpoint"])
        ratios = metrics.segment_ratios(stored)
        found = metrics.proportion_consistency(ratios)
    np.testing.assert_allclose(ratios, g["out/proportions"], rtol=rtol, atol=rtol)
    np.testing.assert_allclose(found.deviations, g["out/proportion_std"], atol=rtol)
    np.testing.assert_allclose(
        found.mean_deviation, g["out/proportion_mean_std"], rtol=rtol
    )
    np.testing.assert_allclose(found.consistency, g["out/consistency"], rtol=rtol)
