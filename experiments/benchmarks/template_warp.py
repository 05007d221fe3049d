r"""Time, compile time and memory of template_warp's training step, side by side.

  python -m experiments.benchmarks.template_warp --output experiments/benchmarks/results

With a checkout of princetonvisualai/hpe-inductive-prior-tuning and an interpreter that
has PyTorch and kornia, the reference's own step is measured in turn with ours:

  ... --reference_dir DIR --reference_python DIR/bin/python

Every measurement is a process of its own, so that memory and compile time are honest.
Frames are noise and lie on the device; reading data is not part of a step.
"""

import argparse
import pathlib
import runpy
import statistics
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import measure, pages, processes, report
from experiments.benchmarks.processes import ROOT

REPOSITORY = "princetonvisualai/hpe-inductive-prior-tuning"
SIZES = ("image_size", "batch_size", "narrow", "warmup", "repeats")
DEFAULT_CONFIGS = (
    "configs/mse_natural.py",
    "configs/mse_natural_flipaugment_twostepwarp.py",
)


def our_command(options: argparse.Namespace, config: str, *, pieces: bool) -> list[str]:
    """Returns the command line of one of our measurements."""
    command = [
        sys.executable,
        "-m",
        "experiments.benchmarks.our_step",
        f"--config={config}",
        f"--compute_dtype={options.compute_dtype}",
        f"--warp={options.warp}",
        f"--steps_per_call={options.steps_per_call}",
        *processes.flags(options, SIZES),
    ]
    return [*command, "--pieces"] if pieces else command


def reference_command(options: argparse.Namespace, config: str) -> list[str]:
    """Returns the command line of one measurement of the reference.

    Raises:
      FileNotFoundError: If `--reference_dir` is not a checkout.
    """
    model, template = reference_model(config)
    folder = processes.checkout(
        "--reference_dir",
        options.reference_dir,
        holds=f"code/models/{model}.py",
        repository=REPOSITORY,
    )
    return [
        options.reference_python,
        str(ROOT / "experiments" / "benchmarks" / "reference_step.py"),
        f"--reference_dir={folder}",
        f"--model={model}",
        f"--template={template}",
        *processes.flags(options, SIZES),
    ]


def reference_model(config_file: str) -> tuple[str, str]:
    """Returns the reference's module and template that a config of ours stands for."""
    config = runpy.run_path(config_file)["get_config"]()
    match config.scheme:
        case "two_step":
            model = "model_mse_twostepwarp"
        case "constrained":
            model = "model_constrained"
        case _:
            model = "model_mse" if config.weights.pixel > 0 else "model_baseline"
    return model, config.template


def summary(rounds: Sequence[Mapping[str, Any]], batch_size: int) -> dict[str, Any]:
    """Returns one row from the rounds of a side, with rates and the share of peak."""
    row = processes.summary(rounds)
    median, gflop = row["seconds"]["median"], rounds[0]["gflop"]
    peak = statistics.median(one["matmul_gflops"] for one in rounds)
    return row | {
        "pairs_per_second": batch_size / median,
        "gflop": gflop,
        "gflops": gflop / median,
        "matmul_gflops": peak,
        "share_of_peak": gflop / median / peak,
    }


def measure_case(options: argparse.Namespace, config: str) -> dict[str, Any]:
    """Measures one config, ours and the reference's in turn."""
    commands = {"ours": our_command(options, config, pieces=False)}
    if options.reference_dir:
        commands["reference"] = reference_command(options, config)
    name = pathlib.Path(config).stem
    found = processes.in_turn(
        name, commands, rounds=options.rounds, timeout=options.timeout
    )
    case: dict[str, Any] = {"config": name}
    case |= {side: summary(rows, options.batch_size) for side, rows in found.items()}
    if "reference" in case:
        case |= processes.ratios(case["ours"], case["reference"])
    if options.pieces:
        command = our_command(options, config, pieces=True)
        case["pieces"] = processes.run_process(command, timeout=options.timeout)
    return case


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description="Benchmarks template_warp.")
    add = parser.add_argument
    add("--configs", nargs="+", default=list(DEFAULT_CONFIGS), help="config files")
    add("--image_size", type=int, default=256)
    add("--batch_size", type=int, default=4)
    add("--compute_dtype", default="float32", choices=("float32", "bfloat16"))
    add("--warp", default="", choices=("", "sampling", "gaussian"))
    add("--steps_per_call", type=int, default=1, help="steps in one compiled call")
    add("--narrow", type=int, default=1, help="divide the width of every layer")
    add("--rounds", type=int, default=3, help="processes per case, in turn")
    add("--warmup", type=int, default=2)
    add("--repeats", type=int, default=5, help="measured steps per process")
    add("--pieces", action="store_true", help="also time the parts of our step")
    add("--reference_dir", default="", help="checkout of the reference")
    add("--reference_python", default=sys.executable, help="has torch and kornia")
    add("--timeout", type=float, default=1800.0, help="seconds per measurement")
    add("--output", type=pathlib.Path, help="folder for JSON and Markdown")
    add("--name", default="template_warp", help="name of the files in --output")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures, prints the table and writes it."""
    options = parse(arguments)
    try:
        cases = [measure_case(options, config) for config in options.configs]
    except (RuntimeError, FileNotFoundError) as error:
        sys.exit(f"benchmark: {error}")
    result = {
        **processes.origin(),
        "image_size": options.image_size,
        "batch_size": options.batch_size,
        "compute_dtype": options.compute_dtype,
        "warp": options.warp or "as in the config",
        "steps_per_call": options.steps_per_call,
        "narrow": options.narrow,
        "rounds": options.rounds,
        "repeats": options.repeats,
        "cases": cases,
    }
    if options.reference_dir:
        folder = pathlib.Path(options.reference_dir)
        result["reference_commit"] = measure.commit_of(folder)
    text = report.markdown(result)
    print(text)
    if options.output is not None:
        pages.write(options.output, options.name, result=result, page=text)


if __name__ == "__main__":
    main()
