"""The update block of RAFT: one step of a gated recurrent unit that moves the flow.

Parameters are nested dictionaries of `kernel` and `bias`. What a gate sees is hidden
state, context and motion, in that order along the kernel's inputs. The context is the
same in all updates, so its share of the gates is computed once (`gate_terms`). Arrays
are computed in the dtype of the hidden state.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from posejax.models.layers import last_axis, wide
from posejax.models.raft.layers import convolved, same_convolution

MASK_SCALE = 0.25  # of the mask's logits, "to balance gradients" in the published code

Params = Any  # nested dictionaries of arrays


class GateTerms(NamedTuple):
    """One pass of a GRU: kernels without the context's rows, and what it contributes.

    Attributes:
      gate_kernel: Update and reset gate, `(rows, columns, hidden + motion, 2 hidden)`.
      candidate_kernel: Candidate, `(rows, columns, hidden + motion, hidden)`.
      gates: Context's share of both gates, `(batch, height, width, 2 hidden)`.
      candidate: Context's share of the candidate, `(batch, height, width, hidden)`.
    """

    gate_kernel: jax.Array
    candidate_kernel: jax.Array
    gates: jax.Array
    candidate: jax.Array


def gate_terms(
    params: Params, context: Float[Array, "batch height width channels"]
) -> tuple[GateTerms, ...]:
    """Computes what the passes of a GRU share over all updates.

    Args:
      params: `z`, `r`, `q` of the one pass of 3x3 kernels; or `z1`, `r1`, `q1` of a
        horizontal pass and `z2`, `r2`, `q2` of a vertical one.
      context: Features that stay.

    Returns:
      One record for each pass.
    """
    passes = ("",) if "z" in params else ("1", "2")
    return tuple(_pass_terms(params, suffix, context) for suffix in passes)


def _pass_terms(params: Params, suffix: str, context: jax.Array) -> GateTerms:
    layers = [params[name + suffix] for name in ("z", "r", "q")]
    kernels = [jnp.asarray(layer["kernel"], context.dtype) for layer in layers]
    biases = [jnp.asarray(layer["bias"], context.dtype) for layer in layers]
    hidden = kernels[0].shape[3]
    start, end = hidden, hidden + context.shape[3]
    changing = [
        jnp.concatenate([kernel[:, :, :start], kernel[:, :, end:]], axis=2)
        for kernel in kernels
    ]
    constant = jnp.concatenate([kernel[:, :, start:end] for kernel in kernels], 3)
    terms = same_convolution(context, constant)
    terms = terms + last_axis(jnp.concatenate(biases), terms)
    return GateTerms(
        jnp.concatenate(changing[:2], axis=3),
        changing[2],
        terms[..., : 2 * hidden],
        terms[..., 2 * hidden :],
    )


def gated_update(
    terms: tuple[GateTerms, ...],
    hidden: Float[Array, "batch height width hidden"],
    motion: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width hidden"]:
    """Returns the next hidden state of the convolutional GRU.

    Args:
      terms: What `gate_terms` computed; its passes follow each other.
      hidden: Hidden state.
      motion: Features of this update.

    Returns:
      `(1 - z) hidden + z q` of the last pass.
    """
    for one in terms:
        both = jnp.concatenate([hidden, motion], axis=3)
        gates = jax.nn.sigmoid(same_convolution(both, one.gate_kernel) + one.gates)
        update, reset = jnp.split(gates, 2, axis=3)
        both = jnp.concatenate([reset * hidden, motion], axis=3)
        candidate = jnp.tanh(
            same_convolution(both, one.candidate_kernel) + one.candidate
        )
        hidden = (1 - update) * hidden + update * candidate
    return hidden


def motion_features(
    params: Params,
    flow: Float[Array, "batch height width 2"],
    windows: Float[Array, "batch height width windows"],
) -> Float[Array, "batch height width features"]:
    """Encodes the flow and the correlation around it; the flow itself comes last.

    Args:
      params: `correlation_0` (and `correlation_1` of the large network), `flow_0`,
        `flow_1`, `both`.
      flow: Flow before the update, in pixels of its own size.
      windows: Samples of the correlation.

    Returns:
      The features, of the dtype of `windows`.
    """
    flow = flow.astype(windows.dtype)
    near = nn.relu(convolved(params["correlation_0"], windows))
    if "correlation_1" in params:
        near = nn.relu(convolved(params["correlation_1"], near))
    moved = nn.relu(convolved(params["flow_0"], flow))
    moved = nn.relu(convolved(params["flow_1"], moved))
    both = jnp.concatenate([near, moved], axis=3)
    both = nn.relu(convolved(params["both"], both))
    return jnp.concatenate([both, flow], axis=3)


def flow_change(
    params: Params, hidden: Float[Array, "batch height width hidden"]
) -> Float[Array, "batch height width 2"]:
    """Returns what is added to the flow, in float32 at least.

    Args:
      params: `hidden` and `output`.
      hidden: Hidden state.
    """
    x = nn.relu(convolved(params["hidden"], hidden))
    return convolved(params["output"], x.astype(wide(x.dtype)))


def upsampling_mask(
    params: Params, hidden: Float[Array, "batch height width hidden"]
) -> Float[Array, "batch height width weights"]:
    """Returns the logits of `convex_upsample`, in float32 at least.

    Args:
      params: `hidden` and `output`.
      hidden: Hidden state.
    """
    x = nn.relu(convolved(params["hidden"], hidden))
    x = convolved(params["output"], x)
    return MASK_SCALE * x.astype(wide(x.dtype))


def update_params(
    *, hidden: int, context: int, windows: int, separable: bool
) -> dict[str, Any]:
    """Returns the parameters of an update block, all zero.

    Args:
      hidden: Channels of the hidden state.
      context: Channels of the context.
      windows: Samples of the correlation at each pixel.
      separable: True for the large network: a GRU of a horizontal and a vertical pass,
        a wider motion encoder, and a mask for convex upsampling. False for the small.

    Returns:
      `motion`, `gru`, `flow_head` and, if `separable`, `mask`.
    """
    if separable:
        motion = {
            "correlation_0": _zeros(1, 1, windows, 256),
            "correlation_1": _zeros(3, 3, 256, 192),
            "flow_0": _zeros(7, 7, 2, 128),
            "flow_1": _zeros(3, 3, 128, 64),
            "both": _zeros(3, 3, 256, 126),
        }
        seen = hidden + context + 128
        gru = {f"{gate}1": _zeros(1, 5, seen, hidden) for gate in "zrq"}
        gru |= {f"{gate}2": _zeros(5, 1, seen, hidden) for gate in "zrq"}
    else:
        motion = {
            "correlation_0": _zeros(1, 1, windows, 96),
            "flow_0": _zeros(7, 7, 2, 64),
            "flow_1": _zeros(3, 3, 64, 32),
            "both": _zeros(3, 3, 128, 80),
        }
        gru = {gate: _zeros(3, 3, hidden + context + 82, hidden) for gate in "zrq"}
    width = 256 if separable else 128
    params = {
        "motion": motion,
        "gru": gru,
        "flow_head": {
            "hidden": _zeros(3, 3, hidden, width),
            "output": _zeros(3, 3, width, 2),
        },
    }
    if separable:
        params["mask"] = {
            "hidden": _zeros(3, 3, hidden, 256),
            "output": _zeros(1, 1, 256, 576),
        }
    return params


def _zeros(*shape: int) -> dict[str, jax.Array]:
    return {
        "kernel": jnp.zeros(shape, jnp.float32),
        "bias": jnp.zeros(shape[-1], jnp.float32),
    }
