"""RAFT: optical flow by recurrent updates that look up the correlation of all pixels.

Input: two batches of NHWC images, RGB in 0..255, both sides multiples of 8. Output:
flow from the first to the second in pixels, `(batch, height, width, 2)`, x first,
float32 at least.

The features of both images give the correlation of every pixel of the one with every
pixel of the other, at an eighth of the size. An update samples it around where the
present flow points to and adds a change to the flow; no gradient passes through the
place of the samples. See Teed and Deng, RAFT: recurrent all-pairs field transforms for
optical flow, ECCV 2020.
"""

import dataclasses
import functools
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util

from posejax.checks import require_at_least, require_choice
from posejax.models.layers import Statistics, draw_kernels, wide
from posejax.models.network import Tree
from posejax.models.raft.encoders import STRIDE, Encoder, drop_channels
from posejax.models.raft.refinement import (
    LEVELS,
    RaftOutput,
    make_windows,
    refined,
    unrolls_updates,
)
from posejax.models.raft.update import update_params

CORRELATIONS = ("auto", "volume", "on_the_fly")
BATCH_NORMS = ("frozen", "train")


class RaftSizes(NamedTuple):
    """The sizes of a published network.

    Attributes:
      features: Channels that are correlated.
      hidden: Channels of the hidden state.
      context: Channels of the context.
      radius: Half the width of a window of the correlation.
      widths: Channels of an encoder's stem and of its three pairs of blocks.
      separable: True for the large network: plain residual blocks, batch norm in the
        context encoder, a separable GRU and convex upsampling.
    """

    features: int
    hidden: int
    context: int
    radius: int
    widths: tuple[int, int, int, int]
    separable: bool


VARIANTS = {
    "large": RaftSizes(256, 128, 128, 4, (64, 64, 96, 128), True),
    "small": RaftSizes(128, 96, 64, 3, (32, 32, 64, 96), False),
}


@runtime_checkable
class RaftInit(Protocol):
    """Draws `(params, model_state)`; they fit images of any size."""

    def __call__(self, key: jax.Array) -> tuple[Tree, Tree]:
        """Returns `(params, model_state)`."""
        ...


