"""Exact optical flow of a drawn person: where each surface point goes."""

import numpy as np

from datasets.people_sample.cameras import IMAGE_SIZE, Camera, project
from datasets.people_sample.drawing import SAMPLES, Surface
from datasets.people_sample.solids import Solids, place


def forward_flow(
    solids: Solids,
    camera: Camera,
    surface: Surface,
    mask: np.ndarray,
    now: tuple[np.ndarray, np.ndarray],
    later: tuple[np.ndarray, np.ndarray],
) -> np.ndarray:
    """Returns the flow from one frame to a later one, source pixels.

    Of the surface points seen within a pixel, the one nearest to the camera decides.
    The background rests. A point that is hidden in the later frame moves all the same.

    Args:
      solids: The body.
      camera: Who looks.
      surface: What is seen now.
      mask: (256, 256) bool, the person now; the flow is 0 elsewhere.
      now: Positions (32, 3) and rotations (32, 3, 3) of the joints, world.
      later: The same in the later frame.

    Returns:
      (256, 256, 2) float32, (x, y): pixel p is seen at p + flow[p] later.
    """
    pixels = []
    for positions, rotations in (now, later):
        origins, axes = place(solids, positions, rotations)
        moved = np.matmul(axes[surface.solids], surface.places[:, :, None])[:, :, 0]
        pixels.append(project(camera, origins[surface.solids] + moved))
    shape = surface.hits.shape
    depths = np.full(shape, np.inf)
    depths[surface.hits] = surface.depths
    moves = np.zeros((*shape, 2), np.float32)
    moves[surface.hits] = pixels[1] - pixels[0]
    nearest = depths.reshape(*shape[:2], SAMPLES**2).argmin(axis=-1)
    moves = moves.reshape(*shape[:2], SAMPLES**2, 2)
    chosen = np.take_along_axis(moves, nearest[..., None, None], axis=2)[:, :, 0]
    flow = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 2), np.float32)
    rows, columns = shape[:2]
    flow[surface.top : surface.top + rows, surface.left : surface.left + columns] = (
        chosen
    )
    return np.where(mask[..., None], flow, np.float32(0))
