"""Boxes around a person, so that the flow of a clip need be kept only there.

A field of 1000 x 1002 pixels takes 8 MB; those of a clip of 600 frames would take 5 GB.
"""

import numpy as np
from jaxtyping import Float, Int


def flow_boxes(
    joints: Float[np.ndarray, "frames joints 2"],
    *,
    width: int,
    height: int,
    margin_px: int = 32,
) -> tuple[Int[np.ndarray, "pairs 2"], tuple[int, int]]:
    """Boxes of one size, each around the joints of a frame, inside the picture.

    The flow from frame t to the next is kept as
    `flow[y : y + height, x : x + width]` with `x, y = offsets[t]`, and a joint is
    looked up there as long as it stays in its box.

    Args:
      joints: Joints in the picture, pixels; some may be outside or not finite.
      width: Width of the picture, pixels.
      height: Height of the picture, pixels.
      margin_px: How far joints may move before they leave their box.

    Returns:
      Upper left pixel (x, y) of the box of each frame but the last, int32, and the size
      (height, width) of all boxes.

    Raises:
      ValueError: If the joints are no points of frames, none of them is ever inside the
        picture, or a size is below 1.

    >>> joints = np.array([[[10.0, 20.0], [13.0, 25.0]]] * 2)
    >>> offsets, size = flow_boxes(joints, width=100, height=100, margin_px=2)
    >>> offsets.tolist(), size
    ([[8, 18]], (10, 8))
    """
    if joints.ndim != 3 or joints.shape[-1] != 2 or 0 in joints.shape[:2]:
        raise ValueError(
            f"joints has shape {joints.shape}; expected (frames, joints, 2), at least "
            "one of each."
        )
    if min(width, height) < 1 or margin_px < 1:
        raise ValueError(
            f"width, height and margin_px are {width}, {height} and {margin_px}; "
            "expected 1 or more."
        )
    last = np.array([width - 1, height - 1])
    if not np.any(np.all((joints >= 0) & (joints <= last), axis=-1)):
        raise ValueError(
            f"joints are outside the picture of {width} x {height} pixels in all "
            f"{len(joints)} frames; check that poses, crops and frames are from one "
            "video of this size."
        )
    points = np.clip(np.nan_to_num(joints[:-1]), 0, last)
    if not len(points):
        return np.zeros((0, 2), np.int32), (1, 1)
    low = np.floor(points.min(axis=1)).astype(int) - margin_px
    high = np.ceil(points.max(axis=1)).astype(int) + margin_px
    size = np.minimum((high - low).max(axis=0) + 1, last + 1)
    offsets = np.clip(low, 0, last + 1 - size).astype(np.int32)
    return offsets, (int(size[1]), int(size[0]))
