import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import losses

LOSSES = {"perceptual": losses.perceptual_loss, "pixel": losses.pixel_loss}
each_loss = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)


def pictures(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def test_values_by_hand():
    predicted = jnp.array([[[1.0, 2.0], [3.0, 4.0]]])
    target = jnp.array([[[1.0, 0.0], [3.0, 0.0]]])
    assert losses.perceptual_loss(predicted, target) == (2 + 4) / 4
    assert losses.pixel_loss(predicted, target) == (4 + 16) / 4


@each_loss
def test_equal_pictures_cost_nothing_and_pull_nowhere(loss):
    picture = pictures(0, 3, 4, 2)
    with jax.debug_nans(True):
        value, gradient = jax.value_and_grad(loss)(picture, picture)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros_like(gradient))


@each_loss
@pytest.mark.usefixtures("float64")
def test_order_of_pixels_and_of_arguments_does_not_matter(loss):
    predicted, target = pictures(1, 3, 4, 2), pictures(2, 3, 4, 2)
    value = loss(predicted, target)
    np.testing.assert_allclose(loss(predicted[::-1, ::-1], target[::-1, ::-1]), value)
    np.testing.assert_allclose(loss(target, predicted), value)


@each_loss
@pytest.mark.usefixtures("float64")
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(loss):
    predicted, target = pictures(3, 2, 3, 4, 2), pictures(4, 2, 3, 4, 2)
    check_grads(jax.jit(loss), (predicted, target), order=1)
    loop = jnp.stack([loss(*pair) for pair in zip(predicted, target, strict=True)])
    np.testing.assert_allclose(jax.jit(loss)(predicted, target), loop, rtol=1e-12)


@each_loss
def test_pictures_of_different_shapes_are_refused(loss):
    with pytest.raises(Exception, match="target"):
        loss(jnp.ones((2, 3, 4, 3)), jnp.ones((2, 3, 4, 1)))
