"""One measurement of flow_pose on our side, in a process of its own; prints JSON.

Started by `experiments.benchmarks.flow_pose`; can be run alone on the files of
`flow_pose_files`:

  python -m experiments.benchmarks.our_flow_pose --kind forward --files DIR \
      --height 440 --width 1024

Weights are those that the reference has written, where it has, else drawn.
"""

import argparse
import dataclasses
import functools
import json
import math
import pathlib
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from configs.bases import flow_pose as base
from experiments.benchmarks import jax_process, measure
from experiments.benchmarks.flow_pose_files import CLIP_FILE, pair_file
from posejax import importers, losses, models, optimizers, training
from posejax.geometry.weak_perspective import CROP_SIZE_PX
from posejax.tasks import flow_pose
from posejax.training.program import give_back_free_memory
from posejax.typing import Batch, Config, Tree

Found = dict[str, Any]


def make_config(options: argparse.Namespace) -> Config:
    """Returns the config of the joint optimisation, as published."""
    config = base.get_config()
    config.flow.variant = options.variant
    config.flow.corr = options.corr
    config.flow.remat = options.remat
    config.flow.updates = options.updates
    config.flow.bn_mode = "train"
    config.compute_dtype = options.compute_dtype
    return config


def make_network(options: argparse.Namespace) -> models.RaftNetwork:
    """Returns the network that the options name."""
    return models.raft_network(
        options.variant,
        corr=options.corr,
        remat=options.remat,
        dtype=models.compute_dtype(options.compute_dtype),
    )


def load_weights(options: argparse.Namespace) -> tuple[Tree, Tree]:
    """Returns `(params, model_state)`."""
    path = pathlib.Path(options.files) / f"raft_{options.variant}.pth"
    if not path.is_file():
        return models.raft_network(options.variant).init(jax.random.key(0))
    found = importers.load_raft_checkpoint(path, variant=options.variant)
    return jax.tree.map(jnp.asarray, (found.params, found.model_state))


def load_pair(options: argparse.Namespace) -> Batch:
    """Returns `image_1`, `image_2` and `target`, float32."""
    path = pathlib.Path(options.files) / pair_file(options.height, options.width)
    names = {"image_1": "image_1", "image_2": "image_2", "target": "flow"}
    with np.load(path) as file:
        return {
            name: jnp.asarray(file[stored][: options.batch_size], jnp.float32)
            for name, stored in names.items()
        }


def compiled(jitted: Any, *arguments: Any) -> tuple[Callable[..., Any], Found]:
    """Returns a compiled function, the seconds that took and the memory it asks for.

    The memory is that of arguments, results and everything between, 10^6 bytes, as the
    compiler plans it; None where it does not say.
    """
    start = time.perf_counter()
    program = jitted.lower(*arguments).compile()
    seconds = time.perf_counter() - start
    give_back_free_memory()  # as training does before it runs a step
    plan = program.memory_analysis()
    found: Found = {"compile_seconds": seconds, "compiled_mb": None}
    if plan is not None:
        size = plan.argument_size_in_bytes + plan.output_size_in_bytes
        size += plan.temp_size_in_bytes - plan.alias_size_in_bytes
        found["compiled_mb"] = size / 1e6
    return program, found


def timed(call: Callable[[], Any], options: argparse.Namespace) -> list[float]:
    """Returns the seconds of the measured calls of a compiled function."""
    return measure.timed_calls(
        lambda: jax.block_until_ready(call()),
        warmup=1 + options.warmup,
        repeats=options.repeats,
    )


def measure_forward(options: argparse.Namespace) -> Found:
    """Returns the seconds of the flow of a pair; its check is the mean size of it."""
    network, batch = make_network(options), load_pair(options)
    variables = load_weights(options)

    def forward(variables: tuple[Tree, Tree], batch: Batch) -> jax.Array:
        images = batch["image_1"], batch["image_2"]
        output, _ = network.apply(*variables, *images, num_updates=options.updates)
        return output.flow

    run, found = compiled(jax.jit(forward), variables, batch)
    seconds = timed(lambda: run(variables, batch), options)
    flow = np.asarray(run(variables, batch), np.float64)
    return found | {
        "seconds": seconds,
        "items": options.batch_size,
        "check": float(np.abs(flow).mean()),
    }


def measure_train(options: argparse.Namespace) -> Found:
    """Returns the seconds of the training loss with gradient, whose norm it checks."""
    network, batch = make_network(options), load_pair(options)
    params, state = load_weights(options)

    def loss(params: Tree, state: Tree, batch: Batch) -> jax.Array:
        output, _ = network.apply(
            params,
            state,
            batch["image_1"],
            batch["image_2"],
            num_updates=options.updates,
            train=True,
            all_flows=True,
        )
        flows = jnp.asarray(output.flows)
        return jnp.mean(losses.sequence_loss(flows, batch["target"]))

    run, found = compiled(jax.jit(jax.value_and_grad(loss)), params, state, batch)
    seconds = timed(lambda: run(params, state, batch), options)
    value, gradient = run(params, state, batch)
    return found | {
        "seconds": seconds,
        "items": options.batch_size,
        "check": float(optax.tree.norm(gradient)),
        "loss": float(value),
    }


