"""Stable crop windows for a person who moves about.

The window of `posejax.data.crops` follows the box from cell to cell, and a folder is
one window: a person who sways over the edge of a cell every few frames would be spread
over many tiny folders, whose pictures cannot be paired. Here few windows serve all
frames.
"""

import numpy as np

from posejax.data.crops import SIDE_PER_CELL, raster_cells

# The cells of 170 pixels of Human3.6M belong to people of about 500 to 550 pixels.
CELLS_PER_PERSON = 3.0
USUAL_ROWS = 4  # of such a person, who seldom begins on a line of the raster
MOST_EXTRA_ROWS = 2
EDGE_KEPT_FREE = 0.02  # of the window's side, between the box and its edge
SEGMENT = 4096  # frames that share a choice of windows; bounds memory


def choose_cell(boxes: np.ndarray) -> int:
    """Side of the raster cells for people of the given size.

    A third of the median height of the boxes: people then span 3 to 4 cells, and fill
    as much of the crop as they do in Human3.6M.

    Args:
      boxes: Boxes `(frames, 2, 2)` of frames with a person, source pixels.

    Returns:
      The side in whole source pixels, at least 1.
    """
    heights = boxes[:, 1, 1] - boxes[:, 0, 1]
    return max(1, round(float(np.median(heights)) / CELLS_PER_PERSON))


def stable_windows(boxes: np.ndarray, *, cell: int) -> np.ndarray:
    """Assigns a crop window to every box such that few windows are used.

    Greedy: the window that holds the most boxes serves them all, then the one that
    holds the most of the rest, and so on. A window holds a box if it is the box's own,
    or if the box lies inside the crop and the window is not so large that the person
    becomes small: at most 4 rows, and at most 2 more than the box needs. The same boxes
    always give the same windows.

    Args:
      boxes: Boxes `(frames, 2, 2)`, source pixels.
      cell: Side of a raster cell, source pixels.

    Returns:
      Cells `(frames, 2, 2)` `[[X0, Y0], [X1, Y1]]` of each frame's window, int64.
    """
    parts = [
        _segment_windows(boxes[start : start + SEGMENT], cell)
        for start in range(0, len(boxes), SEGMENT)
    ]
    return np.concatenate(parts)


def _segment_windows(boxes: np.ndarray, cell: int) -> np.ndarray:
    own = raster_cells(boxes.astype(np.float64), cell=float(cell)).reshape(-1, 4)
    candidates, index = np.unique(own, axis=0, return_inverse=True)
    rows = candidates[:, 3] - candidates[:, 1]
    # Small windows first, so that among equals the person is large.
    order = np.argsort(rows, kind="stable")
    candidates, rows = candidates[order], rows[order]
    index = np.argsort(order)[index.reshape(-1)]
    low, high = _crop_square(candidates, rows, cell)
    holds = np.all(boxes[None, :, 0] >= low[:, None], axis=-1)
    holds &= np.all(boxes[None, :, 1] <= high[:, None], axis=-1)
    holds &= rows[:, None] <= USUAL_ROWS
    holds &= rows[:, None] <= (own[:, 3] - own[:, 1])[None] + MOST_EXTRA_ROWS
    holds[index, np.arange(len(boxes))] = True
    chosen = np.zeros(len(boxes), np.int64)
    counts = holds.sum(axis=1)
    while counts.max() > 0:
        best = int(counts.argmax())
        served = holds[best].copy()
        chosen[served] = best
        counts -= holds[:, served].sum(axis=1)
        holds[:, served] = False
    return candidates[chosen].reshape(-1, 2, 2)


def _crop_square(
    cells: np.ndarray, rows: np.ndarray, cell: int
) -> tuple[np.ndarray, np.ndarray]:
    center = (cells[:, :2] + cells[:, 2:]) * (cell / 2)
    reach = rows * cell * SIDE_PER_CELL * (0.5 - EDGE_KEPT_FREE)
    return center - reach[:, None], center + reach[:, None]
