"""Exact evaluation of a split: one value per example, whatever the batch size.

Each process evaluates its share on its own devices; values are gathered once, at the
end, and ordered by the examples' position in the split. Padding never enters a figure.
"""

import collections
from collections.abc import Callable, Iterator, Mapping

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from posejax.training.mesh import default_mesh, local_copy, local_mesh
from posejax.typing import Batch, PredictFn, Task, Tree

Values = dict[str, np.ndarray]
Found = tuple[Values, dict[str, float]]
Evaluate = Callable[[Tree, Tree, Iterator[Batch]], Found]
EvaluateEach = Callable[[Tree, Tree, Iterator[Batch]], dict[str, Found]]

_IN_FLIGHT = 2  # batches computed ahead of the one that is fetched


def evaluate(
    task: Task,
    params: Tree,
    model_state: Tree,
    batches: Iterator[Batch],
    *,
    mesh: Mesh | None = None,
    resident: Batch | None = None,
) -> Found:
    """Evaluates a model on a split once; see `make_evaluate` to do it often.

    Args:
      task: The system: predictions, metrics and how they are summarised.
      params: Parameters.
      model_state: The rest of the model.
      batches: The host's share of the split: dictionaries with `valid` (False for
        padding) and `index` (position in the split), batches of any size.
      mesh: Where to run; None is one device (or all of a run of several processes).
      resident: Arrays merged into every batch.

    Returns:
      `(values, figures)`: per metric the values of all examples in the order of the
      split, and what `task.summarize` makes of them.

    Raises:
      ValueError: If a batch lacks `valid` or `index`, an example comes twice, or there
        is none.
    """
    run = make_evaluate(task, mesh=mesh, resident=resident)
    return run(params, model_state, batches)


def make_evaluate(
    task: Task, *, mesh: Mesh | None = None, resident: Batch | None = None
) -> Evaluate:
    """Returns `evaluate(params, model_state, batches)` that is compiled once.

    Args:
      task: As in `evaluate`.
      mesh: As in `evaluate`.
      resident: As in `evaluate`.

    Returns:
      A function whose arguments, result and errors are those of `evaluate`.
    """
    each = make_evaluate_each(
        task, {"model": task.predict}, mesh=mesh, resident=resident
    )

    def run(params, model_state, batches):
        return each(params, model_state, batches)["model"]

    return run


def make_evaluate_each(
    task: Task,
    predictors: Mapping[str, PredictFn],
    *,
    mesh: Mesh | None = None,
    resident: Batch | None = None,
) -> EvaluateEach:
    """Returns `evaluate` for several predictors, which read a split once together.

    Args:
      task: As in `evaluate`; its own `predict` is not used.
      predictors: What is evaluated, by name; all get the same parameters.
      mesh: As in `evaluate`.
      resident: As in `evaluate`.

    Returns:
      `run(params, model_state, batches)`, compiled once. Its arguments and errors are
      those of `evaluate`; its result is, by name, what `evaluate` returns.
    """
    mesh = default_mesh() if mesh is None else mesh
    here = local_mesh(mesh)
    whole = NamedSharding(here, PartitionSpec())
    split = NamedSharding(here, PartitionSpec("data"))

    def measure(params, model_state, batch, resident):
        batch = {**resident, **batch}
        found = {}
        for name, predict in predictors.items():
            predictions = predict(params, model_state, batch)
            found[name] = {k: f(predictions, batch) for k, f in task.metrics.items()}
        return found

    compiled = jax.jit(
        measure, in_shardings=(whole, whole, split, whole), out_shardings=split
    )

    def run(params, model_state, batches):
        params, model_state, kept = (
            local_copy(tree, mesh)
            for tree in (params, model_state, dict(resident or {}))
        )
        rows: dict[str, list[Values]] = {name: [] for name in predictors}
        waiting = collections.deque()
        size = 0

        def fetch(values, valid, index):
            for name in predictors:
                rows[name].append(_fetch(values[name], valid, index))

        for batch in batches:
            valid, index = _valid_and_index(batch)
            size = max(size, _round_up(len(valid), here.size))
            padded = jax.tree.map(lambda x, n=size: _pad(np.asarray(x), n), batch)
            values = compiled(params, model_state, jax.device_put(padded, split), kept)
            waiting.append((values, valid, index))
            if len(waiting) > _IN_FLIGHT:
                fetch(*waiting.popleft())
        for entry in waiting:
            fetch(*entry)
        return {name: _summarized(task, rows[name]) for name in predictors}

    return run


