"""Priors on the anchors of the body template: joined parts meet, all in the picture.

Both are written as the published code computes them: their means run over three
homogeneous coordinates, of which the third never contributes, so each is 2/3 of the
mean over x and y. The published weights are tuned to that.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.geometry.template import require_anchors
from posejax.templates import JOINTED

_HOMOGENEOUS = 3


def anchor_loss(
    anchors: Float[Array, "*batch 32 2"], *, image_size: int
) -> Float[Array, "*batch"]:
    """Squared distances between anchors that should coincide, summed over 17 pairs.

    Each pair costs |p - q|^2 / (3 S^2). Zero in both rest poses.

    Args:
      anchors: (x, y) in pixels of the S x S crop.
      image_size: S.

    Returns:
      One value per example.

    Raises:
      ValueError: If there are not 32 anchors.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3; Yoo and Russakovsky 2023.

    >>> apart = jnp.zeros((32, 2)).at[31].set(jnp.array([30.0, 0.0]))
    >>> print(f"{anchor_loss(apart, image_size=100):.2f}")
    0.03
    """
    require_anchors(anchors)
    first, second = np.array(JOINTED).T
    offsets = (anchors[..., first, :] - anchors[..., second, :]) / image_size
    return jnp.sum(offsets**2, axis=(-2, -1)) / _HOMOGENEOUS


def boundary_loss(
    anchors: Float[Array, "*batch 32 2"], *, image_size: int
) -> Float[Array, "*batch"]:
    """How far anchors are out of the picture, summed over all anchors.

    With u = 2 p / S - 1 each coordinate costs |u| / 3 where |u| > 1 and nothing
    elsewhere: it jumps at the border and has no gradient inside.

    Args:
      anchors: (x, y) in pixels of the S x S crop.
      image_size: S.

    Returns:
      One value per example.

    Raises:
      ValueError: If there are not 32 anchors.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3; Yoo and Russakovsky 2023.

    >>> outside = jnp.zeros((32, 2)).at[0, 0].set(-25.0)
    >>> print(f"{boundary_loss(outside, image_size=100):.2f}")
    0.50
    """
    require_anchors(anchors)
    distance = jnp.abs(2 * anchors / image_size - 1)
    cost = jnp.where(distance > 1, distance, 0.0)
    return jnp.sum(cost, axis=(-2, -1)) / _HOMOGENEOUS
