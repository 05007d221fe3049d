"""The temporal model against what the published modules computed, float64."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import importers, models
from tests.fill import GOLDEN, fill_state_dict, golden

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64")]

WHOLE = [
    "temporal_333",
    "temporal_111",
    "temporal_333_causal",
    "temporal_333_dense",
    "temporal_333_train",
    "trajectory_333",
    "scale_111",
]
STRIDED = [
    "optimized1f_333",
    "optimized1f_111",
    "optimized1f_333_causal",
    "optimized1f_333_train",
    "optimized1f_111_train",
]


def tolerance(expected) -> dict[str, float]:
    """1e-8 for what is stored in float64, the rounding of float32 otherwise."""
    if expected.dtype == np.float64:
        return {"rtol": 0, "atol": 1e-8}
    return {"rtol": 1e-6, "atol": 1e-6}


@pytest.mark.parametrize("name", WHOLE + STRIDED)
def test_values_gradients_and_statistics_equal_the_published_ones(name):
    arrays, meta = golden(name, system="posture_pose")
    file = GOLDEN / "posture_pose" / "temporal_model_state_dicts.json"
    shapes = json.loads(file.read_text())[name]
    state_dict = fill_state_dict(shapes, salt=int(arrays["salt"]))
    params, state, architecture = importers.import_temporal_model(
        state_dict, dense=meta["dense"]
    )
    params, state = jax.tree.map(jnp.asarray, (params, state))
    assert architecture == (
        meta["num_joints_in"],
        meta["in_features"],
        meta["num_joints_out"],
        meta["out_units"],
        tuple(meta["filter_widths"]),
        meta["channels"],
        meta["dense"],
    )
    assert models.receptive_field(architecture.filter_widths) == meta["receptive_field"]
    assert models.causal_shift(architecture.filter_widths) == meta["pad"]
    model = models.make_temporal_model(
        **architecture._asdict(),
        dropout=meta["dropout"],
        causal=meta["causal"],
        dtype=jnp.float64,
    )
    apply = model.apply_strided if name in STRIDED else model.apply
    cotangent = jnp.asarray(arrays["in/cotangent"], jnp.float64)

    def total(params, x):
        y, moved = apply(params, state, x, train=meta["train_mode"])
        return jnp.sum(y * cotangent), (y, moved)

    x = jnp.asarray(arrays["in/x"], jnp.float64)
    grads, (y, moved) = jax.jit(jax.grad(total, (0, 1), has_aux=True))(params, x)
    found = {"out/y": y, "grad/x": grads[1]}
    found |= _named("grad", grads[0], state)
    found |= _named("out/state", params, moved)
    compared = [key for key in arrays if key.startswith(("out/", "grad/"))]
    assert len(compared) >= 9
    assert any("running_var" in key for key in compared) == meta["train_mode"]
    for key in compared:
        np.testing.assert_allclose(
            found[key], arrays[key], **tolerance(arrays[key]), err_msg=key
        )


def _named(prefix, params, state):
    """Arrays of our trees by their published names."""
    state_dict = importers.export_temporal_model(params, state)
    return {f"{prefix}/{name}": values for name, values in state_dict.items()}
