"""The Markdown page of a benchmark."""

from collections.abc import Mapping
from typing import Any

from posejax.render.tables import figure_table

_UNITS = {
    "step": "s",
    "min-max": "s",
    "compile": "s",
    "peak memory": "MB",
    "device memory": "MB",
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
    for case in result["cases"]:
        if "pieces" in case:
            sections.append(_pieces(case))
    note = (
        "A ratio counts only between processes that ran in turn on one machine; "
        f"absolute times are those of {machine['cores']} core(s) of this one. GFLOP "
        "are convolutions and matrix products, two per multiply-add. Peak memory is "
        "that of the whole process, compilation included."
    )
    return "\n\n".join([*sections, note])


def _settings(result: Mapping[str, Any]) -> list[str]:
    machine = result["machine"]
    first = result["cases"][0]
    lines = [
        f"- {machine['processor']}, {machine['cores']} core(s), "
        f"{machine['memory_gb']} GB; device of ours: {first['ours']['device']}",
        f"- commit {result['commit']}; {_versions(first['ours'])}",
    ]
    if "reference" in first:
        lines.append(
            f"- reference commit {result['reference_commit']}; "
            f"{_versions(first['reference'])}; device {first['reference']['device']}"
        )
    lines.append(
        f"- {result['image_size']} px, batch {result['batch_size']}, "
        f"{result['compute_dtype']}, warp: {result['warp']}, "
        f"{result['steps_per_call']} step(s) per call, "
        f"{result['rounds']} x {result['repeats']} measured steps"
        + (f", widths / {result['narrow']}" if result["narrow"] != 1 else "")
    )
    return lines


def _versions(side: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} {version}" for name, version in side["versions"].items())


def _rows(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    rows = {}
    for case in result["cases"]:
        for side in ("ours", "reference"):
            if side not in case:
                continue
            found = case[side]
            seconds = found["seconds"]
            rows[f"{case['config']}, {side}"] = {
                "step": round(seconds["median"], 4),
                "min-max": f"{seconds['min']:.3f}-{seconds['max']:.3f}",
                "pairs/s": found["pairs_per_second"],
                "compile": found["compile_seconds"] if side == "ours" else None,
                "peak memory": round(found["peak_rss_mb"]),
                **_device_memory(found),
                "GFLOP": found["gflop"],
                "GFLOP/s": found["gflops"],
                "share of matmul peak": 100 * found["share_of_peak"],
            }
    return rows


def _device_memory(found: Mapping[str, Any]) -> dict[str, int]:
    peak = found["peak_device_mb"]
    return {"device memory": round(peak)} if peak else {}


def _pieces(case: Mapping[str, Any]) -> str:
    step = case["ours"]["seconds"]["median"]
    peak = case["ours"]["matmul_gflops"]
    rows = {
        name: {
            "time": 1000 * piece["seconds"],
            "of the step": 100 * piece["seconds"] / step,
            "GFLOP": piece["gflop"],
            "of matmul peak": 100 * piece["gflop"] / piece["seconds"] / peak,
        }
        for name, piece in case["pieces"].items()
    }
    units = {"time": "ms", "of the step": "%", "of matmul peak": "%"}
    table = figure_table(rows, units=units, corner="part", digits=1, layout="markdown")
    return f"Where the time of {case['config']} goes (parts run alone):\n\n{table}"
