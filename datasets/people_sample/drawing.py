"""Draws a person: exact rays against rounded cones, a depth buffer, light and cloth.

Every pixel is sampled at 2 x 2 points. A sample knows the solid it hits and the place
on it, which gives shading, cloth that moves with the body, and flow.
"""

import dataclasses

import numpy as np

from datasets.people_sample.cameras import IMAGE_SIZE, Camera, project, to_camera
from datasets.people_sample.solids import FACE_CENTER_M, Solids, place
from datasets.people_sample.wardrobe import Cloth

SAMPLES = 2  # per pixel and axis
LIGHT = np.array([-0.45, 0.55, 0.9]) / np.linalg.norm([-0.45, 0.55, 0.9])


@dataclasses.dataclass(frozen=True)
class Surface:
    """What is seen of a person.

    Attributes:
      left: First pixel column of the region that was sampled.
      top: First pixel row of it.
      hits: (rows, columns, 2, 2) bool: samples that hit the person.
      solids: (hits,) int, the solid of every hit, in the order of `hits[hits]`.
      depths: (hits,) depth in the camera frame, metres.
      places: (hits, 3) canonical coordinates on the solid.
      normals: (hits, 3) unit normals in the world.
    """

    left: int
    top: int
    hits: np.ndarray
    solids: np.ndarray
    depths: np.ndarray
    places: np.ndarray
    normals: np.ndarray


def _entry(square: np.ndarray, mixed: np.ndarray, free: float) -> np.ndarray:
    """Where a ray enters `square t^2 + 2 mixed t + free <= 0`; inf if it does not."""
    inside = mixed * mixed - square * free
    root = np.sqrt(np.maximum(inside, 0.0))
    return np.where(inside > 0.0, (-mixed - root) / square, np.inf)


def _cone_depths(
    start: np.ndarray, rays: np.ndarray, height: float, radii: np.ndarray
) -> np.ndarray:
    """Ray parameters of the first hits of a canonical rounded cone; inf for a miss.

    Args:
      start: (3,) origin of the rays.
      rays: (3, rows, columns) directions.
      height: Length of the axis, from the origin along z.
      radii: (2,) radii of the spheres at both ends.
    """
    x, y, z = rays
    flat = x * x + y * y
    full = flat + z * z
    mixed_flat = start[0] * x + start[1] * y
    mixed = mixed_flat + start[2] * z
    depths = _entry(full, mixed, start @ start - radii[0] ** 2)
    if height == 0.0:
        return depths
    free = start @ start - 2 * start[2] * height + height**2 - radii[1] ** 2
    depths = np.minimum(depths, _entry(full, mixed - height * z, free))
    # The flank: radius (r0 - z sine) / cosine between the circles of contact.
    sine = (radii[0] - radii[1]) / height
    cosine = np.sqrt(1.0 - sine * sine)
    offset, slope = (radii[0] - sine * start[2]) / cosine, (-sine / cosine) * z
    free = start[0] ** 2 + start[1] ** 2 - offset * offset
    flank = _entry(flat - slope * slope, mixed_flat - offset * slope, free)
    flank = np.where(np.isfinite(flank), flank, 0.0)
    radius = offset + slope * flank
    along = (start[2] + z * flank) * cosine - radius * sine
    on_flank = (along > 0.0) & (along < height * cosine) & (radius > 0.0)
    on_flank &= flank > 0.0
    return np.where(on_flank, np.minimum(depths, flank), depths)


def _bounds(
    camera: Camera, origins: np.ndarray, axes: np.ndarray, solids: Solids
) -> np.ndarray:
    """First and last pixel (n, 2, 2) that each solid may touch, within the frame."""
    ends = origins + axes[:, :, 2] * solids.heights[:, None]
    both = np.stack([origins, ends], axis=1)
    pixels = project(camera, both)
    depth = to_camera(camera, both)[..., 2]
    stretch = np.linalg.norm(axes, axis=1).max(axis=-1)
    reach = solids.radii * stretch[:, None]
    margin = 1.06 * camera.intrinsics[0, 0] * reach / (depth - reach) + 1.0
    low = np.floor((pixels - margin[..., None]).min(axis=1))
    high = np.ceil((pixels + margin[..., None]).max(axis=1))
    return np.clip(np.stack([low, high], axis=1), 0, IMAGE_SIZE - 1).astype(int)


