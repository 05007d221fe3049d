"""Plots of one evaluation, or of several side by side, from their result files."""

import os
import pathlib
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from posejax.render.plots import (
    LOG_NORMALIZED_L2,
    NORMALIZED_L2,
    PDJ,
    Measure,
    distribution_figure,
    joint_figure,
    write_figure,
)
from posejax.skeletons import SKELETONS
from posejax.templates import PLOT_ORDER

if TYPE_CHECKING:
    import matplotlib.figure


class Evaluation(NamedTuple):
    """What an evaluation left behind.

    Attributes:
      result: Contents of `<split>.json`. Its entry `per_joint` maps a measure to joint
        names (or to values in the order of `TEMPLATE_15`).
      values: Contents of `<split>_frames.npz`: per-frame values by name.
    """

    result: Mapping[str, Any]
    values: Mapping[str, np.ndarray]


_BY_JOINT: Mapping[str, Measure] = {"pdj": PDJ, "normalized_l2": NORMALIZED_L2}
# Name of the values, factor to the unit of the axis, axis.
_BY_FRAME: Mapping[str, tuple[float, Measure]] = {
    "pdj_by_frame": (100.0, PDJ),
    "l2_by_frame": (1.0, LOG_NORMALIZED_L2),
}


def evaluation_figures(
    evaluations: Mapping[str, Evaluation], *, title: str = ""
) -> "dict[str, matplotlib.figure.Figure]":
    """Draws all measures that every evaluation has.

    Args:
      evaluations: For each model its evaluation.
      title: Heading of every plot.

    Returns:
      Figures by name: `pdj_by_joint`, `normalized_l2_by_joint` (joints of `TEMPLATE_15`
      in plotting order), `pdj_by_frame` and `l2_by_frame` (box and violin over labelled
      frames). A measure that an evaluation lacks is not drawn.
    """
    figures = {}
    skeleton = SKELETONS["template_15"]
    for measure, axis in _BY_JOINT.items():
        rows = {
            name: _in_joint_order(entry.result.get("per_joint", {}).get(measure))
            for name, entry in evaluations.items()
        }
        found = {name: row for name, row in rows.items() if row is not None}
        if len(found) == len(rows) > 0:
            figures[f"{measure}_by_joint"] = joint_figure(
                found,
                joints=skeleton.joints,
                order=PLOT_ORDER,
                measure=axis,
                title=title,
            )
    for name, (factor, axis) in _BY_FRAME.items():
        samples = {
            model: factor * _labelled(entry.values, name)
            for model, entry in evaluations.items()
        }
        if samples and all(_can_be_drawn(row, axis) for row in samples.values()):
            figures[name] = distribution_figure(samples, measure=axis, title=title)
    return figures


def write_evaluation_plots(
    directory: str | os.PathLike[str],
    result: Mapping[str, Any],
    values: Mapping[str, np.ndarray],
) -> list[pathlib.Path]:
    """Writes the plots of one evaluation as `<split>_<figure>.png`.

    Args:
      directory: Where to.
      result: Contents of `<split>.json`.
      values: Per-frame values by name.

    Returns:
      The files written; none if nothing was labelled.
    """
    split = str(result.get("split", "evaluation"))
    name = str(result.get("run", "model"))
    data = result.get("data_set") or result.get("data")
    title = f"{data}, {split} split" if data else f"{split} split"
    figures = evaluation_figures({name: Evaluation(result, values)}, title=title)
    written = []
    for key, figure in figures.items():
        path = pathlib.Path(directory) / f"{split}_{key}.png"
        write_figure(path, figure)
        written.append(path)
    return written


def _in_joint_order(column: Any) -> np.ndarray | None:
    joints = SKELETONS["template_15"].joints
    if column is None:
        return None
    if isinstance(column, Mapping):
        if not any(joint in column for joint in joints):
            return None
        return np.array([float(column.get(joint, np.nan)) for joint in joints])
    return np.asarray(column, np.float64)


def _labelled(values: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    if name not in values:
        return np.zeros(0)
    row = np.asarray(values[name], np.float64)
    if "joint_valid" not in values:
        return row
    return row[np.asarray(values["joint_valid"], bool).any(axis=-1)]


def _can_be_drawn(row: np.ndarray, axis: Measure) -> bool:
    keep = np.isfinite(row) & (row > 0 if axis.logarithm else True)
    return bool(np.any(keep))
