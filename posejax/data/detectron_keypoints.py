"""Keypoints of a video as Detectron finds them: all people of all frames, with scores.

The inference scripts of VideoPose3D write one npz file per video: `boxes`, `keypoints`
and `segments`, each one row per frame and per row one entry per class, the background
first and the person second; and `metadata`, a dictionary with the width `w` and the
height `h` of the pictures. These are Python objects, hence pickles.

Reference:
  Pavllo, Feichtenhofer, Grangier, Auli, 3D human pose estimation in video with temporal
  convolutions and semi-supervised training, CVPR 2019 (the files' layout).
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from posejax.data.coco_keypoints import ACTION, interpolate_missing
from posejax.data.keypoint_layouts import LAYOUTS
from posejax.data.object_arrays import read_arrays
from posejax.data.pose_files import Keypoints

_LAYOUT = LAYOUTS["coco"]
_PERSON = 1  # class 0 is the background
_SCORE = 4  # a box is x0, y0, x1, y1, score


def is_detectron_output(arrays: Mapping[str, np.ndarray]) -> bool:
    """Says whether the arrays of a file are a detector's, of all people."""
    return {"boxes", "keypoints"} <= set(arrays)


def read_detectron_keypoints(
    path: str | os.PathLike[str], *, allow_pickle: bool = False
) -> Keypoints:
    """Reads what Detectron found in a video.

    Args:
      path: The npz file; its name without `.npz` is that of the video.
      allow_pickle: Whether pickles may be read, as these files are; see `read_arrays`.

    Returns:
      One sequence, see `detectron_keypoints`.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file, or there is nobody in any frame.
    """
    return detectron_keypoints(read_arrays(path, allow_pickle=allow_pickle), path)


def detectron_keypoints(
    arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]
) -> Keypoints:
    """Takes the person with the best box of each frame.

    Frames without a person are interpolated linearly between their neighbours; at the
    ends the nearest is repeated.

    Args:
      arrays: `boxes`, of whose rows the second entry is (people, 5) x0, y0, x1, y1 and
        score; `keypoints`, of whose rows the second entry is (people, 2 or more, 17),
        first x and y in pixels; `metadata`, with `w` and `h`.
      path: The file, whose name without `.npz` is that of the video.

    Returns:
      One sequence of COCO's joints, subject the name of the video, action `custom`.

    Raises:
      ValueError: If arrays are missing or of other shapes, a number is not finite, or
        there is nobody in any frame.
    """
    path = pathlib.Path(path)
    missing = [n for n in ("boxes", "keypoints", "metadata") if n not in arrays]
    if missing:
        raise ValueError(
            f"{path} has no {' and no '.join(missing)}; expected what Detectron writes "
            "of a video: boxes, keypoints and metadata."
        )
    boxes, keypoints = arrays["boxes"], arrays["keypoints"]
    for name, array in (("boxes", boxes), ("keypoints", keypoints)):
        if array.ndim < 1 or not len(array):
            raise ValueError(
                f"{name} of {path} have shape {array.shape}; expected one row per "
                "frame."
            )
    if len(boxes) != len(keypoints):
        raise ValueError(
            f"{path} has boxes of {len(boxes)} frames and keypoints of "
            f"{len(keypoints)}; expected the same number."
        )
    joints = np.zeros((len(boxes), _LAYOUT.num_joints, 2), np.float32)
    known = np.zeros(len(boxes), bool)
    for frame in range(len(boxes)):
        where = f"frame {frame} of {path}"
        person = _best_person(boxes[frame], keypoints[frame], where)
        if person is not None:
            joints[frame], known[frame] = person, True
    if not known.any():
        raise ValueError(
            f"{path} has no person in {len(known)} frames; expected one in some frame."
        )
    name = path.stem
    return Keypoints(
        layout=_LAYOUT,
        positions={(name, ACTION): (interpolate_missing(joints, known),)},
        resolutions={name: _size(arrays["metadata"], path)},
    )


def _best_person(boxes: Any, keypoints: Any, where: str) -> np.ndarray | None:
    """Returns (17, 2) joints of the person class, pixels; None where there is nobody.

    Args:
      boxes: One entry per class.
      keypoints: One entry per class.
      where: Frame and file, for errors.
    """
    rows = _numbers_of_people(boxes, "boxes", where)
    people = _numbers_of_people(keypoints, "keypoints", where)
    if not rows.size or not people.size:
        return None
    if rows.ndim != 2 or rows.shape[1] <= _SCORE:
        raise ValueError(
            f"the boxes of {where} have shape {rows.shape}; expected (people, 5): x0, "
            "y0, x1, y1, score."
        )
    fits = people.ndim == 3 and people.shape[1] >= 2
    if not fits or people.shape[::2] != (len(rows), _LAYOUT.num_joints):
        raise ValueError(
            f"the keypoints of {where} have shape {people.shape}; expected ({len(rows)}"
            f" people, 2 or more, {_LAYOUT.num_joints} joints): x and y first."
        )
    best = people[np.argmax(rows[:, _SCORE]), :2].T
    if not np.isfinite(rows).all() or not np.isfinite(best).all():
        raise ValueError(
            f"{where} has boxes or keypoints that are not finite; leave its people out."
        )
    return best


def _numbers_of_people(classes: Any, what: str, where: str) -> np.ndarray:
    try:
        return np.asarray(classes[_PERSON], np.float32)
    except (IndexError, KeyError, TypeError, ValueError):
        raise ValueError(
            f"the {what} of {where} hold no numbers of a second class, the person; "
            "expected what Detectron writes."
        ) from None


def _size(metadata: np.ndarray, path: pathlib.Path) -> tuple[int, int]:
    content = metadata.item() if metadata.shape == () else None
    try:
        size = (int(content["w"]), int(content["h"]))  # pyright: ignore
    except (KeyError, TypeError, ValueError):
        size = (0, 0)
    if min(size) < 1:
        raise ValueError(
            f"metadata of {path} are {content!r}; expected a dictionary with w and h, "
            "the size of the pictures in pixels."
        )
    return size