def _summarized(task: Task, rows: list[Values]) -> Found:
    values = _in_order(_gather(rows))
    return values, {k: float(v) for k, v in task.summarize(values).items()}


def _valid_and_index(batch: Batch) -> tuple[np.ndarray, np.ndarray]:
    missing = [name for name in ("valid", "index") if name not in batch]
    if missing:
        raise ValueError(
            f"an evaluation batch has no entry {' and '.join(map(repr, missing))}; it "
            f"has {', '.join(sorted(batch))}. `valid` marks examples that are no "
            "padding, `index` their position in the split."
        )
    return np.asarray(batch["valid"], bool), np.asarray(batch["index"])


def _round_up(size: int, multiple: int) -> int:
    return -(-size // multiple) * multiple


def _pad(x: np.ndarray, size: int) -> np.ndarray:
    """Repeats the last example until there are `size`, so padding is well formed."""
    missing = size - x.shape[0]
    if missing <= 0:
        return x
    filling = x[-1:] if len(x) else np.zeros((1, *x.shape[1:]), x.dtype)
    return np.concatenate([x, np.repeat(filling, missing, 0)])


def _fetch(
    values: Mapping[str, jax.Array], valid: np.ndarray, index: np.ndarray
) -> Values:
    """Returns the values of the real examples of a batch, with their `index`."""
    host = {name: np.asarray(value) for name, value in values.items()}
    for name, value in host.items():
        if value.ndim < 1 or value.shape[0] < len(valid):
            raise ValueError(
                f"metric '{name}' returned shape {value.shape} for {len(valid)} "
                "examples; expected one value per example, not reduced over the batch."
            )
    rows = {name: value[: len(valid)][valid] for name, value in host.items()}
    return {**rows, "index": index[valid]}


def _gather(rows: list[Values]) -> Values:
    """Concatenates batches, then the shares of all processes."""
    names = sorted(set().union(*rows)) if rows else []
    mine = {name: np.concatenate([row[name] for row in rows]) for name in names}
    if jax.process_count() > 1:
        mine = _gather_processes(mine)
    if not mine or not len(mine["index"]):
        raise ValueError("the split holds no examples; check the data and its filters.")
    return mine


def _gather_processes(mine: Values) -> Values:
    """Returns the concatenated shares; they may differ in size, or be empty."""
    counts = multihost_utils.process_allgather(
        np.array(len(mine["index"]) if mine else -1)
    )
    if counts.min() < 0:
        raise ValueError(
            f"process {int(np.argmin(counts))} has no batch to evaluate; every process "
            "needs as many batches as the others, if only of padding."
        )
    longest = int(counts.max())
    padded = {name: _pad(value, longest) for name, value in mine.items()}
    shares = multihost_utils.process_allgather(padded)
    return {
        name: np.concatenate([x[:n] for x, n in zip(share, counts, strict=True)])
        for name, share in shares.items()
    }


def _in_order(values: Values) -> Values:
    index = values["index"]
    order = np.argsort(index, kind="stable")
    twice = index[order][1:][np.diff(index[order]) == 0]
    if len(twice):
        raise ValueError(
            f"example {int(twice[0])} of the split was evaluated twice; the batches of "
            "the processes must not overlap."
        )
    return {name: value[order] for name, value in values.items() if name != "index"}
