"""From evaluated runs to one table: mean and spread over seeds of each row.

A run is a work directory with `evaluation/test.json`. Spread is the standard deviation
of a sample (n - 1); of one seed there is none.
"""

import json
import math
import pathlib
import statistics
from collections.abc import Mapping
from typing import Any

from posejax import render

# Entry of `figures`: heading of its column; all are millimetres.
COLUMNS: Mapping[str, str] = {
    "p1": "P1",
    "p2": "P2",
    "j_mpboe": "J-MPBOE",
    "trajectory": "trajectory",
}
SPLIT = "test"
MISSING = "not run"

Evaluation = Mapping[str, Any]


def read_finished(workdir: pathlib.Path, *, num_steps: int) -> Evaluation | None:
    """Returns the evaluation of a run, or None if the run is not finished.

    Args:
      workdir: The run's work directory; it need not exist.
      num_steps: Steps of a whole run; an evaluation of an earlier step does not count.

    Raises:
      ValueError: If the file is no evaluation.
    """
    path = workdir / "evaluation" / f"{SPLIT}.json"
    if not path.is_file():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        step, figures = found["step"], dict(found["figures"])
        found["baselines"].items()
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(
            f"{path} is no evaluation: it must be a JSON object with 'step', 'figures' "
            "and 'baselines'; delete it and start again."
        ) from None
    missing = [name for name in ("p1", "p2", "j_mpboe") if name not in figures]
    if missing:
        raise ValueError(
            f"{path} has no {', '.join(missing)}; expected an evaluation of "
            "posture_pose: delete it and start again."
        )
    return found if step >= num_steps else None


def mean_and_spread(values: Mapping[int, float]) -> dict[str, Any]:
    """Returns `mean`, `std` (None of one value) and the values by seed.

    >>> mean_and_spread({0: 1.0, 1: 3.0})["mean"]
    2.0
    """
    numbers = list(values.values())
    return {
        "mean": statistics.fmean(numbers),
        "std": statistics.stdev(numbers) if len(numbers) > 1 else None,
        "by_seed": {str(seed): value for seed, value in values.items()},
    }


def aggregate(
    found: Mapping[str, Mapping[int, Evaluation]], *, reference: str
) -> dict[str, Any]:
    """Returns the figures of each row over its seeds.

    Args:
      found: Row to seed to evaluation; a row may have none.
      reference: Row that the others are compared with, seed by seed.

    Returns:
      Row to `{"seeds": [...], "figures": {name: mean_and_spread}, "minus_reference":
      {name: mean_and_spread}}`, the differences over the seeds that both rows have.
    """
    rows = {}
    base = found.get(reference, {})
    for row, runs in found.items():
        both = [seed for seed in runs if seed in base]
        rows[row] = {
            "seeds": sorted(runs),
            "figures": _over(COLUMNS, {s: run["figures"] for s, run in runs.items()}),
            "minus_reference": {}
            if row == reference
            else _over(COLUMNS, {s: _minus(runs[s], base[s]) for s in both}),
        }
    return rows


def _minus(run: Evaluation, base: Evaluation) -> dict[str, float]:
    ours, theirs = run["figures"], base["figures"]
    return {name: ours[name] - theirs[name] for name in ours if name in theirs}


def _over(
    names: Mapping[str, str], figures: Mapping[int, Mapping[str, float]]
) -> dict[str, Any]:
    """Mean and spread of each figure that all seeds have."""
    return {
        name: mean_and_spread({seed: row[name] for seed, row in figures.items()})
        for name in names
        if figures and all(_is_number(row.get(name)) for row in figures.values())
    }


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and math.isfinite(value)


def baselines(found: Mapping[str, Mapping[int, Evaluation]]) -> dict[str, Any]:
    """Returns the figures of what every model must beat, of the first run.

    They depend on the labelled and test data only, not on row or seed.
    """
    for runs in found.values():
        for run in runs.values():
            return {
                name: {key: figures[key] for key in COLUMNS if key in figures}
                for name, figures in run["baselines"].items()
            }
    return {}


def markdown(result: Mapping[str, Any]) -> str:
    """Returns the table of `result`: a line per row, then one per baseline.

    Args:
      result: `rows` of `aggregate`, `labels` by row, `baselines`, `reference`.
    """
    lines: dict[str, dict[str, str]] = {}
    difference = f"P1 - {result['labels'][result['reference']]}"
    for row, values in result["rows"].items():
        figures, minus = values["figures"], values["minus_reference"]
        lines[result["labels"][row]] = {
            **{head: _shown(figures.get(name)) for name, head in COLUMNS.items()},
            difference: _shown(minus["p1"], sign=True) if "p1" in minus else "-",
            "seeds": str(len(values["seeds"])),
        }
        if not values["seeds"]:
            lines[result["labels"][row]] = dict.fromkeys(COLUMNS.values(), MISSING)
    for name, figures in result["baselines"].items():
        lines[name] = {
            head: f"{figures[key]:.1f}" if _is_number(figures.get(key)) else "-"
            for key, head in COLUMNS.items()
        }
    units = {**dict.fromkeys(COLUMNS.values(), "mm"), difference: "mm"}
    return render.figure_table(lines, units=units, corner="row", layout="markdown")


def _shown(value: Mapping[str, Any] | None, *, sign: bool = False) -> str:
    if value is None:
        return "-"
    mean = f"{value['mean']:+.1f}" if sign else f"{value['mean']:.1f}"
    return mean if value["std"] is None else f"{mean} ± {value['std']:.1f}"
