"""Losses between the postures of two poses: their bones' orientations.

Each bone is seen in the frame of its neighbours (`geometry.free_bone_vectors`, one
distribution per joint, the torso's planes fixed by a pair of joints), so that these
losses ask how the body is bent and not where it is or which way it faces.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.checks import require_choice
from posejax.geometry.bones import (
    FREE_BONE_LENGTH_ORDER,
    bone_lengths,
    counted_bones,
    free_bone_vectors,
    require_bodies,
)
from posejax.numerics import safe_norm

# "bs" is bone-scaled: each bone counts in proportion to its true length.
POSTURE_KINDS = (
    "uvec-norm",
    "bs-uvec-norm",
    "vec-norm",
    "uvec-cosi",
    "bs-uvec-cosi",
)

# The published bone-scaled cosine loss is 10 L (1 - cos) / 2.
_COSINE_SCALE = 5.0


def posture_loss(
    predicted: Float[Array, "*batch 17 3"],
    target: Float[Array, "*batch 17 3"],
    *,
    kind: str = "bs-uvec-norm",
    order: int = 1,
    has_nose: bool = True,
) -> Float[Array, "*batch"]:
    """Mean difference between the bone orientations of two poses.

    With u the unit vectors, v the vectors and L the true length of a bone:

    - "uvec-norm": |u_predicted - u_target|
    - "bs-uvec-norm": L |u_predicted - u_target|
    - "vec-norm": |v_predicted - v_target|
    - "uvec-cosi": 1 - cos of the angle between them
    - "bs-uvec-cosi": 5 L (1 - cos)

    Args:
      predicted: Estimated joint positions in metres.
      target: True joint positions in metres.
      kind: Which of the above, in the published names.
      order: 1 for the sum of absolute coordinates, 2 for the Euclidean norm; the
        cosine losses have none.
      has_nose: Whether the bone to the nose, UFace, counts; without it no value and no
        gradient depends on the nose.

    Returns:
      One value per pose, the mean over 16 bones (15 without the nose): in metres for
      "bs-uvec-norm" and "vec-norm", otherwise dimensionless or (for "bs-uvec-cosi")
      scaled by metres.

    Raises:
      ValueError: If `kind` or `order` is none of these.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose = jnp.asarray(np.random.default_rng(0).normal(size=(17, 3)))
    >>> print(posture_loss(pose[:, np.array([2, 0, 1])], pose).round(3))
    0.0
    """
    require_choice("kind", kind, POSTURE_KINDS)
    if order not in (1, 2):
        raise ValueError(f"order is {order!r}; expected 1 or 2, the order of the norm.")
    require_bodies(predicted=predicted, target=target)
    ours, theirs = (
        free_bone_vectors(pose, grouped=False, plane="pair", unit=kind != "vec-norm")
        for pose in (predicted, target)
    )
    if kind.endswith("cosi"):
        terms = 1 - jnp.sum(ours * theirs, axis=-1)
    elif order == 1:
        terms = jnp.sum(jnp.abs(ours - theirs), axis=-1)
    else:
        terms = safe_norm(ours - theirs)
    if kind.startswith("bs-"):
        lengths = bone_lengths(target)[..., np.array(FREE_BONE_LENGTH_ORDER)]
        terms = terms * (_COSINE_SCALE * lengths if kind == "bs-uvec-cosi" else lengths)
    return jnp.mean(terms[..., counted_bones(has_nose=has_nose)], axis=-1)
