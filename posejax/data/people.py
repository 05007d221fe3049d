"""Where the person is: boxes for every frame of a video, from any source.

A box is `[[x0, y0], [x1, y1]]` in source pixels (upright frame). `Boxes` holds one per
frame and says in which frames there is none. Boxes come from a file of detections
(`read_boxes`), from one box for the whole video (`fixed_box`), from detected joints
(`boxes_from_joints`) or from the motion before a fixed camera
(`posejax.data.background_boxes`). The last needs a person who moves: whoever stays
exactly in one place from the first frame to the last is part of the background, and
then boxes or joints of a detector are the way.
"""

import itertools
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Bool, Float, Float32, Real

BOX_KEYS = ("frame", "box", "video", "score")

# A box that a detector drew a little over the edge is cut; one that is mostly outside
# belongs to another picture size.
LEAST_SHARE_INSIDE = 0.5


class Boxes(NamedTuple):
    """One box per frame of a video.

    Attributes:
      boxes: `(frames, 2, 2)` float32, source pixels; zeros where there is none.
      valid: `(frames,)` whether the frame has a box.
    """

    boxes: Float32[np.ndarray, "frames 2 2"]
    valid: Bool[np.ndarray, " frames"]


def fixed_box(
    box: Real[np.ndarray, "2 2"], *, num_frames: int, image_size: tuple[int, int]
) -> Boxes:
    """The same box in every frame.

    Args:
      box: The box, source pixels.
      num_frames: Number of frames of the video.
      image_size: `(width, height)` of the frames.

    Returns:
      The boxes.

    Raises:
      ValueError: The box is reversed, empty or outside the image.
    """
    checked = _inside(np.asarray(box, np.float64), image_size, where="box")
    repeated = np.repeat(checked[None].astype(np.float32), num_frames, axis=0)
    return Boxes(repeated, np.ones(num_frames, bool))


def boxes_from_joints(
    joints: Float[np.ndarray, "frames joints 2"],
    valid: Bool[np.ndarray, "frames joints"],
    *,
    image_size: tuple[int, int],
    margin: float = 0.1,
    least_joints: int = 4,
) -> Boxes:
    """Boxes around detected joints, for people whom background subtraction misses.

    Args:
      joints: Joints, source pixels.
      valid: Which of them were detected.
      image_size: `(width, height)` of the frames.
      margin: What is added on every side, in heights of the box: joints end at ankles
        and wrists, people do not.
      least_joints: Frames with fewer joints have no box.

    Returns:
      The boxes, cut at the edge of the image.

    Raises:
      ValueError: No frame has enough joints.
    """
    enough = valid.sum(axis=1) >= least_joints
    if not enough.any():
        raise ValueError(
            f"joints has no frame with {least_joints} or more valid joints; no person "
            "found. Give boxes instead."
        )
    low = np.where(valid[..., None], joints, np.inf).min(axis=1)
    high = np.where(valid[..., None], joints, -np.inf).max(axis=1)
    low, high = low[enough], high[enough]
    extra = margin * (high[:, 1:] - low[:, 1:])
    edge = np.asarray(image_size, np.float64)
    boxes = np.zeros((len(joints), 2, 2), np.float32)
    boxes[enough, 0] = np.clip(low - extra, 0, edge)
    boxes[enough, 1] = np.clip(high + extra, 0, edge)
    # Joints that all lie outside the image leave a box without area.
    enough &= np.all(boxes[:, 1] > boxes[:, 0], axis=1)
    return Boxes(np.where(enough[:, None, None], boxes, 0).astype(np.float32), enough)


