"""The whole system against stored values of the published one, in float64."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from configs.bases import template_warp as base
from posejax import importers
from posejax.losses import weighted_sum
from posejax.tasks.template_warp import loss_terms, make_loss, make_task
from posejax.tasks.template_warp_functions import make_functions
from tests.fill import fill_state_dict, golden, golden_shapes, waves

SCHEMES = {"baseline": "affine", "mse": "affine", "twostep": "two_step"}
OURS = {
    "anchor_loss": "anchor",
    "boundary_loss": "boundary",
    "recon_perceptual_loss": "perceptual",
    "recon_mse_loss": "pixel",
}
REGRESSORS = {"affine": "18", "two_step": "20", "constrained": "_constrained"}


def config_of(model, size, template="natural"):
    config = base.get_config()
    config.template = {"template": "t_pose"}.get(template, template)
    config.scheme = SCHEMES.get(model, model)
    config.weights.pixel = 0.0 if model == "baseline" else 1.0
    config.image_size = size
    config.compute_dtype = "float64"
    return config


def vgg_of(salt):
    shapes = golden_shapes("vgg19_features")
    return as_float64(importers.import_vgg(fill_state_dict(shapes, salt=salt)))


def as_float64(tree):
    return jax.tree.map(lambda x: jnp.asarray(x, jnp.float64), tree)


def translator_of(meta, salt):
    shapes = golden_shapes("reconstructor")
    state_dict = fill_state_dict(shapes, salt=salt, gain=meta["gain"])
    return importers.import_reconstructor(state_dict)


def regressor_of(meta, scheme, salt):
    shapes = golden_shapes(f"regressor{REGRESSORS[scheme]}_img64")
    side = meta["size"] // 64 + 2
    shapes = {**shapes, "layers.13.4.weight": [512, 256 * side * side]}
    state_dict = fill_state_dict(
        shapes,
        salt=salt,
        gain=meta["gain"],
        last=meta["last"],
        last_layer="layers.13.7",
    )
    return importers.import_template_regressor(state_dict)


def given_frames(functions):
    """The stored frames are normalised already."""
    return dataclasses.replace(functions, normalize=lambda frames: frames)


@pytest.mark.golden
@pytest.mark.slow
@pytest.mark.parametrize("model", ["baseline", "mse", "twostep", "constrained"])
def test_losses_behind_the_regressor_equal_the_published(float64, model):
    arrays, meta = golden(f"losses_{model}")
    salt = int(arrays["salt"])
    config = config_of(model, meta["size"], meta["template"])
    functions = given_frames(make_functions(config))
    translator = as_float64(translator_of(meta, salt))
    vgg = vgg_of(salt)
    frames = [
        jnp.asarray(waves(arrays[f"in/frame{i}_waves"], meta["size"])) for i in (1, 2)
    ]

    def terms(raw):
        moved = functions.move(raw)
        image, _ = functions.translate(
            translator.params,
            translator.model_state,
            frames[1],
            moved.parts,
            train=False,
        )
        means = {
            name: jnp.mean(term)
            for name, term in loss_terms(
                functions, vgg, moved, frames[0], image
            ).items()
        }
        return means, (moved, image)

    raw = jnp.asarray(arrays["in/raw"]).reshape(arrays["in/raw"].shape[0], -1)
    gradients, (moved, image) = jax.jit(jax.jacrev(terms, has_aux=True))(raw)
    means, _ = jax.jit(terms)(raw)
    stride = meta["stride_images"]
    np.testing.assert_allclose(
        image.transpose(0, 3, 1, 2)[:, :, ::stride, ::stride],
        arrays["out/reconstructed"], rtol=1e-6, atol=1e-6,
    )  # fmt: skip
    np.testing.assert_allclose(
        moved.parts.sum(-1)[:, ::stride, ::stride],
        arrays["out/template_overlay"], rtol=1e-6, atol=1e-6,
    )  # fmt: skip
    checked = 0
    for published, ours in OURS.items():
        if f"out/{published}" not in arrays:
            continue
        checked += 1
        np.testing.assert_allclose(means[ours], arrays[f"out/{published}"], rtol=1e-6)
        expected = arrays[f"grad/{published}"].reshape(raw.shape)
        largest = np.abs(expected).max()
        np.testing.assert_allclose(
            gradients[ours], expected, rtol=1e-6, atol=1e-6 * largest
        )
    assert checked == (3 if model == "baseline" else 4)
    total = weighted_sum(means, functions.weights)
    np.testing.assert_allclose(total, arrays["out/total"], rtol=1e-6)


@pytest.mark.golden
@pytest.mark.slow
@pytest.mark.parametrize("model", ["baseline", "mse", "twostep", "constrained"])
def test_a_whole_training_step_equals_the_published(float64, model):
    arrays, meta = golden(f"step_{model}")
    salt = int(arrays["salt"])
    config = config_of(model, meta["size"], meta["template"])
    loss = make_loss(given_frames(make_functions(config)))
    networks = {
        "regressor": as_float64(regressor_of(meta, config.scheme, salt)),
        "translator": as_float64(translator_of(meta, salt)),
    }
    params = {name: network.params for name, network in networks.items()}
    stats = {name: network.model_state for name, network in networks.items()}
    batch = {
        f"frame_{i}": jnp.asarray(waves(arrays[f"in/frame{i}_waves"], meta["size"]))
        for i in (1, 2)
    }
    optimizer = make_task(config).optimizer
    step_zero = jnp.zeros((), jnp.int32)

    def scalar(params, state):
        output = loss(params, state, batch, key=jax.random.key(0), step=step_zero)
        return output.loss, output

    value_and_grad = jax.jit(jax.value_and_grad(scalar, has_aux=True))
    state = {"batch_stats": stats, "vgg": vgg_of(salt)}
    opt_state = optimizer.init(params)
    totals = []
    for step in range(3):
        (total, output), gradients = value_and_grad(params, state)
        totals.append(float(total))
        if step == 0:
            check_first_step(arrays, meta, output, gradients)
        updates, opt_state = optimizer.update(gradients, opt_state, params)
        params = optax.apply_updates(params, updates)
        state = output.model_state
    np.testing.assert_allclose(totals, arrays["out/total_over_3_steps"], rtol=1e-6)


def check_first_step(arrays, meta, output, gradients):
    for published, ours in OURS.items():
        if f"out/{published}" in arrays:
            np.testing.assert_allclose(
                output.logs[ours], arrays[f"out/{published}"], rtol=1e-6
            )
    np.testing.assert_allclose(output.loss, arrays["out/total"], rtol=1e-6)
    np.testing.assert_allclose(
        optax.tree.norm(gradients), arrays["out/grad_norm"], rtol=1e-6
    )
    export = {
        "regressor": importers.export_template_regressor,
        "translator": importers.export_reconstructor,
    }
    for net in ("regressor", "translator"):
        stats = output.model_state["batch_stats"][net]
        gradient = export[net](gradients[net], stats)
        norms = np.array(
            [np.linalg.norm(gradient[n].ravel()) for n in meta["param_names"][net]]
        )
        expected = arrays[f"out/{net}_grad_norms"]
        np.testing.assert_allclose(
            norms, expected, rtol=1e-6, atol=1e-6 * expected.max()
        )
        for key in arrays:
            kind, _, name = key.partition(f"/{net}.")
            if not name:
                continue
            # Running statistics are exported beside the (gradient) parameters.
            largest = np.abs(arrays[key]).max()
            np.testing.assert_allclose(
                gradient[name], arrays[key], rtol=1e-6, atol=1e-6 * largest,
                err_msg=f"{kind}: {name}",
            )  # fmt: skip


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
    params, state = task.init(jax.random.key(0), batch)
    opt_state = task.optimizer.init(params)

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
    params, state = task.init(jax.random.key(0), batch)
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


def test_the_gaussian_warp_moves_the_anchors_alike_and_the_blobs_nearly():
    config = small_config()
    raw = 0.05 * jax.random.normal(jax.random.key(1), (2, 120))
    sampled = make_functions(config).move(raw)
    config.warp = "gaussian"
    closed = make_functions(config).move(raw)
    np.testing.assert_allclose(sampled.anchors[-1], closed.anchors[-1], atol=1e-4)
    assert float(jnp.abs(sampled.parts - closed.parts).mean()) < 0.02


def test_bfloat16_changes_the_loss_only_a_little():
    batch = random_batch(count=2)
    values = {}
    for dtype in ("float32", "bfloat16"):
        config = small_config()
        config.compute_dtype = dtype
        task = make_task(config)
        params, state = task.init(jax.random.key(0), batch)
        out = task.loss(params, state, batch, key=jax.random.key(0), step=jnp.int32(0))
        assert out.loss.dtype == jnp.float32
        values[dtype] = float(out.loss)
    assert abs(values["bfloat16"] / values["float32"] - 1) < 0.05


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
