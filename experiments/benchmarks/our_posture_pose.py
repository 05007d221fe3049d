"""One measurement of posture_pose on our side, in a process of its own; prints JSON.

Started by `experiments.benchmarks.posture_pose`; can be run alone on the files that it
leaves with `--files`:

  python -m experiments.benchmarks.our_posture_pose --kind train --files DIR \
      --config configs/videopose3d_gt_27.py

Training is `training.fit` on the data of the config, with a hook that notes the time;
evaluation is `training.make_evaluate` with all measures of the system.
"""

import argparse
import json
import pathlib
import runpy
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import jax_process
from experiments.benchmarks.posture_pose_files import POSES_FILE
from experiments.benchmarks.posture_pose_pieces import measure_pieces
from posejax import losses, metrics, priors, training
from posejax.tasks.posture_pose import make_task
from posejax.tasks.posture_pose_data import make_data
from posejax.typing import Config

Found = dict[str, Any]


def load_config(options: argparse.Namespace) -> Config:
    """Returns the config with the sizes of the benchmark; 0 or '' leaves its own."""
    config = runpy.run_path(options.config)["get_config"]()
    if options.filter_widths:
        widths = options.filter_widths.split(",")
        config.model.filter_widths = tuple(int(width) for width in widths)
    config.model.channels = options.channels or config.model.channels
    config.batch_size = options.batch_size or config.batch_size
    config.views.num_groups = options.num_groups or config.views.num_groups
    config.compute_dtype = options.compute_dtype
    config.warmup_epochs = 0  # all terms from the first step on
    return config


def _prepared(options: argparse.Namespace) -> str:
    return str(pathlib.Path(options.files) / "prepared")


def measure_training(options: argparse.Namespace) -> Found:
    """Returns the seconds of whole training steps: batches, transfer, step.

    The time of a step ends when its results are there, so that nothing of it is counted
    to another; batches are made ahead by the loop's own thread, as in every training.
    """
    config = load_config(options)
    task = make_task(config, _prepared(options))
    data = make_data(config, _prepared(options))
    batch = {**data.resident, **next(iter(data.train(0)))}
    state = training.init_state(jax.random.key(0), task, batch)
    steps = options.steps_per_call or training.default_steps_per_call()
    stamps, totals = [time.perf_counter()], []

    def note(step: int, state: training.TrainState, logs: Mapping[str, Any]) -> None:
        del step
        jax.block_until_ready((state, logs))
        stamps.append(time.perf_counter())
        totals.append(float(np.atleast_1d(np.asarray(logs["total"]))[-1]))

    training.fit(
        task,
        state,
        data.train(0),
        num_steps=steps * (1 + options.warmup + options.repeats),
        hooks=(note,),
        mesh=training.data_mesh(),
        resident=data.resident,
        steps_per_call=steps,
        prefetch=config.loop.prefetch,
    )
    calls = np.diff(stamps)
    seconds = [float(call) / steps for call in calls[1 + options.warmup :]]
    windows = config.batch_size
    if "unlabelled" in batch:
        windows += len(batch["unlabelled"]["sequence"])
    return {
        "seconds": seconds,
        "items": windows,
        "compile_seconds": float(calls[0]) - steps * statistics.median(seconds),
        "steps_per_call": steps,
        "check": None,  # random parameters: the two sides need not agree
        "total": totals[-1],
    }


def _poses(options: argparse.Namespace, count: int) -> tuple[jax.Array, jax.Array]:
    with np.load(pathlib.Path(options.files) / POSES_FILE) as file:
        return jnp.asarray(file["predicted"][:count]), jnp.asarray(
            file["target"][:count]
        )


def _timed(
    call: Callable[[], Any], options: argparse.Namespace
) -> tuple[list[float], float]:
    return jax_process.call_and_compile_seconds(
        call, warmup=options.warmup, repeats=options.repeats
    )


def measure_losses(options: argparse.Namespace) -> Found:
    """Returns the seconds of BPC + JMC + orientation alignment, with gradient."""
    predicted, target = _poses(options, options.batch_size or 1024)
    known = np.asarray(target)
    proportion = priors.fit_bone_proportion(known)
    mobility = priors.fit_joint_mobility(known)

    def total(pose: jax.Array, target: jax.Array) -> tuple[jax.Array, jax.Array]:
        posture = jnp.mean(losses.posture_loss(pose, target))
        likely = priors.bone_proportion_loss(pose, proportion)
        likely += priors.joint_mobility_loss(pose, mobility)
        return jnp.mean(likely) + posture, posture

    run = jax.jit(jax.value_and_grad(total, has_aux=True))
    seconds, compiling = _timed(lambda: run(predicted, target), options)
    (_, posture), gradient = run(predicted, target)
    if not np.isfinite(np.asarray(gradient)).all():
        raise ValueError("the gradient of the losses is not finite.")
    # The priors of the two sides are fitted to different bodies; the posture is not.
    return {
        "seconds": seconds,
        "items": len(predicted),
        "compile_seconds": compiling,
        "check": float(posture),
    }


def measure_p_mpjpe(options: argparse.Namespace) -> Found:
    """Returns the seconds of P-MPJPE of all poses of the file."""
    predicted, target = _poses(options, options.poses)
    run = jax.jit(lambda a, b: jnp.mean(metrics.p_mpjpe(a, b)))
    seconds, compiling = _timed(lambda: run(predicted, target), options)
    return {
        "seconds": seconds,
        "items": len(predicted),
        "compile_seconds": compiling,
        "check": float(run(predicted, target)),
    }


def measure_evaluation(options: argparse.Namespace) -> Found:
    """Returns the seconds per sequence of an evaluation with mirrored second look."""
    config = load_config(options)
    task = make_task(config, _prepared(options))
    data = make_data(config, _prepared(options))
    params, model_state = jax.jit(lambda key: task.init(key, {}))(jax.random.key(0))
    evaluate = training.make_evaluate(
        task, mesh=training.data_mesh(), resident=data.resident
    )
    lengths = data.resident["test_poses"]["lengths"]

    def call() -> Any:
        return evaluate(params, model_state, data.splits["test"]())

    seconds, compiling = _timed(call, options)
    return {
        "seconds": [second / len(lengths) for second in seconds],
        "items": int(lengths.sum()) / len(lengths),
        "compile_seconds": compiling,
        "check": None,
    }


KINDS: Mapping[str, Callable[[argparse.Namespace], Found]] = {
    "train": measure_training,
    "losses": measure_losses,
    "evaluate": measure_evaluation,
    "p_mpjpe": measure_p_mpjpe,
}


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description="Measures one part of posture_pose.")
    parser.add_argument("--kind", required=True, choices=tuple(KINDS))
    parser.add_argument("--files", required=True)
    parser.add_argument("--config", default="configs/videopose3d_gt_27.py")
    parser.add_argument("--filter_widths", default="")
    parser.add_argument("--channels", type=int, default=0)
    parser.add_argument("--batch_size", type=int, default=0)
    parser.add_argument("--num_groups", type=int, default=0)
    parser.add_argument("--poses", type=int, default=100_000)
    parser.add_argument("--compute_dtype", default="float32")
    parser.add_argument("--steps_per_call", type=int, default=0)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pieces", action="store_true")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints one JSON object on the last line."""
    options = parse(arguments)
    jax_process.compile_anew()
    if options.pieces:
        print(json.dumps(measure_pieces(load_config(options), options)))
        return
    found = KINDS[options.kind](options)
    print(json.dumps(found | jax_process.usage()))


if __name__ == "__main__":
    main()
