"""Elementary operations that stay finite, in value and gradient, where others do not.

The pattern: make the argument of the dangerous operation safe first, then select. A
NaN in a branch of `jnp.where` that is not taken would still reach the gradient.
"""

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float


def safe_norm(vectors: Float[Array, "*batch n"]) -> Float[Array, "*batch"]:
    """Euclidean norm along the last axis; its gradient at the zero vector is zero.

    Args:
      vectors: Vectors along the last axis.

    Returns:
      One norm per vector, in the unit of the vectors.

    Reference:
      None; at the zero vector the subgradient of least norm.

    >>> print(safe_norm(jnp.array([[3.0, 4.0], [0.0, 0.0]])))
    [5. 0.]
    """
    squared = jnp.sum(vectors**2, axis=-1)
    is_zero = squared == 0
    return jnp.where(is_zero, 0.0, jnp.sqrt(jnp.where(is_zero, 1.0, squared)))


def safe_divide(
    numerator: Float[Array, "*#batch"], denominator: Float[Array, "*#batch"]
) -> Float[Array, "*#batch"]:
    """Quotient; where the denominator is zero, zero with zero gradient.

    Args:
      numerator: Dividends.
      denominator: Divisors; zero is allowed.

    Returns:
      The quotients, of the shape that both broadcast to.

    Reference:
      None; a convention at zero.

    >>> print(safe_divide(jnp.array([1.0, 1.0]), jnp.array([4.0, 0.0])))
    [0.25 0.  ]
    """
    is_zero = denominator == 0
    quotient = numerator / jnp.where(is_zero, 1.0, denominator)
    return jnp.where(is_zero, 0.0, quotient)


def safe_sqrt(values: Float[Array, "*batch"]) -> Float[Array, "*batch"]:
    """Square root; zero with zero gradient where the argument is not positive.

    Args:
      values: Numbers of either sign.

    Returns:
      The roots.

    Reference:
      None; a convention at zero and below.

    >>> print(safe_sqrt(jnp.array([4.0, 0.0])))
    [2. 0.]
    """
    is_positive = values > 0
    return jnp.where(is_positive, jnp.sqrt(jnp.where(is_positive, values, 1.0)), 0.0)


def masked_mean(
    values: Float[Array, "*batch n"], mask: Bool[Array, "*batch n"]
) -> Float[Array, "*batch"]:
    """Mean along the last axis of the values whose mask is True; zero if none is.

    A value whose mask is False may be anything, NaN included.

    Args:
      values: Numbers along the last axis.
      mask: True for those that count.

    Returns:
      One mean per row.

    Reference:
      None; the mean of a subset, zero for the empty one.

    >>> print(masked_mean(jnp.array([1.0, 3.0, 9.0]), jnp.array([True, True, False])))
    2.0
    """
    total = jnp.sum(jnp.where(mask, values, 0.0), axis=-1)
    return safe_divide(total, jnp.sum(mask, axis=-1, dtype=values.dtype))
