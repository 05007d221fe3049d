"""How likely a posture is: normal densities of bone orientations, single and in pairs.

An orientation is the unit vector of a free bone in the frame of its neighbours
(`geometry.free_bone_vectors`). Components of rank 1 are single bones (dimension 3),
those of rank 2 pairs of neighbours (dimension 6).
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.geometry.bones import FREE_BONES, NOSE_BONE, free_bone_vectors
from posejax.priors.bone_proportion import with_mirror_images

# fmt: off
RANK1 = (
    "UFace", "Head", "RHip", "LHip", "RThigh", "LThigh", "RLeg", "LLeg",
    "Thorax", "Abdomen", "RShoulder", "LShoulder", "RBicep", "LBicep",
    "RForearm", "LForearm",
)
# fmt: on
RANK2 = (
    ("UFace", "RBicep"),
    ("UFace", "LBicep"),
    ("RBicep", "RShoulder"),
    ("LBicep", "LShoulder"),
    ("Head", "RShoulder"),
    ("Head", "LShoulder"),
    ("UFace", "Head"),
    ("Thorax", "RShoulder"),
    ("Thorax", "LShoulder"),
    ("Head", "Thorax"),
    ("Thorax", "Abdomen"),
    ("Abdomen", "RHip"),
    ("Abdomen", "LHip"),
    ("RThigh", "RHip"),
    ("LThigh", "LHip"),
    ("RLeg", "RThigh"),
    ("LLeg", "LThigh"),
)

# round(pi^-2, 1) and round(pi^-4, 2)
RANK_WEIGHTS = (0.1, 0.01)

# A coordinate whose second moment is below this does not vary: the third one of the
# hips, since the pelvis is their midpoint. It is made independent with variance 1.
_MIN_MOMENT = 1e-7


@dataclasses.dataclass(frozen=True, eq=False)
class JointMobilityPrior:
    """Parameters of the 16 densities of rank 1 and the 17 of rank 2, float64.

    Attributes:
      rank1_mean: Mean unit vectors in the order of `RANK1`.
      rank1_covariance: Second moments, about the origin or about the mean.
      rank1_inv_covariance: Their inverses.
      rank2_mean: Mean of two unit vectors, concatenated, in the order of `RANK2`.
      rank2_covariance: As for rank 1.
      rank2_inv_covariance: As for rank 1.
      grouped: Whether left limbs are seen in reflected frames, so that left and right
        share one distribution.
    """

    rank1_mean: Float[np.ndarray, "16 3"]
    rank1_covariance: Float[np.ndarray, "16 3 3"]
    rank1_inv_covariance: Float[np.ndarray, "16 3 3"]
    rank2_mean: Float[np.ndarray, "17 6"]
    rank2_covariance: Float[np.ndarray, "17 6 6"]
    rank2_inv_covariance: Float[np.ndarray, "17 6 6"]
    grouped: bool


def joint_mobility_log_likelihood(
    prior: JointMobilityPrior, pose: Float[Array, "*batch 17 3"]
) -> Float[Array, "*batch 33"]:
    """Log-density of each component of a posture.

    Args:
      prior: Distribution of the orientations.
      pose: Joint positions in metres.

    Returns:
      log p of the components of `RANK1`, then of `RANK2`.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> prior = fit_joint_mobility(np.random.default_rng(0).normal(size=(99, 17, 3)))
    >>> print(joint_mobility_log_likelihood(prior, jnp.ones((17, 3))).shape)
    (33,)
    """
    vectors = free_bone_vectors(pose, grouped=prior.grouped)
    center, whitening, shift, peak = (
        jnp.asarray(values, vectors.dtype) for values in _white_components(prior)
    )
    offsets = vectors - jnp.broadcast_to(center, vectors.shape)
    flat = offsets.reshape(*offsets.shape[:-2], -1)
    white = jnp.einsum("...d,dw->...w", flat, whitening, precision="highest")
    squares = (white + jnp.broadcast_to(shift, white.shape)) ** 2
    singles, pairs = jnp.split(squares, [3 * len(RANK1)], axis=-1)
    distances = jnp.concatenate(
        [
            jnp.sum(singles.reshape(*singles.shape[:-1], -1, 3), axis=-1),
            jnp.sum(pairs.reshape(*pairs.shape[:-1], -1, 6), axis=-1),
        ],
        axis=-1,
    )
    return jnp.broadcast_to(peak, distances.shape) - 0.5 * distances


def joint_mobility_loss(
    pose: Float[Array, "*batch 17 3"],
    prior: JointMobilityPrior,
    *,
    ranks: int = 2,
    rank_weights: tuple[float, float] = RANK_WEIGHTS,
    has_nose: bool = True,
) -> Float[Array, "*batch"]:
    """Mean over the components of -weight ln(1 + p): at most zero, and bounded below.

    Args:
      pose: Joint positions in metres.
      prior: Distribution of the orientations.
      ranks: 1 for single bones only, 2 for pairs too.
      rank_weights: Factor of the logarithm for either rank.
      has_nose: Whether components with the bone to the nose count.

    Returns:
      One value per pose.

    Raises:
      ValueError: If `ranks` is neither 1 nor 2.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (JMC).

    >>> prior = fit_joint_mobility(np.random.default_rng(0).normal(size=(99, 17, 3)))
    >>> print(bool(joint_mobility_loss(jnp.ones((17, 3)), prior) < 0))
    True
    """
    if ranks not in (1, 2):
        raise ValueError(f"ranks is {ranks!r}; expected 1 (single bones) or 2 (pairs).")
    sizes = (len(RANK1), len(RANK2))
    members = [*((bone,) for bone in RANK1), *RANK2][: sum(sizes[:ranks])]
    counts = [has_nose or NOSE_BONE not in bones for bones in members]
    counted = np.flatnonzero(counts)
    weights = np.repeat(rank_weights, sizes)[counted]
    log_likelihood = joint_mobility_log_likelihood(prior, pose)[..., counted]
    # ln(1 + p) without forming p, which may overflow.
    terms = jax.nn.softplus(log_likelihood)
    weights = jnp.broadcast_to(jnp.asarray(weights, terms.dtype), terms.shape)
    return -jnp.mean(weights * terms, axis=-1)


def fit_joint_mobility(
    poses: Float[np.ndarray, "poses 17 3"],
    *,
    grouped: bool = True,
    centered: bool = False,
) -> JointMobilityPrior:
    """The prior of labelled poses and their mirror images.

    Args:
      poses: Joint positions in metres.
      grouped: Whether left and right share one distribution.
      centered: Whether the covariance is taken about the mean. The published priors
        take it about the origin, which makes them wide along the mean direction.

    Returns:
      The prior, in float64.

    Raises:
      ValueError: If a covariance cannot be inverted.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> poses = np.random.default_rng(0).normal(size=(99, 17, 3))
    >>> print(fit_joint_mobility(poses).rank2_mean.shape)
    (17, 6)
    """
    with jax.enable_x64(True):
        vectors = jax.lax.map(
            lambda pose: free_bone_vectors(pose, grouped=grouped),
            jnp.asarray(with_mirror_images(poses)),
            batch_size=4096,
        )
        vectors = np.asarray(vectors)
    rank1 = _moments(vectors, rank1_members(), grouped=grouped, centered=centered)
    rank2 = _moments(vectors, rank2_members(), grouped=grouped, centered=centered)
    return JointMobilityPrior(*rank1, *rank2, grouped=grouped)


def rank1_members() -> np.ndarray:
    """Free bone of each component of rank 1, (16, 1)."""
    return np.array([[FREE_BONES.index(name)] for name in RANK1])


def rank2_members() -> np.ndarray:
    """The two free bones of each component of rank 2, (17, 2)."""
    return np.array([[FREE_BONES.index(name) for name in pair] for pair in RANK2])


def _white_components(
    prior: JointMobilityPrior,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """What makes all components white at once, in float64.

    Component c has log p = peak - |W_c (x_c - mean_c)|^2 / 2, W_c^T W_c its inverse
    covariance: never above its peak, whatever the rounding. The x_c are parts of the
    16 unit vectors, so that all W_c are blocks of one matrix.

    Returns:
      `center` (16, 3) to subtract from the unit vectors, `whitening` (48, 48 + 102),
      `shift` (150,) to add after it, where a pair's mean is not the center, and `peak`
      (33,).
    """
    center = np.zeros((len(FREE_BONES), 3))
    center[rank1_members()[:, 0]] = prior.rank1_mean
    blocks, shifts, peaks = [], [], []
    for members, mean, covariance, inverse in (
        (
            rank1_members(),
            prior.rank1_mean,
            prior.rank1_covariance,
            prior.rank1_inv_covariance,
        ),
        (
            rank2_members(),
            prior.rank2_mean,
            prior.rank2_covariance,
            prior.rank2_inv_covariance,
        ),
    ):
        count, dimension = mean.shape
        # Poses that vary little in some direction have inverses that are positive
        # definite but for rounding: Cholesky would refuse them.
        squares, axes = np.linalg.eigh(inverse)
        factors = axes * np.sqrt(np.maximum(squares, 0.0))[:, None, :]
        # Axes: free bone, its coordinate, component, white coordinate.
        block = np.zeros((len(FREE_BONES), 3, count, dimension))
        for place, bones in enumerate(members.T):
            part = factors[:, 3 * place : 3 * place + 3]
            block[bones, :, np.arange(count)] = part
        difference = center[members].reshape(count, dimension) - mean
        blocks.append(block.reshape(3 * len(FREE_BONES), -1))
        shifts.append(np.einsum("cd,cdw->cw", difference, factors).ravel())
        _, log_determinant = np.linalg.slogdet(covariance)
        peaks.append(-0.5 * (dimension * np.log(2 * np.pi) + log_determinant))
    return center, np.hstack(blocks), np.hstack(shifts), np.hstack(peaks)


def _moments(
    vectors: np.ndarray, members: np.ndarray, *, grouped: bool, centered: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, covariance and its inverse of each component."""
    samples = vectors[:, members].reshape(len(vectors), len(members), -1)
    mean = samples.mean(axis=0)
    covariance = np.einsum("nci,ncj->cij", samples, samples) / len(samples)
    if grouped:
        # The samples of either side, one after the other.
        other = _other_side(members)
        mean = (mean + mean[other]) / 2
        covariance = (covariance + covariance[other]) / 2
    if centered:
        covariance = covariance - mean[:, :, None] * mean[:, None, :]
    is_still = np.diagonal(covariance, axis1=-2, axis2=-1) < _MIN_MOMENT
    kept = ~(is_still[:, :, None] | is_still[:, None, :])
    covariance = covariance * kept + is_still[:, :, None] * np.eye(mean.shape[-1])
    if not np.all(np.linalg.cond(covariance) < 1 / np.finfo(np.float64).eps):
        raise ValueError(
            f"poses: the orientations of {len(vectors) // 2} poses span too few "
            "directions for a density; use more, and more different, poses."
        )
    return mean, covariance, np.linalg.inv(covariance)


def _other_side(members: np.ndarray) -> np.ndarray:
    """For each component, the one with left and right exchanged."""
    swap = {"R": "L", "L": "R"}
    mirrored = [swap.get(name[0], name[0]) + name[1:] for name in FREE_BONES]
    free_bone = np.array([FREE_BONES.index(name) for name in mirrored])
    rows = members.tolist()
    return np.array([rows.index(row) for row in free_bone[members].tolist()])
