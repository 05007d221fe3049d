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


def test_a_decay_ends_at_zero_and_clipping_bounds_the_gradient_not_its_direction():
    transform = optimizers.adam(0.1, decay_steps=2)
    x = jnp.zeros(())
    state = transform.init(x)
    sizes = []
    for _ in range(3):
        update, state = transform.update(jnp.float32(1.0), state, x)
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes, [0.1, 0.05, 0.0], atol=1e-6)
    clipped = optimizers.adam(0.1, b1=0.0, b2=0.0, eps=1.0, clip_norm=1.0)
    gradient = jnp.array([3.0, 4.0])
    update, _ = clipped.update(gradient, clipped.init(gradient), gradient)
    np.testing.assert_allclose(update, [-0.1 * 0.6 / 1.6, -0.1 * 0.8 / 1.8], rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"decay_steps": -1}, {"clip_norm": -1.0}])
def test_negative_lengths_and_norms_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        optimizers.adam(0.1, **wrong)


def test_a_schedule_and_a_decay_exclude_each_other():
    with pytest.raises(ValueError, match="give one only"):
        optimizers.adam(optax.constant_schedule(0.1), decay_steps=3)
