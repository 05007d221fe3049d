import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import losses

TERMS = {"anchor": jnp.array([1.0, 2.0]), "pixel": jnp.array([10.0, 20.0])}


def test_terms_are_weighted_and_added_example_by_example():
    total = losses.weighted_sum(TERMS, {"pixel": 0.5, "anchor": 2.0})
    np.testing.assert_allclose(total, [7.0, 14.0])


def test_the_order_of_the_keys_does_not_matter():
    weights = {"anchor": 0.1, "pixel": 0.7}
    one = losses.weighted_sum(TERMS, weights)
    other = losses.weighted_sum(dict(reversed(TERMS.items())), weights)
    np.testing.assert_array_equal(one, other)


def test_a_term_of_weight_zero_cannot_spoil_sum_or_gradient():
    def total(x):
        terms = {"anchor": 2 * x, "pixel": jnp.log(x - x)}
        return losses.weighted_sum(terms, {"anchor": 1.0, "pixel": 0.0})

    value, gradient = jax.value_and_grad(total)(jnp.array(3.0))
    assert (value, gradient) == (6.0, 2.0)


@pytest.mark.parametrize(
    ("terms", "weights"),
    [
        (TERMS, {"anchor": 1.0}),
        (TERMS, {"anchor": 1.0, "pixel": 1.0, "boundary": 1.0}),
        ({}, {}),
    ],
)
def test_terms_and_weights_must_have_the_same_names(terms, weights):
    with pytest.raises(ValueError, match=r"weights has .* terms has"):
        losses.weighted_sum(terms, weights)
