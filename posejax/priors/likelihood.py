"""Log-likelihood of a pose under either prior."""

from jaxtyping import Array, Float

from posejax.priors.bone_proportion import (
    BoneProportionPrior,
    bone_proportion_log_likelihood,
)
from posejax.priors.joint_mobility import (
    JointMobilityPrior,
    joint_mobility_log_likelihood,
)


def log_likelihood(
    prior: BoneProportionPrior | JointMobilityPrior, pose: Float[Array, "*batch 17 3"]
) -> Float[Array, "*batch components"]:
    """Log-density of each component of a prior.

    Args:
      prior: Which distribution.
      pose: Joint positions in metres.

    Returns:
      log p: 15 ratios for proportions; 16 single and 17 paired orientations for
      mobility.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> import jax.numpy as jnp
    >>> import numpy as np
    >>> prior = BoneProportionPrior(np.zeros(15), np.ones(15), 0.05)
    >>> print(log_likelihood(prior, jnp.ones((4, 17, 3))).shape)
    (4, 15)
    """
    if isinstance(prior, BoneProportionPrior):
        return bone_proportion_log_likelihood(prior, pose)
    return joint_mobility_log_likelihood(prior, pose)
