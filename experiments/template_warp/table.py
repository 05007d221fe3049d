r"""One Markdown table and comparison plots of several evaluated runs.

  python -m experiments.template_warp.table runs/baseline runs/mse_natural \
      --split test --output runs/comparison

Each argument is a work directory (or one of its `evaluation/<split>.json`). The table
names the data of every row: figures of the embedded sample and of Human3.6M must not be
compared with each other.
"""

import argparse
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posejax import render

# Entry of `figures`: heading of its column and unit.
COLUMNS: Mapping[str, tuple[str, str]] = {
    "pdj": ("PDJ@0.05", "%"),
    "normalized_l2": ("norm. L2", "% of side"),
    "pdj_either_side": ("PDJ, either side", "%"),
    "normalized_l2_either_side": ("norm. L2, either side", "% of side"),
    "arms_out_pdj": ("PDJ, arms out", "%"),
    "arms_down_pdj": ("PDJ, arms down", "%"),
    "consistency": ("consistency", ""),
    "frames": ("frames", ""),
}


def read_evaluation(path: pathlib.Path, split: str) -> render.Evaluation:
    """Reads `<split>.json` and, if it is there, `<split>_frames.npz`.

    Args:
      path: A work directory, or the JSON file itself.
      split: Name of the split; not used if `path` is the file.

    Raises:
      FileNotFoundError: If there is no such evaluation.
      ValueError: If the file is not one.
    """
    file = path if path.suffix == ".json" else path / "evaluation" / f"{split}.json"
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} does not exist; run `python -m posejax.main --mode evaluate "
            f"--workdir {path}` first, or choose another --split."
        )
    try:
        result = json.loads(file.read_text(encoding="utf-8"))
        result["figures"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{file} is no evaluation: it must be a JSON object with 'figures'."
        ) from None
    frames = file.with_name(f"{file.stem}_frames.npz")
    if not frames.is_file():
        return render.Evaluation(result, {})
    with np.load(frames) as stored:
        return render.Evaluation(result, {name: stored[name] for name in stored.files})


def read_evaluations(
    paths: Sequence[pathlib.Path], split: str
) -> dict[str, render.Evaluation]:
    """Reads several evaluations under names that differ.

    A run is called after its work directory; two of one name get their parent's too.
    """
    runs = [path.parent.parent if path.suffix == ".json" else path for path in paths]
    runs = [run.resolve() for run in runs]
    names = [run.name for run in runs]
    found: dict[str, render.Evaluation] = {}
    for path, run in zip(paths, runs, strict=True):
        name = run.name
        if names.count(name) > 1:
            name = f"{run.parent.name}/{name}"
        if name in found:
            name = f"{name} ({len(found) + 1})"
        found[name] = read_evaluation(path, split)
    return found


def comparison_table(
    evaluations: Mapping[str, render.Evaluation], *, layout: str = "markdown"
) -> str:
    """Returns one line per run, and one per baseline of the first run of a data set.

    A column is shown if any run has its figure.
    """
    rows: dict[str, dict[str, Any]] = {}
    seen = set()
    for name, (result, _) in evaluations.items():
        data = str(result.get("data", "unknown"))
        step, checkpoint = result.get("step"), result.get("checkpoint")
        rows[name] = {
            "data": data,
            "step": None if step is None else f"{step} ({checkpoint or 'last'})",
            **_shown(result["figures"]),
        }
        if data in seen:
            continue
        seen.add(data)
        for baseline, figures in result.get("baselines", {}).items():
            label = baseline if len(seen) == 1 else f"{baseline} ({data})"
            rows[label] = {"data": data, **_shown(figures)}
    units = {heading: unit for heading, unit in COLUMNS.values() if unit}
    return render.figure_table(rows, units=units, corner="run", layout=layout)


def _shown(figures: Mapping[str, float]) -> dict[str, float | int]:
    shown: dict[str, float | int] = {}
    for name, (heading, _) in COLUMNS.items():
        if name in figures:
            value = figures[name]
            shown[heading] = int(value) if name == "frames" else float(value)
    return shown


def main(arguments: Sequence[str] | None = None) -> None:
    """Prints the table and writes the plots."""
    parser = argparse.ArgumentParser(
        description="Compares evaluated runs of template_warp.",
    )
    parser.add_argument("runs", nargs="+", type=pathlib.Path, help="work directories")
    parser.add_argument("--split", default="test", help="split; default: test")
    parser.add_argument(
        "--output", type=pathlib.Path, help="folder for table.md and plots"
    )
    options = parser.parse_args(arguments)
    try:
        evaluations = read_evaluations(options.runs, options.split)
    except (OSError, ValueError) as error:
        sys.exit(f"table: {error}")
    table = comparison_table(evaluations)
    print(table)
    data = {str(entry.result.get("data", "unknown")) for entry in evaluations.values()}
    if len(data) > 1:
        print("\nThe runs used different data; their figures do not compare.")
    if options.output is None:
        return
    render.write_text(options.output / "table.md", table + "\n")
    title = f"{', '.join(sorted(data))}, {options.split} split"
    for name, figure in render.evaluation_figures(evaluations, title=title).items():
        render.write_figure(options.output / f"{name}.png", figure)
        print(f"wrote {options.output / name}.png")


if __name__ == "__main__":
    main()
