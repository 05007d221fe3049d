"""Configs of optical flow, made small: they train, resume, evaluate."""

import json

import jax
import jax.numpy as jnp
import pytest

from configs import raft_chairs, raft_kitti, raft_sintel, raft_small_drawn, raft_things
from configs.bases import quick
from datasets.prepare import prepare
from posejax.procedures.train import train
from posejax.tasks import raft, raft_data
from tests.test_configs import make_run, train_one_step, trained_steps

STAGES = (raft_chairs, raft_things, raft_sintel, raft_kitti)


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    prepare("flow_sample", config="tiny", data_dir=str(directory))
    return str(directory)


@pytest.mark.slow
def test_the_small_network_trains_a_step_resumes_and_evaluates(
    data_dir, tmp_path, monkeypatch
):
    run = make_run(
        quick.shrink(raft_small_drawn.get_config()), tmp_path / "run", data_dir
    )
    train_one_step(run, monkeypatch)
    assert trained_steps(tmp_path / "run") == [1]
    figures = train(run)
    assert trained_steps(tmp_path / "run") == [1, 2]
    result = json.loads((tmp_path / "run/evaluation/drawn_tiny.json").read_text())
    assert result["step"] == 2
    assert set(result["baselines"]) == {"zero flow"}
    assert figures["drawn_tiny"]["epe"] > 0


@pytest.mark.parametrize("module", STAGES, ids=lambda m: m.__name__)
def test_the_step_of_a_stage_can_be_traced_with_its_own_network(module, data_dir):
    config = quick.shrink(module.get_config())
    published = module.get_config()
    config.model.variant = published.model.variant
    batch = next(raft_data.make_data(config, data_dir).train(0))
    assert batch["image_1"].shape == (8, 32, 40, 3)
    task = raft.make_task(config)
    params, state = jax.eval_shape(task.init, jax.random.key(0), batch)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 5_257_536
    output = jax.eval_shape(
        lambda *parts: task.loss(
            *parts, key=jax.random.key(0), step=jnp.zeros((), jnp.int32)
        ),
        *(params, state, batch),
    )
    assert set(output.logs) == {"sequence", "epe"}
    assert jax.tree.structure(output.model_state) == jax.tree.structure(state)


def test_names_that_are_not_in_the_config_are_refused(data_dir):
    config = quick.shrink(raft_chairs.get_config())
    config.data.mix = ("drawn_tinny",)
    with pytest.raises(ValueError, match=r"config\.data\.mix is 'drawn_tinny'"):
        raft_data.make_data(config, data_dir)
    config = quick.shrink(raft_chairs.get_config())
    config.data.crop = (30, 40)
    with pytest.raises(ValueError, match=r"config\.data\.crop is \(30, 40\)"):
        raft_data.make_data(config, data_dir)
