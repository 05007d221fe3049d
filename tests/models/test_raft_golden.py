"""RAFT and its parts against what the published modules computed, float64."""

import functools
import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from posejax import importers, models
from posejax.models import raft
from posejax.models.layers import Statistics
from tests.fill import GOLDEN, fill_state_dict, golden

pytestmark = [pytest.mark.golden, pytest.mark.usefixtures("float64")]


@functools.cache
def imported(variant):
    """The filled network, float64."""
    file = GOLDEN / "flow_pose" / f"raft_{variant}_state_dict.json"
    shapes = {k: v["shape"] for k, v in json.loads(file.read_text()).items()}
    return importers.import_raft(fill_state_dict(shapes))


def arrays_of(name):
    """The arrays of a golden file; images and maps as NHWC."""
    arrays, _ = golden(name, system="flow_pose")
    return {
        key: np.moveaxis(x, 1, -1) if x.ndim == 4 and key != "in/coords" else x
        for key, x in arrays.items()
    }


def given(array):
    return jnp.asarray(array, jnp.float64)


def waves_like(x):
    """The cotangent of the golden files, which count in NCHW."""
    channels_first = jnp.moveaxis(x, -1, 1)
    flat = jnp.cos(0.37 * jnp.arange(x.size, dtype=jnp.float64))
    return jnp.moveaxis(flat.reshape(channels_first.shape), 1, -1)


def assert_close(found, expected, name="", *, rounded=False):
    """1e-9 for what is stored in and comes from float64; else float32's rounding."""
    assert np.shape(found) == np.shape(expected), name
    exact = expected.dtype == np.float64 and not rounded
    tolerance = 1e-9 if exact else 1e-6
    atol = tolerance * max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol, err_msg=name)


@pytest.mark.parametrize("variant", ["large", "small"])
def test_the_flow_after_every_update_equals_the_published_one(variant):
    arrays = arrays_of(f"raft_{variant}")
    params, state, _ = imported(variant)
    network = models.raft_network(variant, dtype=jnp.float64)

    @jax.jit
    def run(params, state, image1, image2):
        return network.apply(
            params, state, image1, image2, num_updates=4, all_flows=True
        )[0]

    images = given(arrays["in/image1"]), given(arrays["in/image2"])
    output = run(params, state, *images)
    for k in range(4):
        assert_close(output.low_flows[k], arrays[f"out/flow_low_{k + 1}"])
    for k in range(3):
        coarse = output.flows[k][:, ::4, ::4]
        assert_close(coarse, arrays[f"out/flow_up_{k + 1}_sub"])
    assert_close(output.flow, arrays["out/flow_up_4"])
    np.testing.assert_array_equal(output.flow, output.flows[-1])
    np.testing.assert_array_equal(output.low_flow, output.low_flows[-1])
    # float32, as it is used, within the published tolerance.
    single = models.raft_network(variant)
    images = [jnp.asarray(image, jnp.float32) for image in images]
    cast = jax.tree.map(lambda x: jnp.asarray(x, jnp.float32), (params, state))
    found, _ = jax.jit(functools.partial(single.apply, num_updates=4))(*cast, *images)
    assert found.flow.dtype == jnp.float32
    np.testing.assert_allclose(found.flow, arrays["out/flow_up_4"], rtol=0, atol=2e-4)
    assert found.flows is None


