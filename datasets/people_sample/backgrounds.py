"""The room of the sample: floor, walls and furniture, seen once by each camera.

The room is a box with textured planes, so all cameras see the same things from their
sides, and the background of a camera never moves.
"""

import functools

import cv2
import numpy as np

from datasets.people_sample.cameras import CAMERAS, IMAGE_SIZE, Camera, project

HALF_M, CEILING_M = 5.6, 3.4
SAMPLES = 2  # per pixel and axis

# Furniture as boxes: lowest corner, highest corner (metres), colour.
FURNITURE = (
    ((-3.6, -5.2, 0.0), (-2.2, -4.6, 1.9), (0.46, 0.33, 0.22)),
    ((1.4, -5.3, 0.0), (3.4, -4.5, 0.78), (0.62, 0.60, 0.57)),
    ((1.9, -5.2, 0.78), (2.5, -5.0, 1.25), (0.13, 0.13, 0.15)),
    ((3.9, -3.2, 0.0), (4.5, -2.2, 1.0), (0.35, 0.42, 0.33)),
    ((-5.3, -2.6, 0.0), (-4.7, -0.8, 0.9), (0.70, 0.66, 0.60)),
    ((-5.2, -2.0, 0.9), (-4.9, -1.6, 1.3), (0.28, 0.36, 0.30)),
    ((-0.7, -5.35, 0.0), (0.35, -5.1, 2.1), (0.55, 0.52, 0.48)),
    ((2.2, 4.8, 0.0), (3.6, 5.4, 1.3), (0.50, 0.40, 0.30)),
    ((-3.4, 4.7, 0.0), (-1.9, 5.4, 0.75), (0.40, 0.44, 0.50)),
    ((-1.2, 5.0, 0.0), (-0.6, 5.4, 1.7), (0.66, 0.61, 0.52)),
    ((4.8, 0.6, 0.0), (5.4, 2.2, 1.5), (0.42, 0.36, 0.30)),
)
# Pictures on the walls: axis of the wall, its sign, low and high corner, two colours.
POSTERS = (
    (1, -1, (-1.7, 1.2), (-0.95, 2.2), (0.25, 0.36, 0.48), (0.80, 0.76, 0.66)),
    (1, -1, (2.9, 1.35), (4.3, 2.2), (0.72, 0.70, 0.62), (0.35, 0.45, 0.38)),
    (1, -1, (0.7, 1.5), (1.25, 2.25), (0.52, 0.28, 0.24), (0.78, 0.72, 0.60)),
    (0, 1, (-2.0, 1.1), (-0.6, 2.3), (0.62, 0.70, 0.74), (0.84, 0.86, 0.86)),
    (0, -1, (-0.5, 1.2), (0.9, 2.1), (0.42, 0.36, 0.50), (0.78, 0.74, 0.70)),
    (1, 1, (-0.2, 1.2), (1.6, 2.2), (0.36, 0.44, 0.36), (0.76, 0.78, 0.72)),
)


def _noise_plane(seed: int) -> np.ndarray:
    """A (512, 512) texture of several grain sizes, mean 0, deviation about 1."""
    rng = np.random.default_rng(seed)
    plane = np.zeros((512, 512), np.float32)
    for cells, weight in ((8, 0.7), (24, 0.6), (72, 0.6), (216, 0.7)):
        grid = rng.standard_normal((cells, cells)).astype(np.float32)
        plane += weight * cv2.resize(grid, (512, 512), interpolation=cv2.INTER_CUBIC)
    return (plane - plane.mean()) / plane.std()


