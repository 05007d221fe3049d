"""The gradient in blocks of rows against the gradient in one piece."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from jax.test_util import check_grads

from posejax.models import convolution as module

P = PartitionSpec


def arrays(height, width, dtype=jnp.float32):
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.normal(size=(2, height, width, 3)), dtype)
    kernel = jnp.asarray(rng.normal(size=(3, 3, 3, 4)), dtype)
    return images, kernel


@pytest.mark.parametrize("count", [2, 3, 5])
@pytest.mark.parametrize(
    ("height", "stride", "dilation", "padding"),
    [(12, 1, 1, 1), (12, 2, 1, 1), (11, 2, 1, 1), (12, 1, 2, 1), (10, 1, 1, 0)],
)
def test_a_sum_over_blocks_is_the_gradient_in_one_piece(
    float64, count, height, stride, dilation, padding
):
    images, kernel = arrays(height, 7, jnp.float64)

    def blocked(x, k):
        return module._blocked(x, k, stride, dilation, padding, count)

    def plain(x, k):
        return module._plain(x, k, stride, dilation, ((padding, padding),) * 2)

    @functools.partial(jax.jit, static_argnums=0)
    def both(function, cotangent):
        product, pullback = jax.vjp(function, images, kernel)
        return product, *pullback(cotangent)

    shape = jax.eval_shape(plain, images, kernel).shape
    cotangent = jnp.asarray(np.random.default_rng(1).normal(size=shape))
    for found, expected in zip(
        both(blocked, cotangent), both(plain, cotangent), strict=True
    ):
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_large_images_are_split_and_small_ones_are_not(monkeypatch):
    images, kernel = arrays(12, 8)
    assert module._block_count(images, kernel, 1) == 1
    monkeypatch.setattr(module, "BLOCK_VALUES", images.size)
    assert module._block_count(images, kernel, 1) == 3  # 576 + 768 values by 576
    monkeypatch.setattr(module, "BLOCK_VALUES", 1)
    assert module._block_count(images, kernel, 1) == 12
    grad = jax.jit(jax.grad(lambda k: module.convolution(images, k).sum()))(kernel)
    monkeypatch.setattr(module, "BLOCK_VALUES", 10**9)
    expected = jax.grad(lambda k: module.convolution(images, k).sum())(kernel)
    np.testing.assert_allclose(grad, expected, rtol=1e-4, atol=1e-4)


def test_the_blocked_gradient_is_right(float64):
    images, kernel = arrays(6, 5, jnp.float64)
    run = jax.jit(lambda x, k: module._blocked(x, k, 1, 1, 1, 2))
    check_grads(run, (images, kernel), 1, ["rev"])


@pytest.mark.slow
@pytest.mark.parametrize("how", ["vmap", "shard_map"])
def test_the_blocked_gradient_is_summed_over_a_mapped_batch(how):
    images, kernel = arrays(6, 5)

    def grad(x, k):
        return jax.grad(lambda k: jnp.sum(module._blocked(x, k, 1, 1, 1, 2) ** 2))(k)

    expected = grad(images, kernel)
    if how == "vmap":
        split = jax.vmap(grad, (0, None))(images[:, None], kernel)
        found = split.sum(0)
    else:
        mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))
        mapped = jax.shard_map(
            grad, mesh=mesh, in_specs=(P("data"), P()), out_specs=P()
        )
        found = jax.jit(mapped)(images, kernel)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
