"""RAFT as a task: figures from sums, noise, initial weights."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import raft_chairs, raft_kitti, raft_sintel, raft_things
from configs.bases import quick
from posejax import importers
from posejax.tasks import raft


def tiny_config():
    return quick.shrink(raft_chairs.get_config())


def tiny_batch(seed=0):
    rng = np.random.default_rng(seed)
    shape = (2, 16, 24)
    return {
        "image_1": rng.integers(0, 255, (*shape, 3)).astype(np.uint8),
        "image_2": rng.integers(0, 255, (*shape, 3)).astype(np.uint8),
        "flow": rng.normal(size=(*shape, 2)).astype(np.float32) * 4,
        "mask": rng.random(shape) < 0.7,
    }


def test_figures_are_over_all_pixels_of_all_pairs_and_over_pairs():
    batch = tiny_batch()
    batch["mask"][1, 4:] = False  # the second pair has fewer pixels
    batch = jax.tree.map(jnp.asarray, batch)
    predicted = raft.FlowPrediction(jnp.asarray(batch["flow"]) + 1.5)
    predicted = raft.FlowPrediction(predicted.flow.at[1].add(3.0))
    values = {
        "sums": np.asarray(raft.flow_sums(predicted, batch)),
        "pair_epe": np.asarray(raft.pair_error(predicted, batch)),
    }
    found = raft.flow_figures(values)
    errors = np.linalg.norm(np.asarray(predicted.flow) - batch["flow"], axis=-1)
    counted = errors[batch["mask"]]
    np.testing.assert_allclose(found["epe"], counted.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["within_3px"], 100 * (counted < 3).mean())
    length = np.linalg.norm(batch["flow"], axis=-1)[batch["mask"]]
    outliers = (counted > 3) & (counted > 0.05 * length)
    np.testing.assert_allclose(found["f1_all"], 100 * outliers.mean(), rtol=1e-6)
    means = [errors[n][batch["mask"][n]].mean() for n in range(2)]
    np.testing.assert_allclose(found["epe_pairs"], np.mean(means), rtol=1e-5)


def test_a_pair_without_true_flow_counts_nowhere():
    batch = tiny_batch()
    batch["mask"][0] = False
    batch = jax.tree.map(jnp.asarray, batch)
    zero = raft.zero_flow({}, {}, batch)
    values = {
        "sums": np.asarray(raft.flow_sums(zero, batch)),
        "pair_epe": np.asarray(raft.pair_error(zero, batch)),
    }
    found = raft.flow_figures(values)
    length = np.linalg.norm(batch["flow"][1], axis=-1)[batch["mask"][1]]
    np.testing.assert_allclose(found["epe"], length.mean(), rtol=1e-5)
    np.testing.assert_allclose(found["epe_pairs"], length.mean(), rtol=1e-5)


def test_noise_is_of_one_deviation_and_stays_in_range():
    gray = jnp.full((2, 64, 64, 3), 128, jnp.uint8)
    batch = {"image_1": gray, "image_2": gray}
    frames = raft.noisy_frames(jax.random.key(0), batch, largest=5.0)
    deviations = [float(frame.std()) for frame in frames]
    np.testing.assert_allclose(deviations[0], deviations[1], rtol=0.05)
    assert 0 < deviations[0] < 5
    black = {name: 0 * value for name, value in batch.items()}
    noisy = raft.noisy_frames(jax.random.key(1), black, largest=5.0)[0]
    assert float(noisy.min()) == 0
    assert (
        raft.noisy_frames(jax.random.key(0), batch, largest=0.0)[0] is batch["image_1"]
    )


@pytest.mark.slow
def test_weights_of_an_earlier_stage_are_where_a_later_one_starts(tmp_path):
    config = tiny_config()
    first = raft.make_task(config)
    drawn = first.init(jax.random.key(3), {})
    path = importers.save_weights(tmp_path / "w.npz", drawn, description={})
    later = quick.shrink(raft_things.get_config())
    later.initial_weights = str(path)
    params, _ = raft.make_task(later).init(jax.random.key(4), {})
    for found, wanted in zip(
        jax.tree.leaves(params), jax.tree.leaves(drawn[0]), strict=True
    ):
        np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("module", "rate", "decay", "gamma", "steps", "bn_mode"),
    [
        (raft_chairs, 4e-4, 1e-4, 0.8, 100_000, "train"),
        (raft_things, 1.25e-4, 1e-4, 0.8, 100_000, "frozen"),
        (raft_sintel, 1.25e-4, 1e-5, 0.85, 100_000, "frozen"),
        (raft_kitti, 1e-4, 1e-5, 0.85, 50_000, "frozen"),
    ],
)
def test_the_stages_have_the_published_numbers(
    module, rate, decay, gamma, steps, bn_mode
):
    config = module.get_config()
    assert config.optimizer.learning_rate == rate
    assert config.optimizer.weight_decay == decay
    assert config.weights.gamma == gamma
    assert config.num_steps == steps
    assert config.model.bn_mode == bn_mode
    assert all(name in config.data.parts for name in config.data.mix)
    assert all(side % 8 == 0 for side in config.data.crop)
