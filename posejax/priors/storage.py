"""Prior files: npz without pickle, with a description in JSON inside.

The arrays are those of the parameter files converted from the published ones, which are
read too; of these, statistics that serve no loss are passed over. A file says which
bones it is for, in which order, and is refused if they are others.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from posejax.geometry.bones import (
    BONE_PARENTS,
    BONES,
    FREE_BONE_TABLE,
    FREE_BONES,
    FreeBone,
)
from posejax.priors.bone_proportion import RATIOS, BoneProportionPrior, ratio_bones
from posejax.priors.joint_mobility import (
    RANK1,
    RANK2,
    JointMobilityPrior,
    rank1_members,
    rank2_members,
)
from posejax.skeletons import H36M_17

# Ratios and unit vectors have no unit; the file says so.
UNIT = "dimensionless"

_PROPORTION_SHAPES = {"mean": (15,), "variance": (15,)}
_MOBILITY_SHAPES = {
    "rank1_mean": (16, 3),
    "rank1_covariance": (16, 3, 3),
    "rank1_inv_covariance": (16, 3, 3),
    "rank2_mean": (17, 6),
    "rank2_covariance": (17, 6, 6),
    "rank2_inv_covariance": (17, 6, 6),
}
_LENGTH_STD = "induced_bone_length_std"


def save_prior(
    path: str | os.PathLike[str],
    prior: BoneProportionPrior | JointMobilityPrior,
    *,
    description: Mapping[str, Any],
) -> pathlib.Path:
    """Writes a prior.

    Args:
      path: File to write, ending in .npz.
      prior: What to write.
      description: What to say of it, in values that JSON knows: number of poses,
        source. Kind, unit, skeleton and bones are added.

    Returns:
      The path of the file.

    Raises:
      ValueError: If `path` does not end in .npz.

    Reference:
      None; a file format of this library.
    """
    path = pathlib.Path(path)
    if path.suffix != ".npz":
        raise ValueError(f"path is {str(path)!r}; prior files end in .npz.")
    if isinstance(prior, BoneProportionPrior):
        kind, bones, shapes = "bone_proportion", BONES, _PROPORTION_SHAPES
        names = {**_ratio_arrays(), _LENGTH_STD: np.array(prior.length_std)}
    else:
        kind, bones, shapes = "joint_mobility", FREE_BONES, _MOBILITY_SHAPES
        names = _frame_arrays(prior.grouped)
    fixed = {"kind": kind, "unit": UNIT, "skeleton": H36M_17.name, "bones": bones}
    numbers = {name: getattr(prior, name) for name in shapes}
    text = json.dumps({**description, **fixed})
    np.savez(path, **names, **numbers, description=np.array(text))
    return path


def load_bone_proportion(path: str | os.PathLike[str]) -> BoneProportionPrior:
    """Reads a prior of bone-length ratios.

    Args:
      path: File written by `save_prior`, or a converted published one.

    Returns:
      The prior, in float64.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If the file is for other bones or ratios or another unit, or lacks an
        array.

    Reference:
      None; a file format of this library.
    """
    arrays = _read(path, (*_ratio_arrays(), *_PROPORTION_SHAPES, _LENGTH_STD))
    _require_equal(path, arrays, _ratio_arrays())
    mean, variance = _numbers(path, arrays, _PROPORTION_SHAPES)
    return BoneProportionPrior(mean, variance, float(arrays[_LENGTH_STD]))


def load_joint_mobility(path: str | os.PathLike[str]) -> JointMobilityPrior:
    """Reads a prior of bone orientations.

    Args:
      path: File written by `save_prior`, or a converted published one.

    Returns:
      The prior, in float64.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If the file is for other bones, components or frames or another unit,
        or lacks an array.

    Reference:
      None; a file format of this library.
    """
    arrays = _read(path, (*_frame_arrays(True), *_MOBILITY_SHAPES))
    grouped = bool(np.any(arrays["reflected"]))
    _require_equal(path, arrays, _frame_arrays(grouped))
    return JointMobilityPrior(
        *_numbers(path, arrays, _MOBILITY_SHAPES), grouped=grouped
    )


def load_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What a prior file says of itself; empty for one that says nothing.

    Args:
      path: A prior file.

    Returns:
      The description given to `save_prior`, with kind, unit, skeleton and bones.

    Raises:
      FileNotFoundError: If there is no such file.

    Reference:
      None; a file format of this library.
    """
    with np.load(_existing(path), allow_pickle=False) as file:
        return json.loads(str(file["description"])) if "description" in file else {}


