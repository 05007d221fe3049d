"""Batch norm, interpolation, initial values."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from jax.test_util import check_grads

from posejax.models.convolution import convolution, upsample_bilinear_x2
from posejax.models.layers import BatchNorm, Statistics, draw_kernels, leaky_relu

P = PartitionSpec


@functools.partial(jax.jit, static_argnames=("train", "axis_name"))
def norm(x, *, train=True, bias=None, momentum=0.1, weights=None, axis_name=None):
    """Runs a fresh batch norm: (normalised, running mean, running variance)."""
    module = BatchNorm()
    variables = module.init(jax.random.key(0), x, Statistics(False))
    statistics = Statistics(train, momentum, weights, axis_name)
    y, moved = module.apply(
        variables, x, statistics, bias=bias, mutable=["batch_stats"]
    )
    return y, moved["batch_stats"]["mean"], moved["batch_stats"]["var"]


def values(*shape, seed=0):
    draw = np.random.default_rng(seed).normal(1.0, 2.0, shape)
    return jnp.asarray(draw, jnp.float32)


def test_running_variance_is_unbiased_and_the_batch_is_normalised_by_the_biased_one():
    x = jnp.array([[1.0], [3.0]])  # mean 2, biased variance 1, unbiased 2
    y, mean, var = norm(x)
    np.testing.assert_allclose(y[:, 0], np.array([-1, 1]) / np.sqrt(1 + 1e-5), 1e-6)
    np.testing.assert_allclose(mean, [0.9 * 0 + 0.1 * 2], rtol=1e-6)
    np.testing.assert_allclose(var, [0.9 * 1 + 0.1 * 2], rtol=1e-6)


def test_momentum_is_traced_and_is_the_share_of_the_batch():
    x = values(4, 3, 3, 2)
    traces = []

    @jax.jit
    def moved_mean(momentum):
        traces.append(1)
        return norm(x, momentum=momentum)[1]

    for momentum in (0.0, 0.25, 1.0):
        expected = momentum * x.mean((0, 1, 2))
        np.testing.assert_allclose(moved_mean(momentum), expected, rtol=1e-5)
    assert len(traces) == 1


def test_a_bias_cancels_in_training_but_moves_the_running_mean():
    x, bias = values(4, 3, 2), jnp.array([5.0, -3.0])
    y, mean, var = norm(x + bias.reshape(1, 1, 2))
    for found, expected in zip(norm(x, bias=bias), (y, mean, var), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    y, mean, _ = norm(x + bias.reshape(1, 1, 2), train=False)
    np.testing.assert_allclose(norm(x, bias=bias, train=False)[0], y, rtol=1e-6)
    np.testing.assert_array_equal(mean, 0)


def test_padding_with_weight_zero_does_not_change_the_statistics():
    x = values(3, 4, 4, 2)
    padded = jnp.concatenate([x, jnp.full((2, 4, 4, 2), 1e3)])
    y, mean, var = norm(x)
    weights = jnp.array([1.0, 1, 1, 0, 0])
    found = norm(padded, weights=weights)
    np.testing.assert_allclose(found[0][:3], y, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found[1], mean, rtol=1e-5)
    np.testing.assert_allclose(found[2], var, rtol=1e-5)


def test_a_batch_of_nothing_but_padding_is_finite():
    y, mean, var = norm(values(2, 3, 2), weights=jnp.zeros(2))
    assert all(bool(jnp.isfinite(a).all()) for a in (y, mean, var))


def test_statistics_of_bfloat16_are_float32():
    x = (1000 + values(8, 16, 16, 1)).astype(jnp.bfloat16)
    y, mean, var = norm(x, momentum=1.0)
    assert y.dtype == mean.dtype == var.dtype == jnp.float32
    wide = np.asarray(x, np.float64)
    np.testing.assert_allclose(mean, wide.mean((0, 1, 2)), rtol=1e-6)
    np.testing.assert_allclose(var, wide.var((0, 1, 2), ddof=1), rtol=1e-4)


def test_normalising_ignores_scale_and_offset_of_the_input():
    x = values(4, 5, 3)
    y, _, _ = norm(x)
    np.testing.assert_allclose(norm(3 * x - 7)[0], y, rtol=1e-3, atol=1e-4)


def test_gradient_is_finite_for_constant_input_and_right_elsewhere(float64):
    with jax.debug_nans(True):
        total = lambda x: jnp.sum(norm(x)[0] ** 3)  # noqa: E731
        grad = jax.jit(jax.grad(total))(jnp.ones((3, 2, 2)))
    assert bool(jnp.isfinite(grad).all())
    weights = jnp.array([1.0, 0.5, 0.0, 1.0])
    cotangent = jnp.asarray(values(4, 3, 2, seed=1), jnp.float64)

    def loss(x):
        return jnp.sum(cotangent * norm(x, weights=weights)[0])

    x = jnp.asarray(values(4, 3, 2), jnp.float64)
    check_grads(jax.jit(loss), (x,), 1, ["rev"])


def test_batch_norm_is_the_same_with_and_without_jit():
    x = values(4, 3, 3, 2)
    with jax.disable_jit():
        eager = norm(x)
    for found, expected in zip(norm(x), eager, strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("how", ["vmap", "pmap", "shard_map"])
def test_a_mapped_axis_gives_the_statistics_of_the_whole_batch(how):
    x = values(8, 3, 3, 2)
    y, mean, var = norm(x)
    split = functools.partial(norm, axis_name="data")
    if how == "shard_map":
        mesh = jax.make_mesh((4,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        mapped = jax.shard_map(
            split, mesh=mesh, in_specs=P("data"), out_specs=(P("data"), P(), P())
        )
        found = jax.jit(mapped)(x)
    else:
        mapper = jax.vmap if how == "vmap" else jax.pmap
        outputs = mapper(split, axis_name="data")(x.reshape(4, 2, 3, 3, 2))
        found = (outputs[0].reshape(x.shape), outputs[1][0], outputs[2][3])
    for a, b in zip(found, (y, mean, var), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-4, atol=1e-5)


def test_leaky_relu_has_its_small_slope_at_zero():
    slope = jax.vmap(jax.grad(leaky_relu))(jnp.array([-2.0, 0.0, 2.0]))
    np.testing.assert_allclose(slope, [0.01, 0.01, 1.0])
    np.testing.assert_allclose(leaky_relu(jnp.array([-2.0, 3.0])), [-0.02, 3.0])


def test_doubling_an_image_equals_half_pixel_bilinear_resizing():
    x = values(2, 3, 5, 2)
    expected = jax.image.resize(x, (2, 6, 10, 2), "bilinear")
    np.testing.assert_allclose(upsample_bilinear_x2(x), expected, rtol=1e-5, atol=1e-6)


def test_doubling_one_pixel_repeats_it_and_shares_its_gradient():
    x = jnp.full((1, 1, 1, 1), 3.0)
    np.testing.assert_array_equal(upsample_bilinear_x2(x), jnp.full((1, 2, 2, 1), 3.0))
    total = jax.jit(lambda v: upsample_bilinear_x2(v).sum())
    grad = jax.grad(total)(values(1, 3, 3, 1))
    np.testing.assert_allclose(grad.sum(), 36)
    np.testing.assert_allclose(grad, 4)


def test_doubling_has_the_right_gradient(float64):
    x = jnp.asarray(values(1, 2, 3, 2), jnp.float64)
    check_grads(jax.jit(upsample_bilinear_x2), (x,), 1, ["rev"])


def test_kernels_are_drawn_in_plus_minus_one_over_root_fan_in():
    params = {
        "a": {"kernel": jnp.zeros((3, 3, 32, 64)), "bias": jnp.zeros(64)},
        "b": {"linear": {"kernel": jnp.zeros((400, 9)), "bias": jnp.zeros(9)}},
        "norm": {"scale": jnp.ones(4), "bias": jnp.zeros(4)},
    }
    drawn = draw_kernels(jax.random.key(1), params)
    for layer, fan_in in ((drawn["a"], 288), (drawn["b"]["linear"], 400)):
        bound = fan_in**-0.5
        for entry in layer.values():
            assert float(jnp.abs(entry).max()) <= bound
        assert float(layer["kernel"].std()) == pytest.approx(bound / 3**0.5, rel=0.03)
        assert float(jnp.abs(layer["kernel"]).max()) > 0.99 * bound
    np.testing.assert_array_equal(drawn["norm"]["scale"], 1)
    np.testing.assert_array_equal(drawn["norm"]["bias"], 0)
    again = draw_kernels(jax.random.key(1), params)
    jax.tree.map(np.testing.assert_array_equal, again, drawn)


def test_a_convolution_is_a_correlation_with_symmetric_padding():
    image = jnp.arange(9.0).reshape(1, 3, 3, 1)
    kernel = jnp.zeros((3, 3, 1, 1)).at[0, 1].set(1.0)  # looks one row up
    found = convolution(image, kernel)[0, :, :, 0]
    np.testing.assert_array_equal(found, [[0, 0, 0], [0, 1, 2], [3, 4, 5]])
    strided = convolution(image, kernel, stride=2)[0, :, :, 0]
    np.testing.assert_array_equal(strided, [[0, 0], [3, 5]])
