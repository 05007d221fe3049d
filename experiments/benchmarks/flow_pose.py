r"""Times and memory of flow_pose beside its public references, case by case.

  python -m experiments.benchmarks.flow_pose --output experiments/benchmarks/results

With checkouts of princeton-vl/RAFT and of
ubc-vision/bootstrapping-human-optical-flow-and-pose, one or both, and an interpreter
that has what they import, each case is measured on both sides in turn:

  ... --reference_raft DIR --reference_bhfp DIR --torch_python DIR/bin/python

Every measurement is a process of its own, so that memory and compile time are honest.
Both sides read the same files of random frames and poses, which are written first, and
the same random weights, which RAFT's own code draws.
"""

import argparse
import dataclasses
import os
import pathlib
import sys
import tempfile
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import flow_pose_report, measure, pages, processes
from experiments.benchmarks.processes import ROOT

# By name: repository, a file of it, and the program that measures it.
REFERENCES = {
    "raft": ("princeton-vl/RAFT", "core/raft.py", "reference_raft.py"),
    "bhfp": (
        "ubc-vision/bootstrapping-human-optical-flow-and-pose",
        "optimization_h36m.py",
        "reference_pose_energy.py",
    ),
}


@dataclasses.dataclass(frozen=True)
class Case:
    """What is measured.

    Attributes:
      kind: What the measuring programs do, see `our_flow_pose.KINDS`.
      reference: Which checkout it is compared with, a key of `REFERENCES`; or None.
      aim: Least ratio theirs / ours in time that is aimed at on a CPU; or None.
      size: Which option gives the size of the frames, `SIZES` without `_size`.
      variant: Of the network.
      updates: Of the flow.
      batch_size: Pairs of frames.
      corr: How ours correlates.
      remat: Whether ours computes the updates again for the gradient.
      compared_with: Case of ours that this one is a variant of.
    """

    kind: str
    reference: str | None
    aim: float | None
    size: str = "forward"
    variant: str = "large"
    updates: int = 12
    batch_size: int = 1
    corr: str = "volume"
    remat: bool = False
    compared_with: str | None = None


_FINETUNE = Case("finetune", "raft", 0.9, "train", updates=20)
CASES: Mapping[str, Case] = {
    "forward_large_12": Case("forward", "raft", 1.0),
    "forward_large_32": Case("forward", "raft", 1.0, updates=32),
    "forward_small_12": Case("forward", "raft", 1.0, variant="small"),
    "train_large_1": Case("train", "raft", 0.9, "train"),
    "train_large_2": Case("train", "raft", 0.9, "train", batch_size=2),
    "train_small_1": Case("train", "raft", 0.9, "train", variant="small"),
    "finetune_large": _FINETUNE,
    "pose_energy": Case("pose_energy", "bhfp", 300.0),
    "finetune_large_remat": dataclasses.replace(
        _FINETUNE,
        reference=None,
        aim=None,
        remat=True,
        compared_with="finetune_large",
    ),
    "on_the_fly": Case(
        "forward",
        None,
        None,
        corr="on_the_fly",
        compared_with="forward_large_12",
    ),
    "double": Case("forward", None, None, "double"),
    "double_on_the_fly": Case(
        "forward", None, None, "double", corr="on_the_fly", compared_with="double"
    ),
}

SIZES = {"forward_size": "440x1024", "train_size": "368x496", "double_size": "880x2048"}


def checkouts(options: argparse.Namespace) -> dict[str, pathlib.Path]:
    """Returns the folders of the references that were given.

    Raises:
      FileNotFoundError: If one is not a checkout.
    """
    found = {}
    for name, (repository, holds, _) in REFERENCES.items():
        given = getattr(options, f"reference_{name}")
        if given:
            found[name] = processes.checkout(
                f"--reference_{name}", given, holds=holds, repository=repository
            )
    return found


def frame_size(options: argparse.Namespace, case: Case) -> str:
    """Returns the size of the frames of a case, HEIGHTxWIDTH."""
    return getattr(options, f"{case.size}_size")


def reference_line(
    options: argparse.Namespace, name: str, folder: pathlib.Path, files: pathlib.Path
) -> list[str]:
    """Returns the start of the command line of a reference's program."""
    program = ROOT / "experiments" / "benchmarks" / REFERENCES[name][2]
    line = [options.torch_python, str(program), f"--reference_dir={folder}"]
    return [*line, f"--files={files}"]