def _lookup(plane: np.ndarray, u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """Texture values at metres (u, v); the plane is 4 m wide and repeats."""
    to_cell = plane.shape[0] / 4.0
    return plane[
        np.mod(np.rint(v * to_cell), 512).astype(int),
        np.mod(np.rint(u * to_cell), 512).astype(int),
    ]


def _floor_colours(points: np.ndarray) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    grain = _lookup(_noise_plane(11), x, y)
    boards = np.mod(x, 0.32) < 0.018
    tone = 0.05 * np.sin(np.floor(x / 0.32) * 12.9) + 0.035 * grain
    colours = np.array([0.60, 0.52, 0.43]) + tone[:, None]
    colours[boards] *= 0.72
    mat = np.hypot(x / 2.1, y / 1.7) < 1.0
    hem = np.hypot(x / 2.1, y / 1.7) > 0.95
    colours[mat] = np.array([0.47, 0.47, 0.46]) + 0.045 * grain[mat, None]
    colours[mat & hem] = np.array([0.40, 0.36, 0.34])
    return colours


def _wall_colours(points: np.ndarray, axis: int, sign: int) -> np.ndarray:
    along, z = points[:, 1 - axis], points[:, 2]
    grain = _lookup(_noise_plane(20 + 2 * axis + (sign > 0)), along, z)
    base = np.array([0.71, 0.70, 0.66]) if axis else np.array([0.64, 0.67, 0.68])
    colours = base + 0.025 * grain[:, None]
    panels = np.mod(along, 1.4) < 0.03
    colours[panels] *= 0.82
    colours[z < 0.95] *= np.array([0.83, 0.82, 0.80])
    colours[(z < 0.12) | (np.abs(z - 0.95) < 0.03)] *= 0.75
    for wall, side, low, high, first, second in POSTERS:
        if (wall, side) != (axis, sign):
            continue
        u, v = (along - low[0]) / (high[0] - low[0]), (z - low[1]) / (high[1] - low[1])
        inside = (u > 0) & (u < 1) & (v > 0) & (v < 1)
        share = 0.5 + 0.5 * np.sin(9 * u + 3 * np.sin(7 * v)) * np.cos(8 * v - 4 * u)
        picture = share[:, None] * np.array(first)
        picture = picture + (1 - share[:, None]) * np.array(second)
        rim = (np.minimum(u, v) < 0.05) | (np.maximum(u, v) > 0.95)
        picture[rim] = 0.24
        colours[inside] = picture[inside]
    return colours


def _inside_hits(
    center: np.ndarray, rays: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where rays leave the room: distance, axis and sign of the plane."""
    low, high = np.array([-HALF_M, -HALF_M, 0.0]), np.array([HALF_M, HALF_M, CEILING_M])
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    far = np.where(safe > 0, (high - center) / safe, (low - center) / safe)
    axis = far.argmin(axis=1)
    sign = np.sign(safe[np.arange(len(rays)), axis]).astype(int)
    return far.min(axis=1), axis, sign


def _draw_furniture(
    center: np.ndarray, rays: np.ndarray, depths: np.ndarray, colours: np.ndarray
) -> None:
    safe = np.where(np.abs(rays) < 1e-9, 1e-9, rays)
    wood = _noise_plane(31)
    for low, high, colour in FURNITURE:
        first, second = (
            (np.array(low) - center) / safe,
            (np.array(high) - center) / safe,
        )
        near = np.minimum(first, second)
        enter, leave = near.max(axis=1), np.maximum(first, second).min(axis=1)
        hit = (enter > 0) & (enter < leave) & (enter < depths)
        points = center + enter[hit, None] * rays[hit]
        face = near[hit].argmax(axis=1)
        light = np.array([0.78, 0.92, 1.12])[face]
        grain = 0.06 * _lookup(wood, 3 * (points[:, 0] + points[:, 1]), points[:, 2])
        seams = np.mod(points[:, 2] - low[2], 0.45) < 0.02
        light = light * np.where(seams & (face != 2), 0.7, 1.0)
        colours[hit] = (np.array(colour) + grain[:, None] * 0.6) * light[:, None]
        depths[hit] = enter[hit]


@functools.cache
def background(camera_name: str) -> np.ndarray:
    """Returns the empty room seen by a camera, (256, 256, 3) float32 RGB, 0..255."""
    camera = next(camera for camera in CAMERAS if camera.name == camera_name)
    count = IMAGE_SIZE * SAMPLES
    axis = (np.arange(count) + 0.5) / SAMPLES - 0.5
    pixels = np.stack([*np.meshgrid(axis, axis), np.ones((count, count))], axis=-1)
    rays = pixels.reshape(-1, 3) @ (
        np.linalg.inv(camera.intrinsics).T @ camera.rotation
    )
    depths, plane, sign = _inside_hits(camera.center, rays)
    points = camera.center + depths[:, None] * rays
    colours = np.full((len(rays), 3), 0.80)
    floor = (plane == 2) & (sign < 0)
    colours[floor] = _floor_colours(points[floor])
    for wall_axis in (0, 1):
        for wall_sign in (-1, 1):
            wall = (plane == wall_axis) & (sign == wall_sign)
            colours[wall] = _wall_colours(points[wall], wall_axis, wall_sign)
    _draw_furniture(camera.center, rays, depths, colours)
    image = colours.reshape(IMAGE_SIZE, SAMPLES, IMAGE_SIZE, SAMPLES, 3).mean((1, 3))
    return (255.0 * np.clip(0.92 * image, 0, 1)).astype(np.float32)


def with_shadow(
    image: np.ndarray, camera: Camera, feet: np.ndarray, root: np.ndarray
) -> np.ndarray:
    """Darkens the floor below a person.

    Args:
      image: (256, 256, 3) background, 0..255.
      camera: The camera that sees it.
      feet: (2, 2) places of the feet on the floor, metres.
      root: (2,) place below the hip centre.

    Returns:
      A new image.
    """
    reach = 0.7
    corners = root + reach * np.array([[-1, -1], [-1, 1], [1, -1], [1, 1]])
    pixels = project(camera, np.pad(corners, ((0, 0), (0, 1))))
    low = np.clip(np.floor(pixels.min(axis=0)), 0, IMAGE_SIZE).astype(int)
    high = np.clip(np.ceil(pixels.max(axis=0)) + 1, 0, IMAGE_SIZE).astype(int)
    window = np.s_[low[1] : high[1], low[0] : high[0]]
    ground = _floor_points(camera.name)[window]
    light = np.ones(ground.shape[:2], np.float32)
    for place, width, weight in (
        (root, 0.24, 0.28),
        (feet[0], 0.11, 0.34),
        (feet[1], 0.11, 0.34),
    ):
        square = ((ground - place.astype(np.float32)) ** 2) @ np.ones(2, np.float32)
        light *= 1 - weight * np.exp(-square / (2 * width**2))
    result = image.copy()
    result[window] *= light[..., None]
    return result


@functools.cache
def _floor_points(camera_name: str) -> np.ndarray:
    """The floor point (256, 256, 2) that each pixel sees; far away above the floor."""
    camera = next(camera for camera in CAMERAS if camera.name == camera_name)
    axis = np.arange(IMAGE_SIZE, dtype=np.float64)
    pixels = np.stack([*np.meshgrid(axis, axis), np.ones((IMAGE_SIZE,) * 2)], axis=-1)
    rays = pixels @ (np.linalg.inv(camera.intrinsics).T @ camera.rotation)
    down = np.minimum(rays[..., 2:], -1e-3)
    points = camera.center - camera.center[2] * rays / down
    return np.clip(points[..., :2], -100, 100).astype(np.float32)
