"""Plots of figures: per joint, per frame, over training, and of a template.

Each function returns a matplotlib figure that belongs to nobody (no pyplot, no window,
no global state); `write_figure` puts it into a file. Colours are the Okabe-Ito set,
told apart with any colour vision; line style and marker differ too, for print in grey.
"""

import json
import os
import pathlib
import re
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from jaxtyping import Float

from posejax.render.files import replaced_whole

if TYPE_CHECKING:
    import matplotlib.axes
    import matplotlib.figure

OKABE_ITO = (
    "#0072B2",
    "#D55E00",
    "#009E73",
    "#CC79A7",
    "#E69F00",
    "#56B4E9",
    "#000000",
    "#8A7A00",  # the set's yellow is too pale for lines on white
)
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_STYLES = ("-", "--", "-.", ":")
_PIXELS_PER_INCH = 150


class Measure(NamedTuple):
    """How a figure is named on an axis.

    Attributes:
      label: Name and unit.
      limits: Lower and upper end of the axis; None leaves it to the data.
      logarithm: Whether the decimal logarithm of the values is shown.
    """

    label: str
    limits: tuple[float, float] | None = None
    logarithm: bool = False


PDJ = Measure("PDJ@0.05 [% of joints]", (0.0, 100.0))
NORMALIZED_L2 = Measure("distance [% of image side]")
LOG_NORMALIZED_L2 = Measure("log$_{10}$ of distance / image side [-]", None, True)


def joint_figure(
    values: Mapping[str, Sequence[float] | Float[np.ndarray, " joints"]],
    *,
    joints: Sequence[str],
    order: Sequence[int] | None = None,
    measure: Measure = PDJ,
    title: str = "",
) -> "matplotlib.figure.Figure":
    """One line per model over the joints of a skeleton.

    Args:
      values: For each model one value per joint, in the order of `joints`; a joint
        that is not a number is left out of its line.
      joints: Names of the joints.
      order: Joint indices from left to right; None keeps that of `joints`.
      measure: Label and limits of the vertical axis.
      title: Heading.

    Returns:
      The figure, with a legend that names every model.

    Raises:
      ValueError: If there is no model or a model has not one value per joint.
    """
    shown = list(range(len(joints)) if order is None else order)
    for model, row in _some(values).items():
        if len(row) != len(joints):
            raise ValueError(
                f"values[{model!r}] has {len(row)} entries; it needs {len(joints)}, "
                "one per joint."
            )
    figure, axes = axes_of_size(8.0, 4.2)
    places = np.arange(len(shown))
    for index, (model, row) in enumerate(values.items()):
        axes.plot(
            places,
            np.asarray(row, float)[shown],
            label=model,
            markersize=5.5,
            linewidth=1.6,
            **_look(index),
        )
    axes.set_xticks(places, [joints[i] for i in shown], rotation=40, ha="right")
    axes.set_xlim(-0.4, len(shown) - 0.6)
    axes.set_ylabel(measure.label)
    if measure.limits is None:
        axes.set_ylim(bottom=0.0)
    else:
        low, high = measure.limits
        axes.set_ylim(low - 0.02 * (high - low), high + 0.02 * (high - low))
    _head(figure, axes, title)
    _legend(figure, list(values))
    return figure


