"""Losses on the bones of a pose: equal sides, equal lengths, a root at the origin.

Poses are those of `skeletons.H36M_17`, in metres, axes x right, y down, z forward.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from posejax.checks import require_equal_shapes
from posejax.geometry.bones import (
    BONES,
    VIDEOPOSE_PARENTS,
    bone_lengths,
    require_bodies,
)
from posejax.numerics import masked_mean, safe_norm

_SYMMETRIC = ("Hip", "Thigh", "Leg", "Shoulder", "Bicep", "Forearm")


def bone_symmetry_loss(pose: Float[Array, "*batch 17 3"]) -> Float[Array, "*batch"]:
    """Mean absolute difference in length of right and left bones, over six pairs.

    Args:
      pose: Joint positions in metres.

    Returns:
      One value per pose, in metres.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (BSE).

    >>> print(f"{bone_symmetry_loss(jnp.zeros((17, 3)).at[16, 0].set(0.6)):.2f}")
    0.10
    """
    right, left = (
        np.array([BONES.index(side + name) for name in _SYMMETRIC]) for side in "RL"
    )
    lengths = bone_lengths(pose)
    return jnp.mean(jnp.abs(lengths[..., right] - lengths[..., left]), axis=-1)


def bone_length_difference_over_batch(
    labelled: Float[Array, "*labelled 17 3"],
    unlabelled: Float[Array, "*unlabelled 17 3"],
    *,
    labelled_mask: Bool[Array, "*labelled"] | None = None,
    unlabelled_mask: Bool[Array, "*unlabelled"] | None = None,
    parents: tuple[int, ...] = VIDEOPOSE_PARENTS,
) -> Float[Array, ""]:
    """Absolute difference between the mean lengths of each bone in two sets of poses.

    The only term that compares two batches as wholes: the people in them differ, so
    that no pose has a counterpart. Both sets receive gradient.

    Args:
      labelled: Predicted poses of examples with labels, metres.
      unlabelled: Predicted poses of examples without.
      labelled_mask: Which of the labelled poses count.
      unlabelled_mask: Which of the unlabelled poses count.
      parents: Joint in which each bone begins.

    Returns:
      Mean over the 16 bones, in metres, for both batches together.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 4, bone-length term.

    >>> labelled = jnp.zeros((4, 17, 3))
    >>> unlabelled = jnp.zeros((2, 17, 3)).at[:, 16, 0].set(1.6)
    >>> print(f"{bone_length_difference_over_batch(labelled, unlabelled):.2f}")
    0.10
    """
    _require_bodies_and_mask("labelled", labelled, labelled_mask)
    _require_bodies_and_mask("unlabelled", unlabelled, unlabelled_mask)
    means = []
    for poses, mask in ((labelled, labelled_mask), (unlabelled, unlabelled_mask)):
        lengths = bone_lengths(poses, parents=parents).reshape(-1, len(parents)).T
        counts = jnp.ones(poses.shape[:-2], bool) if mask is None else mask
        counts = jnp.broadcast_to(counts.reshape(1, -1), lengths.shape)
        means.append(masked_mean(lengths, counts))
    return jnp.mean(jnp.abs(means[0] - means[1]))


def root_to_origin_loss(pose: Float[Array, "*batch 17 3"]) -> Float[Array, "*batch"]:
    """Distance of the root joint from the origin, where a root-relative pose has it.

    Args:
      pose: Root-relative joint positions in metres.

    Returns:
      One value per pose, in metres; zero gradient where the root is at the origin.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (PTO).

    >>> print(root_to_origin_loss(jnp.zeros((17, 3)).at[0, 2].set(-0.5)))
    0.5
    """
    require_bodies(pose=pose)
    return safe_norm(pose[..., 0, :])


def _require_bodies_and_mask(name: str, poses: Array, mask: Array | None) -> None:
    require_bodies(**{name: poses})
    if mask is not None:
        shapes = {name: poses.shape[:-2], f"{name}_mask": mask.shape}
        require_equal_shapes("give one truth value per pose.", **shapes)
