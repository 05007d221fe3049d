"""The system's own promises; `test_template_warp_golden.py` has the stored values."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.bases import template_warp as base
from posejax.tasks.template_warp import make_task
from posejax.tasks.template_warp_functions import make_functions


def small_config():
    from configs.bases.quick import shrink

    config = shrink(base.get_config())
    config.scheme = "two_step"
    config.template = "natural"
    config.weights.pixel = 1.0
    return config


def random_batch(size=64, count=4):
    rng = np.random.default_rng(0)
    shape = (count, size, size, 3)
    return {
        f"frame_{i}": jnp.asarray(rng.integers(0, 255, shape, dtype=np.uint8))
        for i in (1, 2)
    }


@pytest.mark.slow
def test_one_batch_is_learnt_by_heart():
    config = small_config()
    config.regressor_features = (4, 4, 8, 8, 8, 8, 8)
    config.translator_features = (8, 8, 16, 16)
    config.optimizer.learning_rate = 3e-3
    task = make_task(config)
    batch = {name: frames[:2] for name, frames in random_batch().items()}
    # Smooth frames: noise is what no translator can repaint.
    grid = np.linspace(0, 6, 64)
    frame = 128 + 100 * np.sin(grid[:, None, None] + grid[None, :, None] * [1, 2, 3])
    batch["frame_1"] = jnp.asarray(np.stack([frame, frame[::-1]]).astype(np.uint8))
    params, state = jax.jit(task.init)(jax.random.key(0), batch)
    opt_state = jax.jit(task.optimizer.init)(params)

    @jax.jit
    def step(params, state, opt_state):
        def scalar(params):
            out = task.loss(
                params, state, batch, key=jax.random.key(0), step=jnp.int32(0)
            )
            return out.loss, out

        (_, out), gradients = jax.value_and_grad(scalar, has_aux=True)(params)
        updates, opt_state = task.optimizer.update(gradients, opt_state, params)
        return optax.apply_updates(params, updates), out.model_state, opt_state, out

    first = None
    for _ in range(200):
        params, state, opt_state, out = step(params, state, opt_state)
        first = out if first is None else first
    assert float(out.logs["pixel"]) < 0.1 * float(first.logs["pixel"])
    assert float(out.loss) < 0.3 * float(first.loss)


def test_predictions_and_pictures_have_their_documented_shapes():
    task = make_task(small_config())
    batch = random_batch(count=3)
    params, state = jax.jit(task.init)(jax.random.key(0), batch)
    found = jax.jit(task.predict)(params, state, batch)
    assert found.joints.shape == (3, 15, 2)
    assert found.anchors.shape == (3, 32, 2)
    shown = jax.jit(task.pictures)(params, state, batch)
    assert set(shown) == {
        "frame_1", "frame_2", "reconstruction", "warped_template",
        "template_after_step_1",
    }  # fmt: skip
    for name, images in shown.items():
        assert images.shape == (3, 64, 64, 3), name
        assert float(images.min()) >= 0
        assert float(images.max()) <= 1
    restored = np.asarray(shown["frame_1"]) * 255
    np.testing.assert_allclose(restored, batch["frame_1"], atol=1e-2)


def test_the_default_input_is_bgr_with_rgb_statistics():
    functions = make_functions(small_config())
    frame = np.zeros((1, 64, 64, 3), np.uint8)
    frame[..., 2] = 255  # blue
    found = functions.normalize(jnp.asarray(frame))[0, 0, 0]
    np.testing.assert_allclose(
        found, [(1 - 0.485) / 0.229, -0.456 / 0.224, -0.406 / 0.225], rtol=1e-5
    )
    config = small_config()
    config.channel_order = "rgb"
    found = make_functions(config).normalize(jnp.asarray(frame))[0, 0, 0]
    np.testing.assert_allclose(found[2], (1 - 0.406) / 0.225, rtol=1e-5)


@pytest.mark.slow
def test_the_gaussian_warp_moves_the_anchors_alike_and_the_blobs_nearly():
    config = small_config()
    raw = 0.05 * jax.random.normal(jax.random.key(1), (2, 120))
    sampled = make_functions(config).move(raw)
    config.warp = "gaussian"
    closed = make_functions(config).move(raw)
    np.testing.assert_allclose(sampled.anchors[-1], closed.anchors[-1], atol=1e-4)
    assert float(jnp.abs(sampled.parts - closed.parts).mean()) < 0.02


@pytest.mark.slow
def test_bfloat16_changes_the_loss_only_a_little():
    batch = random_batch(count=2)
    values = {}
    for dtype in ("float32", "bfloat16"):
        config = small_config()
        config.compute_dtype = dtype
        task = make_task(config)
        params, state = jax.jit(task.init)(jax.random.key(0), batch)
        out = jax.jit(task.loss)(
            params, state, batch, key=jax.random.key(0), step=jnp.int32(0)
        )
        assert out.loss.dtype == jnp.float32
        values[dtype] = float(out.loss)
    assert abs(values["bfloat16"] / values["float32"] - 1) < 0.05


@pytest.mark.slow
def test_the_older_network_is_another_regressor_of_the_same_task():
    config = base.get_config()
    config.image_size = 256
    config.regressor = "shape_template"
    config.vgg.weights = "random"
    shape = (2, 256, 256, 3)
    batch = {f"frame_{i}": jax.ShapeDtypeStruct(shape, jnp.uint8) for i in (1, 2)}
    task = make_task(config)
    params, state = jax.eval_shape(lambda: task.init(jax.random.key(0), batch))
    found = jax.eval_shape(task.predict, params, state, batch)
    assert found.joints.shape == (2, 15, 2)
    config.scheme = "two_step"
    with pytest.raises(ValueError, match="expected one of 'affine'"):
        make_task(config)


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("image_size", 0, "config.image_size is 0; expected a positive multiple of 64"),
        ("image_size", -64, "config.image_size is -64"),
        ("image_size", 96, "config.image_size is 96"),
        (
            "regressor_features",
            (),
            r"config.regressor_features is \(\); .* one or more",
        ),
        ("regressor_features", (8, 0), r"config.regressor_features is \(8, 0\)"),
        ("regressor_features", (8, 4.5), r"config.regressor_features is \(8, 4.5\)"),
        ("translator_features", (8, -1), r"config.translator_features is \(8, -1\)"),
        ("vgg.widths", (8,), r"config.vgg.widths is \(8,\); expected 3 positive"),
        ("vgg.widths", (8, 8, 8, 8), r"config.vgg.widths is \(8, 8, 8, 8\)"),
        ("num_steps", -1, "config.num_steps is -1; expected at least 0"),
        ("num_epochs", -2, "config.num_epochs is -2; expected at least 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused_by_their_field(field, value, words):
    config = base.get_config()
    with config.ignore_type():
        config.update_from_flattened_dict({field: value})
    with pytest.raises(ValueError, match=words) as caught:
        make_task(config)
    assert "\n" not in str(caught.value)


def test_a_width_that_is_no_sequence_is_refused_by_its_field():
    config = small_config()
    with config.vgg.ignore_type():
        config.vgg.widths = 8
    with pytest.raises(
        ValueError, match=r"config.vgg.widths is 8; expected 3 positive"
    ):
        make_task(config)
