"""Pairs of frames drawn as moving textured layers, with exact optical flow.

A layer has places `c` of its own. A point `x` of frame t shows its place
`c = inverse(A_t)(x) + w_t(x)`: A_t is an affine map, w_t a sum of slow waves, at rest
in the first frame. So a frame is drawn by looking every pixel up, and the flow of a
pixel is found by solving `inverse(A_1)(x') + w_1(x') = c` for x'.
"""

from typing import NamedTuple

import cv2
import numpy as np

from datasets.flow_sample.textures import random_texture

WAVES = 3
# Share of the room that the waves may take: below 1 the equation above has one solution
# and its iteration contracts at least so fast.
LARGEST_BEND = 0.35
_ITERATIONS = 14


class DrawnPair(NamedTuple):
    """Two frames and what is known about them.

    Attributes:
      image_1: (height, width, 3) uint8, RGB.
      image_2: The same a moment later.
      flow: (height, width, 2) float32, (x, y) pixels: what is at p in the first frame
        is at p + flow[p] in the second, seen or not.
      occluded: (height, width) bool: hidden in the second frame, or outside of it.
    """

    image_1: np.ndarray
    image_2: np.ndarray
    flow: np.ndarray
    occluded: np.ndarray


class Motion(NamedTuple):
    """How a layer lies in a frame.

    Attributes:
      matrix: (2, 3): places of the layer to pixels.
      amplitudes: (waves, 2) pixels.
      frequencies: (waves, 2) radians per pixel.
      phases: (waves, 2) radians.
    """

    matrix: np.ndarray
    amplitudes: np.ndarray
    frequencies: np.ndarray
    phases: np.ndarray


class Layer(NamedTuple):
    """One thing in the picture.

    Attributes:
      texture: (side, side, 3) float32; its middle is the place (0, 0).
      outline: (places) -> signed distance, positive inside; None covers everything.
      motions: How it lies in the two frames.
    """

    texture: np.ndarray
    outline: "Outline | None"
    motions: tuple[Motion, Motion]


class Outline(NamedTuple):
    """A blob or a capsule.

    Attributes:
      half_length: Half the length of the capsule's axis, 0 for a blob; pixels.
      radius: Mean radius, pixels.
      wobble: (3,) share of the radius, of the 2nd to 4th harmonic.
      phases: (3,) radians.
    """

    half_length: float
    radius: float
    wobble: np.ndarray
    phases: np.ndarray


def drawn_pair(index: int, *, height: int, width: int, seed: int) -> DrawnPair:
    """Draws one pair; a function of its arguments alone.

    Args:
      index: Which pair.
      height: Pixels.
      width: Pixels.
      seed: Another seed gives other pairs throughout.
    """
    rng = np.random.default_rng([seed, index])
    layers = _random_layers(rng, height, width)
    pixels = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1)
    pixels = pixels.astype(np.float64)
    images, shown = [], []
    for t in (0, 1):
        image, top = _drawn(layers, t, pixels)
        images.append(image)
        shown.append(top)
    flow = np.zeros((height, width, 2))
    for number, layer in enumerate(layers):
        here = shown[0] == number
        flow[here] = _later(layer, pixels[here]) - pixels[here]
    occluded = _occluded(layers, shown[0], pixels + flow)
    frames = _exposed(rng, images)
    return DrawnPair(*frames, flow.astype(np.float32), occluded)


def _random_layers(rng: np.random.Generator, height: int, width: int) -> list[Layer]:
    side = int(1.6 * max(height, width))
    center = np.array([width, height]) / 2
    unit = width / 224  # lengths below are pixels of a picture 224 wide
    reach = unit * rng.choice([0.0, 1.0, 3.0, 8.0], p=[0.15, 0.3, 0.35, 0.2])
    camera = _step(rng, reach, turn=0.004 * reach, bend=rng.random() < 0.3)
    layers = [Layer(random_texture(rng, side), None, _motions(rng, center, camera))]
    for _ in range(rng.integers(3, 10)):
        place = rng.uniform([0, 0], [width, height])
        is_limb = rng.random() < 0.45
        outline = Outline(
            unit * rng.uniform(8, 45) if is_limb else 0.0,
            unit * (rng.uniform(4, 12) if is_limb else rng.uniform(10, 48)),
            np.zeros(3) if is_limb else rng.uniform(0, 0.25, 3),
            rng.uniform(0, 2 * np.pi, 3),
        )
        own = unit * rng.choice([0.5, 2.0, 5.0, 11.0], p=[0.2, 0.3, 0.3, 0.2])
        step = _step(rng, own, turn=0.02, bend=rng.random() < 0.5)
        step = step._replace(shift=step.shift + camera.shift)
        texture = random_texture(rng, int(4 * (outline.radius + outline.half_length)))
        layers.append(Layer(texture, outline, _motions(rng, place, step)))
    return layers


class _Step(NamedTuple):
    shift: np.ndarray
    angle: float
    scale: np.ndarray
    bend: float  # of LARGEST_BEND


