"""Two-dimensional keypoints in COCO's JSON format, as sequences of one person each.

Reference:
  Lin et al., Microsoft COCO: Common objects in context, ECCV 2014 (the format).
"""

import json
import os
import pathlib
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from posejax.data.keypoint_layouts import LAYOUTS, KeypointLayout
from posejax.data.pose_files import Keypoints

ACTION = "custom"


def read_coco_keypoints(
    path: str | os.PathLike[str],
    *,
    resolution: tuple[int, int] | None = None,
    layout: str = "coco",
) -> Keypoints:
    """Reads keypoints of videos from COCO's JSON: a data set or a list of results.

    A data set has `images` (`id`, `width`, `height`, `file_name`, optionally
    `frame_id` and `video_id`) and `annotations`; a list of results has rows with
    `image_id`, `keypoints` and `score`. In a list the frame is the last number of
    `image_id`, which may be a file name, and all rows belong to one video. In a data
    set a video is a `video_id` or, without any, a folder of `file_name`.

    The best row of a frame counts, by `score`, else by `area`. Frames without a row,
    and joints that a row does not have (three zeros), are interpolated between their
    neighbours, at the ends the nearest is repeated.

    Args:
      path: The JSON file.
      resolution: Width and height of the pictures; needed for a list of results.
      layout: Name of the joint set, a key of `LAYOUTS`.

    Returns:
      One sequence per video, subject the name of the video and action `custom`.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is not such a file, or its joints are not those of the layout,
        or one of them is in no frame of a video.
    """
    content = read_coco_content(path)
    return coco_keypoints(content, path, resolution=resolution, layout=layout)


