r"""Time, compile time and memory of template_warp's training step, side by side.

  python -m experiments.benchmarks.template_warp --output experiments/benchmarks/results

With a checkout of princetonvisualai/hpe-inductive-prior-tuning and an interpreter that
has PyTorch and kornia, the reference's own step is measured in turn with ours:

  ... --reference_dir DIR --reference_python DIR/bin/python

Every measurement is a process of its own, so that memory and compile time are honest.
Frames are noise and lie on the device; reading data is not part of a step.
"""

import argparse
import datetime
import json
import os
import pathlib
import runpy
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import measure, report

ROOT = pathlib.Path(__file__).resolve().parents[2]
DEFAULT_CONFIGS = (
    "configs/mse_natural.py",
    "configs/mse_natural_flipaugment_twostepwarp.py",
)


def run_process(command: Sequence[str], *, timeout: float) -> dict[str, Any]:
    """Runs one measurement and returns the JSON object of its last line.

    Raises:
      RuntimeError: If it fails or says nothing, with the end of what it said.
    """
    environment = dict(os.environ)
    # One device and no stored programs, whatever the caller's shell has set.
    for name in ("JAX_NUM_CPU_DEVICES", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS"):
        environment.pop(name, None)
    try:
        found = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} cannot be started; give its path.") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(
            f"a measurement took more than {timeout:.0f} s; raise --timeout or "
            "measure something smaller."
        ) from None
    lines = found.stdout.strip().splitlines()
    if found.returncode != 0 or not lines:
        end = found.stderr.strip().splitlines()[-1:] or [f"exit {found.returncode}"]
        raise RuntimeError(f"{' '.join(command[:4])} ... failed: {end[0]}")
    return json.loads(lines[-1])


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
        *_sizes(options),
    ]
    return [*command, "--pieces"] if pieces else command


def reference_command(options: argparse.Namespace, config: str) -> list[str]:
    """Returns the command line of one measurement of the reference.

    Raises:
      FileNotFoundError: If `--reference_dir` is not a checkout.
    """
    model, template = reference_model(config)
    folder = pathlib.Path(options.reference_dir).resolve()
    if not (folder / "code" / "models" / f"{model}.py").is_file():
        raise FileNotFoundError(
            f"--reference_dir {options.reference_dir!r} has no code/models/{model}.py; "
            "give a checkout of princetonvisualai/hpe-inductive-prior-tuning."
        )
    return [
        options.reference_python,
        str(ROOT / "experiments" / "benchmarks" / "reference_step.py"),
        f"--reference_dir={folder}",
        f"--model={model}",
        f"--template={template}",
        *_sizes(options),
    ]


def _sizes(options: argparse.Namespace) -> list[str]:
    names = ("image_size", "batch_size", "narrow", "warmup", "repeats")
    return [f"--{name}={getattr(options, name)}" for name in names]


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
    """Returns one row from the rounds of a case: medians, and the largest memory."""
    seconds = [second for one in rounds for second in one["seconds"]]
    median = statistics.median(seconds)
    peak = statistics.median(one["matmul_gflops"] for one in rounds)
    device = [one["peak_device_mb"] for one in rounds if one["peak_device_mb"]]
    gflop = rounds[0]["gflop"]
    return {
        "seconds": measure.spread(seconds),
        "pairs_per_second": batch_size / median,
        "compile_seconds": statistics.median(one["compile_seconds"] for one in rounds),
        "peak_rss_mb": max(one["peak_rss_mb"] for one in rounds),
        "peak_device_mb": max(device) if device else None,
        "gflop": gflop,
        "gflops": gflop / median,
        "matmul_gflops": peak,
        "share_of_peak": gflop / median / peak,
        "versions": rounds[0]["versions"],
        "device": rounds[0]["device"],
        "rounds": [one["seconds"] for one in rounds],
    }


def measure_case(options: argparse.Namespace, config: str) -> dict[str, Any]:
    """Measures one config, ours and the reference's in turn."""
    commands = {"ours": our_command(options, config, pieces=False)}
    if options.reference_dir:
        commands["reference"] = reference_command(options, config)
    rounds: dict[str, list] = {name: [] for name in commands}
    for number in range(options.rounds):
        for name, command in commands.items():
            print(
                f"{pathlib.Path(config).stem}: {name}, round {number + 1} of "
                f"{options.rounds}",
                file=sys.stderr,
                flush=True,
            )
            rounds[name].append(run_process(command, timeout=options.timeout))
    case: dict[str, Any] = {"config": pathlib.Path(config).stem}
    for name, found in rounds.items():
        case[name] = summary(found, options.batch_size)
    if "reference" in case:
        theirs, ours = case["reference"], case["ours"]
        case["speed_ratio"] = theirs["seconds"]["median"] / ours["seconds"]["median"]
        case["memory_ratio"] = ours["peak_rss_mb"] / theirs["peak_rss_mb"]
    if options.pieces:
        command = our_command(options, config, pieces=True)
        case["pieces"] = run_process(command, timeout=options.timeout)
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
        "date": datetime.date.today().isoformat(),
        "commit": measure.commit_of(ROOT),
        "machine": measure.machine(),
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
        options.output.mkdir(parents=True, exist_ok=True)
        stem = options.output / options.name
        stem.with_suffix(".json").write_text(json.dumps(result, indent=2) + "\n")
        stem.with_suffix(".md").write_text(text + "\n")


if __name__ == "__main__":
    main()
