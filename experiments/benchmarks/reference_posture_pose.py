"""One measurement of posture_pose's public references; prints one JSON line.

Run by the interpreter given as `--reference_python` (PyTorch and what the checkouts
import), never by ours. The checkouts' own scripts run as they are, `run.py` and
`run_pr.py`, on files of random poses; a clock is put around them: an Adam that notes
the time after each step and stops the script after the last, a generator of sequences
that notes the time before each. Where only losses are measured, the functions of the
checkout are called in the order in which its script calls them.
"""

import argparse
import contextlib
import json
import os
import pathlib
import runpy
import sys
import time
from collections.abc import Iterator, Sequence

import measure  # the folder of this file is on the path
import numpy as np
import torch
import torch_process

SUPERVISED = ("-e", "80", "--subjects-train", "S1,S5,S6,S7,S8")
SEMI_SUPERVISED = (
    "--subjects-train", "S1", "--subjects-unlabeled", "S5,S6,S7,S8", "-dfq", "500",
    "-no-mble", "-pto", "-bse", "-bpc", "-jmc",
)  # fmt: skip
# All terms from the first step on: a warm-up is shorter than the benchmark's own.
WITH_CAMERAS = (
    *SEMI_SUPERVISED, "-e", "100", "-lrd", "0.99", "--warmup", "0", "-mce-t", "-2.1",
    "-mcv", "4", "-mce-ta", "-semi-sup-coef", "2.,0.,.1333,.1333,.0667,.0667,.1,.03",
)  # fmt: skip
WITHOUT_CAMERAS = (
    *SEMI_SUPERVISED, "-e", "160", "-lrd", "0.975", "--warmup", "0", "-mce-t", "-2",
    "-mcv", "3", "-proj-t", "-2",
    "-semi-sup-coef", ".125,0.,.025,.0125,.0125,.0125,0.,.03",
)  # fmt: skip
# By config of ours: script, its flags, batch size, groups of views, filter widths.
RUNS = {
    "videopose3d_gt_27": ("run.py", SUPERVISED, 1024, 0, "3,3,3"),
    "posture_pose_gt_27": ("run_pr.py", WITH_CAMERAS, 256, 128, "3,3,3"),
    "posture_pose_gt_1": ("run_pr.py", WITH_CAMERAS, 256, 128, "1,1,1"),
    "posture_pose_no_cameras_1": ("run_pr.py", WITHOUT_CAMERAS, 512, 510, "1,1,1"),
}


class _Enough(BaseException):
    """Ends a script whose steps have been measured."""


def clocked_adam(steps: int) -> tuple[type, list[float]]:
    """Returns an Adam that notes the time after each step, and the list of times.

    After `steps` steps it ends the script that uses it.
    """
    stamps: list[float] = []

    class ClockedAdam(torch.optim.Adam):
        def step(self, *args: object, **kwargs: object) -> object:
            found = super().step(*args, **kwargs)
            torch_process.synchronize()
            stamps.append(time.perf_counter())
            if len(stamps) >= steps:
                raise _Enough
            return found

    return ClockedAdam, stamps


def run_script(
    options: argparse.Namespace, script: str, flags: Sequence[str]
) -> dict[str, object]:
    """Runs a script of the checkout in the folder of the random files.

    What it prints goes to the error stream: the last line of ours is the result.

    Returns:
      The names it has defined; none if its clock has ended it.
    """
    os.chdir(options.files)
    sys.argv = [script, "-k", "gt", "-c", "checkpoint", *flags]
    if script == "run_pr.py":
        sys.argv += ["-dhd", "data/"]
        priors = pathlib.Path("priors")  # which it opens relative to where it runs
        if not priors.is_symlink():
            priors.symlink_to(pathlib.Path(options.reference_dir) / "priors")
    path = pathlib.Path(options.reference_dir) / script
    with contextlib.redirect_stdout(sys.stderr):
        try:
            return runpy.run_path(str(path), run_name="__main__")
        except _Enough:
            return {}


