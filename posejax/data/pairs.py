"""Which frames of a folder form the training samples (frame 1, frame 2).

A folder holds frames of one person before one background in random order, so any two
of them differ in pose alone.

Reference:
  Yoo and Russakovsky, Efficient, Self-Supervised Human Pose Estimation with Inductive
  Prior Tuning, ICCV-W 2023: all pairs, and half of them with their mirror images.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from posejax import checks

PAIRINGS = ("all", "half_and_flips")


def pair_indices(count: int, *, pairing: str) -> Int[np.ndarray, "pairs 3"]:
    """Pairs of a folder with `count` frames: consecutive, disjoint.

    Args:
      count: Number of frames of the folder.
      pairing: `all`: the pairs (0, 1), (2, 3), ...; of an odd number of frames the
        last is left out. `half_and_flips`: the pairs of the first half of the frames
        (rounded up to an even number), then the same pairs with both frames mirrored.

    Returns:
      One row (frame 1, frame 2, mirrored) per sample; `mirrored` is 0 or 1.

    Raises:
      ValueError: If `pairing` is none of these, or `count` is negative.

    >>> pair_indices(5, pairing="all").tolist()
    [[0, 1, 0], [2, 3, 0]]
    >>> pair_indices(5, pairing="half_and_flips").tolist()
    [[0, 1, 0], [0, 1, 1]]
    """
    checks.require_choice("pairing", pairing, PAIRINGS)
    checks.require_at_least("count", count, 0)
    used = count
    if pairing == "half_and_flips":
        half = count // 2
        used = half + half % 2
    first = 2 * np.arange(used // 2)
    pairs = np.stack([first, first + 1, np.zeros_like(first)], axis=-1)
    if pairing == "all":
        return pairs
    return np.concatenate([pairs, pairs + np.array([0, 0, 1])])


def dataset_pairs(
    folder_counts: Sequence[int], *, pairing: str
) -> Int[np.ndarray, "pairs 3"]:
    """Pairs of a whole split whose folders lie one behind the other.

    Args:
      folder_counts: Number of frames of each folder.
      pairing: See `pair_indices`.

    Returns:
      One row (frame 1, frame 2, mirrored) per sample, frames counted from the start of
      the split. Every sample that is not mirrored comes before every mirrored one.

    Raises:
      ValueError: If `pairing` is unknown or a count is negative.
    """
    checks.require_choice("pairing", pairing, PAIRINGS)
    starts = np.concatenate([[0], np.cumsum(folder_counts, dtype=np.int64)])
    rows = [
        pair_indices(int(count), pairing=pairing) + np.array([start, start, 0])
        for count, start in zip(folder_counts, starts, strict=False)
    ]
    pairs = np.concatenate([np.zeros((0, 3), np.int64), *rows])
    # A stable sort keeps the order of the folders within either half.
    return pairs[np.argsort(pairs[:, 2], kind="stable")]