def distribution_figure(
    values: Mapping[str, Float[np.ndarray, " _"]],
    *,
    measure: Measure = PDJ,
    title: str = "",
) -> "matplotlib.figure.Figure":
    """Box (median, quartiles, whiskers at 1.5 ranges) and violin of each model.

    Args:
      values: For each model one value per frame; values that are not finite, or not
        positive where the logarithm is shown, are left out and counted in the label.
      measure: Label, limits and scale of the vertical axis.
      title: Heading.

    Returns:
      The figure, one box per model in the given order, its name and the number of
      frames below.

    Raises:
      ValueError: If there is no model, or a model without a value to show.
    """
    samples, labels = [], []
    for model, row in _some(values).items():
        row = np.asarray(row, float)
        keep = np.isfinite(row) & (row > 0 if measure.logarithm else True)
        if not keep.any():
            raise ValueError(
                f"values[{model!r}] has no finite value to draw among its {row.size}."
            )
        samples.append(np.log10(row[keep]) if measure.logarithm else row[keep])
        lost = row.size - int(keep.sum())
        note = f"\n{lost} left out" if lost else ""
        labels.append(f"{_wrapped(model)}\n{int(keep.sum())} frames{note}")
    figure, axes = axes_of_size(max(4.0, 1.2 + 1.5 * len(samples)), 4.4)
    _draw_violins(axes, samples)
    boxes = axes.boxplot(
        samples,
        widths=0.16,
        patch_artist=True,
        showfliers=False,
        medianprops={"color": "white", "linewidth": 2.0},
        boxprops={"facecolor": "#333333", "edgecolor": "#333333"},
        whiskerprops={"color": "#333333"},
        capprops={"color": "#333333"},
    )
    for line in boxes["medians"]:
        line.set_zorder(5)
    axes.set_xticks(range(1, len(samples) + 1), labels)
    axes.set_ylabel(measure.label)
    if measure.limits is not None:
        low, high = measure.limits
        axes.set_ylim(low - 0.03 * (high - low), high + 0.03 * (high - low))
    _head(figure, axes, title)
    return figure


def read_metrics(
    path: str | os.PathLike[str],
) -> dict[str, Float[np.ndarray, "_ 2"]]:
    """Reads the scalars of a `metrics.jsonl`: one JSON object with a `step` per line.

    Args:
      path: The file; a last line that was cut off in writing is ignored.

    Returns:
      For each scalar an array of (step, value) rows, in the order of the file.

    Raises:
      FileNotFoundError: If the file does not exist.
      ValueError: If a line before the last is not a JSON object with a `step`.
    """
    lines = pathlib.Path(path).read_text(encoding="utf-8").splitlines()
    curves: dict[str, list[tuple[float, float]]] = {}
    for number, line in enumerate(lines, start=1):
        try:
            entry = json.loads(line)
            step = float(entry["step"])
        except (ValueError, TypeError, KeyError):
            if number == len(lines):
                break
            raise ValueError(
                f"{path}, line {number} is not a JSON object with a 'step'; remove the "
                "line or give another file."
            ) from None
        for name, value in entry.items():
            if name != "step" and isinstance(value, int | float):
                curves.setdefault(name, []).append((step, float(value)))
    return {name: np.array(points, float) for name, points in curves.items()}


def curve_figure(
    curves: Mapping[str, Float[np.ndarray, "_ 2"]],
    *,
    label: str = "loss [-]",
    title: str = "",
    logarithmic: bool = True,
) -> "matplotlib.figure.Figure":
    """Scalars over training steps, such as the loss terms of a run.

    Args:
      curves: For each name (step, value) rows.
      label: Label of the vertical axis, with its unit.
      title: Heading.
      logarithmic: Draw the vertical axis in powers of ten (values that are not positive
        are left out then).

    Returns:
      The figure; long curves have a running median over the faint raw line.

    Raises:
      ValueError: If there is no curve.
    """
    figure, axes = axes_of_size(8.0, 4.2)
    for index, (name, points) in enumerate(_some(curves).items()):
        points = np.asarray(points, float).reshape(-1, 2)
        keep = np.isfinite(points[:, 1]) & (points[:, 1] > 0 if logarithmic else True)
        steps, heights = points[keep].T
        look = _look(index)
        del look["marker"]
        window = len(steps) // 40
        if window >= 3:
            axes.plot(steps, heights, color=look["color"], alpha=0.25, linewidth=0.8)
            heights = _running_median(heights, window)
        marker = "o" if len(steps) < 3 else None
        axes.plot(steps, heights, label=name, linewidth=1.6, marker=marker, **look)
    if logarithmic:
        axes.set_yscale("log")
    axes.set_xlabel("training step")
    axes.set_ylabel(label)
    _head(figure, axes, title)
    _legend(figure, list(curves))
    return figure


