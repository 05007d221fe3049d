"""The Markdown page of the benchmark of posture_pose."""

from collections.abc import Mapping
from typing import Any

from experiments.benchmarks import pages
from posejax.render.tables import figure_table

_UNITS = {
    "call": "ms",
    "min-max": "ms",
    "rate": "items/s",
    **pages.COST_UNITS,
}


def markdown(result: Mapping[str, Any]) -> str:
    """Returns heading, settings, the measured rows, the ratios and the parts."""
    sections = [
        f"# posture_pose, {result['date']}",
        "\n".join(_settings(result)),
        figure_table(_rows(result), units=_UNITS, corner="case", layout="markdown"),
    ]
    ratios = pages.ratios(result["cases"])
    if ratios:
        sections.append(figure_table(ratios, corner="case", layout="markdown"))
    sections += [_scan(result)] if _scan(result) else []
    sections += [
        pages.pieces(case["name"], case) for case in result["cases"] if "pieces" in case
    ]
    sections.append(
        "A call is a training step (generators, transfer and step), an evaluated "
        "sequence (mirrored copy and measures included), or one value with gradient "
        "(losses) or without (p_mpjpe). Items are windows, labelled and unlabelled, "
        "frames or poses. A ratio counts only between processes that ran in turn on "
        "one machine, which did nothing else. Peak memory is that of the whole "
        "process, compilation included."
    )
    return "\n\n".join(sections)


def _settings(result: Mapping[str, Any]) -> list[str]:
    lines = pages.settings(result)
    sides = [case["reference"] for case in result["cases"] if "reference" in case]
    for name, commit in result["reference_commits"].items():
        lines.append(f"- {name} at {commit}")
    if sides:
        lines.append(
            f"- references: {pages.versions(sides[0])}; device {sides[0]['device']}"
        )
    lines.append(
        f"- random bodies, {result['frames']} frames x 4 cameras x "
        f"{result['recordings']} recordings x 7 subjects; {result['compute_dtype']}; "
        f"{result['rounds']} x {result['repeats']} measured calls"
    )
    return lines


def _rows(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    rows = {}
    for case, side, found in pages.sides(result["cases"]):
        low, high = (1000 * found["seconds"][name] for name in ("min", "max"))
        rows[f"{case['name']}, {side}"] = {
            "call": 1000 * found["seconds"]["median"],
            "min-max": f"{low:.2f}-{high:.2f}",
            "rate": round(found["items_per_second"]),
            **pages.costs(side, found),
        }
    return rows


def _scan(result: Mapping[str, Any]) -> str:
    """Compares one step per call with several in a scan, where both were measured."""
    cases = {case["name"]: case for case in result["cases"]}
    lines = []
    for name, case in cases.items():
        single = cases.get(case["compared_with"] or "")
        if single is not None:
            ratio = case["ours"]["seconds"]["median"]
            ratio /= single["ours"]["seconds"]["median"]
            lines.append(
                f"- {name}: a step takes {ratio:.2f} times the time of {single['name']}"
                f" ({case['ours']['steps_per_call']} steps in one call by `lax.scan`, "
                f"against {single['ours']['steps_per_call']})."
            )
    return "\n".join(lines)
