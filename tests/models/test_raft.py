"""RAFT at any size, in its forms: loop or not, with or without the volume."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models
from posejax.models import raft

OPTIONS = ("num_updates", "train", "all_flows")


@functools.cache
def drawn(variant):
    return models.raft_network(variant).init(jax.random.key(1))


def pair(height, width, *, batch=1, seed=0):
    """A smooth random image and itself moved by a pixel."""
    rng = np.random.default_rng(seed)
    image = rng.uniform(0, 255, (batch, height // 8, width // 8, 3))
    image = jax.image.resize(
        image.astype(np.float32), (batch, height, width, 3), "linear"
    )
    return image, jnp.roll(image, 1, axis=2)


def run(network, *arguments, **options):
    return jax.jit(network.apply, static_argnames=OPTIONS)(*arguments, **options)


def gradient_of(network, variant, images, **options):
    """The gradient of the mean of all flows, and the flows."""
    params, state = drawn(variant)

    def loss(params):
        output, moved = network.apply(
            params, state, *images, train=True, all_flows=True, **options
        )
        return jnp.abs(output.flows).mean(), (output.flows, moved)

    return jax.jit(jax.grad(loss, has_aux=True))(params)


def assert_trees_close(found, expected, *, share):
    """Compares to a share of each array's largest value."""
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert_close_to_largest(a, b, share=share)


def assert_close_to_largest(found, expected, *, share):
    atol = share * (float(jnp.abs(expected).max()) + 1e-6)
    np.testing.assert_allclose(found, expected, rtol=0, atol=atol)


@pytest.mark.parametrize(("variant", "count"), [("large", 5257536), ("small", 990162)])
def test_the_networks_have_the_published_number_of_parameters(variant, count):
    params, state = drawn(variant)
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == count
    assert set(params) == {"fnet", "cnet", "update"}
    assert set(state) == ({"cnet"} if variant == "large" else set())


def test_encoders_are_drawn_by_fan_out_and_the_update_block_by_fan_in():
    params, _ = drawn("large")
    kernel = params["fnet"]["layer_1_0"]["unit_0"]["kernel"]
    np.testing.assert_allclose(jnp.std(kernel), (2 / (9 * 64)) ** 0.5, rtol=0.02)
    kernel = params["update"]["gru"]["z1"]["kernel"]
    assert float(jnp.abs(kernel).max()) <= (5 * 384) ** -0.5
    np.testing.assert_allclose(jnp.std(kernel), (3 * 5 * 384) ** -0.5, rtol=0.02)


@pytest.mark.parametrize(
    ("variant", "height", "width"), [("large", 8, 8), ("small", 8, 64)]
)
def test_scales_without_a_pixel_give_finite_flows_and_gradients(variant, height, width):
    network = models.raft_network(variant, bn_mode="train", unroll=False)
    images = pair(height, width)
    gradient, (flows, moved) = gradient_of(network, variant, images, num_updates=2)
    assert flows.shape == (2, 1, height, width, 2)
    for leaf in jax.tree.leaves((gradient, flows, moved)):
        assert np.isfinite(leaf).all()
    assert any(np.any(leaf) for leaf in jax.tree.leaves(gradient["fnet"]["output"]))


def test_a_window_is_zero_outside_the_map_however_far_and_on_empty_scales():
    sizes = raft.scale_sizes(1, 3, levels=4)
    assert sizes == ((1, 3), (0, 1), (0, 0), (0, 0))
    volume = jnp.array([1.0, 2.0, 4.0]).reshape(1, 1, 3)

    def windows(x, y):
        points = jnp.array([x, y]).reshape(1, 1, 2)
        found = raft.lookup(volume, points, sizes=sizes, radius=1)
        return np.asarray(found).reshape(4, 3, 3)

    # x is the slow axis of a window, y the fast one.
    near = windows(0.5, 0.0)
    np.testing.assert_allclose(near[0], [[0, 0.5, 0], [0, 1.5, 0], [0, 3, 0]])
    assert not near[1:].any()
    np.testing.assert_allclose(windows(2.0, 0.25)[0, 1], [1, 3, 0])
    for far in (1e9, -1e9, 3e38, -4.0, 7.0):
        assert not windows(far, 0.0).any()
        assert not windows(0.0, far).any()