def visible_surface(
    solids: Solids, camera: Camera, positions: np.ndarray, rotations: np.ndarray
) -> Surface:
    """Finds what a camera sees of a person.

    Args:
      solids: The body.
      camera: The camera.
      positions: (32, 3) joints in the world, metres.
      rotations: (32, 3, 3) rotations of the joints.
    """
    origins, axes = place(solids, positions, rotations)
    inverse = np.linalg.inv(axes)
    starts = np.einsum("nij,nj->ni", inverse, camera.center - origins)
    turns = inverse @ (camera.rotation.T @ np.linalg.inv(camera.intrinsics))
    bounds = _bounds(camera, origins, axes, solids)
    (left, top), (right, bottom) = bounds[:, 0].min(axis=0), bounds[:, 1].max(axis=0)
    offsets = (np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5
    columns = (np.arange(left, right + 1)[:, None] + offsets).ravel()
    rows = (np.arange(top, bottom + 1)[:, None] + offsets).ravel()
    depths = np.full((len(rows), len(columns)), np.inf)
    index = np.full(depths.shape, -1, np.int16)
    low = (bounds[:, 0] - (left, top)) * SAMPLES
    high = (bounds[:, 1] - (left, top) + 1) * SAMPLES
    for i in range(len(starts)):
        window = np.s_[low[i, 1] : high[i, 1], low[i, 0] : high[i, 0]]
        x, y = columns[window[1]], rows[window[0]]
        rays = (turns[i][:, 0, None] * x)[:, None, :] + (
            turns[i][:, 1, None] * y + turns[i][:, 2, None]
        )[:, :, None]
        found = _cone_depths(starts[i], rays, solids.heights[i], solids.radii[i])
        nearer = found < depths[window]
        depths[window][nearer] = found[nearer]
        index[window][nearer] = i
    shape = (bottom - top + 1, SAMPLES, right - left + 1, SAMPLES)
    depths = depths.reshape(shape).swapaxes(1, 2)
    index = index.reshape(shape).swapaxes(1, 2)
    hits = index >= 0
    ids, t = index[hits].astype(int), depths[hits]
    row, column, fine_row, fine_column = np.nonzero(hits)
    pixel = np.stack(
        [
            columns[column * SAMPLES + fine_column],
            rows[row * SAMPLES + fine_row],
            np.ones(len(t)),
        ],
        axis=-1,
    )
    rays = _each(turns, ids, pixel)
    places = starts[ids] + t[:, None] * rays
    normals = _normals(solids, inverse, ids, places)
    return Surface(int(left), int(top), hits, ids, t, places, normals)


def _normals(
    solids: Solids, inverse: np.ndarray, ids: np.ndarray, places: np.ndarray
) -> np.ndarray:
    """Unit normals: away from the centre of the sphere that touches the surface."""
    heights, radii = solids.heights[ids], solids.radii[ids]
    sine = (radii[:, 0] - radii[:, 1]) / np.where(heights > 0, heights, 1.0)
    across = np.hypot(places[:, 0], places[:, 1])
    tangent = sine / np.sqrt(1.0 - sine * sine)
    normals = places.copy()
    normals[:, 2] -= np.clip(places[:, 2] - across * tangent, 0.0, heights)
    normals = _each(np.swapaxes(inverse, 1, 2), ids, normals)
    return normals / np.sqrt((normals * normals) @ np.ones((3, 1)))


def _each(matrices: np.ndarray, ids: np.ndarray, vectors: np.ndarray) -> np.ndarray:
    """`matrices[ids] @ vectors`, (hits, 3)."""
    return np.matmul(matrices[ids], vectors[:, :, None])[:, :, 0]


def rest_places(solids: Solids, surface: Surface) -> np.ndarray:
    """Returns where each hit lies on the body in rest, (hits, 3) metres."""
    moved = _each(solids.axes, surface.solids, surface.places)
    return solids.rest_origins[surface.solids] + moved


def _cloth_colours(cloth: Cloth, rest: np.ndarray, neck: np.ndarray) -> np.ndarray:
    """Colours (points, 3) of a cloth at points of the body in rest."""
    x, y, z = rest.T
    period = cloth.period_m
    match cloth.pattern:
        case "plain":
            share = np.zeros_like(x)
        case "stripes":
            share = (np.mod(z, period) < 0.38 * period).astype(float)
        case "pinstripes":
            share = (np.mod(x + 0.6 * y, period) < 0.25 * period).astype(float)
        case "checks":
            share = 0.5 * (np.mod(z, period) < 0.4 * period)
            share = share + 0.5 * (np.mod(x + 0.5 * y, period) < 0.4 * period)
        case "print":
            sign = np.hypot(x / 0.085, (z - neck[2] + 0.19) / 0.075)
            share = ((sign < 1.0) & (sign > 0.0) & (y > 0.03)).astype(float)
            share *= 1.0 - 0.8 * (sign < 0.45)
        case "zip":
            share = ((np.abs(x) < 0.045) & (y > 0.04)).astype(float)
        case "face":
            share = _face(rest - neck - np.array(FACE_CENTER_M))
        case other:
            raise ValueError(
                f"pattern is {other!r}; expected 'plain', 'stripes', 'pinstripes', "
                "'checks', 'print', 'zip' or 'face'."
            )
    colours = np.asarray(cloth.colour) * (1 - share[:, None])
    colours = colours + np.asarray(cloth.second) * share[:, None]
    if cloth.pattern != "face":
        weave = np.sin(83.0 * x + 2.0 * np.sin(61.0 * z)) * np.sin(97.0 * z + 71.0 * y)
        colours = colours * (1.0 + 0.07 * weave[:, None])
    return colours


def _face(offsets: np.ndarray) -> np.ndarray:
    """Share of dark: eyes, brows and mouth; `offsets` from the centre of the head."""
    x, y, z = offsets.T
    front = y > 0.03
    eyes = np.hypot((np.abs(x) - 0.031) / 0.014, (z - 0.008) / 0.010) < 1.0
    brows = np.hypot((np.abs(x) - 0.032) / 0.021, (z - 0.034) / 0.006) < 1.0
    mouth = np.hypot(x / 0.027, (z + 0.062) / 0.008) < 1.0
    return front * (0.95 * eyes + 0.7 * brows * ~eyes + 0.55 * mouth)


def shade(solids: Solids, camera: Camera, surface: Surface) -> np.ndarray:
    """Returns the colours of all hits, (hits, 3), 0..1."""
    rest = rest_places(solids, surface)
    neck = (
        solids.rest_origins[solids.joints == 13][0]
        - solids.origins[solids.joints == 13][0]
    )
    colours = np.empty((len(rest), 3))
    cloth = solids.cloth_indices[surface.solids]
    for i, look in enumerate(solids.cloths):
        worn = cloth == i
        if worn.any():
            colours[worn] = _cloth_colours(look, rest[worn], neck)
    facing = surface.normals @ -camera.rotation[2]
    lit = np.maximum(surface.normals @ LIGHT, 0.0)
    sky = 0.5 + 0.5 * surface.normals[:, 2]
    light = (0.40 + 0.22 * sky + 0.52 * lit) * (0.72 + 0.28 * np.clip(facing, 0, 1))
    return np.clip(colours * light[:, None], 0.0, 1.0)


def paint(
    background: np.ndarray, surface: Surface, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Puts a person into the picture.

    Args:
      background: (256, 256, 3) float32, 0..255.
      surface: What is seen of the person.
      colours: (hits, 3) from `shade`.

    Returns:
      The frame (256, 256, 3) uint8 RGB and the person mask (256, 256) bool: pixels of
      which at least half the samples hit the person.
    """
    rows, columns = surface.hits.shape[:2]
    samples = np.zeros((*surface.hits.shape, 3), np.float32)
    samples[surface.hits] = colours
    cover = _sum_of_samples(surface.hits.astype(np.float32)) / SAMPLES**2
    drawn = _sum_of_samples(samples) * (255.0 / SAMPLES**2)
    region = np.s_[
        surface.top : surface.top + rows, surface.left : surface.left + columns
    ]
    image = background.copy()
    image[region] = image[region] * (1 - cover[..., None]) + drawn
    mask = np.zeros(image.shape[:2], bool)
    mask[region] = cover >= 0.5
    return np.clip(np.rint(image), 0, 255).astype(np.uint8), mask


def _sum_of_samples(samples: np.ndarray) -> np.ndarray:
    """Sum over axes 2 and 3; several times faster than `sum` on these short axes."""
    return sum(samples[:, :, i, j] for i in range(SAMPLES) for j in range(SAMPLES))


def mask_box(mask: np.ndarray) -> np.ndarray:
    """Returns the box `[[x0, y0], [x1, y1]]` of first and last set pixels, float64."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return np.array([[columns[0], rows[0]], [columns[-1], rows[-1]]], np.float64)
