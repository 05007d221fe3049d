"""The moving person before a fixed camera, by background subtraction.

Three steps, on frames made small:

1. A background per pixel: the middle of the narrowest interval that holds a third of
   its values over time. Unlike the median it finds a wall behind a person who covers it
   most of the time, because people vary and walls do not.
2. Where a person stood still for most of the video, that is the person. Such a ghost is
   recognised by its outline: in frames where the person is elsewhere, the outline of
   the difference has edges in the background and none in the frame. There the
   background is replaced by the frame.
3. In every frame, what differs from the background is grouped, and the path through the
   groups that is large and steady over time is the person.

Memory is bounded: the video is read twice as a stream, and no more than
`SAMPLED_FRAMES` small frames are held.
"""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
from jaxtyping import Bool, UInt8

from posejax.data import people, video

WORKING_SIDE = 480  # pixels of the longer side that frames are made small to
SAMPLED_FRAMES = 120
INTERVAL_SHARE = 0.3  # of the values in time that agree on the background
LEAST_DIFFERENCE = 22.0  # grey levels; twice what video compression leaves
NOISE_FACTOR = 6.0
SHADOW_RATIO = (0.55, 1.0)  # a shadow is darker by no more than this...
SHADOW_CHROMA = 0.025  # ...and has the colour of the ground
GHOST_RATIO = 1.3  # by how much the outline is sharper in the background
LEAST_AREA = 0.003  # of the picture, for a person
JOINED_DISTANCE = 0.03  # of the longer side: limbs this near belong together
SHAPES = (0.35, 8.0)  # height / width of a person
LEAST_PART = 0.0003  # of the picture, for a limb torn off by a gap in the mask
MOST_GROUPS = 12
LEAST_HEIGHT = 0.65  # of the median height: less is a person half out of the picture
PART_GAP = 0.15  # of the person's usual height: the widest gap up to a torn off limb
PART_GROWTH = 1.2  # of the person's usual size: nobody grows more by adding limbs
NOBODY = 0.25  # of the person's usual area: less is nobody
SMOOTHED_FRAMES = 5
LONGEST_GAP = 15  # frames

Small = UInt8[np.ndarray, "height width 3"]
Mask = Bool[np.ndarray, "height width"]


class _Group(NamedTuple):
    box: np.ndarray  # (4,) x0, y0, x1, y1 in small pixels
    area: float


def background_boxes(
    source: str | Path | Callable[[], Iterable[np.ndarray]],
    *,
    watch: Callable[[Iterable[np.ndarray]], Iterable[np.ndarray]] = iter,
) -> people.Boxes:
    """Finds the moving person in a video of a fixed camera.

    Args:
      source: A path that `posejax.data.video` reads, or a function that returns a new
        iterator over the uint8 RGB frames `(height, width, 3)` each time (it is called
        twice).
      watch: Wraps the frames of either pass, to show how far it is.

    Returns:
      One box per frame, source pixels, short gaps filled. Frames in which less than
      half of the person's usual height is seen have none.

    Raises:
      ValueError: Nothing that could be a person moves.
    """
    if callable(source):
        frames, name = source, "the video"
    else:
        frames, name = (lambda: video.read_frames(source)), str(source)
    background, threshold = background_model(_samples(watch(frames())))
    groups, scale = [], np.ones(2)
    for frame in watch(frames()):
        image = _small(frame)
        scale = np.array(frame.shape[1::-1]) / np.array(image.shape[1::-1])
        groups.append(_groups(foreground(image, background, threshold=threshold)))
    boxes = _with_parts(_path(groups, background.shape), groups)
    boxes = _tall_enough(boxes)
    if boxes.valid.sum() < 2:
        raise ValueError(
            f"no person found in {name}: nothing of a person's size moves before the "
            "background. Is the camera fixed? Otherwise give boxes of a detector."
        )
    boxes = people.fill_gaps(boxes, longest=LONGEST_GAP)
    boxes = people.smooth(boxes, window=SMOOTHED_FRAMES)
    return people.Boxes((boxes.boxes * scale).astype(np.float32), boxes.valid)