def looked_up(features1, features2, points, *, on_the_fly, radius=3):
    batch, height, width, channels = features1.shape
    sizes = raft.scale_sizes(height, width, levels=4)
    queries = features1.reshape(batch, height * width, channels)
    pyramid = raft.feature_pyramid(features2, levels=4)
    points = points.reshape(batch, height * width, 2)
    options = {"sizes": sizes, "radius": radius}
    if on_the_fly:
        return raft.lookup_on_the_fly(queries, pyramid, points, **options)
    volume = raft.correlation_volume(queries, pyramid)
    return raft.lookup(volume, points, **options)


@pytest.mark.parametrize("shape", [(2, 17, 19, 8), (1, 9, 5, 8), (3, 29, 23, 8)])
def test_the_lookup_without_the_volume_equals_that_in_it(shape):
    keys = jax.random.split(jax.random.key(0), 4)
    features = [jax.random.normal(key, shape) for key in keys[:2]]
    points = 30 * jax.random.uniform(keys[2], (*shape[:3], 2)) - 5
    weights = jax.random.normal(keys[3], (shape[0], shape[1] * shape[2], 4 * 49))

    def total(features1, features2, points, on_the_fly):
        found = looked_up(features1, features2, points, on_the_fly=on_the_fly)
        return jnp.sum(found * weights), found

    look = jax.jit(jax.grad(total, (0, 1, 2), has_aux=True), static_argnums=3)
    expected, in_volume = look(*features, points, False)
    found, on_the_fly = look(*features, points, True)
    np.testing.assert_allclose(on_the_fly, in_volume, rtol=0, atol=1e-5)
    assert_trees_close(found, expected, share=1e-5)


@pytest.mark.parametrize("has_gradient", [False, True])
def test_memory_grows_with_the_pixels_without_the_volume(has_gradient):
    def bytes_at(height, width, on_the_fly):
        features = jax.ShapeDtypeStruct((1, height, width, 16), jnp.float32)
        points = jax.ShapeDtypeStruct((1, height, width, 2), jnp.float32)
        look = functools.partial(looked_up, on_the_fly=on_the_fly)
        function = lambda *arguments: jnp.sum(look(*arguments))  # noqa: E731
        if has_gradient:
            function = jax.grad(function, (0, 1))
        program = jax.jit(function).lower(features, features, points).compile()
        return program.memory_analysis().temp_size_in_bytes

    small, big = bytes_at(32, 48, True), bytes_at(64, 96, True)
    assert big < 5 * small
    volume_small, volume_big = bytes_at(32, 48, False), bytes_at(64, 96, False)
    assert volume_big > 10 * volume_small
    assert big < volume_big / 4


def test_the_form_is_chosen_by_size():
    sizes = raft.scale_sizes(55, 128, levels=4)
    assert raft.volume_fits(1, sizes)
    assert not raft.volume_fits(9, sizes)
    assert raft.volume_fits(1, raft.scale_sizes(126, 125, levels=4))
    assert not raft.volume_fits(1, raft.scale_sizes(135, 240, levels=4))


def small_flow(images, **options):
    """Three updates of the small network; the same program is compiled once."""
    params, state = drawn("small")
    network = models.raft_network("small", **options)
    return run(network, params, state, *images, num_updates=3, all_flows=True)[0]


def test_all_forms_of_the_small_network_give_the_same_flow():
    images = pair(64, 96)
    expected = small_flow(images, corr="volume")
    assert expected.flows.shape == (3, 1, 64, 96, 2)
    assert float(jnp.abs(expected.flow).max()) > 0.1
    for options in ({"corr": "on_the_fly"}, {"unroll": True}, {"dropout": 0.5}):
        found = small_flow(images, **options)
        assert_close_to_largest(found.flows, expected.flows, share=1e-4)
        assert_close_to_largest(found.low_flows, expected.low_flows, share=1e-4)