@runtime_checkable
class RaftApply(Protocol):
    """Runs the network: `(RaftOutput, model_state)`.

    Args:
      params: Trained parameters: `fnet`, `cnet` and `update`.
      model_state: Running statistics of `cnet`; empty for the small network.
      image1: `(batch, height, width, 3)`, RGB in 0..255.
      image2: The images after them, of the same shape.
      num_updates: Number of updates. Static.
      flow_init: Flow to start from, `(batch, height / 8, width / 8, 2)`, in pixels of
        that size; None starts from zero.
      train: True for a call that is differentiated: it drops channels where there is
        dropout, and normalises by the statistics of the batch where batch norm is
        trained. Static.
      all_flows: True upsamples the flow after each update, as a training loss over all
        of them needs; False only the last. Static.
      key: Random key of the dropout.
      momentum: Share of the batch in the moved running statistics.
      weights: One weight per example; 0 keeps padding out of the batch statistics.
      axis_name: Mapped axis over which the batch is split, or None.

    Raises:
      ValueError: For images that are no RGB images of one shape with sides that are
        multiples of 8, for another shape of `flow_init`, for `num_updates` below 1, and
        in training without `key` where there is dropout.
    """

    def __call__(
        self,
        params: Tree,
        model_state: Tree,
        image1: jax.Array,
        image2: jax.Array,
        *,
        num_updates: int,
        flow_init: jax.Array | None = None,
        train: bool = False,
        all_flows: bool = False,
        key: jax.Array | None = None,
        momentum: float | jax.Array = 0.1,
        weights: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[RaftOutput, Tree]:
        """Returns `(RaftOutput, model_state)`."""
        ...


@dataclasses.dataclass(frozen=True)
class RaftNetwork:
    """RAFT of fixed sizes as two pure functions.

    Attributes:
      init: Draws parameters and state.
      apply: Runs the network.
      sizes: The sizes.
    """

    init: RaftInit
    apply: RaftApply
    sizes: RaftSizes


def raft_encoders(variant: str, *, dtype: Any = jnp.float32) -> dict[str, Encoder]:
    """Returns the feature encoder `fnet` and the context encoder `cnet`.

    Args:
      variant: 'large' or 'small'.
      dtype: What the convolutions are computed in.

    Returns:
      Modules that take `(images, Statistics)`, images in -1..1.
    """
    sizes = VARIANTS[require_choice("variant", variant, VARIANTS)]
    outputs = {
        "fnet": (sizes.features, "instance"),
        "cnet": (
            sizes.hidden + sizes.context,
            "batch" if sizes.separable else "none",
        ),
    }
    return {
        name: Encoder(features, sizes.widths, not sizes.separable, norm, dtype)
        for name, (features, norm) in outputs.items()
    }


def raft_network(
    variant: str = "large",
    *,
    bn_mode: str = "frozen",
    dropout: float = 0.0,
    corr: str = "auto",
    unroll: bool | None = None,
    remat: bool = False,
    dtype: Any = jnp.float32,
) -> RaftNetwork:
    """Returns a RAFT network.

    The large one has 5 257 536 parameters, the small one 990 162.

    Args:
      variant: 'large' or 'small'.
      bn_mode: What batch norm of the large context encoder does in training: 'frozen'
        uses the running statistics and leaves them (scale and offset are still
        trained), 'train' uses those of the batch and moves the running ones.
      dropout: Share of the encoders' output channels set to zero in training, in 0 <=
        dropout < 1.
      corr: 'volume' computes the correlation of all pixels once; 'on_the_fly' computes
        it anew for each update in parts, in memory that grows with the pixels and not
        with their square; 'auto' takes the volume up to 2 GiB. The results are equal up
        to rounding.
      unroll: True writes the updates out one by one, False loops over them; None
        chooses by backend and `train` (`unrolls_updates`).
      remat: True keeps only the state between the updates for the gradient and computes
        the rest of each update again: less memory, more time.
      dtype: What the encoders and the update block compute in. The correlation, the
        flow and its upsampling are float32 at least.

    Returns:
      The network.

    Raises:
      ValueError: For an unknown choice or a dropout out of its range; by `apply`, see
        `RaftApply`.

    Reference:
      Teed and Deng, RAFT: recurrent all-pairs field transforms for optical flow, ECCV
      2020.
    """
    encoders = raft_encoders(variant, dtype=dtype)
    require_choice("bn_mode", bn_mode, BATCH_NORMS)
    require_choice("corr", corr, CORRELATIONS)
    _require_share(dropout)
    sizes = VARIANTS[variant]

    def apply(
        params: Tree,
        model_state: Tree,
        image1: jax.Array,
        image2: jax.Array,
        *,
        num_updates: int,
        flow_init: jax.Array | None = None,
        train: bool = False,
        all_flows: bool = False,
        key: jax.Array | None = None,
        momentum: float | jax.Array = 0.1,
        weights: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[RaftOutput, Tree]:
        _require_pair(image1.shape, image2.shape, flow_init, num_updates)
        keys = _dropout_keys(dropout if train else 0.0, key, axis_name)
        images = jnp.stack([image1, image2]).astype(wide(dtype)) * (2 / 255) - 1
        pair = _features(encoders["fnet"], params["fnet"], images)
        pair = drop_channels(keys[0], pair, dropout).astype(wide(dtype))
        is_moved = train and bn_mode == "train" and sizes.separable
        statistics = Statistics(is_moved, momentum, weights, axis_name)
        seen, model_state = _context(
            encoders["cnet"], params["cnet"], model_state, images[0], statistics
        )
        seen = drop_channels(keys[1], seen, dropout)
        windows = make_windows(pair, sizes.radius, corr)
        once = unrolls_updates(train=train) if unroll is None else unroll
        output = refined(
            params["update"],
            jnp.tanh(seen[..., : sizes.hidden]),
            nn.relu(seen[..., sizes.hidden :]),
            windows,
            flow_init=flow_init,
            num_updates=num_updates,
            all_flows=all_flows,
            unroll=num_updates if once else 1,
            remat=remat,
        )
        return output, model_state

    init = jax.jit(functools.partial(_draw, encoders, sizes))
    return RaftNetwork(init, apply, sizes)


def _features(encoder: Encoder, params: Tree, images: jax.Array) -> jax.Array:
    """Returns the features of both batches of images, one behind the other."""
    both = images.reshape(-1, *images.shape[2:])
    return jnp.asarray(encoder.apply({"params": params}, both, Statistics(False)))


def _context(
    encoder: Encoder, params: Tree, state: Tree, images: jax.Array, how: Statistics
) -> tuple[jax.Array, Tree]:
    """Returns what the context encoder sees, and its moved statistics."""
    variables = {"params": params, "batch_stats": state.get("cnet", {})}
    if not how.train:
        return jnp.asarray(encoder.apply(variables, images, how)), state
    seen, moved = encoder.apply(variables, images, how, mutable=["batch_stats"])
    return jnp.asarray(seen), {"cnet": moved["batch_stats"]}


def _draw(
    encoders: dict[str, Encoder], sizes: RaftSizes, key: jax.Array
) -> tuple[Tree, Tree]:
    """Draws the encoders from Kaiming's normal by fan-out, the rest as PyTorch does."""
    example = jax.ShapeDtypeStruct((1, STRIDE, STRIDE, 3), jnp.float32)
    drawn = {
        name: encoder.lazy_init(key, example, Statistics(train=False))
        for name, encoder in encoders.items()
    }
    params = {name: variables["params"] for name, variables in drawn.items()}
    params["update"] = update_params(
        hidden=sizes.hidden,
        context=sizes.context,
        windows=LEVELS * (2 * sizes.radius + 1) ** 2,
        separable=sizes.separable,
    )
    uniform, normal = jax.random.split(key)
    drawn_kernels = draw_kernels(uniform, params)
    flat: dict[Any, Any] = dict(traverse_util.flatten_dict(drawn_kernels))
    names = [name for name in flat if name[0] != "update" and name[-1] == "kernel"]
    total = sum(flat[name].size for name in names)
    numbers = jax.random.normal(normal, (total,), jnp.float32)
    start = 0
    for name in names:
        rows, columns, _, features = flat[name].shape
        part = jax.lax.slice_in_dim(numbers, start, start + flat[name].size)
        fan_out = rows * columns * features
        start += flat[name].size
        flat[name] = part.reshape(flat[name].shape) * (2 / fan_out) ** 0.5
    state = {
        name: variables["batch_stats"]
        for name, variables in drawn.items()
        if "batch_stats" in variables
    }
    return traverse_util.unflatten_dict(flat), state


def _dropout_keys(
    dropout: float, key: jax.Array | None, axis_name: str | None
) -> tuple[Any, Any]:
    """Returns the keys of the feature and the context encoder; None drops nothing."""
    if not dropout:
        return None, None
    if key is None:
        raise ValueError(
            f"key is None; expected a random key, since training draws which channels "
            f"to drop (dropout is {dropout!r}): pass key, or make the network with "
            "dropout=0."
        )
    if axis_name is not None:
        key = jax.random.fold_in(key, jax.lax.axis_index(axis_name))
    first, second = jax.random.split(key)
    return first, second


def _require_share(dropout: float) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}; expected 0 <= dropout < 1.")


def _require_pair(
    shape1: tuple[int, ...],
    shape2: tuple[int, ...],
    flow_init: jax.Array | None,
    num_updates: int,
) -> None:
    """Raises ValueError unless these are two images, their flow and a number."""
    require_at_least("num_updates", num_updates, 1)
    if len(shape1) != 4 or shape1[3] != 3 or shape1 != shape2:
        raise ValueError(
            f"image1 has shape {shape1} and image2 {shape2}; expected one shape "
            "(batch, height, width, 3) for both."
        )
    batch, height, width, _ = shape1
    if height % STRIDE or width % STRIDE or not height or not width:
        raise ValueError(
            f"image1 and image2 have height {height} and width {width}; expected "
            f"multiples of {STRIDE}: pad both images, and cut the flow."
        )
    low = (batch, height // STRIDE, width // STRIDE, 2)
    if flow_init is not None and flow_init.shape != low:
        raise ValueError(
            f"flow_init has shape {tuple(flow_init.shape)}; expected {low}, an eighth "
            "of the images."
        )
