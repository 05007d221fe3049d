"""The features of the perceptual loss."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import models
from posejax.models.vgg import max_pool_x2

WIDTHS = (4, 6, 8)


def images(*shape, seed=0):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_pooling_takes_the_maximum_of_each_cell():
    x = images(2, 4, 6, 3)
    expected = np.asarray(x).reshape(2, 2, 2, 3, 2, 3).max((2, 4))
    np.testing.assert_array_equal(max_pool_x2(x), expected)


def test_pooling_gives_a_tie_to_the_first_cell_and_keeps_nan():
    grad = jax.grad(lambda x: max_pool_x2(x).sum())(jnp.ones((1, 2, 2, 1)))
    np.testing.assert_array_equal(grad[0, :, :, 0], [[1, 0], [0, 0]])
    for i in range(4):
        x = jnp.zeros(4).at[i].set(jnp.nan).reshape(1, 2, 2, 1)
        assert bool(jnp.isnan(max_pool_x2(x)).all())


def test_pooling_has_the_right_gradient(float64):
    x = jnp.asarray(images(1, 4, 4, 2), jnp.float64)
    check_grads(jax.jit(max_pool_x2), (x,), 1)


def test_random_features_are_always_the_same_and_keep_the_scale():
    params = models.random_vgg_params(widths=WIDTHS)
    again = models.random_vgg_params(widths=WIDTHS)
    jax.tree.map(np.testing.assert_array_equal, params, again)
    wide = models.random_vgg_params(widths=(16, 32, 64))
    features = jax.jit(models.vgg_features)(wide, images(2, 32, 32, 3))
    assert 0.3 < float(jnp.sqrt(jnp.mean(features**2))) < 3


def test_features_have_a_quarter_of_the_side_and_are_not_negative():
    params = models.random_vgg_params(widths=WIDTHS)
    features = models.vgg_features(params, images(2, 8, 12, 3))
    assert features.shape == (2, 2, 3, 8)
    assert float(features.min()) >= 0


def test_a_batch_equals_its_examples_with_and_without_jit():
    params = models.random_vgg_params(widths=WIDTHS)
    x = images(3, 8, 8, 3)
    whole = jax.jit(models.vgg_features)(params, x)
    for i in range(3):
        one = models.vgg_features(params, x[i : i + 1])
        np.testing.assert_allclose(one[0], whole[i], rtol=1e-4, atol=1e-5)


def test_gradient_is_finite_for_a_black_image():
    params = models.random_vgg_params(widths=WIDTHS)
    loss = lambda x: models.vgg_features(params, x).sum()  # noqa: E731
    with jax.debug_nans(True):
        grad = jax.jit(jax.grad(loss))(jnp.zeros((1, 8, 8, 3)))
    assert bool(jnp.isfinite(grad).all())


def test_a_wrong_size_or_missing_layers_are_one_line():
    params = models.random_vgg_params(widths=WIDTHS)
    with pytest.raises(ValueError, match="10x8 pixels; VGG features need"):
        models.vgg_features(params, images(1, 10, 8, 3))
    del params["conv2_1"]
    with pytest.raises(ValueError, match="params lacks conv2_1"):
        models.vgg_features(params, images(1, 8, 8, 3))