def test_bfloat16_networks_give_nearly_the_same_flow_in_float32():
    images = pair(64, 96)
    expected = small_flow(images, corr="volume")
    found = small_flow(images, dtype=models.compute_dtype("bfloat16"))
    assert found.flow.dtype == found.low_flows.dtype == jnp.float32
    error = jnp.abs(found.flow - expected.flow).mean()
    assert 0 < error < 0.05 * jnp.abs(expected.flow).mean()


@pytest.mark.slow
def test_loop_unrolled_and_rematerialised_updates_have_the_same_gradient():
    images = pair(32, 40)
    found = {
        name: gradient_of(
            models.raft_network("small", **options), "small", images, num_updates=3
        )[0]
        for name, options in {
            "loop": {"unroll": False},
            "unrolled": {"unroll": True},
            "lean": {"unroll": False, "remat": True},
            "lean_fly": {"unroll": True, "remat": True, "corr": "on_the_fly"},
        }.items()
    }
    for name in ("unrolled", "lean", "lean_fly"):
        assert_trees_close(found[name], found["loop"], share=1e-3)


@pytest.mark.slow
def test_rematerialised_updates_need_less_memory():
    def bytes_with(remat):
        network = models.raft_network("small", unroll=False, remat=remat)
        params, state = drawn("small")
        images = pair(64, 96)

        def loss(params):
            output, _ = network.apply(
                params, state, *images, num_updates=36, train=True
            )
            return output.flow.sum()

        program = jax.jit(jax.grad(loss)).lower(params).compile()
        return program.memory_analysis().temp_size_in_bytes

    assert bytes_with(True) < 0.6 * bytes_with(False)


def test_updates_are_unrolled_only_for_training_on_a_cpu():
    assert raft.unrolls_updates(train=True, backend="cpu")
    assert not raft.unrolls_updates(train=False, backend="cpu")
    assert not raft.unrolls_updates(train=True, backend="gpu")
    assert not raft.unrolls_updates(train=True, backend="tpu")


def test_the_flow_to_start_from_is_where_the_updates_begin():
    params, state = drawn("small")
    still = jax.tree.map(jnp.zeros_like, params["update"]["flow_head"])
    params = {**params, "update": {**params["update"], "flow_head": still}}
    network = models.raft_network("small")
    flow = jax.random.normal(jax.random.key(3), (1, 3, 4, 2))
    output, _ = run(
        network, params, state, *pair(24, 32), num_updates=2, flow_init=flow
    )
    np.testing.assert_array_equal(output.low_flow, flow)
    np.testing.assert_array_equal(output.flow, raft.bilinear_upsample(flow))


def test_a_constant_flow_is_eight_times_as_large_after_both_upsamplings():
    flow = jnp.broadcast_to(jnp.array([1.0, -2.0]), (1, 4, 5, 2))
    expected = np.broadcast_to([8.0, -16.0], (1, 32, 40, 2))
    np.testing.assert_allclose(raft.bilinear_upsample(flow), expected, rtol=1e-6)
    mask = jax.random.normal(jax.random.key(0), (1, 4, 5, 576))
    inner = raft.convex_upsample(flow, mask)[:, 8:-8, 8:-8]
    np.testing.assert_allclose(inner, expected[:, 8:-8, 8:-8], rtol=1e-5)
    single = raft.bilinear_upsample(flow[:, :1, :1])
    np.testing.assert_allclose(single, expected[:, :8, :8], rtol=1e-6)


