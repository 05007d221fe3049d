"""What a checkpoint of template_warp must hold to be evaluated and to predict."""

import jax
import jax.numpy as jnp

from posejax.tasks.template_warp import make_task
from posejax.typing import Config, Tree


def variables(config: Config) -> tuple[Tree, Tree]:
    """Returns the shapes of `(params, model_state)`; None where nothing is asked for.

    The frozen features are the checkpoint's own: predictions do not need them, and an
    imported checkpoint has none. Nor has one of the older regressor a translator.

    Args:
      config: See `configs/bases/template_warp.py`.
    """
    plain = config.copy_and_resolve_references()
    plain.vgg.weights = "random"  # their file may be elsewhere by now
    side = config.image_size
    batch = {"frame_1": jax.ShapeDtypeStruct((2, side, side, 3), jnp.uint8)}
    params, state = jax.eval_shape(make_task(plain).init, jax.random.key(0), batch)
    stats = state["batch_stats"]
    if config.regressor == "shape_template":
        params, stats = params | {"translator": None}, stats | {"translator": None}
    return params, {"batch_stats": stats, "vgg": None}
