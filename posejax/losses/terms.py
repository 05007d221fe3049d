"""The weighted sum of named loss terms."""

from collections.abc import Mapping

import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes


def weighted_sum(
    terms: Mapping[str, Float[Array, "*batch"]], weights: Mapping[str, float]
) -> Float[Array, "*batch"]:
    """Sum of weight times term; both must have the same keys.

    A term of weight zero is left out, so that it cannot make the sum NaN.

    Args:
      terms: Loss terms by name, all of one shape.
      weights: Weight of each term, plain numbers.

    Returns:
      The sum, of the shape of a term.

    Raises:
      ValueError: If the keys or the shapes differ, or there are no terms.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), total losses of the four models.

    >>> terms = {"pixel": jnp.array(2.0), "anchor": jnp.array(4.0)}
    >>> print(weighted_sum(terms, {"pixel": 1.0, "anchor": 0.5}))
    4.0
    """
    if terms.keys() != weights.keys() or not terms:
        raise ValueError(
            f"weights has {sorted(weights)}, terms has {sorted(terms)}: "
            "give exactly one weight to each loss term."
        )
    require_equal_shapes(
        "give every loss term per example, or the mean of each.",
        **{name: jnp.shape(term) for name, term in terms.items()},
    )
    total = jnp.zeros_like(next(iter(terms.values())))
    for name in sorted(terms):
        if weights[name] != 0:
            total = total + weights[name] * terms[name]
    return total
