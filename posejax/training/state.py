"""The state of a training run: arrays only, so that it can be donated and saved."""

import difflib
from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp

from posejax.typing import Batch, Task, Tree


class TrainState(NamedTuple):
    """Everything that a step reads and writes.

    The optimiser itself is no part of it: two states made by two calls have one
    structure, and a state can be restored without code.

    Attributes:
      step: int32 scalar, the number of steps done.
      params: Trained parameters.
      model_state: Whatever else the system keeps (running statistics).
      opt_state: State of the optimiser.
      key: Raw data of a random key; step `n` uses `fold_in(key, n)`.
    """

    step: jax.Array
    params: Tree
    model_state: Tree
    opt_state: Tree
    key: jax.Array


def init_state(key: jax.Array, task: Task, batch: Batch) -> TrainState:
    """Draws the state before the first step.

    Args:
      key: Random key, typed or raw; parameters and training noise come from it.
      task: The system.
      batch: A batch like those of training (resident arrays included).

    Returns:
      The state, on the default device; every array has memory of its own.
    """
    if not jnp.issubdtype(key.dtype, jax.dtypes.prng_key):
        key = jax.random.wrap_key_data(key)

    def init(key, batch):
        init_key, train_key = jax.random.split(key)
        params, model_state = task.init(init_key, batch)
        return TrainState(
            step=jnp.zeros((), jnp.int32),
            params=params,
            model_state=model_state,
            opt_state=task.optimizer.init(params),
            key=jax.random.key_data(train_key),
        )

    # A copy of each array: an initialiser may return one array under two names, and
    # one buffer cannot be donated twice.
    return jax.tree.map(jnp.copy, jax.jit(init)(key, batch))


def leaf_paths(tree: Tree) -> dict[str, tuple[tuple[int, ...], str]]:
    """Returns the shape and dtype of every array under its path, `a/b/0/c`."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {
        _path_name(path): (tuple(leaf.shape), str(leaf.dtype)) for path, leaf in leaves
    }


def none_paths(tree: Tree) -> list[str]:
    """Returns the path of every entry that is None."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=lambda x: x is None)
    return [_path_name(path) for path, leaf in leaves if leaf is None]


def describe_differences(
    expected: Mapping[str, tuple[tuple[int, ...], str]],
    found: Mapping[str, tuple[tuple[int, ...], str]],
) -> list[str]:
    """Returns one sentence part per array that is missing, superfluous or different.

    Args:
      expected: Path to (shape, dtype) of the arrays that are wanted.
      found: The same of those that are there.
    """

    def show(entry: tuple[tuple[int, ...], str]) -> str:
        return f"{entry[1]}{list(entry[0])}"

    def trained_first(path: str) -> tuple[bool, str]:
        return not path.startswith("params/"), path

    spare = sorted(set(found) - set(expected), key=trained_first)
    lines = []
    for path in sorted(expected, key=trained_first):
        if path not in found:
            near = difflib.get_close_matches(path, spare, n=1)
            hint = f" (nearest: {near[0]} {show(found[near[0]])})" if near else ""
            lines.append(f"{path}: expected {show(expected[path])}, missing{hint}")
        elif found[path] != expected[path]:
            lines.append(
                f"{path}: expected {show(expected[path])}, found {show(found[path])}"
            )
    return lines + [
        f"{path}: found {show(found[path])}, not expected" for path in spare
    ]


def _path_name(path) -> str:
    return "/".join(_entry_name(entry) for entry in path)


def _entry_name(entry) -> str:
    match entry:
        case jax.tree_util.DictKey(key=key):
            return str(key)
        case jax.tree_util.GetAttrKey(name=name):
            return name
        case jax.tree_util.SequenceKey(idx=idx):
            return str(idx)
        case other:
            return str(other).strip(".[]'")
