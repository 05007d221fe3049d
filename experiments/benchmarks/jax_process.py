"""What every process that measures our side shares: clock, memory and versions."""

import platform
import statistics
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from experiments.benchmarks import flops, measure


def compile_anew() -> None:
    """Makes every program be compiled: a stored one would hide how long that takes."""
    jax.config.update("jax_enable_compilation_cache", False)


def call_and_compile_seconds(
    call: Callable[[], Any], *, warmup: int, repeats: int
) -> tuple[list[float], float]:
    """Returns the seconds of the calls, and those of the first beyond the others'.

    Args:
      call: Returns arrays, which are waited for.
      warmup: Calls between the first and the measured ones.
      repeats: Measured calls.
    """
    start = time.perf_counter()
    jax.block_until_ready(call())
    first = time.perf_counter() - start
    seconds = measure.timed_calls(
        lambda: jax.block_until_ready(call()), warmup=warmup, repeats=repeats
    )
    return seconds, first - statistics.median(seconds)


def timed_piece(
    function: Callable[..., Any], *arguments: Any, warmup: int, repeats: int
) -> dict[str, float]:
    """Returns the least seconds of a part of a step, compiled by itself, and its GFLOP.

    Args:
      function: The part; not compiled yet.
      *arguments: What goes in.
      warmup: Unmeasured calls; the first of them compiles.
      repeats: Measured calls.
    """
    compiled = jax.jit(function)
    seconds = measure.timed_calls(
        lambda: jax.block_until_ready(compiled(*arguments)),
        warmup=warmup,
        repeats=repeats,
    )
    operations = flops.matrix_flops(function, *arguments)
    return {"seconds": min(seconds), "gflop": operations / 1e9}


def half_square(output: jax.Array) -> jax.Array:
    """Returns half the sum of the squares, in float32, as a loss for a part alone.

    Its gradient is the output itself: no constant that a compiler could fold.
    """
    return 0.5 * jnp.sum(jnp.square(output.astype(jnp.float32)))


def usage() -> dict[str, Any]:
    """Returns the peaks of memory so far (10^6 bytes), versions and device."""
    peak = measure.peak_memory_mb()
    device = jax.devices()[0]
    found = device.memory_stats() or {}
    return {
        "peak_rss_mb": peak,
        "peak_device_mb": found.get("peak_bytes_in_use", 0) / 1e6 or None,
        "versions": {"python": platform.python_version(), "jax": jax.__version__},
        "device": f"{device.platform} {device.device_kind}",
    }
