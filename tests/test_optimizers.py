import jax.numpy as jnp
import numpy as np
import optax
import pytest

from posejax import optimizers


def adam_by_hand(gradients, learning_rate, b1, b2, eps):
    x, first, second = 0.0, 0.0, 0.0
    for n, g in enumerate(gradients, start=1):
        first = b1 * first + (1 - b1) * g
        second = b2 * second + (1 - b2) * g**2
        x -= (
            learning_rate
            * (first / (1 - b1**n))
            / (np.sqrt(second / (1 - b2**n)) + eps)
        )
    return x


@pytest.mark.parametrize(("b1", "b2", "eps"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-2)])
def test_adam_is_algorithm_1_of_the_paper(b1, b2, eps):
    gradients = [0.3, -2.0, 0.7, 0.01]
    transform = optimizers.adam(1e-2, b1=b1, b2=b2, eps=eps)
    x = jnp.zeros(())
    state = transform.init(x)
    for g in gradients:
        updates, state = transform.update(jnp.float32(g), state, x)
        x = optax.apply_updates(x, updates)
    expected = adam_by_hand(gradients, 1e-2, b1, b2, eps)
    np.testing.assert_allclose(x, expected, rtol=1e-4)


def test_adam_follows_a_schedule_of_the_step():
    transform = optimizers.adam(optax.piecewise_constant_schedule(1.0, {1: 0.0}))
    x = jnp.zeros(())
    state = transform.init(x)
    first, state = transform.update(jnp.float32(1.0), state, x)
    second, _ = transform.update(jnp.float32(1.0), state, x)
    np.testing.assert_allclose(first, -1.0, rtol=1e-5)
    assert float(second) == 0.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": 1e-3, "b1": 1.0}, "b1 is 1.0"),
        ({"learning_rate": 1e-3, "b2": -0.1}, "b2 is -0.1"),
        ({"learning_rate": 1e-3, "eps": 0.0}, "eps is 0.0"),
    ],
)
def test_adam_refuses_numbers_out_of_range(arguments, named):
    with pytest.raises(ValueError, match=named):
        optimizers.adam(arguments.pop("learning_rate"), **arguments)
