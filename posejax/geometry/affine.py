"""Affine maps of the plane as arrays [A | t] of shape (..., 2, 3): p' = A p + t.

Points are (x, y), x to the right and y down. Maps act about the origin, the centre of
pixel (0, 0), and their translation is in the unit of the points.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape

# Below this area scale a map has shrunk a picture to nothing (a side of 256 pixels to
# 1/40 of a pixel). Its square is far from the limits of float32, which matters to the
# gradient of the inverse.
MIN_DETERMINANT = 1e-8


def identity_affine() -> Float[Array, "2 3"]:
    """Returns the map that leaves every point where it is.

    Returns:
      The 2 x 3 matrix [I | 0].

    Reference:
      None; plain algebra.

    >>> print(identity_affine().tolist())
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    """
    return jnp.eye(2, 3)


def invert_affine(maps: Float[Array, "*batch 2 3"]) -> Float[Array, "*batch 2 3"]:
    """Inverse maps, by the closed form for 2 x 2 matrices; defined for every map.

    Where the determinant is smaller in size than `MIN_DETERMINANT`, a constant of that
    size takes its place, so that value and gradient of a singular map are finite. Such
    an "inverse" sends nearly every point far away: the picture warped with it is empty.

    Args:
      maps: Maps [A | t], any unit.

    Returns:
      The maps [A^-1 | -A^-1 t], same unit.

    Raises:
      ValueError: If `maps` are no 2 x 3 matrices.

    Reference:
      None; Cramer's rule, with a floor under the determinant.

    >>> scale = jnp.array([[2.0, 0.0, 6.0], [0.0, 4.0, 0.0]])
    >>> print(invert_affine(scale)[0])
    [ 0.5 -0.  -3. ]
    """
    require_maps("maps", maps)
    a, b, s = maps[..., 0, 0], maps[..., 0, 1], maps[..., 0, 2]
    c, d, t = maps[..., 1, 0], maps[..., 1, 1], maps[..., 1, 2]
    determinant = a * d - b * c
    floor = jnp.where(determinant < 0, -MIN_DETERMINANT, MIN_DETERMINANT)
    is_small = jnp.abs(determinant) < MIN_DETERMINANT
    determinant = jnp.where(is_small, floor.astype(maps.dtype), determinant)
    rows = [d, -b, b * t - d * s, -c, a, c * s - a * t]
    inverse = jnp.stack(rows, axis=-1) / determinant[..., None]
    return inverse.reshape(maps.shape)


def compose_affine(
    outer: Float[Array, "*batch 2 3"], inner: Float[Array, "*batch 2 3"]
) -> Float[Array, "*batch 2 3"]:
    """The map that applies `inner` first and `outer` to the result.

    Args:
      outer: Maps applied last.
      inner: Maps applied first, in the same unit.

    Returns:
      One map for each pair.

    Raises:
      ValueError: If the shapes differ or are not those of maps.

    Reference:
      None; plain algebra.

    >>> move = jnp.array([[1.0, 0.0, 5.0], [0.0, 1.0, 0.0]])
    >>> double = jnp.array([[2.0, 0.0, 0.0], [0.0, 2.0, 0.0]])
    >>> print(compose_affine(double, move)[0])
    [ 2.  0. 10.]
    """
    require_maps("outer", outer)
    require_equal_shapes(
        "give one inner map for each outer one.", outer=outer.shape, inner=inner.shape
    )
    # Sums of products written out: accelerators would round the factors of a matrix
    # product to fewer bits, and pixels need more than those.
    product = jnp.sum(outer[..., :, :2, None] * inner[..., None, :, :], axis=-2)
    return product.at[..., 2].add(outer[..., 2])


def transform_points(
    maps: Float[Array, "*batch 2 3"], points: Float[Array, "*batch points 2"]
) -> Float[Array, "*batch points 2"]:
    """Points moved by the map of their example.

    Args:
      maps: One map per example, its translation in the unit of the points.
      points: (x, y).

    Returns:
      A p + t for each point.

    Raises:
      ValueError: If there is not one map for each set of points.

    Reference:
      None; plain algebra.

    >>> move = jnp.array([[1.0, 0.0, 5.0], [0.0, 1.0, -1.0]])
    >>> print(transform_points(move, jnp.array([[2.0, 3.0]])))
    [[7. 2.]]
    """
    require_maps("maps", maps)
    require_shape("points", points, ("points", 2), "give points (x, y).")
    require_equal_shapes(
        "give one map for each set of points.",
        maps=maps.shape[:-2],
        points=points.shape[:-2],
    )
    linear, translation = maps[..., None, :, :2], maps[..., None, :, 2]
    return jnp.sum(linear * points[..., None, :], axis=-1) + translation


def require_maps(argument: str, maps: Array) -> None:
    """Raises ValueError unless `maps` are affine maps, `(..., 2, 3)`."""
    require_shape(argument, maps, (2, 3), "give affine maps [A | t].")
