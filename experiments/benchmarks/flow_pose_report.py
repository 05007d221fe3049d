"""The Markdown page of the benchmark of flow_pose."""

from collections.abc import Mapping
from typing import Any

from experiments.benchmarks import pages
from posejax.render.tables import figure_table

_UNITS = {
    "call": "ms",
    "min-max": "ms",
    "rate": "frames/s",
    **pages.COST_UNITS,
    "compiler's plan": "MB",
}


def markdown(result: Mapping[str, Any]) -> str:
    """Returns heading, settings, the measured rows, the ratios and the variants."""
    sections = [
        f"# flow_pose, {result['date']}",
        "\n".join(_settings(result)),
        figure_table(_rows(result), units=_UNITS, corner="case", layout="markdown"),
    ]
    for rows in (pages.ratios(result["cases"]), _variants(result)):
        if rows:
            sections.append(figure_table(rows, corner="case", layout="markdown"))
    sections.append(
        "A call is the flow of a pair of frames (forward), the loss over the flow "
        "after every update with its gradient (train, batch norm frozen), a step of "
        "fine-tuning with Adam (finetune, 20 updates, batch norm of one frame), or a "
        "step of the pose energy, ours as part of a whole minimisation in one call. "
        "Frames are pairs, or frames of the clip. A ratio counts only between "
        "processes that ran in turn on one machine, which did nothing else. Peak "
        "memory is that of the whole process, compilation included; the compiler's "
        "plan is what one call of ours needs: arguments, results and all between."
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
        f"- random frames and weights; energy of {result['frames']} frames, "
        f"{result['pose_steps']} steps per call of ours; {result['compute_dtype']}; "
        f"{result['rounds']} x {result['repeats']} measured calls"
        + (f"; {result['updates']} updates in all cases" if result["updates"] else "")
    )
    return lines


def _rows(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    rows = {}
    for case, side, found in pages.sides(result["cases"]):
        low, high = (1000 * found["seconds"][name] for name in ("min", "max"))
        plan = found.get("compiled_mb")
        rows[f"{case['name']}, {side}"] = {
            "frames": case["frames"] or "",
            "call": 1000 * found["seconds"]["median"],
            "min-max": f"{low:.2f}-{high:.2f}",
            "rate": found["items_per_second"],
            **pages.costs(side, found),
            "compiler's plan": None if plan is None else round(plan),
        }
    return rows


def _variants(result: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Compares cases of ours with the ones they are variants of, if both were run."""
    cases = {case["name"]: case for case in result["cases"]}
    rows = {}
    for name, case in cases.items():
        plain = cases.get(case["compared_with"] or "")
        if plain is None:
            continue
        ours, other = case["ours"], plain["ours"]
        both = ours["compiled_mb"], other["compiled_mb"]
        rows[f"{name} / {plain['name']}"] = {
            "time": ours["seconds"]["median"] / other["seconds"]["median"],
            "peak memory": ours["peak_rss_mb"] / other["peak_rss_mb"],
            "compiler's plan": None if None in both else both[0] / both[1],
        }
    return rows
