"""Bones of the 14 joints of `skeletons.LSP_14`: which there are, and their lengths.

The tree of the joint set has 13 bones. For the lengths of a body two more are looked
at, across the hips and across the shoulders.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.checks import require_shape
from posejax.numerics import safe_norm
from posejax.skeletons import LSP_14

# fmt: off
# In the order of Arko et al. 2022, from whose arrays a bone is known by its place.
LSP_BONES = (
    (0, 1), (1, 2), (2, 8), (2, 3), (5, 4), (4, 3), (3, 9), (12, 8), (12, 9),
    (9, 10), (10, 11), (8, 7), (7, 6), (12, 13), (9, 8),
)
# fmt: on

# Added to each coordinate of a bone, so that one of length zero has a direction.
LENGTH_OFFSET_M = 1e-6


def lsp_bone_lengths(pose: Float[Array, "*batch 14 3"]) -> Float[Array, "*batch 15"]:
    """Length of each bone: |a - b + 1e-6|, the offset on each coordinate.

    Finite, with finite gradient, where joints coincide.

    Args:
      pose: Joints of `skeletons.LSP_14`, metres.

    Returns:
      One length per bone in the order of `LSP_BONES`, metres.

    Raises:
      ValueError: If there are not 14 joints.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), bone-length term; the offset is that of
      torch.nn.PairwiseDistance, which their code uses.

    >>> print(lsp_bone_lengths(jnp.zeros((14, 3)).at[13, 1].set(-0.25))[13].round(3))
    0.25
    """
    remedy = "give the joints of 'lsp_14', (x, y, z); see `skeletons.remap`."
    require_shape("pose", pose, (LSP_14.num_joints, 3), remedy)
    rows, (starts, ends) = np.arange(len(LSP_BONES)), np.array(LSP_BONES).T
    # A product with a constant matrix, whose gradient is a product too and no scatter.
    incidence = np.zeros((len(LSP_BONES), LSP_14.num_joints))
    incidence[rows, starts], incidence[rows, ends] = 1.0, -1.0
    matrix = jnp.asarray(incidence, pose.dtype)
    bones = jnp.einsum("bj,...jc->...bc", matrix, pose, precision="highest")
    return safe_norm(bones + LENGTH_OFFSET_M)
