"""From prepared pairs with flow to batches whose order is a function of seed and step.

Training: the sets of a mix lie one behind another, each as often as it is repeated;
the whole is shuffled anew in every epoch, and the last partial batch of an epoch is
dropped. What augmentation does to an example depends on seed, epoch and the example's
place in the mix. So batch k of the endless stream can be had directly, whatever the
number of threads, worker processes or hosts (see `pipeline`).

Evaluation: every pair once. A pair is padded to multiples of 8 as published figures
are measured, and pairs of one padded size form batches; hence one compilation per size
and figures that do not depend on the batch. Nothing here imports JAX.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np

from posejax import checks
from posejax.data import pipeline
from posejax.data.flow_loaders import (
    EvaluatedSet,
    MixLoader,
    MixPart,
    PaddedLoader,
    evaluation_plan,
    mix_length,
)
from posejax.data.flow_source import FlowSource, open_flow_source
from posejax.data.source import is_prepared


def mix_batches(
    parts: Sequence[MixPart],
    sources: Sequence[FlowSource],
    *,
    crop: tuple[int, int],
    batch_size: int,
    seed: int,
    step: int = 0,
    reading: pipeline.Reading | None = None,
) -> Iterator[pipeline.Batch]:
    """The endless stream of training batches of a mix.

    Args:
      parts: The sets.
      sources: Their opened splits.
      crop: Height and width of the examples, pixels.
      batch_size: Pairs per batch, of all hosts together.
      seed: Decides order and augmentation; not negative.
      step: Number of steps done; the stream starts with the batch of step `step + 1`.
      reading: Threads, worker processes, and this host's share.

    Returns:
      Batches of `image_1`, `image_2` (batch, height, width, 3) uint8, `flow` (batch,
      height, width, 2) float32, pixels, 0 where unknown, and `mask` (batch,
      height, width) bool; closing the iterator ends its threads and processes.

    Raises:
      ValueError: If there are fewer pairs than `batch_size`, a pair that is not
        augmented is smaller than the crop, or the hosts cannot share a batch evenly.
      DataError: While iterating, if a record is damaged.
      ChildProcessError: While iterating, if a worker process has died.
    """
    import grain

    reading = reading or pipeline.Reading()
    checks.require_at_least("seed", seed, 0)
    _check_crop(parts, sources, crop)
    length = mix_length(parts, sources)
    if length < batch_size:
        raise ValueError(
            f"batch_size is {batch_size}, but the mix has only {length} pairs; use a "
            "smaller batch or more data."
        )
    loader = MixLoader(
        tuple(parts),
        tuple(sources),
        crop,
        seed,
        length // batch_size,
        reading.rows(batch_size),
    )
    batches = (
        grain.MapDataset.range(length)
        .seed(seed)
        .shuffle()
        .batch(batch_size, drop_remainder=True, batch_fn=np.asarray)
        .repeat()
        .map_with_index(loader)
    )
    return pipeline.read_ahead(batches[step:], reading)


def padded_batches(
    pairs: FlowSource,
    *,
    padding: str,
    batch_size: int,
    reading: pipeline.Reading | None = None,
) -> Iterator[pipeline.Batch]:
    """Every pair of a split once, padded, in batches of one size each.

    Args:
      pairs: The split.
      padding: `sintel` or `kitti`, see `EvaluatedSet`.
      batch_size: Pairs per batch, of all hosts together.
      reading: Threads, worker processes, and this host's share; every host has the
        same number of batches.

    Returns:
      Batches as those of `mix_batches`, padded by repeating the edge (pictures) and by
      0 (flow, not valid). Also `window` (batch, 4) int32: top, left, height and width
      of the pair in the padded picture; `valid` (batch,), False for a repetition that
      fills up a batch; `index` (batch,) in the split.

    Raises:
      ValueError: If the hosts cannot share a batch evenly.
      DataError: While iterating, if a record is damaged.
    """
    import grain

    reading = reading or pipeline.Reading()
    rows = reading.rows(batch_size)
    plan = evaluation_plan(pairs.sizes, batch_size=batch_size)
    loader = PaddedLoader(pairs, padding, plan, rows)
    return pipeline.read_ahead(grain.MapDataset.range(len(plan)).map(loader), reading)


def flow_pairs_data(
    data_dir: str,
    *,
    mix: Sequence[MixPart],
    evaluated: Mapping[str, EvaluatedSet],
    crop: tuple[int, int],
    batch_size: int,
    seed: int,
    evaluation_batch_size: int = 1,
    reading: pipeline.Reading | None = None,
) -> pipeline.PairsData:
    """The data of a flow run: a mix to train on, sets to evaluate on.

    Evaluation alone needs no training data: a mix that is not prepared has no epoch
    (`steps_per_epoch` and `num_examples` are 0) and is refused when training starts.

    Args:
      data_dir: Directory that holds prepared data sets.
      mix: The sets to train on; may be empty for evaluation.
      evaluated: By the name in reports, the sets to evaluate on.
      crop: Height and width of the training examples, pixels.
      batch_size: Pairs per training batch, of all hosts together.
      seed: Decides order and augmentation.
      evaluation_batch_size: Pairs per evaluation batch, of all hosts together.
      reading: Threads, worker processes, and this host's share.

    Returns:
      Functions that start the streams, and what is known about them.

    Raises:
      FileNotFoundError: If a set to evaluate on is not prepared.
      ValueError: If a set has no such split or no flow, or the hosts cannot share an
        evaluation batch evenly.
      DataError: If files are damaged.
    """
    reading = reading or pipeline.Reading()
    reading.rows(evaluation_batch_size)
    opened = {
        key: open_flow_source(data_dir, s.name, config=s.config, split=s.split)
        for key, s in evaluated.items()
    }
    ready = bool(mix) and all(is_prepared(data_dir, p.name, p.config) for p in mix)
    sources = _open_mix(data_dir, mix) if ready else ()
    length = mix_length(mix, sources) if ready else 0

    def train(step: int) -> Iterator[pipeline.Batch]:
        if not mix:
            raise ValueError("the mix is empty; name a set to train on.")
        return mix_batches(
            mix,
            # Not prepared: the error says so.
            sources or _open_mix(data_dir, mix),
            crop=crop,
            batch_size=batch_size,
            seed=seed,
            step=step,
            reading=reading,
        )

    def evaluation(key: str) -> Callable[[], Iterator[pipeline.Batch]]:
        return lambda: padded_batches(
            opened[key],
            padding=evaluated[key].padding,
            batch_size=evaluation_batch_size,
            reading=reading,
        )

    return pipeline.PairsData(
        train=train,
        splits={key: evaluation(key) for key in evaluated},
        steps_per_epoch=length // batch_size,
        description=_description(mix, sources, opened),
        num_examples=length,
    )


def _open_mix(data_dir: str, mix: Sequence[MixPart]) -> tuple[FlowSource, ...]:
    return tuple(
        open_flow_source(data_dir, part.name, config=part.config, split=part.split)
        for part in mix
    )


def _description(
    mix: Sequence[MixPart],
    sources: Sequence[FlowSource],
    opened: Mapping[str, FlowSource],
) -> str:
    """One line that names the data in logs and result files."""
    named = [
        f"{part.repeats} x {len(source)} of {part.name}/{part.config} "
        f"{os.path.basename(source.directory)}"
        for part, source in zip(mix if sources else (), sources, strict=True)
    ]
    parts = [f"train: {', '.join(named) or 'not prepared'}"]
    parts += [f"{key}: {len(pairs)} pairs" for key, pairs in opened.items()]
    return "; ".join(parts)


def _check_crop(
    parts: Sequence[MixPart], sources: Sequence[FlowSource], crop: tuple[int, int]
) -> None:
    if min(crop) < 1:
        raise ValueError(f"crop is {crop}; expected a positive height and width.")
    for part, source in zip(parts, sources, strict=True):
        smallest = source.sizes.min(axis=0)
        if not part.is_augmented and np.any(smallest < crop):
            raise ValueError(
                f"crop is {crop}, but {part.name} has pairs of {smallest[0]} x "
                f"{smallest[1]} pixels; use a smaller crop or is_augmented=True."
            )