def measure_training(options: argparse.Namespace) -> dict:
    """Returns the seconds of whole training steps of a script: generators and step."""
    name = pathlib.Path(options.config).stem
    script, flags, batch_size, groups, widths = RUNS[name]
    sizes = ["-b", str(options.batch_size or batch_size)]
    sizes += ["-arc", options.filter_widths or widths]
    sizes += ["-ch", str(options.channels or 1024)]
    if groups:
        sizes += ["-wsb", str(options.num_groups or groups)]
    steps = 1 + options.warmup + options.repeats
    torch.optim.Adam, stamps = clocked_adam(steps)
    run_script(options, script, [*flags, *sizes])
    if len(stamps) < steps:
        raise ValueError(f"{script} took {len(stamps)} steps, not {steps}.")
    seconds = np.diff(stamps)[options.warmup :].tolist()
    views = int(flags[flags.index("-mcv") + 1]) if groups else 0
    windows = int(sizes[1]) + views * (options.num_groups or groups)
    return {"seconds": seconds, "items": windows, "check": None}


def measure_evaluation(options: argparse.Namespace) -> dict:
    """Returns the seconds per sequence of `run.py --evaluate`, mirrored copies too."""
    os.chdir(options.files)
    from common import generators
    from common.model import TemporalModel

    widths = options.filter_widths or "3,3,3"
    channels = options.channels or 1024
    sizes = [int(width) for width in widths.split(",")]
    model = TemporalModel(17, 2, 17, sizes, channels=channels)
    name = "random.bin"
    folder = pathlib.Path("checkpoint")
    folder.mkdir(exist_ok=True)
    torch.save({"epoch": 0, "model_pos": model.state_dict()}, folder / name)
    seconds, frames = [], []
    original = generators.UnchunkedGenerator.next_epoch

    def clocked(self: object) -> Iterator[tuple]:
        stamps = []
        for item in original(self):
            frames.append(item[1].shape[1])
            stamps.append(time.perf_counter())
            yield item
        stamps.append(time.perf_counter())
        seconds.extend(np.diff(stamps).tolist())

    generators.UnchunkedGenerator.next_epoch = clocked
    flags = ["--evaluate", name, "-arc", widths, "-ch", str(channels)]
    run_script(options, "run.py", flags)
    return {"seconds": seconds[options.warmup :], "items": frames[0], "check": None}


def poses(options: argparse.Namespace, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the first pairs of bodies, predicted and true."""
    with np.load(pathlib.Path(options.files) / "poses.npz") as file:
        return file["predicted"][:count], file["target"][:count]


def measure_p_mpjpe(options: argparse.Namespace) -> dict:
    """Returns the seconds of the checkout's P-MPJPE of all poses of the file."""
    from common.loss import p_mpjpe

    predicted, target = poses(options, options.poses)
    seconds = measure.timed_calls(
        lambda: p_mpjpe(predicted, target),
        warmup=options.warmup,
        repeats=options.repeats,
    )
    value = float(p_mpjpe(predicted, target))
    return {"seconds": seconds, "items": len(predicted), "check": value}


def measure_losses(options: argparse.Namespace) -> dict:
    """Returns the seconds of BPC + JMC + orientation alignment, with gradient."""
    from reference_posture_losses import make_losses

    pair = poses(options, options.batch_size or 1024)
    total = make_losses(pathlib.Path(options.reference_dir), *pair)
    checks: list[float] = []

    def call() -> None:
        checks.append(total())
        torch_process.synchronize()

    seconds = measure.timed_calls(call, warmup=options.warmup, repeats=options.repeats)
    return {"seconds": seconds, "items": len(pair[0]), "check": checks[-1]}


KINDS = {
    "train": measure_training,
    "losses": measure_losses,
    "evaluate": measure_evaluation,
    "p_mpjpe": measure_p_mpjpe,
}


def main() -> None:
    """Measures and prints one JSON object on the last line."""
    parser = argparse.ArgumentParser(description="Measures a part of the references.")
    parser.add_argument("--kind", required=True, choices=tuple(KINDS))
    parser.add_argument("--reference_dir", required=True)
    parser.add_argument("--files", required=True)
    parser.add_argument("--config", default="")
    parser.add_argument("--filter_widths", default="")
    parser.add_argument("--channels", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=0)
    parser.add_argument("--num_groups", type=int, default=0)
    parser.add_argument("--poses", type=int, default=100_000)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(measure.num_cores())
    torch.manual_seed(0)
    sys.path.insert(0, options.reference_dir)
    # A name that numpy has given up and PoseReg uses.
    vars(np).setdefault("int", int)
    found = KINDS[options.kind](options)
    found |= {"compile_seconds": 0.0, **torch_process.usage(np)}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
