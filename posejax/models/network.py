"""How the rest of the code sees a network: two pure functions.

`init(key, example) -> (params, model_state)` draws the parameters for inputs shaped
like `example`; `apply(params, model_state, inputs, *, train, ...)` returns the outputs
and the moved state. `params` and `model_state` are nested dictionaries of float32
arrays; `model_state` holds the running statistics of batch norm, and is empty for a
network without it. Images are NHWC.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

import jax
from flax import linen as nn

from posejax.models.layers import Statistics, draw_kernels

Tree = Any  # a nested dictionary of arrays


@runtime_checkable
class NetworkInit(Protocol):
    """Draws `(params, model_state)` for inputs of the shape and dtype of `example`."""

    def __call__(self, key: jax.Array, example: Any) -> tuple[Tree, Tree]:
        """Returns `(params, model_state)`."""
        ...


@runtime_checkable
class NetworkApply(Protocol):
    """Runs the network: `(outputs, model_state)`.

    Args:
      params: Trained parameters.
      model_state: Running statistics.
      inputs: Batch of NHWC images.
      train: True normalises by the statistics of the batch and moves the running
        ones; False normalises by the running ones and leaves them.
      key: Random key of a network that draws numbers; the others ignore it.
      momentum: Share of the batch in the moved running statistics (0.1: new = 0.9 old
        + 0.1 batch). May be traced.
      weights: One weight per example of the batch; 0 keeps a padding example out of
        the batch statistics. None weighs all alike.
      axis_name: Mapped axis (of `shard_map`, `pmap`, `vmap`) over which the batch is
        split; the statistics are then those of the whole batch. Not needed under
        `jit`, where arrays are global.
    """

    def __call__(
        self,
        params: Tree,
        model_state: Tree,
        inputs: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        momentum: float | jax.Array = 0.1,
        weights: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[Any, Tree]:
        """Returns `(outputs, model_state)`."""
        ...


@dataclasses.dataclass(frozen=True)
class Network:
    """A network of fixed sizes as two pure functions.

    Attributes:
      init: Draws parameters and state.
      apply: Runs the network.
    """

    init: NetworkInit
    apply: NetworkApply


def make_network(
    module: nn.Module,
    check: Callable[[tuple[int, ...]], None],
    *,
    count: Callable[[tuple[int, ...]], int] = lambda shape: shape[0],
    dropout: float = 0.0,
) -> Network:
    """Wraps a linen module that takes `(inputs, statistics)` into a `Network`.

    Args:
      module: The module; its call is `module(inputs, Statistics)`, and one with dropout
        takes a random key after them in training.
      check: Raises ValueError for input shapes that the network cannot take.
      count: Number of examples of which batch norm takes its statistics, by the shape
        of the inputs.
      dropout: Share of activations that the module sets to zero in training.

    Returns:
      The two functions.
    """

    def init(key: jax.Array, example: Any) -> tuple[Tree, Tree]:
        check(tuple(example.shape))
        shape = jax.ShapeDtypeStruct(example.shape, jax.dtypes.canonicalize_dtype("f4"))

        def draw(key: jax.Array) -> tuple[Tree, Tree]:
            variables = module.lazy_init(key, shape, Statistics(train=False))
            params = draw_kernels(key, variables.get("params", {}))
            return params, variables.get("batch_stats", {})

        return jax.jit(draw)(key)  # one program instead of one for each parameter

    def apply(
        params: Tree,
        model_state: Tree,
        inputs: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        momentum: float | jax.Array = 0.1,
        weights: jax.Array | None = None,
        axis_name: str | None = None,
    ) -> tuple[Any, Tree]:
        check(tuple(inputs.shape))
        statistics = Statistics(train, momentum, weights, axis_name)
        variables = {"params": params, "batch_stats": model_state}
        if not train:
            return module.apply(variables, inputs, statistics), model_state
        require_training_batch(count(inputs.shape), axis_name)
        drawn = (_dropout_key(dropout, key, axis_name),) if dropout else ()
        outputs, moved = module.apply(
            variables, inputs, statistics, *drawn, mutable=["batch_stats"]
        )
        return outputs, moved.get("batch_stats", {})

    return Network(init, apply)


def _dropout_key(
    dropout: float, key: jax.Array | None, axis_name: str | None
) -> jax.Array:
    """Returns the key of this part of the batch."""
    if key is None:
        raise ValueError(
            f"key is None; expected a random key, since training draws which "
            f"activations to drop (dropout is {dropout!r}): pass key, or make the "
            "model with dropout=0."
        )
    if axis_name is None:
        return key
    return jax.random.fold_in(key, jax.lax.axis_index(axis_name))


def require_training_batch(size: int, axis_name: str | None) -> None:
    """Raises ValueError when batch norm would see fewer than two examples."""
    total = size if axis_name is None else size * jax.lax.axis_size(axis_name)
    if total < 2:
        raise ValueError(
            f"inputs has a batch of {total}; training needs at least 2 examples, since "
            "batch norm has no variance over one: raise batch_size."
        )


def require_images(shape: tuple[int, ...], channels: int, name: str) -> None:
    """Raises ValueError unless `shape` is (batch, height, width, channels)."""
    if len(shape) != 4 or shape[3] != channels:
        raise ValueError(
            f"inputs of the {name} has shape {shape}; expected (batch, height, width, "
            f"{channels})."
        )
