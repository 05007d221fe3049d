import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import numerics


def test_safe_norm_is_the_norm_and_has_no_gradient_at_zero():
    vectors = jnp.array([[3.0, -4.0], [0.0, 0.0]])
    np.testing.assert_allclose(numerics.safe_norm(vectors), [5.0, 0.0])
    gradient = jax.grad(lambda v: numerics.safe_norm(v).sum())(vectors)
    np.testing.assert_allclose(gradient, [[0.6, -0.8], [0.0, 0.0]])


def test_safe_divide_is_the_quotient_and_zero_over_zero_is_zero():
    def ratio(a, b):
        return numerics.safe_divide(a, b).sum()

    top, bottom = jnp.array([1.0, 1.0, 0.0]), jnp.array([-2.0, 0.0, 0.0])
    np.testing.assert_allclose(numerics.safe_divide(top, bottom), [-0.5, 0.0, 0.0])
    gradients = jax.grad(ratio, argnums=(0, 1))(top, bottom)
    np.testing.assert_allclose(gradients, [[-0.5, 0.0, 0.0], [-0.25, 0.0, 0.0]])


def test_safe_sqrt_is_the_root_and_zero_below():
    values = jnp.array([9.0, 0.0, -1.0])
    np.testing.assert_allclose(numerics.safe_sqrt(values), [3.0, 0.0, 0.0])
    gradient = jax.grad(lambda v: numerics.safe_sqrt(v).sum())(values)
    np.testing.assert_allclose(gradient, [1 / 6, 0.0, 0.0])


def test_masked_mean_ignores_what_does_not_count_even_nan():
    values = jnp.array([[1.0, np.nan, 5.0], [np.nan, np.nan, np.nan]])
    mask = jnp.array([[True, False, True], [False, False, False]])
    np.testing.assert_allclose(numerics.masked_mean(values, mask), [3.0, 0.0])
    gradient = jax.grad(lambda v: numerics.masked_mean(v, mask).sum())(values)
    np.testing.assert_allclose(gradient, [[0.5, 0.0, 0.5], [0.0, 0.0, 0.0]])


@pytest.mark.usefixtures("float64")
def test_gradients_of_the_safe_functions_are_their_derivatives():
    x = jnp.array([[0.3, -1.2, 0.5], [2.0, 0.1, -0.4]])
    mask = jnp.array([[True, False, True], [True, True, True]])
    check_grads(jax.jit(numerics.safe_norm), (x,), order=1)
    check_grads(jax.jit(numerics.safe_divide), (x, x[::-1]), order=1)
    check_grads(jax.jit(numerics.safe_sqrt), (x**2,), order=1, eps=1e-6)
    check_grads(jax.jit(lambda v: numerics.masked_mean(v, mask)), (x,), order=1)


def test_dtype_is_kept():
    for function in (numerics.safe_norm, numerics.safe_sqrt):
        assert function(jnp.ones((2, 3), jnp.bfloat16)).dtype == jnp.bfloat16
    half = jnp.ones((2, 3), jnp.bfloat16)
    assert numerics.safe_divide(half, half).dtype == jnp.bfloat16
    assert numerics.masked_mean(half, jnp.ones((2, 3), bool)).dtype == jnp.bfloat16