def read_boxes(
    path: str | Path,
    *,
    num_frames: int,
    image_size: tuple[int, int],
    video: str | None = None,
    track: int | None = None,
) -> Boxes:
    """Reads the boxes of one video from a file of detections.

    Two forms are understood. JSON lines, one detection each, frames counted from 0::

      {"frame": 0, "box": [412.0, 90.5, 640.0, 800.0], "video": "walk", "score": 0.9}

    where `video` and `score` are optional and the best detection of a frame is taken;
    and the text of the MOT challenge (ending `.txt`), `frame,id,x,y,width,height,conf,
    ...`, frames counted from 1, where the longest track is taken, the most confident
    one among equals. MOT rows with confidence 0 are marked as ignored and left out.

    Args:
      path: The file.
      num_frames: Number of frames of the video.
      image_size: `(width, height)` of the frames.
      video: Keeps only JSON lines of that video (lines that name none always count).
      track: The identity to take from a MOT file.

    Returns:
      The boxes, cut at the edge of the image.

    Raises:
      FileNotFoundError: The file is missing.
      ValueError: A line cannot be understood, has unknown keys, a frame that the video
        lacks or a box outside the image; or there is no box at all.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; give a file of boxes.")
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise ValueError(
            f"{path} is not a text file; expected JSON lines or MOT text."
        ) from error
    rows = [(f"{path}:{n}", line) for n, line in enumerate(lines, 1) if line.strip()]
    if path.suffix.lower() == ".txt":
        found = _longest_track(path, map(_mot_row, rows), track)
    else:
        found = _best_detections(map(_json_row, rows), video)
    boxes, valid = np.zeros((num_frames, 2, 2), np.float32), np.zeros(num_frames, bool)
    for frame, (where, box) in found.items():
        if not 0 <= frame < num_frames:
            raise ValueError(
                f"{where}: frame is {frame}; the video has frames 0 to "
                f"{num_frames - 1}. Is the file that of another video?"
            )
        boxes[frame], valid[frame] = _inside(box, image_size, where=where), True
    if not valid.any():
        raise ValueError(f"{path} has no box for this video; no person found.")
    return Boxes(boxes, valid)


def fill_gaps(boxes: Boxes, *, longest: int) -> Boxes:
    """Fills frames without a box between two with one, linearly.

    Args:
      boxes: The boxes.
      longest: Gaps of more frames than this stay as they are.

    Returns:
      The boxes with short gaps filled; before the first and after the last box nothing
      is added.
    """
    known = np.flatnonzero(boxes.valid)
    filled, valid = boxes.boxes.copy(), boxes.valid.copy()
    for before, after in itertools.pairwise(known):
        if 1 < after - before <= longest + 1:
            share = np.linspace(0, 1, after - before + 1)[1:-1, None, None]
            between = (1 - share) * filled[before] + share * filled[after]
            filled[before + 1 : after] = between
            valid[before + 1 : after] = True
    return Boxes(filled, valid)


def smooth(boxes: Boxes, *, window: int) -> Boxes:
    """Replaces every side of a box by its median over neighbouring frames.

    Args:
      boxes: The boxes.
      window: Odd number of frames; only those with a box take part.

    Returns:
      The boxes; which frames have one does not change.
    """
    half = window // 2
    moved = boxes.boxes.copy()
    for t in np.flatnonzero(boxes.valid):
        near = slice(max(0, t - half), t + half + 1)
        moved[t] = np.median(boxes.boxes[near][boxes.valid[near]], axis=0)
    return Boxes(moved, boxes.valid.copy())


def _inside(box: np.ndarray, image_size: tuple[int, int], *, where: str) -> np.ndarray:
    """Returns the part of the box inside the image, or refuses it."""
    text = f"{where} is [x0, y0, x1, y1] = {np.round(box.ravel(), 1).tolist()}"
    if not np.all(np.isfinite(box)) or np.any(box[1] <= box[0]):
        raise ValueError(f"{text}; expected finite numbers, x0 < x1 and y0 < y1.")
    cut = np.clip(box, 0, np.asarray(image_size, np.float64))
    share = np.prod(np.maximum(cut[1] - cut[0], 0)) / np.prod(box[1] - box[0])
    if share < LEAST_SHARE_INSIDE:
        width, height = image_size
        raise ValueError(
            f"{text}, outside the image of {width} x {height} pixels; give boxes in "
            "pixels of the upright video."
        )
    return cut


class _Row(NamedTuple):
    where: str
    frame: int
    box: np.ndarray
    score: float
    name: Any  # the video of a JSON line, the identity of a MOT row


def _json_row(row: tuple[str, str]) -> _Row:
    where, line = row
    try:
        entry = json.loads(line)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where}: no JSON ({error.msg}).") from error
    if not isinstance(entry, dict) or not {"frame", "box"} <= set(entry):
        raise ValueError(f"{where}: expected an object with 'frame' and 'box'.")
    if unknown := sorted(set(entry) - set(BOX_KEYS)):
        raise ValueError(f"{where}: unknown key {unknown[0]!r}; allowed: {BOX_KEYS}.")
    frame, score = entry["frame"], entry.get("score", 1.0)
    if not _is_number(frame) or frame != int(frame) or not _is_number(score):
        raise ValueError(f"{where}: 'frame' must be an integer, 'score' a number.")
    box = entry["box"]
    if not isinstance(box, list) or len(box) != 4 or not all(map(_is_number, box)):
        raise ValueError(f"{where}: 'box' must be four numbers [x0, y0, x1, y1].")
    corners = np.array(box, np.float64).reshape(2, 2)
    return _Row(where, int(frame), corners, float(score), entry.get("video"))


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and bool(np.isfinite(value))
    )


def _mot_row(row: tuple[str, str]) -> _Row:
    where, line = row
    try:
        values = [float(v) for v in line.replace(",", " ").split()]
        frame, track, x, y, width, height = values[:6]
        number, name = int(frame) - 1, int(track)
    except (ValueError, OverflowError) as error:
        raise ValueError(
            f"{where}: expected 'frame,id,x,y,width,height,confidence,...' in numbers."
        ) from error
    box = np.array([[x, y], [x + width, y + height]])
    return _Row(where, number, box, values[6] if len(values) > 6 else 1.0, name)


def _best_detections(
    rows: Iterable[_Row], video: str | None
) -> dict[int, tuple[str, np.ndarray]]:
    best: dict[int, _Row] = {}
    for row in rows:
        if video is not None and row.name not in (None, video):
            continue
        if row.frame not in best or row.score > best[row.frame].score:
            best[row.frame] = row
    return {frame: (row.where, row.box) for frame, row in best.items()}


def _longest_track(
    path: Path, rows: Iterable[_Row], track: int | None
) -> dict[int, tuple[str, np.ndarray]]:
    tracks: dict[int, list[_Row]] = {}
    for row in rows:
        if row.score != 0:
            tracks.setdefault(row.name, []).append(row)
    if not tracks:
        return {}
    if track is None:
        track = max(
            tracks,
            key=lambda t: (len(tracks[t]), np.mean([r.score for r in tracks[t]]), -t),
        )
    elif track not in tracks:
        raise ValueError(
            f"{path} has no track {track}; its tracks are {sorted(tracks)[:20]}."
        )
    return {row.frame: (row.where, row.box) for row in tracks[track]}
