"""What the Markdown pages of all benchmarks share, and how results are written.

A result holds `machine`, `commit` and `cases`; a case holds the row of each side that
was measured, see `processes.summary`. `load`, where a result has it, is that of the
machine before the first measurement.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from posejax.render.files import write_text
from posejax.render.tables import figure_table

COST_UNITS = {"compile": "s", "peak memory": "MB", "device memory": "MB"}


def settings(result: Mapping[str, Any]) -> list[str]:
    """Returns the lines that say on which machine and with what ours ran."""
    machine, ours = result["machine"], result["cases"][0]["ours"]
    where = (
        f"- {machine['processor']}, {machine['cores']} core(s), "
        f"{machine['memory_gb']} GB; device of ours: {ours['device']}"
    )
    if "load" in result:
        load = "not known" if result["load"] is None else f"{result['load']:.1f}"
        where += f"; load of the machine before the first measurement: {load}"
    return [where, f"- commit {result['commit']}; {versions(ours)}"]


def versions(row: Mapping[str, Any]) -> str:
    """Returns with which versions a side ran."""
    return ", ".join(f"{name} {version}" for name, version in row["versions"].items())


def sides(
    cases: Sequence[Mapping[str, Any]],
) -> Iterator[tuple[Mapping[str, Any], str, Mapping[str, Any]]]:
    """Yields `(case, side, row)` of every side that was measured."""
    for case in cases:
        for side in ("ours", "reference"):
            if side in case:
                yield case, side, case[side]


def costs(side: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the cells of compile time and memory, in the units of `COST_UNITS`.

    Memory of the device is left out where there is none of its own.
    """
    cells = {
        "compile": row["compile_seconds"] if side == "ours" else None,
        "peak memory": round(row["peak_rss_mb"]),
    }
    device = row["peak_device_mb"]
    return cells | ({"device memory": round(device)} if device else {})


def pieces(name: str, case: Mapping[str, Any], *, peak: float | None = None) -> str:
    """Returns the table of the parts of a case, as shares of the time of its step.

    Args:
      name: Of the case.
      case: Holds `ours` and `pieces`, seconds and GFLOP of each part.
      peak: GFLOP/s of which the rate of a part is given as a share; without it, the
        rate itself is given.
    """
    step = case["ours"]["seconds"]["median"]
    rows = {}
    for part, found in case["pieces"].items():
        seconds, gflop = found["seconds"], found["gflop"]
        rows[part] = {
            "time": 1000 * seconds,
            "of the step": 100 * seconds / step,
            "GFLOP": gflop,
        }
        if peak is None:
            rows[part]["GFLOP/s"] = gflop / seconds
        else:
            rows[part]["of matmul peak"] = 100 * gflop / seconds / peak
    units = {"time": "ms", "of the step": "%", "of matmul peak": "%"}
    table = figure_table(rows, units=units, corner="part", digits=1, layout="markdown")
    return f"Where the time of {name} goes (parts run alone):\n\n{table}"


def write(
    folder: pathlib.Path, name: str, *, result: Mapping[str, Any], page: str
) -> None:
    """Writes a result as `name.json` and its page as `name.md`, each whole or not."""
    write_text(folder / f"{name}.json", json.dumps(result, indent=2) + "\n")
    write_text(folder / f"{name}.md", page + "\n")


def ratios(cases: Sequence[Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the rows of theirs by ours, of the cases that have a reference."""
    rows = {}
    for case in cases:
        if "speed_ratio" not in case:
            continue
        by_round = ", ".join(f"{ratio:.2f}" for ratio in case["ratio_of_rounds"])
        rows[case["name"]] = {
            "theirs / ours, time": case["speed_ratio"],
            "by round": by_round,
            "aim (CPU)": case["aim"],
            "ours / theirs, peak memory": case["memory_ratio"],
            "reference": case["reference_name"],
        }
    return rows