def background_model(
    samples: UInt8[np.ndarray, "frames height width 3"],
) -> tuple[Small, float]:
    """Estimates the picture without the person.

    Args:
      samples: Frames spread over the whole video.

    Returns:
      The background, and the difference in grey levels that is more than noise.
    """
    middle = samples[len(samples) // 2]
    samples = np.stack([_exposed_as(sample, middle) for sample in samples])
    background = _steadiest_values(samples)
    noise = float(np.median([_noise(s, background) for s in samples[::4]]))
    threshold = max(LEAST_DIFFERENCE, NOISE_FACTOR * noise)
    for _ in range(2):
        for image in samples[:: max(1, len(samples) // 30)]:
            background = _without_ghosts(image, background, threshold)
    return background, threshold


def foreground(image: Small, background: Small, *, threshold: float) -> Mask:
    """Pixels of an image that differ from the background and are no shadow."""
    frame = cv2.GaussianBlur(image, (3, 3), 0).astype(np.float32)
    frame *= _gain(image, background)
    behind = cv2.GaussianBlur(background, (3, 3), 0).astype(np.float32)
    differs = _largest_channel(np.abs(frame - behind)) > threshold
    light = _light(frame)
    light_behind = _light(behind)
    chroma = _largest_channel(np.abs(frame / light - behind / light_behind))
    ratio = (light / light_behind)[..., 0]
    low, high = SHADOW_RATIO
    shadow = (ratio > low) & (ratio < high) & (chroma < SHADOW_CHROMA)
    mask = (differs & ~shadow).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
    around = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (9, 9))
    return cv2.morphologyEx(mask, cv2.MORPH_CLOSE, around).astype(bool)


def _largest_channel(image: np.ndarray) -> np.ndarray:
    # Ten times faster than a reduction over an axis of three.
    return np.maximum(np.maximum(image[..., 0], image[..., 1]), image[..., 2])


def _light(image: np.ndarray) -> np.ndarray:
    return (image[..., 0] + image[..., 1] + image[..., 2] + 1.0)[..., None]


def _small(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        return frame
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return cv2.resize(frame, size, interpolation=cv2.INTER_AREA)


def _samples(frames: Iterable[np.ndarray]) -> np.ndarray:
    """Returns small frames evenly spread in time, without knowing how many come."""
    kept: list[np.ndarray] = []
    stride = 1
    for index, frame in enumerate(frames):
        if index % stride == 0:
            small = _small(frame)
            if kept and small.shape != kept[0].shape:
                raise ValueError(
                    f"frame {index} has another size than frame 0; background "
                    "subtraction needs a fixed camera and one size."
                )
            kept.append(small)
        if len(kept) > SAMPLED_FRAMES:
            kept, stride = kept[::2], 2 * stride
    if len(kept) < 3:
        raise ValueError(
            f"{len(kept)} frame(s) are too few to tell a person from the background; "
            "give a box."
        )
    return np.stack(kept)


def _steadiest_values(samples: np.ndarray) -> np.ndarray:
    held = max(2, round(INTERVAL_SHARE * len(samples)))
    rows = []
    for row in range(samples.shape[1]):  # row by row: int16 copies stay small
        ordered = np.sort(samples[:, row].astype(np.int16), axis=0)
        widths = ordered[held - 1 :] - ordered[: len(ordered) - held + 1]
        middle = widths.argmin(axis=0) + held // 2
        rows.append(np.take_along_axis(ordered, middle[None], axis=0)[0])
    return np.stack(rows).astype(np.uint8)


def _gain(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    """Returns the factor per channel that undoes automatic exposure."""
    # 8 grey levels keep black pixels from deciding.
    ratio = (background[::4, ::4] + 8.0) / (image[::4, ::4] + 8.0)
    return np.median(ratio.reshape(-1, 3), axis=0).astype(np.float32)


def _exposed_as(image: np.ndarray, background: np.ndarray) -> np.ndarray:
    return np.clip(image * _gain(image, background), 0, 255).astype(np.uint8)


def _noise(image: np.ndarray, background: np.ndarray) -> float:
    error = np.abs(image[::4, ::4].astype(np.float32) - background[::4, ::4])
    return 1.4826 * float(np.median(error))


def _without_ghosts(
    image: np.ndarray, background: np.ndarray, threshold: float
) -> np.ndarray:
    mask = foreground(image, background, threshold=threshold).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask)
    sharper = _edges(background) - _edges(image)
    square = np.ones((5, 5), np.uint8)
    patched = background.copy()
    for label in range(1, count):
        if stats[label, cv2.CC_STAT_AREA] < 0.25 * LEAST_AREA * mask.size:
            continue
        part = (labels == label).astype(np.uint8)
        grown = cv2.dilate(part, square)
        outline = sharper[(grown - cv2.erode(part, square)) > 0]
        if np.maximum(outline, 0).mean() > GHOST_RATIO * np.maximum(-outline, 0).mean():
            patched[grown > 0] = _exposed_as(image, background)[grown > 0]
    return patched


def _edges(image: np.ndarray) -> np.ndarray:
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    across = cv2.Sobel(grey, cv2.CV_32F, 1, 0)
    return cv2.magnitude(across, cv2.Sobel(grey, cv2.CV_32F, 0, 1))


def _groups(mask: np.ndarray) -> list[_Group]:
    """Returns the largest groups of nearby foreground pixels, largest first."""
    reach = 2 * round(JOINED_DISTANCE * max(mask.shape) / 2) + 1
    joined = cv2.dilate(mask.astype(np.uint8), np.ones((reach, reach), np.uint8))
    count, labels, _, _ = cv2.connectedComponentsWithStats(joined)
    found = []
    for label in range(1, count):
        y, x = np.nonzero((labels == label) & mask)
        if len(x) >= LEAST_PART * mask.size:
            box = np.array([x.min(), y.min(), x.max() + 1, y.max() + 1], np.float64)
            found.append(_Group(box, float(len(x))))
    return sorted(found, key=lambda group: -group.area)[:MOST_GROUPS]


def _person_like(groups: list[_Group], image_area: int) -> list[_Group]:
    def fits(group: _Group) -> bool:
        width, height = (group.box[2:] - group.box[:2]).tolist()
        shaped = SHAPES[0] <= height / width <= SHAPES[1]
        return shaped and group.area >= LEAST_AREA * image_area

    return [group for group in groups if fits(group)]


def _path(groups: list[list[_Group]], shape: tuple[int, ...]) -> people.Boxes:
    """Chooses one group per frame: large, and near that of the frame before."""
    diagonal = float(np.hypot(shape[0], shape[1]))
    candidates = [_person_like(g, shape[0] * shape[1]) for g in groups]
    largest = [g[0].area for g in candidates if g]
    typical = float(np.median(largest)) if largest else 1.0
    best, back = np.zeros(1), []  # state 0 is "nobody"; it costs and brings nothing
    before: list[_Group] = []
    for now in candidates:
        gains = np.array([0.0] + [min(g.area / typical, 1.0) - NOBODY for g in now])
        cost = np.zeros((len(now) + 1, len(before) + 1))
        for i, group in enumerate(now):
            for j, last in enumerate(before):
                moved = float(np.abs(group.box - last.box).mean()) / diagonal
                cost[i + 1, j + 1] = min(20.0 * moved, 2.0)
        total = best[None, :] - cost
        back.append(total.argmax(axis=1))
        best, before = gains + total.max(axis=1), now
    state, chosen = int(best.argmax()), []
    for came_from in reversed(back):
        chosen.append(state)
        state = int(came_from[state])
    boxes = np.zeros((len(groups), 2, 2), np.float32)
    valid = np.array([state > 0 for state in chosen[::-1]], bool)
    for t in np.flatnonzero(valid):
        boxes[t] = candidates[t][chosen[-1 - t] - 1].box.reshape(2, 2)
    return people.Boxes(boxes, valid)


def _with_parts(boxes: people.Boxes, groups: list[list[_Group]]) -> people.Boxes:
    """Adds groups nearby as long as the person does not become unusually large."""
    if not boxes.valid.any():
        return boxes
    sizes = boxes.boxes[boxes.valid, 1] - boxes.boxes[boxes.valid, 0]
    usual = np.array([np.percentile(sizes[:, 0], 95), np.percentile(sizes[:, 1], 75)])
    whole = boxes.boxes.copy()
    for t in np.flatnonzero(boxes.valid):
        # Nearer groups first: a lower leg joins by way of the thigh.
        for group in sorted(groups[t], key=lambda g: _gap(g.box, boxes.boxes[t])):
            corners = group.box.reshape(2, 2)
            low = np.minimum(whole[t, 0], corners[0])
            high = np.maximum(whole[t, 1], corners[1])
            near = _gap(group.box, whole[t]) <= PART_GAP * usual[1]
            if near and np.all(high - low <= PART_GROWTH * usual):
                whole[t] = low, high
    return people.Boxes(whole, boxes.valid)


def _gap(box: np.ndarray, other: np.ndarray) -> float:
    box, other = box.reshape(2, 2), other.reshape(2, 2)
    apart = np.maximum(box[0] - other[1], other[0] - box[1])
    return float(np.maximum(apart, 0).max())


def _tall_enough(boxes: people.Boxes) -> people.Boxes:
    if not boxes.valid.any():
        return boxes
    heights = boxes.boxes[:, 1, 1] - boxes.boxes[:, 0, 1]
    usual = np.median(heights[boxes.valid])
    valid = boxes.valid & (heights >= LEAST_HEIGHT * usual)
    kept = np.where(valid[:, None, None], boxes.boxes, 0).astype(np.float32)
    return people.Boxes(kept, valid)
