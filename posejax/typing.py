"""The contract between a system, the training loop and the data.

A system is a `Task`: a frozen record of pure functions. The loop in
`posejax.training` knows nothing else about it. Arrays that cross these functions:

* `params`: the trained parameters, a nested dictionary of float32 arrays.
* `model_state`: everything else that is saved with them (running statistics of batch
  norm, frozen feature extractors), a nested dictionary.
* `batch`: a nested dictionary of arrays whose leading axis is the batch. The entry
  `valid` (bool, one per example), present in evaluation, is False for padding.
"""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
import optax

Tree = Any  # a nested dictionary (or other pytree) of arrays
Batch = Mapping[str, Any]
Config = Any  # an ml_collections.ConfigDict; the types of its fields are its values'
Show = Callable[[Sequence[Any]], Iterator[Any]]  # iterates, and shows how far it is


class LossOutput(NamedTuple):
    """What one evaluation of a task's loss returns.

    Attributes:
      loss: Scalar that is minimised: the mean over the global batch.
      model_state: The state after this step (running statistics moved).
      logs: Named scalars, one per loss term, before weighting.
    """

    loss: jax.Array
    model_state: Tree
    logs: Mapping[str, jax.Array]


@runtime_checkable
class InitFn(Protocol):
    """Draws the initial `(params, model_state)` for batches like `batch`."""

    def __call__(self, key: jax.Array, batch: Batch) -> tuple[Tree, Tree]: ...


@runtime_checkable
class LossFn(Protocol):
    """The loss of one training batch; differentiated with respect to `params`."""

    def __call__(
        self,
        params: Tree,
        model_state: Tree,
        batch: Batch,
        *,
        key: jax.Array,
        step: jax.Array,
    ) -> LossOutput: ...


@runtime_checkable
class PredictFn(Protocol):
    """Predictions (a NamedTuple of arrays with a leading batch axis) in test mode."""

    def __call__(self, params: Tree, model_state: Tree, batch: Batch) -> Any: ...


@runtime_checkable
class MetricFn(Protocol):
    """One value (scalar or fixed-size array) per example; never reduces the batch."""

    def __call__(self, predictions: Any, batch: Batch) -> jax.Array: ...


@runtime_checkable
class PicturesFn(Protocol):
    """Named stacks of pictures, float in 0..1, `(batch, height, width, 3)` RGB."""

    def __call__(
        self, params: Tree, model_state: Tree, batch: Batch
    ) -> Mapping[str, jax.Array]: ...


@runtime_checkable
class SummarizeFn(Protocol):
    """Per-example metric values of a whole split (host, no padding) to named figures.

    The values come in the order of the data set, so the figures depend neither on
    batch size nor on the number of devices. A figure of one part of the whole is named
    `measure/part` (`pdj/kneeR`) and is reported in a table of its own.
    """

    def __call__(self, values: Mapping[str, np.ndarray]) -> Mapping[str, float]: ...


@runtime_checkable
class BaselinesFn(Protocol):
    """Named predictors that ignore the image, for a table beside the model's row.

    They are made from the statistics of the training data (`TaskData.statistics`).
    """

    def __call__(
        self, statistics: Mapping[str, np.ndarray]
    ) -> Mapping[str, PredictFn]: ...


def mean_of_each(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the mean over examples (and components) of each metric.

    Args:
      values: Per metric one value, or one array, per example.

    Returns:
      Per metric one number, summed in float64.
    """
    return {name: float(np.mean(v, dtype=np.float64)) for name, v in values.items()}


@dataclasses.dataclass(frozen=True)
class Task:
    """A system as the loop sees it.

    Attributes:
      init: Draws parameters.
      loss: Training loss of a batch.
      predict: Predictions of a batch, test mode.
      metrics: Per-example measures of predictions.
      optimizer: Schedules and frozen parameters live here.
      summarize: Per-example values of a split to the figures that are reported.
      pictures: Pictures drawn from a batch for the log; None draws nothing.
      selection: `(figure, 'min' | 'max')`: which figure decides the best checkpoint.
      baselines: Predictors that ignore the input, to judge the figures against.
    """

    init: InitFn
    loss: LossFn
    predict: PredictFn
    metrics: Mapping[str, MetricFn]
    optimizer: optax.GradientTransformation
    summarize: SummarizeFn = mean_of_each
    pictures: PicturesFn | None = None
    selection: tuple[str, str] | None = None
    baselines: BaselinesFn | None = None


@dataclasses.dataclass(frozen=True)
class TaskData:
    """The data of a run as the loop sees it.

    Attributes:
      train: `train(step)` iterates over the host's share of the batches of steps
        `step + 1, step + 2, ...`, without end; position in the stream is the step.
      splits: For each evaluation split a function that iterates over padded batches
        of the host's share, each with `valid` and `index` (position in the split).
      resident: Arrays that stay on the device for the whole run, replicated; the loop
        merges them into every batch. Pose sequences live here, and the batches of
        such a system hold only indices.
      steps_per_epoch: Number of training batches in one pass over the data.
      description: What the data is, for logs and result files.
      statistics: `statistics(show)` computes statistics of the labelled training data
        for the task's baselines, `show` shows how far it is; empty where there are no
        labels.
    """

    train: Callable[[int], Iterator[Batch]]
    splits: Mapping[str, Callable[[], Iterator[Batch]]]
    steps_per_epoch: int
    description: str
    resident: Batch = dataclasses.field(default_factory=dict)
    statistics: Callable[[Show], Mapping[str, np.ndarray]] = lambda show: {}
