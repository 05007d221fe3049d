import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import metrics
from tests.fill import golden

MEASURES = {
    "epe": metrics.mean_endpoint_error,
    "within": lambda p, t, **o: metrics.share_within(p, t, threshold_px=3.0, **o),
    "outliers": metrics.outlier_share,
}


def flows_of(seed, *shape, scale=3.0):
    drawn = scale * np.random.default_rng(seed).normal(size=(*shape, 2))
    return jnp.asarray(drawn, jnp.float32)


def test_measures_by_hand():
    target = jnp.array([[[0.0, 0.0], [200.0, 0.0], [0.0, 0.0], [10.0, 0.0]]])
    # Errors 5 (an outlier), 8 (4 % of 200), 0.5, and 3 exactly, which is none.
    predicted = target + jnp.array([[[3.0, 4.0], [8.0, 0.0], [0.0, 0.5], [-3.0, 0.0]]])
    assert metrics.endpoint_errors(predicted, target).tolist() == [[5.0, 8.0, 0.5, 3.0]]
    assert float(metrics.mean_endpoint_error(predicted, target)) == 16.5 / 4
    for threshold, share in ((0.5, 0.0), (1, 0.25), (3, 0.25), (5, 0.5), (8.5, 1.0)):
        found = metrics.share_within(predicted, target, threshold_px=threshold)
        assert float(found) == share
    assert float(metrics.outlier_share(predicted, target)) == 0.25


@pytest.mark.parametrize("name", MEASURES)
def test_only_pixels_that_count_count(name):
    predicted, target = flows_of(0, 2, 4, 5), flows_of(1, 2, 4, 5)
    mask = np.random.default_rng(2).random((2, 4, 5)) < 0.5
    spoiled = np.where(mask[..., None], target, np.float32(np.nan))
    measure = jax.jit(lambda p, t, m: MEASURES[name](p, t, mask=m))
    found = measure(predicted, spoiled, mask)
    for i in range(2):
        ends = np.asarray(predicted[i])[mask[i]] - np.asarray(target[i])[mask[i]]
        errors = np.linalg.norm(ends, axis=-1)
        right = errors / np.linalg.norm(np.asarray(target[i])[mask[i]], axis=-1) <= 0.05
        expected = {
            "epe": np.mean(errors),
            "within": np.mean(errors < 3),
            "outliers": np.mean((errors > 3) & ~right),
        }[name]
        np.testing.assert_allclose(found[i], expected, rtol=1e-5)


def test_the_pixels_that_count_are_counted():
    mask = np.random.default_rng(2).random((2, 4, 5)) < 0.5
    counts = metrics.num_flow_pixels(jnp.asarray(mask))
    np.testing.assert_array_equal(counts, mask.sum((1, 2)))


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_pair_without_known_flow_scores_zero(measure):
    flow = flows_of(3, 4, 5)
    assert float(measure(flow, flow + 9, mask=jnp.zeros((4, 5), bool))) == 0


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_quarter_turn_of_both_flows_changes_nothing(measure):
    predicted, target = flows_of(4, 4, 5), flows_of(5, 4, 5)
    turned = [
        flow[..., ::-1] * jnp.array([-1.0, 1.0]).reshape(1, 1, 2)
        for flow in (predicted, target)
    ]
    np.testing.assert_allclose(measure(*turned), measure(predicted, target), rtol=1e-5)


@pytest.mark.parametrize("measure", MEASURES.values(), ids=MEASURES)
def test_a_batch_of_pairs_equals_a_loop_and_jit_equals_no_jit(measure):
    predicted, target = flows_of(6, 3, 4, 5), flows_of(7, 3, 4, 5)
    compiled = jax.jit(measure)
    alone = [compiled(*pair) for pair in zip(predicted, target, strict=True)]
    np.testing.assert_allclose(measure(predicted, target), alone, rtol=1e-5)
    np.testing.assert_allclose(compiled(predicted, target), alone, rtol=1e-5)


def test_an_estimate_that_is_no_number_is_an_outlier_and_within_nothing():
    target = jnp.zeros((1, 2, 2))
    predicted = target.at[0, 0].set(jnp.nan)
    assert float(metrics.outlier_share(predicted, target)) == 0.5
    assert float(metrics.share_within(predicted, target, threshold_px=1)) == 0.5
    assert np.isnan(metrics.mean_endpoint_error(predicted, target))


def test_the_error_of_a_perfect_flow_has_a_finite_gradient():
    flow = flows_of(8, 3, 4)
    slopes = jax.jit(jax.grad(lambda p: metrics.mean_endpoint_error(p, flow)))(flow)
    assert slopes.tolist() == jnp.zeros_like(flow).tolist()


@pytest.mark.golden
def test_measures_of_one_pair_equal_the_stored_ones():
    arrays, _ = golden("flow_metrics", system="flow_pose")
    predicted, target = (
        jnp.asarray(np.moveaxis(arrays[f"in/{name}"], 0, -1), jnp.float32)
        for name in ("pred", "gt")
    )
    mask = jnp.asarray(arrays["in/valid"] >= 0.5)
    errors = metrics.endpoint_errors(predicted, target)
    np.testing.assert_allclose(errors, arrays["out/epe_map"], rtol=1e-5, atol=1e-5)
    dense = metrics.mean_endpoint_error(predicted, target)
    np.testing.assert_allclose(dense, arrays["out/epe_dense"], rtol=1e-5)
    for n in (1, 3, 5):
        share = metrics.share_within(predicted, target, threshold_px=n)
        np.testing.assert_allclose(share, arrays[f"out/px{n}"], rtol=1e-5)
    sparse = metrics.mean_endpoint_error(predicted, target, mask=mask)
    np.testing.assert_allclose(sparse, arrays["out/epe_valid"], rtol=1e-5)
    outliers = metrics.outlier_share(predicted, target, mask=mask)
    np.testing.assert_allclose(100 * outliers, arrays["out/f1_all"], rtol=1e-5)


@pytest.mark.golden
def test_measures_of_the_last_iteration_equal_the_stored_ones():
    arrays, _ = golden("sequence_loss_g80", system="flow_pose")
    predicted = jnp.asarray(np.moveaxis(arrays["in/preds"][-1], 1, -1), jnp.float32)
    target = jnp.asarray(np.moveaxis(arrays["in/flow_gt"], 1, -1), jnp.float32)
    mask = jnp.asarray(arrays["in/valid"] >= 0.5)
    mask &= jnp.linalg.norm(target, axis=-1) < 400
    weights = np.asarray(metrics.num_flow_pixels(mask))
    error = metrics.mean_endpoint_error(predicted, target, mask=mask)
    np.testing.assert_allclose(
        np.average(error, weights=weights), arrays["out/epe"], rtol=1e-5
    )
    for n in (1, 3, 5):
        share = metrics.share_within(predicted, target, threshold_px=n, mask=mask)
        found = np.average(share, weights=weights)
        np.testing.assert_allclose(found, arrays[f"out/{n}px"], rtol=1e-5)


def test_a_threshold_that_is_not_positive_is_refused():
    flow = flows_of(9, 2, 2)
    with pytest.raises(ValueError, match="threshold_px is 0"):
        metrics.share_within(flow, flow, threshold_px=0)