def _step(rng: np.random.Generator, reach: float, *, turn: float, bend: bool) -> _Step:
    return _Step(
        rng.normal(size=2) * reach,
        rng.normal() * turn * 2.5,
        np.exp(rng.normal() * turn) * np.exp(rng.normal(size=2) * 0.3 * turn),
        rng.uniform(0.1, 1.0) if bend else 0.0,
    )


def _motions(
    rng: np.random.Generator, place: np.ndarray, step: _Step
) -> tuple[Motion, Motion]:
    """Returns how a layer whose middle is at `place` lies in both frames."""
    angle = rng.uniform(0, 2 * np.pi)
    periods = rng.uniform(40, 160, (WAVES, 2))
    directions = rng.choice([-1.0, 1.0], (WAVES, 2))
    frequencies = directions * 2 * np.pi / periods / np.sqrt(2)
    steepness = np.linalg.norm(frequencies, axis=-1, keepdims=True)
    bends = rng.dirichlet(np.ones(WAVES))[:, None] * rng.normal(size=(WAVES, 2))
    limit = LARGEST_BEND * step.bend / (steepness * np.abs(bends)).sum()
    still = np.zeros((WAVES, 2))
    phases = rng.uniform(0, 2 * np.pi, (WAVES, 2))
    before = _affine(angle, np.ones(2), place)
    after = _affine(angle + step.angle, step.scale, place + step.shift)
    return (
        Motion(before, still, frequencies, phases),
        Motion(after, bends * limit, frequencies, phases),
    )


def _affine(angle: float, scale: np.ndarray, shift: np.ndarray) -> np.ndarray:
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.concatenate([turn * scale, shift[:, None]], axis=1)


def _wave(motion: Motion, points: np.ndarray) -> np.ndarray:
    """Returns w(x) at points (..., 2)."""
    angles = points @ motion.frequencies.T  # (..., waves)
    moved = np.sin(angles[..., None] + motion.phases) * motion.amplitudes
    return moved.sum(axis=-2)


def _places(motion: Motion, points: np.ndarray) -> np.ndarray:
    """Returns the places of the layer that points (..., 2) of the frame show."""
    inverse = np.linalg.inv(motion.matrix[:, :2])
    return (points - motion.matrix[:, 2]) @ inverse.T + _wave(motion, points)


def _later(layer: Layer, points: np.ndarray) -> np.ndarray:
    """Returns where points (..., 2) of the first frame are in the second."""
    before, after = layer.motions
    places = _places(before, points)
    later = places @ after.matrix[:, :2].T + after.matrix[:, 2]
    for _ in range(_ITERATIONS):
        rest = places - _wave(after, later)
        later = rest @ after.matrix[:, :2].T + after.matrix[:, 2]
    return later


def _inside(outline: Outline | None, places: np.ndarray) -> np.ndarray:
    """Returns how far places (..., 2) lie inside the outline, pixels."""
    if outline is None:
        return np.full(places.shape[:-1], np.inf)
    x, y = places[..., 0], places[..., 1]
    x = x - np.clip(x, -outline.half_length, outline.half_length)
    angle = np.arctan2(y, x)
    waves = sum(
        w * np.sin(k * angle + p)
        for k, w, p in zip((2, 3, 4), outline.wobble, outline.phases, strict=True)
    )
    return outline.radius * (1 + waves) - np.hypot(x, y)


def _drawn(
    layers: list[Layer], t: int, pixels: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns frame t in 0..1, and which layer each pixel shows."""
    image = np.zeros((*pixels.shape[:2], 3), np.float32)
    top = np.zeros(pixels.shape[:2], np.int64)
    for number, layer in enumerate(layers):
        places = _places(layer.motions[t], pixels)
        inside = _inside(layer.outline, places)
        cover = np.clip(inside + 0.5, 0, 1)[..., None]
        at = (places + (len(layer.texture) - 1) / 2).astype(np.float32)
        color = cv2.remap(
            layer.texture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
        image = (1 - cover) * image + cover * color
        top = np.where(inside > 0, number, top)
    return image, top


def _occluded(layers: list[Layer], shown: np.ndarray, later: np.ndarray) -> np.ndarray:
    """Returns which pixels of the first frame are not seen in the second."""
    height, width = shown.shape
    hidden = np.any((later < 0) | (later > (width - 1, height - 1)), axis=-1)
    for number, layer in enumerate(layers):
        covers = _inside(layer.outline, _places(layer.motions[1], later)) > 0
        hidden |= covers & (shown < number)
    return hidden


def _exposed(
    rng: np.random.Generator, images: list[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Returns the frames as a camera gives them: exposure, blur, noise; uint8."""
    light, blur = np.exp(rng.normal() * 0.1), rng.uniform(0, 0.7)
    noise = rng.choice([0.0, 0.005, 0.02])
    frames = []
    for image in images:
        seen = image * light * np.exp(rng.normal(size=3) * 0.01)
        if blur > 0.25:
            seen = cv2.GaussianBlur(seen, (0, 0), blur)
        seen = seen + noise * rng.standard_normal(seen.shape)
        frames.append(np.clip(np.rint(255 * seen), 0, 255).astype(np.uint8))
    return frames[0], frames[1]