@pytest.mark.parametrize("variant", ["large", "small"])
def test_encoders_and_their_layers_equal_the_published_ones(variant):
    arrays = arrays_of(f"raft_{variant}_encoders")
    params, state, _ = imported(variant)
    encoders = raft.raft_encoders(variant, dtype=jnp.float64)
    images = given(arrays["in/images"]) * (2 / 255) - 1
    names = ("stem", "layer_1_1", "layer_2_1")

    @functools.partial(jax.jit, static_argnums=3)
    def run(params, stats, images, name):
        return encoders[name].apply(
            {"params": params, "batch_stats": stats},
            images,
            Statistics(train=False),
            capture_intermediates=lambda module, _: module.name in names,
            mutable=["intermediates"],
        )

    found, seen = run(params["fnet"], {}, images, "fnet")
    assert_close(found, arrays["out/fnet"])
    layer = lambda seen, name: seen["intermediates"][name]["__call__"][0][:1, ..., :8]  # noqa: E731
    assert_close(layer(seen, "stem"), arrays["out/fnet_stem"])
    found, seen = run(params["cnet"], state.get("cnet", {}), images, "cnet")
    assert_close(found, arrays["out/cnet"])
    assert_close(layer(seen, "layer_1_1"), arrays["out/cnet_layer1"])
    assert_close(layer(seen, "layer_2_1"), arrays["out/cnet_layer2"])


def test_batch_norm_in_training_equals_the_published_one():
    arrays = arrays_of("raft_large_encoders")
    params, state, _ = imported("large")
    encoder = raft.raft_encoders("large", dtype=jnp.float64)["cnet"]
    images = given(arrays["in/images"]) * (2 / 255) - 1

    @jax.jit
    def run(params, stats, images):
        variables = {"params": params, "batch_stats": stats}
        statistics = Statistics(train=True)
        return encoder.apply(variables, images, statistics, mutable=["batch_stats"])

    found, moved = run(params["cnet"], state["cnet"], images)
    assert_close(found, arrays["out/cnet_train"])
    named = importers.export_raft(params, {"cnet": moved["batch_stats"]})
    compared = [key for key in arrays if "running" in key]
    assert len(compared) == 8
    for key in compared:
        kind, layer = key.removeprefix("out/cnet_train_").split("/")
        assert_close(named[f"cnet.{layer}.{kind}"], arrays[key], key)


@pytest.mark.parametrize("radius", [3, 4])
@pytest.mark.parametrize("form", ["volume", "on_the_fly"])
def test_the_lookup_and_its_gradient_equal_the_published_ones(radius, form):
    arrays = arrays_of(f"corr_r{radius}")
    first, second = given(arrays["in/fmap1"]), given(arrays["in/fmap2"])
    batch, height, width, channels = first.shape
    points = jnp.moveaxis(given(arrays["in/coords"]), 1, -1)
    sizes = raft.scale_sizes(height, width, levels=4)

    @jax.jit
    def look(first, second):
        queries = first.reshape(batch, -1, channels)
        pyramid = raft.feature_pyramid(second, levels=4)
        centres = points.reshape(batch, -1, 2)
        options = {"sizes": sizes, "radius": radius}
        if form == "on_the_fly":
            found = raft.lookup_on_the_fly(queries, pyramid, centres, **options)
        else:
            volume = raft.correlation_volume(queries, pyramid)
            found = raft.lookup(volume, centres, **options)
        return found.reshape(batch, height, width, -1)

    found, pullback = jax.vjp(look, first, second)
    assert_close(found[:, ::2, ::2], arrays["out/lookup"])
    for gradient, name in zip(pullback(waves_like(found)), ("1", "2"), strict=True):
        assert_close(gradient, arrays[f"grad/fmap{name}"])


@pytest.mark.parametrize("radius", [3, 4])
def test_the_volume_of_every_scale_equals_the_published_one(radius):
    arrays, _ = golden(f"corr_r{radius}", system="flow_pose")
    first, second = (jnp.moveaxis(given(arrays[f"in/fmap{k}"]), 1, -1) for k in (1, 2))
    _, height, width, channels = first.shape
    pyramid = raft.feature_pyramid(second, levels=4)
    volume = raft.correlation_volume(first.reshape(1, -1, channels), pyramid)[0]
    sizes = raft.scale_sizes(height, width, levels=4)
    ends = np.cumsum([rows * columns for rows, columns in sizes])
    assert volume.shape[1] == ends[-1]
    parts = np.split(volume, ends[:-1], axis=1)
    expected = arrays["out/pyramid_3"]
    assert_close(parts[3].reshape(expected.shape), expected)
    expected = arrays["out/pyramid_1_sub"]
    assert_close(parts[1][::7].reshape(expected.shape), expected)


