"""The Markdown page of the benchmark of template_warp."""

from collections.abc import Mapping
from typing import Any

from experiments.benchmarks import pages
from posejax.render.tables import figure_table

_UNITS = {
    "step": "s",
    "min-max": "s",
    **pages.COST_UNITS,
    "share of matmul peak": "%",
}


def markdown(result: Mapping[str, Any]) -> str:
    """Returns heading, settings, one table over the cases and one per break-down."""
    machine = result["machine"]
    sections = [
        f"# template_warp, one training step, {result['date']}",
        "\n".join(_settings(result)),
        figure_table(_rows(result), units=_UNITS, corner="case", layout="markdown"),
    ]
    ratios = [
        f"- {case['config']}: theirs / ours {case['speed_ratio']:.2f} in time; "
        f"ours / theirs {case['memory_ratio']:.2f} in peak memory."
        for case in result["cases"]
        if "speed_ratio" in case
    ]
    if ratios:
        sections.append("\n".join(ratios))
    sections += [
        pages.pieces(case["config"], case, peak=case["ours"]["matmul_gflops"])
        for case in result["cases"]
        if "pieces" in case
    ]
    note = (
        "A ratio counts only between processes that ran in turn on one machine; "
        f"absolute times are those of {machine['cores']} core(s) of this one. GFLOP "
        "are convolutions and matrix products, two per multiply-add. Peak memory is "
        "that of the whole process, compilation included."
    )
    return "\n\n".join([*sections, note])


def _settings(result: Mapping[str, Any]) -> list[str]:
    lines = pages.settings(result)
    theirs = result["cases"][0].get("reference")
    if theirs is not None:
        lines.append(
            f"- reference commit {result['reference_commit']}; "
            f"{pages.versions(theirs)}; device {theirs['device']}"
        )
    lines.append(
        f"- {result['image_size']} px, batch {result['batch_size']}, "
        f"{result['compute_dtype']}, warp: {result['warp']}, "
        f"{result['steps_per_call']} step(s) per call, "
        f"{result['rounds']} x {result['repeats']} measured steps"
        + (f", widths / {result['narrow']}" if result["narrow"] != 1 else "")
    )
    return lines


def _rows(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    rows = {}
    for case, side, found in pages.sides(result["cases"]):
        seconds = found["seconds"]
        rows[f"{case['config']}, {side}"] = {
            "step": round(seconds["median"], 4),
            "min-max": f"{seconds['min']:.3f}-{seconds['max']:.3f}",
            "pairs/s": found["pairs_per_second"],
            **pages.costs(side, found),
            "GFLOP": found["gflop"],
            "GFLOP/s": found["gflops"],
            "share of matmul peak": 100 * found["share_of_peak"],
        }
    return rows
