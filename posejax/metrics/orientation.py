"""How far the orientations of predicted bones are from the true ones, in metres.

Each bone is seen in the frame of its neighbours, so that neither the position nor the
orientation of the body counts. Detections without a nose (`has_nose=False`) say nothing
of the bone UFace and of the nose, which are then left out.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.geometry.bones import (
    FREE_BONE_LENGTH_ORDER,
    FREE_BONE_TABLE,
    bone_lengths,
    counted_bones,
    free_bone_vectors,
    require_bodies,
)
from posejax.numerics import safe_norm

_NOSE = 9
_NUM_JOINTS = 17
# Shares of a bone's error: pivot, axis, the two joints of the plane, free joint.
_SHARES = (0.03, 0.01, 0.005, 0.005, 0.95)


def bone_orientation_errors(
    predicted: Float[Array, "*batch 17 3"],
    target: Float[Array, "*batch 17 3"],
    *,
    has_nose: bool = True,
) -> Float[Array, "*batch bones"]:
    """True length times the distance of the unit vectors, for each bone.

    Args:
      predicted: Estimated joint positions in metres.
      target: True joint positions in metres.
      has_nose: Whether the bone to the nose, UFace, is among the bones.

    Returns:
      One error in metres per bone, in the order of `geometry.FREE_BONES` (16, or the
      last 15).

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (MPBOE per bone).

    >>> pose = jnp.asarray(np.random.default_rng(0).normal(size=(17, 3)))
    >>> print(bone_orientation_errors(pose, pose, has_nose=False).shape)
    (15,)
    """
    require_bodies(predicted=predicted, target=target)
    ours, theirs = (
        free_bone_vectors(pose, grouped=False, plane="pair")
        for pose in (predicted, target)
    )
    lengths = bone_lengths(target)[..., np.array(FREE_BONE_LENGTH_ORDER)]
    return (lengths * safe_norm(ours - theirs))[..., counted_bones(has_nose=has_nose)]


def mpboe(
    predicted: Float[Array, "*batch 17 3"],
    target: Float[Array, "*batch 17 3"],
    *,
    has_nose: bool = True,
) -> Float[Array, "*batch"]:
    """Mean per-bone orientation error.

    Args:
      predicted: Estimated joint positions in metres.
      target: True joint positions in metres.
      has_nose: Whether the bone to the nose counts.

    Returns:
      One error in metres per pose.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (MPBOE).

    >>> pose = jnp.asarray(np.random.default_rng(0).normal(size=(17, 3)))
    >>> print(mpboe(pose + 1.0, pose).round(4))
    0.0
    """
    errors = bone_orientation_errors(predicted, target, has_nose=has_nose)
    return jnp.mean(errors, axis=-1)


def joint_orientation_errors(
    predicted: Float[Array, "*batch 17 3"],
    target: Float[Array, "*batch 17 3"],
    *,
    has_nose: bool = True,
) -> Float[Array, "*batch joints"]:
    """Errors of the bones, each spread over the five joints that it depends on.

    A bone's error goes to its pivot (3 %), axis (1 %) and plane joints (0.5 % each,
    both to the same joint where there is one), and to its free joint (95 %).

    Args:
      predicted: Estimated joint positions in metres.
      target: True joint positions in metres.
      has_nose: Whether the nose is among the joints and its bone among the bones.

    Returns:
      One sum in metres per joint (17, or 16 without the nose).

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (J-MPBOE per joint).

    >>> pose = jnp.asarray(np.random.default_rng(0).normal(size=(17, 3)))
    >>> print(joint_orientation_errors(pose, pose, has_nose=False).shape)
    (16,)
    """
    errors = bone_orientation_errors(predicted, target, has_nose=has_nose)
    shares = jnp.asarray(
        _joint_shares()[counted_bones(has_nose=has_nose)], errors.dtype
    )
    per_joint = jnp.einsum("...b,bj->...j", errors, shares, precision="highest")
    joints = np.arange(_NUM_JOINTS)
    return per_joint[..., joints[has_nose | (joints != _NOSE)]]


def j_mpboe(
    predicted: Float[Array, "*batch 17 3"],
    target: Float[Array, "*batch 17 3"],
    *,
    has_nose: bool = True,
) -> Float[Array, "*batch"]:
    """Mean over the joints of their shares of the bones' orientation errors.

    The shares of a bone add up to one, so this is 16/17 of `mpboe` (15/16 without the
    nose): only the table per joint says anything new.

    Args:
      predicted: Estimated joint positions in metres.
      target: True joint positions in metres.
      has_nose: Whether the nose and its bone count.

    Returns:
      One error in metres per pose.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749 (J-MPBOE).

    >>> pose = jnp.asarray(np.random.default_rng(0).normal(size=(17, 3)))
    >>> print(j_mpboe(pose + 1.0, pose).round(4))
    0.0
    """
    errors = joint_orientation_errors(predicted, target, has_nose=has_nose)
    return jnp.mean(errors, axis=-1)


def _joint_shares() -> np.ndarray:
    """Share of each joint in each bone's error, (16, 17)."""
    shares = np.zeros((len(FREE_BONE_TABLE), _NUM_JOINTS))
    joints = [(b.pivot, b.axis, b.plane, b.plane_pair, b.free) for b in FREE_BONE_TABLE]
    rows = np.arange(len(joints))[:, None]
    np.add.at(shares, (rows, np.array(joints)), np.array([_SHARES]))
    return shares
