"""How likely the proportions of a body are: normal densities of 15 bone-length ratios.

Poses are those of `skeletons.H36M_17`; ratios do not depend on their unit.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.checks import require_at_least, require_equal_shapes
from posejax.geometry.bones import BONES, MIN_LENGTH_M, NOSE_BONE, bone_lengths
from posejax.skeletons import H36M_17

# (numerator, denominator)
RATIOS = (
    ("UFace", "Head"),
    ("Head", "Thorax"),
    ("RShoulder", "Thorax"),
    ("LShoulder", "Thorax"),
    ("Abdomen", "Thorax"),
    ("RHip", "Abdomen"),
    ("LHip", "Abdomen"),
    ("RShoulder", "RBicep"),
    ("LShoulder", "LBicep"),
    ("RForearm", "RBicep"),
    ("LForearm", "LBicep"),
    ("RHip", "RThigh"),
    ("LHip", "LThigh"),
    ("RLeg", "RThigh"),
    ("LLeg", "LThigh"),
)

# round(pi^-2, 1)
PROPORTION_WEIGHT = 0.1

# Log-density of a ratio whose denominator vanishes: its exponential is zero in every
# dtype, and sums that hold it stay finite.
_IMPOSSIBLE = -1e6


@dataclasses.dataclass(frozen=True, eq=False)
class BoneProportionPrior:
    """Mean and variance of each ratio in `RATIOS`, float64.

    Attributes:
      mean: Mean ratio.
      variance: Variance of the ratio, dimensionless.
      length_std: Standard deviation of the factors by which the bone lengths were
        multiplied before their ratios were taken.
    """

    mean: Float[np.ndarray, " 15"]
    variance: Float[np.ndarray, " 15"]
    length_std: float

    @property
    def log_peak(self) -> Float[np.ndarray, " 15"]:
        """Log-density at the mean."""
        return -0.5 * np.log(2 * np.pi * self.variance)


def bone_ratios(pose: Float[Array, "*batch 17 3"]) -> Float[Array, "*batch 15"]:
    """Bone-length ratios; zero, with zero gradient, where a denominator vanishes.

    Args:
      pose: Joint positions in metres.

    Returns:
      One ratio per pair in `RATIOS`.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose = jnp.zeros((17, 3)).at[2:4, 1].set(jnp.array([0.5, 0.75]))
    >>> print(bone_ratios(pose)[RATIOS.index(("RLeg", "RThigh"))])
    0.5
    """
    return _ratios(pose)[0]


def bone_proportion_log_likelihood(
    prior: BoneProportionPrior, pose: Float[Array, "*batch 17 3"]
) -> Float[Array, "*batch 15"]:
    """Log-density of each bone-length ratio of a pose.

    Args:
      prior: Distribution of the ratios.
      pose: Joint positions in metres.

    Returns:
      log p per ratio of `RATIOS`. Where a bone is divided by one of length zero, a
      large negative number with zero gradient.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> prior = BoneProportionPrior(np.zeros(15), np.ones(15), 0.05)
    >>> found = bone_proportion_log_likelihood(prior, jnp.zeros((17, 3)))
    >>> print(f"{found[0]:.4f}")
    -0.9189
    """
    ratios, is_infinite = _ratios(pose)
    mean, scale, peak = (
        jnp.broadcast_to(jnp.asarray(values, ratios.dtype), ratios.shape)
        for values in (prior.mean, prior.variance**-0.5, prior.log_peak)
    )
    log_likelihood = peak - 0.5 * ((ratios - mean) * scale) ** 2
    return jnp.where(is_infinite, _IMPOSSIBLE, log_likelihood)


def bone_proportion_loss(
    pose: Float[Array, "*batch 17 3"],
    prior: BoneProportionPrior,
    *,
    weight: float = PROPORTION_WEIGHT,
    has_nose: bool = True,
) -> Float[Array, "*batch"]:
    """Mean over the ratios of -weight ln(1 + p): at most zero, and bounded below.

    Args:
      pose: Joint positions in metres.
      prior: Distribution of the ratios.
      weight: Factor of the logarithm.
      has_nose: Whether ratios with the bone to the nose count.

    Returns:
      One value per pose.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (BPC).

    >>> prior = BoneProportionPrior(np.full(15, 9.0), np.full(15, 0.01), 0.05)
    >>> print(abs(bone_proportion_loss(jnp.zeros((17, 3)), prior)))
    0.0
    """
    # ln(1 + p) without forming p, which may overflow.
    counts = [has_nose or NOSE_BONE not in pair for pair in RATIOS]
    log_likelihood = bone_proportion_log_likelihood(prior, pose)
    log_likelihood = log_likelihood[..., np.flatnonzero(counts)]
    return -weight * jnp.mean(jax.nn.softplus(log_likelihood), axis=-1)


def bone_proportion_prior(
    lengths: Float[np.ndarray, "poses 16"], *, length_std: float = 0.0
) -> BoneProportionPrior:
    """Mean and population variance of the ratios of given bone lengths.

    Args:
      lengths: Bone lengths in the order of `BONES`, any unit, none of them zero.
      length_std: To be noted in the prior.

    Returns:
      The prior, in float64.

    Raises:
      ValueError: If a length is not positive, or if a ratio is the same in all poses.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> print(bone_proportion_prior(np.random.uniform(1, 2, (9, 16))).mean.shape)
    (15,)
    """
    lengths = np.asarray(lengths, np.float64)
    require_equal_shapes(
        "give one row per pose, one length per bone of `geometry.bones.BONES`.",
        lengths=lengths.shape,
        table=(*lengths.shape[:1], len(BONES)),
    )
    if not np.all(lengths > 0):
        raise ValueError(
            f"lengths: {int(np.sum(~(lengths > 0)))} are not positive; a prior needs "
            "poses in which every bone has a length. Leave the others out."
        )
    numerators, denominators = ratio_bones()
    ratios = lengths[:, numerators] / lengths[:, denominators]
    variance = np.var(ratios, axis=0)
    if not np.all(variance > 0):
        raise ValueError(
            f"lengths: {int(np.sum(variance == 0))} ratios are the same in all "
            f"{len(lengths)} poses; a density needs a width. Use more poses or a "
            "length_std above 0."
        )
    return BoneProportionPrior(np.mean(ratios, axis=0), variance, float(length_std))


def fit_bone_proportion(
    poses: Float[np.ndarray, "poses 17 3"], *, seed: int = 0, length_std: float = 0.05
) -> BoneProportionPrior:
    """The prior of labelled poses and their mirror images.

    Within one subject the ratios hardly vary. What gives them a width are independent
    factors from N(1, length_std^2), one per pose and bone.

    Args:
      poses: Joint positions in metres.
      seed: Seed of the factors.
      length_std: Standard deviation of the factors.

    Returns:
      The prior, in float64.

    Raises:
      ValueError: As `bone_proportion_prior`, or if `length_std` is negative.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749; there the factors have no
      seed.

    >>> poses = np.random.default_rng(0).normal(size=(8, 17, 3))
    >>> print(fit_bone_proportion(poses).length_std)
    0.05
    """
    lengths = varied_lengths(poses, seed=seed, length_std=length_std)
    return bone_proportion_prior(lengths, length_std=length_std)


def varied_lengths(
    poses: Float[np.ndarray, "poses 17 3"], *, seed: int, length_std: float
) -> Float[np.ndarray, "2*poses 16"]:
    """The bone lengths that `fit_bone_proportion` takes the moments of the ratios of.

    Args:
      poses: Joint positions in metres.
      seed: Seed of the factors.
      length_std: Standard deviation of the factors.

    Returns:
      Lengths in metres, in the order of `BONES`, of the poses and their mirror images.

    Raises:
      ValueError: If `length_std` is negative.

    >>> poses = np.random.default_rng(0).normal(size=(8, 17, 3))
    >>> print(varied_lengths(poses, seed=0, length_std=0.05).shape)
    (16, 16)
    """
    require_at_least("length_std", length_std, 0)
    with jax.enable_x64(True):
        lengths = np.asarray(bone_lengths(jnp.asarray(with_mirror_images(poses))))
    factors = 1 + length_std * np.random.default_rng(seed).normal(size=lengths.shape)
    return lengths * factors


def with_mirror_images(
    poses: Float[np.ndarray, "poses 17 3"],
) -> Float[np.ndarray, "2*poses 17 3"]:
    """The poses, then each with x negated and left and right exchanged, in float64.

    Args:
      poses: Joint positions of `skeletons.H36M_17`, any unit.

    Returns:
      Twice as many poses, in the same unit.

    >>> print(with_mirror_images(np.ones((2, 17, 3)))[:, 0, 0])
    [ 1.  1. -1. -1.]
    """
    poses = np.asarray(poses, np.float64)
    require_equal_shapes(
        "give a list of poses of the joints of 'h36m_17'; see `skeletons.remap`.",
        poses=poses.shape,
        bodies=(*poses.shape[:1], H36M_17.num_joints, 3),
    )
    mirrored = poses[:, H36M_17.mirror()] * np.array([[[-1.0, 1.0, 1.0]]])
    return np.concatenate([poses, mirrored])


def ratio_bones() -> tuple[np.ndarray, np.ndarray]:
    """Indices in `BONES` of the numerators and of the denominators of `RATIOS`."""
    numerators, denominators = np.array(
        [[BONES.index(name) for name in ratio] for ratio in RATIOS]
    ).T
    return numerators, denominators


def _ratios(pose: Array) -> tuple[Array, Array]:
    """The ratios, and where a bone that has a length is divided by one that has not."""
    numerators, denominators = ratio_bones()
    lengths = bone_lengths(pose)
    above, below = lengths[..., numerators], lengths[..., denominators]
    is_zero = below <= MIN_LENGTH_M
    ratios = jnp.where(is_zero, 0.0, above / jnp.where(is_zero, 1.0, below))
    return ratios, is_zero & (above > MIN_LENGTH_M)
