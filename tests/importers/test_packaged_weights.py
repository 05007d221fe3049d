"""The weights that come with posejax: small, described, and better than no flow."""

import jax
import numpy as np
import pytest

from datasets.flow_sample.drawing import drawn_pair
from posejax import importers, models
from posejax.importers.weight_files import weights_path

NAME = "raft_small_drawn"


def test_they_are_small_and_say_what_they_are():
    assert weights_path(NAME).stat().st_size < 3e6
    about = importers.weights_description(NAME)
    assert about["system"] == "raft"
    assert about["variant"] == "small"
    assert about["data_set"] == "flow_sample"
    assert about["step"] == about["config"]["num_steps"]


@pytest.mark.slow
def test_their_flow_is_much_nearer_than_none_on_pairs_never_seen():
    network = models.raft_network("small")
    like = jax.eval_shape(network.init, jax.random.key(0))
    variables = importers.read_weights(NAME, like=like)
    flow_of = jax.jit(
        lambda first, second: network.apply(
            *variables, first[None], second[None], num_updates=8
        )[0].flow[0]
    )
    errors, lengths = [], []
    for index in range(6):
        pair = drawn_pair(index, height=96, width=128, seed=77)
        found = np.asarray(flow_of(pair.image_1, pair.image_2))
        seen = ~pair.occluded
        errors.append(np.linalg.norm(found - pair.flow, axis=-1)[seen].mean())
        lengths.append(np.linalg.norm(pair.flow, axis=-1)[seen].mean())
    assert np.mean(errors) < 0.6 * np.mean(lengths)
