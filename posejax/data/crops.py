"""The crop window around a person: cells of a raster, matrices, pixels.

Boxes are `[[x0, y0], [x1, y1]]` in pixels of the source frame. A matrix is `(2, 3)` and
maps a source pixel `(x, y, 1)` to a pixel of the square crop; integer coordinates are
centres of pixels in both grids. Snapping the box to a coarse raster gives neighbouring
frames the same window, hence the same background.

Reference:
  Yoo and Russakovsky, Efficient, Self-Supervised Human Pose Estimation with Inductive
  Prior Tuning, ICCV-W 2023; the window is that of its public preprocessing.
"""

import cv2
import numpy as np
from jaxtyping import Float, Int, Real, Shaped, UInt8

CELL = 170.0
"""Side of a raster cell, source pixels, for the 1000 x 1000 frames of Human3.6M."""

SIDE_PER_CELL = 200.0 / 170.0
"""Side of the window over the height of the cells that it is built from."""


def raster_cells(
    box: Real[np.ndarray, "*batch 2 2"], *, cell: float = CELL
) -> Int[np.ndarray, "*batch 2 2"]:
    """Cells `[[X0, Y0], [X1, Y1]]` of the smallest raster rectangle around a box.

    Args:
      box: Person boxes, source pixels.
      cell: Side of a raster cell, source pixels.

    Returns:
      First and last cell line in x and y; times `cell` they are source pixels.

    Raises:
      ValueError: If a box is not finite, is reversed or has no height on the raster, or
        if `cell` is not positive.
    """
    if cell <= 0:
        raise ValueError(f"cell is {cell}; expected a positive number of pixels.")
    if not np.all(np.isfinite(box)) or np.any(box[..., 0, :] > box[..., 1, :]):
        raise ValueError(
            f"box is {box.tolist()}; expected finite [[x0, y0], [x1, y1]] with "
            "x0 <= x1 and y0 <= y1."
        )
    cells = np.stack(
        [np.floor(box[..., 0, :] / cell), np.ceil(box[..., 1, :] / cell)], axis=-2
    ).astype(np.int64)
    if np.any(cells[..., 0, 1] == cells[..., 1, 1]):
        raise ValueError(
            f"box is {box.tolist()}, which has no height on a raster of {cell} pixels; "
            "expected a person of several pixels."
        )
    return cells


def crop_matrix(
    box: Real[np.ndarray, "2 2"], *, crop_size: int = 256, cell: float = CELL
) -> Float[np.ndarray, "2 3"]:
    """Matrix from source pixels to pixels of the crop around a box.

    The window is the square of `200 n` source pixels (for cells of 170) about the
    centre of the raster rectangle, with n the number of its rows.

    Args:
      box: Person box, source pixels.
      crop_size: Side of the crop, pixels.
      cell: Side of a raster cell, source pixels.

    Returns:
      The matrix, float64.

    Raises:
      ValueError: If the box is not a box or `crop_size` is not positive.
    """
    if crop_size < 1:
        raise ValueError(f"crop_size is {crop_size}; expected a positive number.")
    cells = raster_cells(box, cell=cell)
    low, high = cells * float(cell)
    center = (low + high) / 2
    rows = cells[1, 1] - cells[0, 1]
    scale = crop_size / (cell * SIDE_PER_CELL * rows)
    shift = crop_size / 2 - scale * center
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


def invert_matrix(
    matrix: Float[np.ndarray, "*batch 2 3"],
) -> Float[np.ndarray, "*batch 2 3"]:
    """Matrix of the way back: crop pixels to source pixels.

    Args:
      matrix: Source pixels to crop pixels.

    Returns:
      Crop pixels to source pixels, float64.

    Raises:
      ValueError: If a matrix is singular.
    """
    linear = matrix[..., :2].astype(np.float64)
    if np.any(np.linalg.det(linear) == 0):
        raise ValueError("matrix is singular; expected an invertible crop matrix.")
    inverse = np.linalg.inv(linear)
    shift = -inverse @ matrix[..., 2:]
    return np.concatenate([inverse, shift], axis=-1)


def apply_matrix(
    matrix: Float[np.ndarray, "*batch 2 3"],
    points: Real[np.ndarray, "*batch points 2"],
) -> Float[np.ndarray, "*batch points 2"]:
    """Moves points by a matrix.

    Args:
      matrix: From the pixels of one grid to the pixels of another.
      points: Points `(x, y)`, pixels of the first grid.

    Returns:
      Points in pixels of the second grid.
    """
    return points @ np.swapaxes(matrix[..., :2], -1, -2) + matrix[..., None, :, 2]


def box_diagonal(
    box: Real[np.ndarray, "*batch 2 2"], matrix: Float[np.ndarray, "*batch 2 3"]
) -> Shaped[np.ndarray, "*batch"]:
    """Diagonal of the person box in pixels of the crop, the scale of PDJ.

    Args:
      box: Person boxes (not raster rectangles), source pixels.
      matrix: Source pixels to crop pixels.

    Returns:
      One length per box, crop pixels.
    """
    corners = apply_matrix(matrix, box)
    return np.asarray(np.linalg.norm(corners[..., 1, :] - corners[..., 0, :], axis=-1))


def crop_image(
    image: UInt8[np.ndarray, "height width channels"],
    matrix: Float[np.ndarray, "2 3"],
    crop_size: int,
) -> UInt8[np.ndarray, "{crop_size} {crop_size} channels"]:
    """Draws the crop of a frame: bilinear, black outside the frame.

    Args:
      image: Source frame.
      matrix: Source pixels to crop pixels.
      crop_size: Side of the crop, pixels.

    Returns:
      The crop, channels as they came.

    Raises:
      ValueError: If the frame has no pixels.
    """
    if image.size == 0:
        raise ValueError(f"image has shape {image.shape}; expected at least one pixel.")
    crop = cv2.warpAffine(
        image,
        np.asarray(matrix, np.float64),
        (crop_size, crop_size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
        borderValue=0,
    )
    # OpenCV drops the axis of a single channel.
    return np.asarray(crop, np.uint8).reshape(crop_size, crop_size, image.shape[2])