def write_figure(
    path: str | os.PathLike[str],
    figure: "matplotlib.figure.Figure",
    *,
    dots_per_inch: int = _PIXELS_PER_INCH,
) -> None:
    """Writes a figure as `.png`, `.pdf` or `.svg`, whole or not at all.

    Args:
      path: File to write.
      figure: The figure.
      dots_per_inch: Resolution of a `.png`.

    Raises:
      ValueError: If the suffix is another.
    """
    suffix = pathlib.Path(path).suffix.lower()
    if suffix not in (".png", ".pdf", ".svg"):
        raise ValueError(f"path is {str(path)!r}; it must end in .png, .pdf or .svg.")
    # Without the date two runs with equal results write equal files.
    stamp = {".png": "Software", ".pdf": "CreationDate", ".svg": "Date"}[suffix]
    with replaced_whole(path) as draft:
        figure.savefig(draft, dpi=dots_per_inch, metadata={stamp: None})


def figure_of_size(
    width: float, height: float, *, side_inches: float = 0.08
) -> "matplotlib.figure.Figure":
    """A figure of `width` x `height` inches that belongs to nobody, without axes."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    layout = ConstrainedLayoutEngine(w_pad=side_inches, h_pad=0.06)
    figure = Figure(figsize=(width, height), layout=layout)
    FigureCanvasAgg(figure)
    return figure


def axes_of_size(
    width: float, height: float, *, grid: bool = True
) -> tuple["matplotlib.figure.Figure", "matplotlib.axes.Axes"]:
    """An empty plot of `width` x `height` inches, with or without horizontal lines."""
    figure = figure_of_size(width, height)
    axes = figure.add_subplot()
    axes.spines[["top", "right"]].set_visible(not grid)
    if grid:
        axes.grid(axis="y", color="#DDDDDD", linewidth=0.8)
        axes.set_axisbelow(True)
    return figure, axes


def wrapped_title(figure: "matplotlib.figure.Figure", title: str) -> str:
    """The title in lines that fit: a sentence on the data may be wider than a plot."""
    return textwrap.fill(title, max(20, round(9.5 * figure.get_figwidth())))


def _look(index: int) -> dict[str, Any]:
    return {
        "color": OKABE_ITO[index % len(OKABE_ITO)],
        "linestyle": _STYLES[index % len(_STYLES)],
        "marker": _MARKERS[index % len(_MARKERS)],
    }


def _legend(figure: "matplotlib.figure.Figure", names: Sequence[str]) -> None:
    # Above the plot, where it hides nothing; as many columns as fit.
    columns = max(1, min(len(names), 100 // (max(map(len, names)) + 8)))
    figure.legend(loc="outside upper center", ncols=columns, frameon=False, fontsize=9)


def _head(
    figure: "matplotlib.figure.Figure", axes: "matplotlib.axes.Axes", title: str
) -> None:
    axes.set_title(wrapped_title(figure, title), fontsize=11)


def _wrapped(name: str, *, width: int = 14) -> str:
    """Breaks a long name after underscores, so that neighbours do not overlap."""
    lines = [""]
    for word in re.split(r"(?<=[_ ])", name):
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append("")
        lines[-1] += word
    return "\n".join(lines)


def _some(values: Mapping[str, Any]) -> Mapping[str, Any]:
    if not values:
        raise ValueError("values is empty; give at least one named row to draw.")
    return values


def _draw_violins(axes: "matplotlib.axes.Axes", samples: Sequence[np.ndarray]) -> None:
    # A density needs two different values; a constant model keeps only its box.
    spread = [i for i, sample in enumerate(samples) if np.ptp(sample) > 0]
    if not spread:
        return
    parts: dict[str, Any] = axes.violinplot(
        [samples[i] for i in spread],
        positions=[i + 1 for i in spread],
        widths=0.8,
        showextrema=False,
    )
    for i, body in zip(spread, parts["bodies"], strict=True):
        body.set_facecolor(OKABE_ITO[i % len(OKABE_ITO)])
        body.set_alpha(0.55)


def _running_median(values: np.ndarray, window: int) -> np.ndarray:
    half = window // 2
    padded = np.pad(values, half, mode="edge")
    views = np.lib.stride_tricks.sliding_window_view(padded, 2 * half + 1)
    return np.median(views, axis=-1)