def _ratio_arrays() -> dict[str, np.ndarray]:
    """What a file of ratios must say of the bones."""
    numerators, denominators = ratio_bones()
    return {
        "ratio_names": np.array(["/".join(ratio) for ratio in RATIOS]),
        "numerator_bone": numerators,
        "denominator_bone": denominators,
        "bone_names": np.array(BONES),
        "bone_child": 1 + np.arange(len(BONES)),
        "bone_parent": np.array(BONE_PARENTS),
    }


def _frame_arrays(grouped: bool) -> dict[str, np.ndarray]:
    """What a file of orientations must say of the components and of their frames."""
    table = {
        field: np.array([getattr(bone, field) for bone in FREE_BONE_TABLE])
        for field in FreeBone._fields
        if field not in ("name", "plane_pair")
    }
    reflected = np.array([grouped and name.startswith("L") for name in FREE_BONES])
    is_axis_first = table["axis_row"] == 0
    table["axis_sign"] = np.where(
        reflected & is_axis_first, -table["axis_sign"], table["axis_sign"]
    )
    table["plane_sign"] = np.where(
        reflected & ~is_axis_first, -table["plane_sign"], table["plane_sign"]
    )
    return {
        "bone_order": np.array(FREE_BONES),
        **table,
        "plane_row": 1 - table["axis_row"],
        "reflected": reflected,
        "rank1_names": np.array(RANK1),
        "rank1_members": rank1_members(),
        "rank2_names": np.array(["-&-".join(pair) for pair in RANK2]),
        "rank2_members": rank2_members(),
    }


def _existing(path: str | os.PathLike[str]) -> pathlib.Path:
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: there is no such prior file; fit one with `fit_bone_proportion` "
            "or `fit_joint_mobility` and write it with `save_prior`."
        )
    return path


def _read(
    path: str | os.PathLike[str], needed: tuple[str, ...]
) -> dict[str, np.ndarray]:
    """The needed arrays of a file, of which none may be missing."""
    with np.load(_existing(path), allow_pickle=False) as file:
        missing = [name for name in needed if name not in file]
        if missing:
            raise ValueError(
                f"{path}: the arrays {', '.join(missing)} are missing; expected a "
                "prior of the right kind as `save_prior` writes it."
            )
        arrays = {name: file[name] for name in needed}
    description = load_description(path)
    for name, expected in (("unit", UNIT), ("skeleton", H36M_17.name)):
        found = description.get(name, expected)
        if found != expected:
            raise ValueError(f"{path}: the {name} is {found!r}; expected {expected!r}.")
    return arrays


def _require_equal(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    expected: Mapping[str, np.ndarray],
) -> None:
    for name, values in expected.items():
        if not np.array_equal(arrays[name], values):
            raise ValueError(
                f"{path}: {name} is {arrays[name].tolist()}; expected "
                f"{values.tolist()}. Fit the prior anew on poses of this skeleton."
            )


def _numbers(
    path: str | os.PathLike[str],
    arrays: Mapping[str, np.ndarray],
    shapes: Mapping[str, tuple[int, ...]],
) -> list[np.ndarray]:
    """The named arrays in float64, of exactly these shapes, finite."""
    for name, shape in shapes.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{path}: {name} has shape {arrays[name].shape}; expected {shape}."
            )
        if not np.all(np.isfinite(arrays[name])):
            raise ValueError(f"{path}: {name} holds values that are not finite.")
    return [np.asarray(arrays[name], np.float64) for name in shapes]
