"""The recurrent part of RAFT: from features to flow, update by update."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from posejax.models.layers import wide
from posejax.models.network import Tree
from posejax.models.raft import correlation, update, upsampling

LEVELS = 4


class RaftOutput(NamedTuple):
    """What the network returns.

    Attributes:
      flow: After the last update, `(batch, height, width, 2)`, in pixels.
      low_flow: The same before upsampling, `(batch, height / 8, width / 8, 2)`, in
        pixels of that size.
      flows: After each update, `(updates, batch, height, width, 2)`; None unless
        `all_flows`.
      low_flows: The same before upsampling; always there.
    """

    flow: jax.Array
    low_flow: jax.Array
    flows: jax.Array | None
    low_flows: jax.Array


def unrolls_updates(*, train: bool, backend: str | None = None) -> bool:
    """Returns whether the updates are best written out one by one.

    True for training on a CPU: XLA's CPU backend computes a convolution's gradient many
    times slower inside a loop. Else False: a loop compiles faster, and runs as fast.

    Args:
      train: Whether the call is differentiated.
      backend: Name of the backend; None for the default one.
    """
    return train and (backend or jax.default_backend()) == "cpu"


def make_windows(pair: jax.Array, radius: int, corr: str) -> Any:
    """Returns the function from points to samples of the correlation around them.

    `pair` holds the features of the first images and, behind them, of the second.
    """
    features1, features2 = jnp.split(pair, 2)
    batch, height, width, channels = features1.shape
    sizes = correlation.scale_sizes(height, width, levels=LEVELS)
    queries = features1.reshape(batch, height * width, channels)
    pyramid = correlation.feature_pyramid(features2, levels=LEVELS)
    if corr == "auto":
        size = features1.dtype.itemsize
        fits = correlation.volume_fits(batch, sizes, itemsize=size)
        corr = "volume" if fits else "on_the_fly"
    if corr == "volume":
        volume = correlation.correlation_volume(queries, pyramid)
        look = functools.partial(correlation.lookup, volume)
    else:
        look = functools.partial(correlation.lookup_on_the_fly, queries, pyramid)

    def windows(points: jax.Array) -> jax.Array:
        found = look(
            points.reshape(batch, height * width, 2), sizes=sizes, radius=radius
        )
        return found.reshape(batch, height, width, -1)

    return windows


def refined(
    params: Tree,
    hidden: jax.Array,
    context: jax.Array,
    windows: Any,
    *,
    flow_init: jax.Array | None,
    num_updates: int,
    all_flows: bool,
    unroll: int,
    remat: bool,
) -> RaftOutput:
    """Updates the flow `num_updates` times and upsamples it."""
    batch, height, width, _ = hidden.shape
    real = wide(hidden.dtype)
    start = jnp.zeros((batch, height, width, 2), real)
    if flow_init is not None:
        start = start + jnp.asarray(flow_init, real)
    grid = jnp.stack(jnp.meshgrid(jnp.arange(width), jnp.arange(height)), axis=-1)
    grid = grid.astype(real)[None]
    terms = update.gate_terms(params["gru"], context)

    def step(carry: Any, _: None) -> tuple[Any, Any]:
        flow, hidden = jax.lax.stop_gradient(carry[0]), carry[1]
        seen = windows(grid + flow).astype(hidden.dtype)
        motion = update.motion_features(params["motion"], flow, seen)
        hidden = update.gated_update(terms, hidden, motion)
        flow = flow + update.flow_change(params["flow_head"], hidden)
        return (flow, hidden), (flow, hidden if all_flows else None)

    def upsampled(flow: jax.Array, hidden: jax.Array) -> jax.Array:
        if "mask" not in params:
            return upsampling.bilinear_upsample(flow)
        mask = update.upsampling_mask(params["mask"], hidden)
        return upsampling.convex_upsample(flow, mask)

    if remat:
        step = jax.checkpoint(step, prevent_cse=unroll > 1)
    (flow, hidden), (flows, hiddens) = jax.lax.scan(
        step, (start, hidden), None, length=num_updates, unroll=unroll
    )
    if not all_flows:
        return RaftOutput(upsampled(flow, hidden), flow, None, flows)
    if remat:
        pairs = (flows, hiddens)
        full = jax.lax.map(jax.checkpoint(lambda pair: upsampled(*pair)), pairs)
    else:  # all at once: one gradient of the mask's convolutions instead of many
        rows = [x.reshape(-1, *x.shape[2:]) for x in (flows, hiddens)]
        full = upsampled(*rows)
        full = full.reshape(num_updates, batch, *full.shape[1:])
    return RaftOutput(full[-1], flow, full, flows)
