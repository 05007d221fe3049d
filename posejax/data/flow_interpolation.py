"""The flow of one pair of frames as a first guess for the next pair."""

import numpy as np
from jaxtyping import Float


def forward_interpolate(
    flow: Float[np.ndarray, "height width 2"],
) -> Float[np.ndarray, "height width 2"]:
    """Moves a flow along itself, and fills the grid with the nearest moved vectors.

    A vector counts if it is finite and its end (x, y) has 0 < x < width and
    0 < y < height. Of several ends at one distance any may be taken. Where a new
    sequence begins, start from zeros and not from this.

    Args:
      flow: Flow of the pair before, usually at an eighth of the resolution and in its
        pixels.

    Returns:
      The guess, of the same type; zeros where no vector ends inside.

    Raises:
      ValueError: If it is no flow of one pair.

    Reference:
      Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), sec. 4.2, "warm-start".

    >>> flow = np.zeros((3, 4, 2))
    >>> flow[1, 1] = (2.0, 0.0)
    >>> print(forward_interpolate(flow)[1, :, 0])
    [0. 0. 0. 2.]
    """
    from scipy.spatial import KDTree

    if flow.ndim != 3 or flow.shape[-1] != 2:
        raise ValueError(
            f"flow has shape {flow.shape}; expected (height, width, 2), the flow of "
            "one pair of frames."
        )
    height, width = flow.shape[:2]
    y, x = np.indices((height, width))
    grid = np.stack([x, y], axis=-1).reshape(-1, 2)
    vectors = flow.reshape(-1, 2)
    ends = grid + vectors.astype(np.float64)
    # Ends that are no numbers compare as outside.
    counts = np.all((ends > 0) & (ends < (width, height)), axis=-1)
    if not counts.any():
        return np.zeros_like(flow)
    _, nearest = KDTree(ends[counts]).query(grid)
    return vectors[counts][nearest].reshape(flow.shape)
