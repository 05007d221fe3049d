"""How constant the proportions of predicted bodies are; needs no labels."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from posejax.checks import require_shape
from posejax.numerics import safe_divide, safe_norm, safe_sqrt
from posejax.skeletons import TEMPLATE_15
from posejax.templates import BONE_ENDS, CONSISTENCY_SEGMENTS

# Proportions that never change at all, as of a resting template, would be infinitely
# consistent. A finite figure can be stored and compared.
MAX_CONSISTENCY = 1e6


class ProportionConsistency(NamedTuple):
    """The spread of body proportions over a data set.

    Attributes:
      consistency: 1 / `mean_deviation`, at most `MAX_CONSISTENCY`; higher is better.
        Zero if fewer than two frames could be measured.
      mean_deviation: Mean of `deviations` over all 13, the torso's own zero included.
      deviations: Standard deviation (unbiased) of each segment's ratio.
      without_torso: Number of frames left out because their torso had no length.
    """

    consistency: Float[Array, "*batch"]
    mean_deviation: Float[Array, "*batch"]
    deviations: Float[Array, "*batch 13"]
    without_torso: Int[Array, "*batch"]


def segment_ratios(joints: Float[Array, "*batch 15 2"]) -> Float[Array, "*batch 13"]:
    """Length of each body segment divided by that of the torso (abdomen to neck).

    The first segment is the torso itself, of ratio 1. A body whose torso has no length
    has no proportions: all its ratios, the first included, are zero.

    Args:
      joints: Joints of `TEMPLATE_15`, crop pixels.

    Returns:
      Ratios in the order of `templates.CONSISTENCY_SEGMENTS`.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), proportion consistency.

    >>> body = jnp.zeros((15, 2)).at[8, 1].set(4.0).at[1, 0].set(1.0)
    >>> print(segment_ratios(body)[:3])
    [1.   0.25 0.25]
    """
    require_shape(
        "joints",
        joints,
        (TEMPLATE_15.num_joints, 2),
        "give the joints of 'template_15'; see `skeletons.remap`.",
    )
    start = np.array(CONSISTENCY_SEGMENTS)
    end = np.array(BONE_ENDS)[start]
    lengths = safe_norm(joints[..., start, :] - joints[..., end, :])
    torso = jnp.broadcast_to(lengths[..., :1], lengths.shape)
    return safe_divide(lengths, torso)


def proportion_consistency(
    ratios: Float[Array, "*batch frames 13"],
) -> ProportionConsistency:
    """One over the mean standard deviation of the proportions over a data set.

    The measure is a property of all frames together, hence no value per frame. Frames
    whose first ratio is zero have no torso, and such with NaN were not predicted; both
    are left out and counted.

    Args:
      ratios: Ratios of every frame, from `segment_ratios`.

    Returns:
      The consistency, the deviations it is made of, and the number of frames left out.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), proportion consistency.

    >>> ratios = jnp.ones((3, 13)).at[:, 1].set(jnp.array([0.0, 1.3, 2.6]))
    >>> print(f"{proportion_consistency(ratios).consistency:.2f}")
    10.00
    """
    require_shape(
        "ratios",
        ratios,
        ("frames", len(CONSISTENCY_SEGMENTS)),
        "give the ratios of all frames, from `segment_ratios`.",
    )
    is_used = ratios[..., :1] > 0
    count = jnp.sum(is_used, axis=-2, dtype=ratios.dtype)
    mean = safe_divide(
        jnp.sum(jnp.where(is_used, ratios, 0.0), axis=-2),
        jnp.broadcast_to(count, (*ratios.shape[:-2], 13)),
    )
    offsets = jnp.where(is_used, ratios - mean[..., None, :], 0.0)
    deviations = safe_sqrt(jnp.sum(offsets**2, axis=-2) / jnp.maximum(count - 1, 1.0))
    mean_deviation = jnp.mean(deviations, axis=-1)
    consistency = 1 / jnp.maximum(mean_deviation, 1 / MAX_CONSISTENCY)
    return ProportionConsistency(
        consistency=jnp.where(count[..., 0] >= 2, consistency, 0.0),
        mean_deviation=mean_deviation,
        deviations=deviations,
        without_torso=jnp.sum(~is_used[..., 0], axis=-1, dtype=jnp.int32),
    )
