"""What only a GPU or TPU can show."""

import jax
import numpy as np
import pytest

from configs import mse_natural
from configs.bases import quick
from posejax import training
from posejax.tasks import TASKS


def losses(compute_dtype, num_steps=3):
    """Returns the terms of the loss of the first steps."""
    config = quick.shrink(mse_natural.get_config())
    config.compute_dtype = compute_dtype
    config.output_scale = 0.05  # near the resting template no part crosses the border
    task = TASKS["template_warp"]().make_task(config)
    rng = np.random.default_rng(0)
    shape = (config.batch_size, config.image_size, config.image_size, 3)
    frames = [rng.integers(0, 256, shape, dtype=np.uint8) for _ in range(2)]
    batch = {"frame_1": frames[0], "frame_2": frames[1]}
    mesh = training.data_mesh(1)
    state = training.init_state(jax.random.key(0), task, batch)
    step = training.make_train_step(task, mesh=mesh)
    found = []
    for _ in range(num_steps):
        state, logs = step(state, batch)
        found.append({name: float(value) for name, value in logs.items()})
    return found


@pytest.mark.accelerator
def test_bfloat16_and_float32_steps_agree():
    if jax.default_backend() == "cpu":
        pytest.skip("needs a GPU or TPU: JAX sees the CPU only (see JAX_PLATFORMS)")
    for exact, rough in zip(losses("float32"), losses("bfloat16"), strict=True):
        for name in ("perceptual", "pixel"):
            np.testing.assert_allclose(
                rough[name], exact[name], rtol=5e-2, atol=1e-3, err_msg=name
            )