def test_a_window_of_radius_0_is_the_published_bilinear_sampler():
    arrays, _ = golden("bilinear_sampler", system="flow_pose")
    images, points = given(arrays["in/img"]), given(arrays["in/coords"])
    batch, channels, height, width = images.shape
    count = points.shape[1] * points.shape[2]

    @jax.jit
    def sample(images, points):
        # Every point is a query, every channel an example with the same map for all.
        maps = images.reshape(batch * channels, 1, height * width)
        maps = jnp.broadcast_to(maps, (batch * channels, count, height * width))
        centres = jnp.repeat(points.reshape(batch, count, 2), channels, axis=0)
        found = raft.lookup(maps, centres, sizes=((height, width),), radius=0)
        return found.reshape(batch, channels, *points.shape[1:3])

    found, pullback = jax.vjp(sample, images, points)
    assert_close(found, arrays["out/sampled"])
    cotangent = jnp.cos(0.37 * jnp.arange(found.size)).reshape(found.shape)
    by_images, by_points = pullback(cotangent)
    assert_close(by_images, arrays["grad/img"])
    # On the pixel grid there are two derivatives: the first four points of image 0.
    found, expected = (
        np.asarray(x).reshape(-1, 2)[4:] for x in (by_points, arrays["grad/coords"])
    )
    assert_close(found, expected)


def test_the_large_update_block_and_its_gradients_equal_the_published_ones():
    arrays = arrays_of("update_block_large")
    params = imported("large").params["update"]
    names = ("net", "inp", "corr", "flow")  # corr is stored in float32
    net, inp, corr, flow = (given(arrays[f"in/{name}"]) for name in names)

    @jax.jit
    def run(params, net):
        motion = raft.motion_features(params["motion"], flow, corr)
        terms = raft.gate_terms(params["gru"], inp)
        net = raft.gated_update(terms, net, motion)
        change = raft.flow_change(params["flow_head"], net)
        return net, raft.upsampling_mask(params["mask"], net), change, motion

    outputs, pullback = jax.vjp(run, params, net)
    for found, name in zip(
        outputs, ("net", "mask", "delta_flow", "motion"), strict=True
    ):
        assert_close(found, arrays[f"out/{name}"], name, rounded=True)
    cotangents = [waves_like(x) for x in outputs[:3]] + [jnp.zeros_like(outputs[3])]
    by_params, by_net = pullback(tuple(cotangents))
    assert_close(by_net, arrays["grad/net"], rounded=True)
    named = named_gradients({"update": by_params})
    compared = [key for key in arrays if key.startswith("grad/update_block")]
    assert len(compared) == 15
    for key in compared:
        assert_close(named[key], arrays[key], key, rounded=True)


def named_gradients(gradients):
    """Gradients by their published names; those not given are zero."""
    params, state, _ = imported("large")
    whole = {
        name: gradients.get(name, jax.tree.map(np.zeros_like, tree))
        for name, tree in params.items()
    }
    named = importers.export_raft(whole, state)
    return {f"grad/{name}": x for name, x in named.items()}


def test_the_separable_gru_equals_the_published_one():
    arrays = arrays_of("sepconvgru")
    params = imported("large").params["update"]["gru"]
    hidden, seen = given(arrays["in/h"]), given(arrays["in/x"])
    terms = raft.gate_terms(params, seen[..., :128])
    found = raft.gated_update(terms, hidden, seen[..., 128:])
    assert_close(found, arrays["out/h"], rounded=True)  # the input is stored in float32