def commands(
    options: argparse.Namespace,
    name: str,
    files: pathlib.Path,
    folders: Mapping[str, pathlib.Path],
) -> dict[str, list[str]]:
    """Returns the command lines of a case: `ours`, and `reference` if there is one."""
    case = CASES[name]
    calls = processes.flags(options, ("warmup", "repeats"))
    height, width = frame_size(options, case).split("x")
    work = [
        f"--kind={case.kind}",
        f"--variant={case.variant}",
        f"--height={height}",
        f"--width={width}",
        f"--batch_size={case.batch_size}",
        f"--updates={options.updates or case.updates}",
        f"--compute_dtype={options.compute_dtype}",
    ]
    ours = [sys.executable, "-m", "experiments.benchmarks.our_flow_pose"]
    ours += [f"--files={files}", *work, *calls, f"--corr={case.corr}"]
    ours += [f"--pose_steps={options.pose_steps}", *(["--remat"] * case.remat)]
    lines = {"ours": ours}
    if case.reference in folders:
        line = reference_line(options, case.reference, folders[case.reference], files)
        lines["reference"] = [
            *line,
            *(work if case.reference == "raft" else ()),
            *calls,
        ]
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
        "aim": entry.aim,
        "frames": None if entry.kind == "pose_energy" else frame_size(options, entry),
        "reference_name": REFERENCES[entry.reference][0] if entry.reference else None,
        "compared_with": entry.compared_with,
    }
    case |= {side: processes.item_summary(found) for side, found in rounds.items()}
    case["ours"]["compiled_mb"] = rounds["ours"][0]["compiled_mb"]
    return processes.compared(case) if "reference" in case else case


def write_files(
    options: argparse.Namespace,
    files: pathlib.Path,
    folders: Mapping[str, pathlib.Path],
) -> None:
    """Writes what the cases read: frames, the clip, and RAFT's random weights.

    Raises:
      RuntimeError: If one of the processes that do so fails.
    """
    cases = [CASES[name] for name in options.cases]
    of_frames = [case for case in cases if case.kind != "pose_energy"]
    sizes = sorted({frame_size(options, case) for case in of_frames})
    frames = options.frames if len(of_frames) < len(cases) else 0
    program = "experiments.benchmarks.flow_pose_files"
    line = [sys.executable, "-m", program, f"--folder={files}", f"--frames={frames}"]
    processes.run_process([*line, "--sizes", *sizes], timeout=options.timeout)
    if of_frames and "raft" in folders:
        line = reference_line(options, "raft", folders["raft"], files)
        processes.run_process([*line, "--kind=weights"], timeout=options.timeout)


def _size(text: str) -> str:
    """Returns HEIGHTxWIDTH if it is one, both multiples of 8."""
    parts = text.split("x")
    if len(parts) != 2 or not all(p.isdecimal() and int(p) % 8 == 0 for p in parts):
        raise argparse.ArgumentTypeError(
            f"{text!r} is no size; give HEIGHTxWIDTH, multiples of 8, as 440x1024"
        )
    return "x".join(str(int(part)) for part in parts)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description="Benchmarks flow_pose.")
    add = parser.add_argument
    add("--cases", nargs="+", default=list(CASES), choices=tuple(CASES))
    for name, size in SIZES.items():
        add(f"--{name}", type=_size, default=size, help="HEIGHTxWIDTH of frames")
    add("--updates", type=int, default=0, help="of the flow; 0: as published")
    add("--frames", type=int, default=300, help="of the clip of the pose energy")
    add("--pose_steps", type=int, default=1500, help="of ours, in one call")
    add("--compute_dtype", default="float32", choices=("float32", "bfloat16"))
    add("--rounds", type=int, default=2, help="processes per case and side, in turn")
    add("--warmup", type=int, default=1)
    add("--repeats", type=int, default=3, help="measured calls per process")
    add("--reference_raft", default="", help="checkout of RAFT")
    add("--reference_bhfp", default="", help="checkout of the joint optimisation")
    add("--torch_python", default=sys.executable, help="has torch and scipy")
    add("--timeout", type=float, default=1800.0, help="seconds per measurement")
    add("--output", type=pathlib.Path, help="folder for JSON and Markdown")
    add("--name", default="flow_pose", help="name of the files in --output")
    return parser.parse_args(arguments)


def measure_all(
    options: argparse.Namespace, folders: Mapping[str, pathlib.Path]
) -> dict[str, Any]:
    """Writes the files, measures the cases and returns the result."""
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    with tempfile.TemporaryDirectory() as folder:
        files = pathlib.Path(folder)
        write_files(options, files, folders)
        cases = [measure_case(options, name, files, folders) for name in options.cases]
    names = ("frames", "pose_steps", "updates", "compute_dtype", "rounds", "repeats")
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
    text = flow_pose_report.markdown(result)
    print(text)
    if options.output is not None:
        pages.write(options.output, options.name, result=result, page=text)


if __name__ == "__main__":
    main()
