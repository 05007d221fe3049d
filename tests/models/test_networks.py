"""What every network promises: sizes, errors, state, and purity."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from posejax import models

P = PartitionSpec
REGRESSOR = functools.partial(
    models.make_template_regressor,
    num_outputs=7,
    features=(4, 6, 8),
    head_features=5,
    hidden_features=9,
)
TRANSLATOR = functools.partial(
    models.make_reconstructor, in_channels=5, features=(4, 6)
)
SMALL = {"regressor": (REGRESSOR, (8, 8, 3)), "translator": (TRANSLATOR, (6, 4, 5))}
NETWORKS = pytest.mark.parametrize("name", list(SMALL))


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@functools.cache
def small(name):
    """A drawn small network: (network, params, state, images of batch 4)."""
    make, shape = SMALL[name]
    network = make()
    x = images(4, *shape)
    # Compiled, for speed: the untransformed functions run in the error tests.
    apply = jax.jit(network.apply, static_argnames=("train", "axis_name"))
    fast = models.Network(network.init, apply)
    return fast, *network.init(jax.random.key(0), x), x


def count(network, shape):
    example = jax.ShapeDtypeStruct(shape, jnp.float32)
    params, _ = jax.eval_shape(lambda: network.init(jax.random.key(0), example))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("num_outputs", "expected"), [(108, 16706060), (120, 16712216), (62, 16682462)]
)
def test_regressor_has_as_many_parameters_as_the_published_one(num_outputs, expected):
    network = models.make_template_regressor(num_outputs=num_outputs)
    assert count(network, (2, 256, 256, 3)) == expected


def test_the_other_networks_have_as_many_parameters_as_the_published_ones():
    assert count(models.make_reconstructor(), (2, 64, 64, 21)) == 1752867
    older = models.make_shape_template_regressor()
    assert count(older, (2, 256, 256, 21)) == 6766430
    vgg = jax.eval_shape(models.random_vgg_params)
    assert sum(leaf.size for leaf in jax.tree.leaves(vgg)) == 1145408


def test_outputs_have_the_documented_shapes():
    network, params, state, x = small("regressor")
    assert network.apply(params, state, x, train=False)[0].shape == (4, 7)
    network, params, state, x = small("translator")
    assert network.apply(params, state, x, train=False)[0].shape == (4, 6, 4, 3)


def test_older_regressor_gives_maps_and_depths():
    network = models.make_shape_template_regressor(features=2)
    example = jax.ShapeDtypeStruct((2, 256, 256, 21), jnp.float32)
    params, state = jax.eval_shape(lambda: network.init(jax.random.key(0), example))
    output, _ = jax.eval_shape(
        functools.partial(network.apply, train=True), params, state, example
    )
    assert output.raw.shape == (2, 108)
    assert output.depth.shape == (2, 18)


@NETWORKS
def test_init_depends_on_the_key_alone(name):
    network, params, state, x = small(name)
    again = network.init(jax.random.key(0), 0 * x)
    jax.tree.map(np.testing.assert_array_equal, again, (params, state))
    other, _ = network.init(jax.random.key(1), x)
    layer = "output" if name == "regressor" else "layers_0"
    leaves = [jax.tree.leaves(p[layer])[0] for p in (other, params)]
    assert not np.allclose(*leaves)


@NETWORKS
def test_training_moves_the_state_and_testing_leaves_it(name):
    network, params, state, x = small(name)
    y, same = network.apply(params, state, x, train=False)
    jax.tree.map(np.testing.assert_array_equal, same, state)
    trained, moved = network.apply(params, state, x, train=True)
    assert jax.tree.structure(moved) == jax.tree.structure(state)
    for old, new in zip(jax.tree.leaves(state), jax.tree.leaves(moved), strict=True):
        assert not np.allclose(old, new)
        assert old.dtype == new.dtype == jnp.float32
    assert not np.allclose(y, trained)


@NETWORKS
def test_a_batch_in_test_mode_equals_its_examples_one_by_one(name):
    network, params, state, x = small(name)
    whole, _ = network.apply(params, state, x, train=False)
    for i in range(len(x)):
        one, _ = network.apply(params, state, x[i : i + 1], train=False)
        np.testing.assert_allclose(one[0], whole[i], rtol=1e-4, atol=1e-5)


@NETWORKS
def test_padding_with_weight_zero_changes_no_real_example(name):
    network, params, state, x = small(name)
    expected, moved = network.apply(params, state, x, train=True)
    padded = jnp.concatenate([x, 9 + 0 * x[:2]])
    weights = jnp.array([1.0, 1, 1, 1, 0, 0])
    found, found_moved = network.apply(
        params, state, padded, train=True, weights=weights
    )
    np.testing.assert_allclose(found[:4], expected, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(found_moved), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@NETWORKS
def test_gradients_are_finite_for_a_black_image(name):
    network, params, state, x = small(name)

    def loss(p):
        return jnp.sum(network.apply(p, state, 0 * x, train=True)[0] ** 2)

    with jax.debug_nans(True):
        gradients = jax.jit(jax.grad(loss))(params)
    for leaf in jax.tree.leaves(gradients):
        assert bool(jnp.isfinite(leaf).all())


@NETWORKS
@pytest.mark.slow
@pytest.mark.parametrize("how", ["eager", "vmap", "pmap", "shard_map"])
def test_test_mode_is_the_same_under_every_transformation(name, how):
    network, params, state, x = small(name)

    def run(part):
        return network.apply(params, state, part, train=False)[0]

    if how == "eager":
        with jax.disable_jit():
            found = run(x)
    elif how == "shard_map":
        mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        found = jax.shard_map(run, mesh=mesh, in_specs=P("data"), out_specs=P("data"))(
            x
        )
    else:
        mapper = jax.vmap if how == "vmap" else jax.pmap
        found = mapper(run)(x.reshape(2, 2, *x.shape[1:]))
        found = found.reshape(4, *found.shape[2:])
    np.testing.assert_allclose(found, run(x), rtol=1e-4, atol=1e-5)


@NETWORKS
def test_a_batch_split_over_devices_trains_like_the_whole(name):
    network, params, state, x = small(name)
    expected, moved = network.apply(params, state, x, train=True)
    mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def run(part):
        return network.apply(params, state, part, train=True, axis_name="data")

    split = jax.shard_map(
        run, mesh=mesh, in_specs=P("data"), out_specs=(P("data"), P())
    )
    found, found_moved = jax.jit(split)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(found_moved), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


@NETWORKS
def test_bfloat16_computes_near_float32_and_returns_float32(name):
    network, params, state, x = small(name)
    expected, _ = network.apply(params, state, x, train=False)
    half = SMALL[name][0](dtype=jnp.bfloat16)
    run = jax.jit(functools.partial(half.apply, train=False))
    rounded, _ = run(params, state, x)
    assert rounded.dtype == jnp.float32
    error = float(jnp.abs(rounded - expected).max())
    assert 0 < error < 0.05 * float(jnp.abs(expected).max()) + 0.01


@pytest.mark.parametrize(
    ("make", "shape", "expected"),
    [
        (REGRESSOR, (2, 10, 10, 3), "multiple of 4"),
        (REGRESSOR, (2, 8, 12, 3), "a square"),
        (REGRESSOR, (2, 0, 0, 3), "multiple of 4"),
        (REGRESSOR, (2, 8, 8, 1), "expected \\(batch, height, width, 3\\)"),
        (TRANSLATOR, (2, 7, 8, 5), "multiples of 2"),
        (TRANSLATOR, (2, 8, 8, 21), "width, 5\\)"),
        (models.make_shape_template_regressor, (2, 128, 128, 21), "256x256 only"),
    ],
)
def test_an_image_size_the_network_cannot_take_is_one_line(make, shape, expected):
    network = make()
    example = jax.ShapeDtypeStruct(shape, jnp.float32)
    with pytest.raises(ValueError, match=expected) as caught:
        network.init(jax.random.key(0), example)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match=expected):
        network.apply({}, {}, jnp.zeros(shape), train=False)


@NETWORKS
def test_a_training_batch_of_one_is_refused(name):
    network, params, state, x = small(name)
    with pytest.raises(ValueError, match=r"batch of 1; .* raise batch_size"):
        network.apply(params, state, x[:1], train=True)
    network.apply(params, state, x[:1], train=False)