def test_the_small_update_block_equals_the_published_one():
    arrays = arrays_of("update_block_small")
    params = imported("small").params["update"]
    names = ("net", "inp", "corr", "flow", "gru_x")
    net, inp, corr, flow, seen = (given(arrays[f"in/{name}"]) for name in names)
    motion = raft.motion_features(params["motion"], flow, corr)
    assert_close(motion, arrays["out/motion"])
    terms = raft.gate_terms(params["gru"], inp)
    hidden = raft.gated_update(terms, net, motion)
    assert_close(hidden, arrays["out/net"])
    change = raft.flow_change(params["flow_head"], hidden)
    assert_close(change, arrays["out/delta_flow"])
    terms = raft.gate_terms(params["gru"], seen[..., :64])
    hidden = raft.gated_update(terms, net, seen[..., 64:])
    assert_close(hidden, arrays["out/gru_h"])


def test_both_upsamplings_equal_the_published_ones():
    arrays = arrays_of("upsample")
    flow, mask = given(arrays["in/flow"]), given(arrays["in/mask"])
    found, pullback = jax.vjp(jax.jit(raft.convex_upsample), flow, mask)
    assert_close(found, arrays["out/convex"], rounded=True)  # as the mask is
    by_flow, by_mask = pullback(waves_like(found))
    assert_close(by_flow, arrays["grad/flow"], rounded=True)
    assert_close(by_mask, arrays["grad/mask"])
    assert_close(raft.bilinear_upsample(flow), arrays["out/bilinear8"])


@pytest.mark.slow
@pytest.mark.parametrize("bn_mode", ["frozen", "train"])
def test_three_steps_of_fine_tuning_equal_the_published_ones(bn_mode):
    arrays, meta = golden(f"raft_finetune_{bn_mode}", system="flow_pose")
    params, state, _ = imported("large")
    images = [jnp.moveaxis(given(arrays[f"in/image{k}"]), 1, -1) for k in (1, 2)]
    target = given(arrays["in/target"])
    network = models.raft_network("large", bn_mode=bn_mode, dtype=jnp.float64)
    optimizer = optax.adam(1e-5)

    def loss(params, state):
        output, moved = network.apply(
            params, state, *images, num_updates=meta["iters"], train=True
        )
        return optax.losses.huber_loss(output.flow[0], target).mean(), moved

    @jax.jit
    def step(params, state, moments):
        (value, state), gradient = jax.value_and_grad(loss, has_aux=True)(params, state)
        updates, moments = optimizer.update(gradient, moments)
        return optax.apply_updates(params, updates), state, moments, value, gradient

    params = jax.tree.map(jnp.asarray, params)
    moments = optimizer.init(params)
    losses, gradients = [], []
    for _ in range(3):
        params, state, moments, value, gradient = step(params, state, moments)
        losses.append(value)
        gradients.append(gradient)
    assert_close(losses[0], arrays["out/loss"][0])
    # The target is stored in float32, and Adam's first steps divide a gradient by its
    # own size: where that is tiny, the rounding decides.
    np.testing.assert_allclose(losses, arrays["out/loss"], rtol=1e-4)
    norm = optax.tree.norm(gradients[0])
    np.testing.assert_allclose(norm, arrays["out/grad_norm"], rtol=1e-6)
    named = named_gradients(gradients[0])
    named_params = importers.export_raft(params, state)
    compared = 0
    for key, expected in arrays.items():
        if key.startswith("grad/"):
            atol = 1e-5 * np.abs(expected).max()
            np.testing.assert_allclose(named[key], expected, 0, atol, err_msg=key)
        elif "_after" in key:
            name = key.removeprefix("out/").rsplit("_after", 1)[0]
            name = name if name in named_params else f"update_block.{name}"
            found = named_params[name]
            np.testing.assert_allclose(found, expected, 0, 5e-6, err_msg=key)
        else:
            continue
        compared += 1
    assert compared == (13 if bn_mode == "frozen" else 15)
