"""Checks of keypoints that come in somebody's file: joints, shapes, numbers.

What is wrong is said in one line that names the file, the array and the layout.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from posejax import checks
from posejax.data.keypoint_layouts import (
    LAYOUT_OF_SKELETON,
    LAYOUT_SKELETONS,
    LAYOUTS,
    KeypointLayout,
)

# No person's keypoints stay this near to the corner; normalised coordinates do.
_LARGEST_NORMALIZED = 1.5


def identified_layout(
    name: str | None, joints: tuple[str, ...] | None, where: str
) -> str:
    """Returns the key of a layout in `LAYOUTS`, from its name or its joints or both.

    Args:
      name: Key, or name of a joint set; None if unknown.
      joints: Names of the joints in order; None if unknown.
      where: Name of the file, for errors.

    Raises:
      ValueError: If neither is known, the layout is unknown, or the joints are others
        or in another order.
    """
    if name is None and joints is None:
        raise ValueError(
            f"{where} does not say which joints its keypoints are; add layout, one of "
            f"{', '.join(LAYOUTS)}, or keypoint_names."
        )
    if name is None:
        same = [
            k for k, s in LAYOUT_SKELETONS.items() if set(s.joints) == set(joints or ())
        ]
        if not same:
            raise ValueError(
                f"keypoint names of {where} are {', '.join(joints or ())}; expected "
                f"those of one of {', '.join(LAYOUTS)}."
            )
        name = same[0]
    key = LAYOUT_OF_SKELETON.get(name, name)
    checks.require_choice(f"layout of {where}", key, LAYOUTS)
    expected = LAYOUT_SKELETONS[key].joints
    if joints is None or joints == expected:
        return key
    if len(joints) != len(expected):
        raise ValueError(
            f"{where} names {len(joints)} keypoints; layout {key!r} has "
            f"{len(expected)}: {', '.join(expected)}."
        )
    wrong = next(i for i, one in enumerate(joints) if one != expected[i])
    raise ValueError(
        f"keypoint {wrong} of {where} is {joints[wrong]!r}; layout {key!r} has "
        f"{expected[wrong]!r} there: bring the keypoints into the order "
        f"{', '.join(expected)}."
    )


def require_known_layout(layout: KeypointLayout, path: pathlib.Path) -> None:
    """Checks that a layout is the one of its name: which joint is left of which.

    Raises:
      ValueError: If the name is unknown, or the sides are others.
    """
    checks.require_choice(f"layout_name of {path}", layout.name, LAYOUTS)
    expected = LAYOUTS[layout.name]
    if layout != expected:
        raise ValueError(
            f"keypoints_symmetry of {path} is {layout.left}, {layout.right} of "
            f"{layout.num_joints} joints; layout {layout.name!r} has {expected.left}, "
            f"{expected.right} of {expected.num_joints}: its joints are in another "
            "order."
        )


def checked_keypoints(
    array: np.ndarray, layout: KeypointLayout, where: str
) -> Float[np.ndarray, "frames joints 2"]:
    """Returns keypoints as float32 without further columns (confidences).

    Args:
      array: (frames, joints, 2 or more), pixels.
      layout: Which joints there should be.
      where: What and of which file, for errors; a plural.

    Raises:
      ValueError: If number or shape are wrong, a joint is not finite, there is no
        frame, or the coordinates cannot be pixels.
    """
    fits = array.ndim == 3 and array.shape[2] >= 2 and array.dtype.kind in "fiu"
    if not fits:
        raise ValueError(
            f"{where} have shape {array.shape} ({array.dtype}); expected numbers "
            f"(frames, {layout.num_joints} joints of {layout.name}, 2 or more)."
        )
    if array.shape[1] != layout.num_joints:
        raise ValueError(
            f"{where} have {array.shape[1]} joints; layout {layout.name!r} has "
            f"{layout.num_joints}."
        )
    if not len(array):
        raise ValueError(f"{where} have no frames; expected at least one.")
    array = array[..., :2].astype(np.float32)
    finite = np.isfinite(array).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(
            f"{where} are not finite in {(~finite).sum()} frames, first in frame "
            f"{np.argmin(finite)}; fill in or leave out these frames."
        )
    if np.abs(array).max() <= _LARGEST_NORMALIZED:
        raise ValueError(
            f"{where} lie within {np.abs(array).max():.3g} of 0, as normalised "
            "coordinates (or no detection at all) do; expected pixels."
        )
    return array


def is_number(arrays: Mapping[str, np.ndarray], name: str) -> bool:
    """Says whether an array is there and not nan, which stands for unknown."""
    return name in arrays and not (
        arrays[name].dtype.kind == "f" and np.isnan(arrays[name]).all()
    )


def positive_number(
    arrays: Mapping[str, np.ndarray], name: str, path: pathlib.Path
) -> float:
    """Returns the one number of an array, above 0.

    Raises:
      ValueError: If it is none.
    """
    array = arrays[name]
    if array.size != 1 or array.dtype.kind not in "fiu" or not 0 < array.item() < 1e6:
        raise ValueError(
            f"{name} of {path} is {array.tolist()!r}; expected one positive number."
        )
    return float(array.item())


def shaped_array(
    arrays: Mapping[str, np.ndarray],
    name: str,
    shape: tuple[int, ...],
    path: pathlib.Path,
) -> np.ndarray | None:
    """Returns an array of finite numbers and of a certain shape; None if it is missing.

    Raises:
      ValueError: If it is another.
    """
    array = arrays.get(name)
    if array is None:
        return None
    if array.shape != shape or array.dtype.kind not in "fiu":
        raise ValueError(
            f"{name} of {path} has shape {array.shape} ({array.dtype}); expected "
            f"numbers {shape}."
        )
    if not np.isfinite(array).all():
        raise ValueError(f"{name} of {path} is not finite; correct or remove it.")
    return array
