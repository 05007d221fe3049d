"""Flow at an eighth of the image's size to flow in pixels of the image.

Flow is `(batch, height, width, 2)`, x first.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.models.raft.encoders import STRIDE


def convex_upsample(
    flow: Float[Array, "batch height width 2"],
    mask: Float[Array, "batch height width weights"],
) -> Float[Array, "batch height8 width8 2"]:
    """Makes each fine vector a convex combination of the 3x3 coarse ones around it.

    Outside the map the coarse flow is 0.

    Args:
      flow: Flow in pixels of its own size.
      mask: 9 * 64 logits: the neighbour (rows slow, columns fast) is the slowest index,
        then the fine row, then the fine column.

    Returns:
      Flow in pixels of the image: eight times as large, on eight times the size.

    Reference:
      Teed and Deng, RAFT: recurrent all-pairs field transforms for optical flow, ECCV
      2020, section 3.3.
    """
    batch, height, width, _ = flow.shape
    weights = mask.reshape(batch, height, width, 9, STRIDE, STRIDE)
    weights = jax.nn.softmax(weights, axis=3)
    padded = jnp.pad(STRIDE * flow, ((0, 0), (1, 1), (1, 1), (0, 0)))
    neighbours = [
        padded[:, row : row + height, column : column + width]
        for row in range(3)
        for column in range(3)
    ]
    fine = sum(
        weights[:, :, :, k, :, :, None] * neighbour[:, :, :, None, None]
        for k, neighbour in enumerate(neighbours)
    )
    fine = jnp.swapaxes(jnp.asarray(fine), 2, 3)
    return fine.reshape(batch, STRIDE * height, STRIDE * width, 2)


def bilinear_upsample(
    flow: Float[Array, "batch height width 2"],
) -> Float[Array, "batch height8 width8 2"]:
    """Interpolates between the coarse vectors; the corners keep theirs.

    The centres of the corner pixels meet (`align_corners`), which is not the convention
    of `jax.image.resize`.

    Args:
      flow: Flow in pixels of its own size.

    Returns:
      Flow in pixels of the image: eight times as large, on eight times the size.
    """
    rows = jnp.asarray(_stretch(flow.shape[1]), flow.dtype)
    columns = jnp.asarray(_stretch(flow.shape[2]), flow.dtype)
    exact = jax.lax.Precision.HIGHEST
    return STRIDE * jnp.einsum("iy,byxc,jx->bijc", rows, flow, columns, precision=exact)


def _stretch(size: int) -> np.ndarray:
    """Returns the weight of each of `size` values in each of the 8 * `size`."""
    positions = np.linspace(0, size - 1, STRIDE * size)
    return np.maximum(0, 1 - np.abs(positions[:, None] - np.arange(size)))
