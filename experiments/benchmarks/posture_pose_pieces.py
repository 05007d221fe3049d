"""Where the time of a training step of posture_pose goes: its parts, run alone."""

import argparse
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks import jax_process, measure
from posejax import training
from posejax.tasks.posture_pose import make_task
from posejax.tasks.posture_pose_data import make_data
from posejax.tasks.posture_pose_lifter import Lifter, make_lifter
from posejax.tasks.posture_pose_windows import gather_windows
from posejax.typing import Config

Pieces = dict[str, dict[str, float]]


def measure_pieces(config: Config, options: argparse.Namespace) -> Pieces:
    """Returns seconds and GFLOP of the parts of a training step.

    The networks alone see the windows of the batch and have half the sum of the squares
    of their outputs as a loss; what the whole loss takes beyond them are the terms.
    Each part is compiled by itself, so that the parts need not add up to the step.

    Args:
      config: The run's config, sizes set.
      options: `files`, `warmup` and `repeats`.
    """
    data_dir = str(pathlib.Path(options.files) / "prepared")
    task, data = make_task(config, data_dir), make_data(config, data_dir)
    lifter = make_lifter(config)
    stream = data.train(0)
    batch = jax.tree.map(jnp.asarray, {**data.resident, **next(stream)})
    state = training.init_state(jax.random.key(0), task, batch)
    parts = [name for name in ("labelled", "unlabelled") if name in batch]

    def gather(batch: Any) -> jax.Array:
        found = [
            gather_windows(batch[f"{name}_poses"], batch[name], lifter.sight)
            for name in parts
        ]
        return jnp.concatenate([windows.inputs for windows in found])

    def loss(params: Any, batch: Any) -> jax.Array:
        key, step = jax.random.key(0), jnp.int32(0)
        return task.loss(params, state.model_state, batch, key=key, step=step).loss

    def update(params: Any, opt_state: Any) -> Any:
        return task.optimizer.update(params, opt_state, params)

    undropped = config.copy_and_resolve_references()
    undropped.model.dropout = 0.0
    stats = state.model_state["batch_stats"]
    networks = _networks(lifter, stats, bool(config.model.dropout))
    without = _networks(make_lifter(undropped), stats, False)
    seen = (state.params, jax.jit(gather)(batch))
    return {
        "batch on the host": _on_host(lambda: next(stream), options),
        "gather windows": _on_device(gather, (batch,), options),
        "networks, forward": _on_device(networks, seen, options),
        "networks, with gradient": _on_device(
            jax.value_and_grad(networks), seen, options
        ),
        "the same without dropout": _on_device(
            jax.value_and_grad(without), seen, options
        ),
        "whole loss, with gradient": _on_device(
            jax.value_and_grad(loss), (state.params, batch), options
        ),
        "optimiser": _on_device(update, (state.params, state.opt_state), options),
    }


def _networks(lifter: Lifter, stats: Any, dropout: bool) -> Callable[..., jax.Array]:
    def value(params: Any, inputs: jax.Array) -> jax.Array:
        key = jax.random.key(0) if dropout else None
        found, _ = lifter.apply(params, stats, inputs, train=True, key=key)
        return jnp.sum(jnp.stack([jax_process.half_square(one) for one in found]))

    return value


def _on_host(call: Callable[[], Any], options: argparse.Namespace) -> dict[str, float]:
    seconds = measure.timed_calls(call, warmup=options.warmup, repeats=options.repeats)
    return {"seconds": min(seconds), "gflop": 0.0}


def _on_device(
    function: Callable[..., Any], arguments: tuple, options: argparse.Namespace
) -> dict[str, float]:
    return jax_process.timed_piece(
        function, *arguments, warmup=1 + options.warmup, repeats=options.repeats
    )
