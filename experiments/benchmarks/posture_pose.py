r"""Times and memory of posture_pose beside its public references, case by case.

  python -m experiments.benchmarks.posture_pose --output experiments/benchmarks/results

With checkouts of facebookresearch/VideoPose3D and lawrenceamadi/PoseReg, one or both,
and an interpreter that has what they import, each case is measured on both sides in
turn:

  ... --videopose3d_dir DIR --posereg_dir DIR --reference_python DIR/bin/python

Every measurement is a process of its own, so that memory and compile time are honest.
Both sides read the same files of random poses, which are written first.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import measure, pages, posture_pose_report, processes
from experiments.benchmarks.processes import ROOT

REFERENCES = {
    "videopose3d": ("facebookresearch/VideoPose3D", "run.py"),
    "posereg": ("lawrenceamadi/PoseReg", "run_pr.py"),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured on both sides.

    Attributes:
      kind: What the measuring programs do, see `our_posture_pose.KINDS`.
      reference: Which checkout it is compared with, a key of `REFERENCES`; or None.
      aim: Least ratio theirs / ours in time that is aimed at on a CPU; or None.
      config: Name of our config.
      filter_widths: In place of those of the config.
      steps_per_call: Training steps in one call; 0 is what training does by default.
      compared_with: Case of ours that this one is a variant of.
    """

    kind: str
    reference: str | None
    aim: float | None
    config: str = "videopose3d_gt_27"
    filter_widths: str = ""
    steps_per_call: int = 0
    compared_with: str | None = None


CASES: Mapping[str, Case] = {
    "train_27": Case("train", "videopose3d", 1.6),
    "train_1": Case("train", "videopose3d", 2.0, filter_widths="1,1,1"),
    "semi_27": Case("train", "posereg", 1.6, "posture_pose_gt_27"),
    "semi_1": Case("train", "posereg", 1.6, "posture_pose_gt_1"),
    "semi_no_cameras_1": Case("train", "posereg", 1.6, "posture_pose_no_cameras_1"),
    "losses": Case("losses", "posereg", 4.0),
    "evaluate_27": Case("evaluate", "videopose3d", 1.0),
    "p_mpjpe": Case("p_mpjpe", "videopose3d", 3.0),
    "train_27_scan": Case(
        "train", None, None, steps_per_call=4, compared_with="train_27"
    ),
}

SIZES = ("channels", "batch_size", "num_groups", "poses", "warmup", "repeats")


def checkouts(options: argparse.Namespace) -> dict[str, pathlib.Path]:
    """Returns the folders of the references that were given.

    Raises:
      FileNotFoundError: If one is not a checkout.
    """
    found = {}
    for name, (repository, script) in REFERENCES.items():
        given = getattr(options, f"{name}_dir")
        if given:
            found[name] = processes.checkout(
                f"--{name}_dir", given, holds=script, repository=repository
            )
    return found


def commands(
    options: argparse.Namespace,
    name: str,
    files: pathlib.Path,
    folders: Mapping[str, pathlib.Path],
) -> dict[str, list[str]]:
    """Returns the command lines of a case: `ours`, and `reference` if there is one."""
    case = CASES[name]
    config = f"--config=configs/{case.config}.py"
    common = [f"--kind={case.kind}", f"--files={files}", config]
    common += processes.flags(options, SIZES)
    common.append(f"--filter_widths={options.filter_widths or case.filter_widths}")
    ours = [sys.executable, "-m", "experiments.benchmarks.our_posture_pose", *common]
    ours.append(f"--compute_dtype={options.compute_dtype}")
    ours.append(f"--steps_per_call={case.steps_per_call}")
    lines = {"ours": ours}
    if case.reference in folders:
        program = ROOT / "experiments" / "benchmarks" / "reference_posture_pose.py"
        folder = f"--reference_dir={folders[case.reference]}"
        lines["reference"] = [
            options.reference_python, str(program), folder, *common,
        ]  # fmt: skip
    return lines


def measure_case(
    options: argparse.Namespace,
    name: str,
    files: pathlib.Path,
    folders: Mapping[str, pathlib.Path],
) -> dict[str, Any]:
    """Measures one case, ours and the reference's in turn."""
    lines = commands(options, name, files, folders)
    rounds = processes.in_turn(
        name, lines, rounds=options.rounds, timeout=options.timeout
    )
    entry = CASES[name]
    case: dict[str, Any] = {
        "name": name,
        "config": entry.config,
        "aim": entry.aim,
        "reference_name": REFERENCES[entry.reference][0] if entry.reference else None,
        "compared_with": entry.compared_with,
    }
    case |= {side: processes.item_summary(found) for side, found in rounds.items()}
    if "reference" in case:
        case = processes.compared(case)
    if options.pieces and entry.kind == "train" and not entry.steps_per_call:
        line = [*lines["ours"], "--pieces"]
        case["pieces"] = processes.run_process(line, timeout=options.timeout)
    return case


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description="Benchmarks posture_pose.")
    add = parser.add_argument
    add("--cases", nargs="+", default=list(CASES), choices=tuple(CASES))
    add("--frames", type=int, default=1000, help="of each recording")
    add("--recordings", type=int, default=2, choices=range(1, 7), help="per subject")
    add("--poses", type=int, default=100_000, help="of p_mpjpe")
    add("--channels", type=int, default=0, help="0: as published, 1024")
    add("--filter_widths", default="", help="3,3,3 or the like; '': as published")
    add("--batch_size", type=int, default=0, help="0: as published")
    add("--num_groups", type=int, default=0, help="unlabelled; 0: as published")
    add("--compute_dtype", default="float32", choices=("float32", "bfloat16"))
    add("--rounds", type=int, default=2, help="processes per case and side, in turn")
    add("--warmup", type=int, default=2)
    add("--repeats", type=int, default=5, help="measured calls per process")
    add("--pieces", action="store_true", help="also time the parts of our step")
    add("--videopose3d_dir", default="", help="checkout of VideoPose3D")
    add("--posereg_dir", default="", help="checkout of PoseReg")
    add("--reference_python", default=sys.executable, help="has torch and the rest")
    add("--timeout", type=float, default=1800.0, help="seconds per measurement")
    add("--output", type=pathlib.Path, help="folder for JSON and Markdown")
    add("--name", default="posture_pose", help="name of the files in --output")
    return parser.parse_args(arguments)


def measure_all(
    options: argparse.Namespace, folders: Mapping[str, pathlib.Path]
) -> dict[str, Any]:
    """Writes the files of poses, measures the cases and returns the result."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        files = pathlib.Path(folder)
        program = "experiments.benchmarks.posture_pose_files"
        numbers = processes.flags(options, ("frames", "recordings", "poses"))
        line = [sys.executable, "-m", program, f"--folder={files}", *numbers]
        processes.run_process(line, timeout=options.timeout)
        cases = [measure_case(options, name, files, folders) for name in options.cases]
    names = ("frames", "recordings", "poses", "compute_dtype", "rounds", "repeats")
    return {
        **processes.origin(),
        "reference_commits": {
            REFERENCES[name][0]: measure.commit_of(path)
            for name, path in folders.items()
        },
        "load": load,
        **{name: getattr(options, name) for name in names},
        "cases": cases,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the tables and writes them."""
    options = parse(arguments)
    try:
        result = measure_all(options, checkouts(options))
    except (RuntimeError, FileNotFoundError) as error:
        sys.exit(f"benchmark: {error}")
    text = posture_pose_report.markdown(result)
    print(text)
    if options.output is not None:
        pages.write(options.output, options.name, result=result, page=text)


if __name__ == "__main__":
    main()
