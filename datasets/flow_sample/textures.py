"""Random textures: noise of several grain sizes, stripes, checks and patches."""

import cv2
import numpy as np

GRAINS = (3, 7, 17, 40, 90)  # cells along a side


def random_texture(rng: np.random.Generator, size: int) -> np.ndarray:
    """Returns a texture.

    Args:
      rng: Where its parameters come from.
      size: Side, pixels.

    Returns:
      (size, size, 3) float32 in 0..1, RGB.
    """
    base = rng.uniform(0.15, 0.85) + 0.15 * rng.normal(size=3)
    contrast = rng.uniform(0.05, 0.3)
    weights = rng.dirichlet(np.ones(len(GRAINS))) * rng.uniform(0.6, 2.0)
    gray = sum(
        w * _noise(rng, g, size, 1) for w, g in zip(weights, GRAINS, strict=True)
    )
    color = 0.2 * _noise(rng, GRAINS[1], size, 3)
    image = base + contrast * (gray + color)
    for _ in range(rng.integers(0, 4)):
        pattern = (_stripes, _checks, _patches)[rng.integers(3)](rng, size)
        tone = rng.normal() + 0.4 * rng.normal(size=3)  # grayish, as most things are
        image += rng.uniform(0.05, 0.3) * pattern[..., None] * tone
    return np.clip(image, 0, 1).astype(np.float32)


def _noise(
    rng: np.random.Generator, cells: int, size: int, channels: int
) -> np.ndarray:
    grid = rng.standard_normal((cells, cells, channels)).astype(np.float32)
    fine = cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC)
    return fine.reshape(size, size, channels)


def _phases(rng: np.random.Generator, size: int) -> np.ndarray:
    """Phases of a plane wave, (size, size)."""
    angle, period = rng.uniform(0, np.pi), rng.uniform(5, 60)
    y, x = np.mgrid[:size, :size]
    along = np.cos(angle) * x + np.sin(angle) * y
    return 2 * np.pi * along / period + rng.uniform(0, 2 * np.pi)


def _stripes(rng: np.random.Generator, size: int) -> np.ndarray:
    return np.tanh(rng.uniform(1, 6) * np.sin(_phases(rng, size)))


def _checks(rng: np.random.Generator, size: int) -> np.ndarray:
    sharpness = rng.uniform(2, 6)
    return np.tanh(sharpness * np.sin(_phases(rng, size)) * np.sin(_phases(rng, size)))


def _patches(rng: np.random.Generator, size: int) -> np.ndarray:
    """Convex polygons of one tone each."""
    image = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(4, 24)):
        center = rng.uniform(0, size, 2)
        corners = center + rng.normal(size=(6, 2)) * size * rng.uniform(0.01, 0.12)
        hull = cv2.convexHull(corners.astype(np.int32))
        cv2.fillConvexPoly(image, hull, float(rng.normal()), cv2.LINE_AA)
    return image