def test_frozen_batch_norm_keeps_its_statistics_and_trained_moves_them():
    params, state = drawn("large")
    images = pair(16, 24, batch=2)
    frozen = models.raft_network("large", bn_mode="frozen", unroll=False)
    train = models.raft_network("large", bn_mode="train", unroll=False)
    options = {"num_updates": 1, "train": True}

    def returns_its_state(params, state, *images):
        assert frozen.apply(params, state, *images, **options)[1] is state

    jax.eval_shape(returns_its_state, params, state, *images)
    # Padding does not count: the second example's weight is 0.
    weights = jnp.array([1.0, 0.0])
    _, moved = run(train, params, state, *images, weights=weights, **options)
    repeated = [jnp.repeat(image[:1], 2, axis=0) for image in images]
    _, alone = run(train, params, state, *repeated, weights=weights, **options)
    assert jax.tree.structure(moved) == jax.tree.structure(state)
    assert_trees_close(moved, alone, share=1e-4)
    stem = moved["cnet"]["stem"]["norm"]
    assert not np.allclose(stem["var"], state["cnet"]["stem"]["norm"]["var"])


def test_dropout_drops_whole_channels_in_training_and_needs_a_key():
    features = jnp.ones((3, 4, 5, 64))
    found = raft.drop_channels(jax.random.key(0), features, 0.25)
    channels = np.asarray(found[:, 0, 0])
    np.testing.assert_array_equal(found, np.broadcast_to(found[:, :1, :1], found.shape))
    assert set(np.unique(channels.round(4))) == {0.0, np.float32(1.3333)}
    assert 0.1 < (channels == 0).mean() < 0.4
    network = models.raft_network("small", dropout=0.5)
    with pytest.raises(ValueError, match=r"key is None.*dropout is 0\.5"):
        network.apply(*drawn("small"), *pair(8, 8), num_updates=1, train=True)


def test_one_image_size_is_traced_and_so_compiled_once():
    traced = []
    network = models.raft_network("small")

    @jax.jit
    def flow(params, state, image1, image2, flow_init):
        traced.append(image1.shape)
        return network.apply(
            params, state, image1, image2, num_updates=2, flow_init=flow_init
        )[0].flow

    for seed in range(3):
        for height, width in ((16, 16), (24, 16)):
            images = pair(height, width, seed=seed)
            start = jnp.full((1, height // 8, width // 8, 2), float(seed))
            found = jax.eval_shape(flow, *drawn("small"), *images, start)
            assert found.shape == (1, height, width, 2)
    assert traced == [(1, 16, 16, 3), (1, 24, 16, 3)]


@pytest.mark.parametrize(
    ("shapes", "options", "message"),
    [
        (((1, 12, 16, 3),) * 2, {}, "height 12 and width 16.*of 8: pad both images"),
        (((1, 8, 8, 3), (1, 8, 16, 3)), {}, r"image2 \(1, 8, 16, 3\)"),
        (((8, 8, 3),) * 2, {}, r"expected one shape \(batch, height, width, 3\)"),
        (((1, 8, 8, 1),) * 2, {}, r"image1 has shape \(1, 8, 8, 1\)"),
        (((1, 8, 8, 3),) * 2, {"num_updates": 0}, "num_updates is 0"),
        (
            ((1, 8, 16, 3),) * 2,
            {"flow_init": np.zeros((1, 8, 16, 2))},
            r"flow_init has shape \(1, 8, 16, 2\); expected \(1, 1, 2, 2\)",
        ),
    ],
)
def test_unfit_arguments_are_told_in_one_line(shapes, options, message):
    network = models.raft_network("small")
    images = [jnp.zeros(shape) for shape in shapes]
    options = {k: jnp.asarray(v) if k == "flow_init" else v for k, v in options.items()}
    with pytest.raises(ValueError, match=message) as caught:
        network.apply({}, {}, *images, **({"num_updates": 1} | options))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "medium"}, "variant is 'medium'; expected one of"),
        ({"bn_mode": "eval"}, "bn_mode is 'eval'"),
        ({"corr": "fly"}, "corr is 'fly'.*'on_the_fly'"),
        ({"dropout": 1.0}, r"dropout is 1\.0"),
    ],
)
def test_unknown_choices_are_told_in_one_line(options, message):
    with pytest.raises(ValueError, match=message):
        models.raft_network(**options)