def read_coco_content(path: str | os.PathLike[str]) -> list[Any] | dict[str, Any]:
    """Reads a file in COCO's format: a list of results, or a data set.

    Args:
      path: The JSON file.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is neither.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected keypoints as COCO JSON.")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    is_data_set = isinstance(content, dict) and all(
        isinstance(content.get(key), list) for key in ("images", "annotations")
    )
    if not isinstance(content, list) and not is_data_set:
        raise ValueError(
            f"{path} is neither a list of results nor a data set with images and "
            "annotations; expected COCO's keypoint format."
        )
    return content


def coco_keypoints(
    content: list[Any] | dict[str, Any],
    path: str | os.PathLike[str],
    *,
    resolution: tuple[int, int] | None = None,
    layout: str = "coco",
) -> Keypoints:
    """Makes sequences of what `read_coco_content` returned.

    Args:
      content: The list of results, or the data set.
      path: Where it comes from: names the video of a list of results, and errors.
      resolution: See `read_coco_keypoints`, as `layout` and what is returned or raised.
      layout: Name of the joint set.
    """
    path = pathlib.Path(path)
    if layout not in LAYOUTS:
        raise ValueError(f"layout is {layout!r}; expected one of {', '.join(LAYOUTS)}.")
    if isinstance(content, list):
        if resolution is None:
            raise ValueError(
                f"{path} is a list of results, which does not say how large the "
                "pictures are; pass resolution=(width, height)."
            )
        named = result_frames(content, path)
        numbers = range(min(named), max(named) + 1)
        videos = {path.stem: [named.get(number) for number in numbers]}
        sizes = {path.stem: resolution}
        rows = content
    else:
        videos, sizes = _videos(content, path)
        rows = content["annotations"]
    best = _best_rows(rows, path)
    positions = {}
    for name, frames in videos.items():
        tracks = _sequence(frames, best, LAYOUTS[layout], f"video {name!r} of {path}")
        positions[name, ACTION] = (tracks,)
    return Keypoints(LAYOUTS[layout], positions, sizes)


def result_frames(rows: list[Any], path: str | os.PathLike[str]) -> dict[int, Any]:
    """Returns the `image_id` of each frame that a list of results has, by its number.

    Args:
      rows: The results.
      path: Where they come from, for errors.

    Raises:
      ValueError: If there is no row, or one without a number.
    """
    frames = {}
    for row in rows:
        if not isinstance(row, dict) or "image_id" not in row:
            raise ValueError(f"a row of {path} has no image_id; expected COCO results.")
        image = row["image_id"]
        if not isinstance(image, int | float | str) or not re.search(r"\d", str(image)):
            raise ValueError(
                f"image_id {image!r} of a row of {path} holds no number; expected that "
                "of its frame."
            )
        frames[_last_number(str(image), image)] = image
    if not frames:
        raise ValueError(f"{path} has no rows.")
    return frames


def interpolate_missing(
    values: Float[np.ndarray, "frames ..."], known: Bool[np.ndarray, " frames"]
) -> Float[np.ndarray, "frames ..."]:
    """Fills unknown frames linearly between known ones; the ends repeat the nearest.

    Args:
      values: What is known per frame.
      known: Which frames are known; at least one.

    Raises:
      ValueError: If no frame is known.

    >>> known = np.array([False, True, False, True])
    >>> interpolate_missing(np.array([9.0, 1.0, 9.0, 3.0]), known).tolist()
    [1.0, 1.0, 2.0, 3.0]
    """
    if not known.any():
        raise ValueError("known has no true frame; expected at least one.")
    frames, places = np.arange(len(values)), np.flatnonzero(known)
    after = np.clip(np.searchsorted(places, frames), 0, len(places) - 1)
    before = np.clip(np.searchsorted(places, frames, side="right") - 1, 0, None)
    low, high = places[before], places[after]
    share = np.clip((frames - low) / np.maximum(high - low, 1), 0, 1)
    share = share.reshape((-1,) + (1,) * (values.ndim - 1)).astype(values.dtype)
    return values[low] * (1 - share) + values[high] * share


def _videos(
    content: Mapping[str, Any], path: pathlib.Path
) -> tuple[dict[str, list[Any]], dict[str, tuple[int, int]]]:
    """Per video the image ids in the order of the frames, and the size."""
    names = {v["id"]: str(v.get("name", v["id"])) for v in content.get("videos", ())}
    members: dict[str, list[tuple[Any, Any]]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for image in content["images"]:
        try:
            size = (int(image["width"]), int(image["height"]))
            file_name = str(image.get("file_name", ""))
            order = image.get("frame_id")
            order = _last_number(file_name, image["id"]) if order is None else order
            if "video_id" in image:
                name = names.get(image["video_id"], str(image["video_id"]))
            else:
                name = pathlib.PurePosixPath(file_name).parent.name or path.stem
            number = image["id"]
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"an image of {path} lacks {error}; expected id, width, height, and "
                "file_name or frame_id."
            ) from error
        if sizes.setdefault(name, size) != size:
            raise ValueError(
                f"video {name!r} of {path} has images of {sizes[name]} and {size} "
                "pixels; pictures of one video must have one size."
            )
        members.setdefault(name, []).append((order, number))
    if not members:
        raise ValueError(f"{path} has no images.")
    ordered = {
        name: [number for _, number in sorted(entries, key=lambda entry: entry[0])]
        for name, entries in members.items()
    }
    return ordered, sizes


def _last_number(text: str, otherwise: Any) -> int:
    digits = re.findall(r"\d+", pathlib.PurePosixPath(text).stem)
    return int(digits[-1]) if digits else int(otherwise)


def _best_rows(rows: list[Any], path: pathlib.Path) -> dict[Any, Any]:
    best: dict[Any, Any] = {}
    for row in rows:
        if not isinstance(row, dict) or not {"image_id", "keypoints"} <= set(row):
            raise ValueError(
                f"a row of {path} lacks image_id or keypoints; expected COCO's "
                "keypoint format."
            )
        if row.get("iscrowd"):
            continue
        known = best.get(row["image_id"])
        if known is None or _rank(row) > _rank(known):
            best[row["image_id"]] = row
    return best


def _rank(row: Mapping[str, Any]) -> tuple[float, float]:
    return float(row.get("score", 0)), float(row.get("area", 0))


def _sequence(
    frames: list[Any], best: Mapping[Any, Any], layout: KeypointLayout, where: str
) -> np.ndarray:
    joints = np.zeros((len(frames), layout.num_joints, 2), np.float32)
    known = np.zeros(joints.shape[:2], bool)
    for frame, image in enumerate(frames):
        row = None if image is None else best.get(image)
        if row is None:
            continue
        numbers = np.asarray(row["keypoints"], np.float32)
        if numbers.shape != (3 * layout.num_joints,):
            raise ValueError(
                f"keypoints of image {image!r} in {where} have {numbers.size} numbers; "
                f"expected {3 * layout.num_joints}: x, y and visibility of the "
                f"{layout.num_joints} joints of {layout.name}."
            )
        rows = numbers.reshape(-1, 3)
        # An unlabelled joint is written as three zeros.
        joints[frame], known[frame] = rows[:, :2], (rows != 0).any(axis=-1)
    if not known.any() or not np.isfinite(joints).all():
        found = "no person" if not known.any() else "numbers that are not finite"
        raise ValueError(f"{where} has {found}; expected a person in some frame.")
    never = np.flatnonzero(~known.any(axis=0))
    if len(never):
        raise ValueError(
            f"{where} has joints {never.tolist()} of {layout.name} in no frame; "
            "expected each of the joints to be found in some frame."
        )
    each = [interpolate_missing(joints[:, j], known[:, j]) for j in range(len(known.T))]
    return np.stack(each, axis=1)
