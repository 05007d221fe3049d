"""One measurement of our training step, in a process of its own; prints one JSON line.

Started by `experiments.benchmarks.template_warp`; can be run alone:

  python -m experiments.benchmarks.our_step --config configs/mse_natural.py \
      --image_size 64 --batch_size 2 --repeats 5
"""

import argparse
import dataclasses
import json
import runpy
import time
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from experiments.benchmarks import flops, jax_process, measure
from experiments.benchmarks.jax_process import half_square
from posejax import training
from posejax.tasks import template_warp
from posejax.tasks.template_warp_functions import make_functions
from posejax.templates import SCHEMES


def load_config(options: argparse.Namespace) -> Any:
    """Returns the config with the sizes of the benchmark and random VGG features."""
    config = runpy.run_path(options.config)["get_config"]()
    config.image_size = options.image_size
    config.batch_size = options.batch_size
    config.compute_dtype = options.compute_dtype
    config.warp = options.warp or config.warp
    for group in ("regressor_features", "translator_features"):
        config[group] = tuple(n // options.narrow for n in config[group])
    config.vgg.weights = "random"  # the same arithmetic, no file needed
    config.vgg.widths = tuple(n // options.narrow for n in config.vgg.widths)
    return config


def random_batch(config: Any, steps: int = 1) -> dict[str, jax.Array]:
    """Returns frames of noise on the device; several steps get a leading axis."""
    rng = np.random.default_rng(0)
    shape = (config.batch_size, config.image_size, config.image_size, 3)
    shape = shape if steps == 1 else (steps, *shape)
    return {
        name: jnp.asarray(rng.integers(0, 256, shape, np.uint8))
        for name in ("frame_1", "frame_2")
    }


def matmul_peak(dtype: Any, size: int = 2048, repeats: int = 5) -> float:
    """Returns the GFLOP/s of a square matrix product, best of several."""
    a = jnp.ones((size, size), dtype)
    product = jax.jit(jnp.matmul)
    seconds = measure.timed_calls(
        lambda: product(a, a).block_until_ready(), warmup=2, repeats=repeats
    )
    return 2 * size**3 / min(seconds) / 1e9


def measure_step(options: argparse.Namespace) -> dict[str, Any]:
    """Returns times, memory and arithmetic of the whole training step."""
    config = load_config(options)
    task = template_warp.make_task(config)
    batch = random_batch(config)
    state = training.init_state(jax.random.key(0), task, batch)
    steps = options.steps_per_call
    step = training.make_train_step(task, steps_per_call=steps)
    if steps > 1:
        batch = random_batch(config, steps)
    operations = flops.matrix_flops(
        lambda state, batch: step.take(1, state, batch),
        state,
        random_batch(config),
    )
    start = time.perf_counter()
    state, logs = step(state, batch)
    jax.block_until_ready((state, logs))
    first_call = time.perf_counter() - start

    def call() -> None:
        nonlocal state
        state, logs = step(state, batch)
        jax.block_until_ready((state, logs))

    seconds = measure.timed_calls(call, warmup=options.warmup, repeats=options.repeats)
    seconds = [second / steps for second in seconds]
    return {
        "seconds": seconds,
        "compile_seconds": first_call - steps * min(seconds),
        **jax_process.usage(),  # without what the product below takes
        "gflop": operations / 1e9,
        "matmul_gflops": matmul_peak(jnp.dtype(config.compute_dtype)),
        "total": float(np.asarray(logs["total"]).reshape(-1)[-1]),
    }


@dataclasses.dataclass(frozen=True)
class _Piece:
    """A part of the step: what goes in and the function, with a scalar result."""

    name: str
    inputs: Any
    apply: Any


def measure_pieces(options: argparse.Namespace) -> dict[str, dict[str, float]]:
    """Returns seconds and GFLOP of the parts of a step, forward and with gradient.

    Gradients are those the step needs: of the frames for VGG, of the raw output for the
    warp, of parameters (and inputs of the translator's blobs) for the networks.
    """
    config = load_config(options)
    functions = make_functions(config)
    task = template_warp.make_task(config)
    batch = random_batch(config)
    params, state = jax.jit(task.init)(jax.random.key(0), batch)
    frames = functions.normalize(batch["frame_1"])
    stats, vgg = state["batch_stats"], state["vgg"]
    outputs = SCHEMES[config.scheme].num_outputs
    rng = np.random.default_rng(0)
    raw = jnp.asarray(0.05 * rng.standard_normal((len(frames), outputs)), jnp.float32)
    shape = jax.eval_shape(functions.move, raw).parts.shape
    blobs = jnp.asarray(rng.random(shape), jnp.float32)

    def regress(inputs):
        output, _ = functions.regress(inputs, stats["regressor"], frames, train=True)
        return half_square(output)

    def translate(inputs):
        weights, maps = inputs
        output, _ = functions.translate(
            weights, stats["translator"], frames, maps, train=True
        )
        return half_square(output)

    def look(inputs):
        return half_square(functions.features(vgg, inputs))

    pieces = (
        _Piece("VGG features", frames, look),
        _Piece("regressor", params["regressor"], regress),
        _Piece("translator", (params["translator"], blobs), translate),
        _Piece("template warp", raw, lambda x: half_square(functions.move(x).parts)),
    )
    rows = {}
    for piece in pieces:
        rows[f"{piece.name}, forward"] = _timed(piece.apply, piece.inputs, options)
        gradient = jax.value_and_grad(piece.apply)
        rows[f"{piece.name}, with gradient"] = _timed(gradient, piece.inputs, options)
    rows["Adam"] = _timed(
        lambda p: task.optimizer.update(p, task.optimizer.init(p), p), params, options
    )
    return rows


def _timed(function: Any, inputs: Any, options: argparse.Namespace) -> dict[str, float]:
    return jax_process.timed_piece(
        function, inputs, warmup=options.warmup, repeats=options.repeats
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Measures and prints one JSON object on the last line."""
    parser = argparse.ArgumentParser(description="Measures one training step.")
    parser.add_argument("--config", required=True)
    parser.add_argument("--image_size", type=int, default=256)
    parser.add_argument("--batch_size", type=int, default=4)
    parser.add_argument("--compute_dtype", default="float32")
    parser.add_argument("--warp", default="")
    parser.add_argument("--narrow", type=int, default=1)
    parser.add_argument("--steps_per_call", type=int, default=1)
    parser.add_argument("--warmup", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--pieces", action="store_true")
    options = parser.parse_args(arguments)
    jax_process.compile_anew()
    result = measure_pieces(options) if options.pieces else measure_step(options)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