def measure_finetune(options: argparse.Namespace) -> Found:
    """Returns the seconds of a step of fine-tuning; its check is the last loss."""
    batch, weights = load_pair(options), load_weights(options)
    # The weights are in the hand already, not in a file of ours.
    task = dataclasses.replace(
        flow_pose.make_task(make_config(options)), init=lambda key, batch: weights
    )
    state = training.init_state(jax.random.key(0), task, batch)
    step = jax.jit(functools.partial(training.take_step, task), donate_argnums=0)
    run, found = compiled(step, state, batch)
    logs: Found = {}

    def call() -> Any:
        nonlocal state, logs
        state, logs = run(state, batch)
        return state, logs

    seconds = timed(call, options)
    return found | {
        "seconds": seconds,
        "items": options.batch_size,
        "check": float(logs["total"]),
    }


def load_clip(
    options: argparse.Namespace,
) -> tuple[losses.PoseVariables, losses.PoseClip]:
    """Returns the variables and the data of the energy."""
    with np.load(pathlib.Path(options.files) / CLIP_FILE) as file:
        clip = {name: jnp.asarray(file[name], jnp.float32) for name in file}
    centre = clip["start_pt"]
    data = losses.PoseClip(
        initial_pose=clip["pose"],
        detections=clip["detections"],
        confidence=clip["confidence"][..., 0],
        scale=jnp.ones_like(centre),
        origin=centre - CROP_SIZE_PX / 2,
        flow=clip["flow"],
    )
    return losses.PoseVariables(clip["pose"], clip["camera"]), data


def measure_pose_energy(options: argparse.Namespace) -> Found:
    """Returns the seconds per step of a whole minimisation, all steps in one call.

    The check is the energy before the step that is the reference's last.
    """
    compared = 1 + options.warmup + options.repeats
    steps = max(options.pose_steps, compared)
    variables, data = load_clip(options)
    energy = flow_pose.make_energy(make_config(options))
    adam = optimizers.adam(base.get_config().pose.learning_rate)

    def minimise(variables: Any, data: Any) -> training.MinimiseResult:
        return training.minimise(
            lambda moved: energy(moved, data), variables, adam, num_steps=steps
        )

    run, found = compiled(jax.jit(minimise), variables, data)
    seconds = timed(lambda: run(variables, data), options)
    result = run(variables, data)
    if int(result.num_steps) != steps:
        raise ValueError(
            f"the energy is not finite after {int(result.num_steps)} steps."
        )
    return found | {
        "seconds": [second / steps for second in seconds],
        "items": len(variables.pose),
        "steps_per_call": steps,
        "check": float(result.losses[compared - 1]),
    }


KINDS: Mapping[str, Callable[[argparse.Namespace], Found]] = {
    "forward": measure_forward,
    "train": measure_train,
    "finetune": measure_finetune,
    "pose_energy": measure_pose_energy,
}


def measured(options: argparse.Namespace) -> Found:
    """Returns the record of a measurement.

    Raises:
      ValueError: If what is computed is not finite.
    """
    found = KINDS[options.kind](options)
    if not math.isfinite(found["check"]):
        raise ValueError(f"{options.kind} computes {found['check']}.")
    if options.compute_dtype != "float32" and options.kind != "pose_energy":
        found["check"] = None  # rounds by far more than the sides may differ
    return found


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options of the command line."""
    parser = argparse.ArgumentParser(description="Measures one part of flow_pose.")
    parser.add_argument("--kind", required=True, choices=tuple(KINDS))
    parser.add_argument("--files", required=True)
    parser.add_argument("--variant", default="large", choices=("large", "small"))
    parser.add_argument("--height", type=int, default=440)
    parser.add_argument("--width", type=int, default=1024)
    parser.add_argument("--batch_size", type=int, default=1)
    parser.add_argument("--updates", type=int, default=12)
    parser.add_argument("--pose_steps", type=int, default=1500)
    parser.add_argument("--corr", default="auto")
    parser.add_argument("--remat", action="store_true")
    parser.add_argument("--compute_dtype", default="float32")
    parser.add_argument("--warmup", type=int, default=1)
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints one JSON object on the last line."""
    options = parse(arguments)
    jax_process.compile_anew()
    found = measured(options)
    print(json.dumps(found | jax_process.usage()))


if __name__ == "__main__":
    main()
