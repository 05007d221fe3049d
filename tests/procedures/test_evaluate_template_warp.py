"""What template_warp gives the verb `evaluate`: shapes to compare, rows to draw."""

import jax
import numpy as np
import pytest

from configs import baseline, mse_natural_flipaugment_twostepwarp
from configs.bases import quick
from posejax import training
from posejax.tasks import TASKS


def test_a_checkpoint_is_compared_without_asking_for_the_vgg_file():
    config = baseline.get_config()
    assert config.vgg.weights == "torchvision"
    params, model_state = TASKS["template_warp"]().variables(config)
    shapes = {jax.tree.leaves(params)[0].dtype, jax.tree.leaves(model_state)[0].dtype}
    assert shapes == {np.dtype("float32")}
    assert set(params) == set(model_state["batch_stats"]) == {"regressor", "translator"}
    assert model_state["vgg"] is None  # the checkpoint's own
    assert config.vgg.weights == "torchvision"


def test_a_checkpoint_of_the_older_regressor_needs_no_translator():
    config = baseline.get_config()
    config.regressor = "shape_template"
    params, model_state = TASKS["template_warp"]().variables(config)
    assert params["translator"] is model_state["batch_stats"]["translator"] is None
    assert jax.tree.leaves(params["regressor"])


@pytest.mark.slow
def test_a_row_has_joints_template_and_the_repainted_frame():
    config = quick.shrink(mse_natural_flipaugment_twostepwarp.get_config())
    system = TASKS["template_warp"]()
    task = system.make_task(config)
    frames = np.random.default_rng(0).integers(0, 256, (2, 2, 64, 64, 3), np.uint8)
    batch = {"frame_1": frames[0], "frame_2": frames[1]}
    state = training.init_state(jax.random.key(0), task, batch)
    expected = system.variables(config)[0]
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (state.params, expected))
    assert shapes[0] == shapes[1]
    rows = system.rows(task, state.params, state.model_state, batch)
    assert [panel.caption for panel in rows[1]] == [
        "frame 1, joints", "template over frame 1", "template, first step",
        "moved template", "frame 2", "frame 1 repainted", "repainted, joints",
    ]  # fmt: skip
    np.testing.assert_array_equal(rows[1][1].image, frames[0, 1])
    np.testing.assert_array_equal(rows[1][4].image, frames[1, 1])
    assert rows[0][3].heat.shape == (64, 64)
    assert rows[0][0].joints.shape == (15, 2)
    bare = {"regressor": state.params["regressor"]}
    rows = system.rows(task, bare, state.model_state, batch)
    assert [len(row) for row in rows] == [1, 1]
