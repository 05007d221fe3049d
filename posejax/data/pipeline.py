"""From a prepared data set to batches whose order is a function of seed and step.

Training: the pairs of a split are shuffled anew in every epoch, batched, and the last
partial batch of an epoch is dropped. Batch k of the endless stream can be had directly,
so a run that resumes after step k starts with batch k (counted from 0), whatever the
number of threads, worker processes or hosts. With several hosts ("processes" of one
run), each loads a block of consecutive rows of every batch; joined in order the blocks
are the batch of a single host.

Evaluation: every frame of a split once, in order, the last batch filled up with copies
of the last frame that are marked `valid` = False.

Images stay uint8 RGB. Nothing here imports JAX; worker processes decode with one
OpenCV thread each.
"""

import atexit
import dataclasses
import functools
import os
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Int

from posejax import checks
from posejax.data import pairs, source
from posejax.data.loaders import FrameLoader, PairLoader
from posejax.skeletons import H36M_32

Batch = Mapping[str, Any]


@dataclasses.dataclass(frozen=True)
class PairsData:
    """The data of a template run; the fields mean the same as in `TaskData`.

    Attributes:
      train: `train(step)` iterates over this host's share of the batches of steps
        `step + 1, step + 2, ...`, without end.
      splits: For each evaluation split a function that iterates over its batches.
      steps_per_epoch: Number of training batches in one pass.
      description: What the data is, one line.
      num_examples: Number of training pairs.
    """

    train: Callable[[int], Iterator[Batch]]
    splits: Mapping[str, Callable[[], Iterator[Batch]]]
    steps_per_epoch: int
    description: str
    num_examples: int


@dataclasses.dataclass(frozen=True)
class Reading:
    """How batches are read; changes nothing about what is read.

    Attributes:
      num_workers: Worker processes; 0 reads in threads of this process. A script that
        uses worker processes must be guarded by `if __name__ == "__main__"`.
      num_threads: Threads per process, each of which prepares one batch at a time;
        None: as many as there are cores, at most 16 (two in a worker process).
      process_index: Number of this host.
      process_count: Number of hosts.
    """

    num_workers: int = 0
    num_threads: int | None = None
    process_index: int = 0
    process_count: int = 1

    def __post_init__(self) -> None:
        checks.require_at_least("num_workers", self.num_workers, 0)
        checks.require_at_least("process_count", self.process_count, 1)
        if not 0 <= self.process_index < self.process_count:
            raise ValueError(
                f"process_index is {self.process_index}; expected 0 to "
                f"{self.process_count - 1}."
            )

    def rows(self, batch_size: int) -> slice:
        """Returns the rows of a batch of `batch_size` that this host loads.

        Raises:
          ValueError: If the hosts cannot share a batch evenly.
        """
        checks.require_at_least("batch_size", batch_size, 1)
        if batch_size % self.process_count:
            raise ValueError(
                f"batch_size is {batch_size}; expected a multiple of the "
                f"{self.process_count} processes of this run."
            )
        share = batch_size // self.process_count
        return slice(self.process_index * share, (self.process_index + 1) * share)


def train_batches(
    frames: source.Source,
    *,
    pairing: str,
    image_size: int,
    batch_size: int,
    seed: int,
    step: int = 0,
    reading: Reading | None = None,
) -> Iterator[Batch]:
    """The endless stream of training batches.

    Args:
      frames: The training split.
      pairing: `all` or `half_and_flips`.
      image_size: Side of the images, pixels.
      batch_size: Pairs per batch, of all hosts together.
      seed: Decides the order.
      step: Number of steps done; the stream starts with the batch of step `step + 1`.
      reading: Threads, worker processes, and this host's share.

    Returns:
      Batches `{"frame_1", "frame_2"}`, uint8 `(batch, size, size, 3)`; closing the
      iterator ends its threads and processes.

    Raises:
      ValueError: If there are fewer pairs than `batch_size`, or the hosts cannot share
        a batch evenly.
      DataError: While iterating, if a record is damaged.
      ChildProcessError: While iterating, if a worker process has died.
    """
    import grain

    reading = reading or Reading()
    chosen = training_pairs(frames, pairing=pairing, batch_size=batch_size)
    loader = PairLoader(frames, chosen, image_size, reading.rows(batch_size))
    batches = (
        grain.MapDataset.range(len(chosen))
        .seed(seed)
        .shuffle()
        .batch(batch_size, drop_remainder=True, batch_fn=np.asarray)
        .repeat()
        .map(loader)
    )
    return read_ahead(batches[step:], reading)


def training_pairs(
    frames: source.Source, *, pairing: str, batch_size: int
) -> Int[np.ndarray, "pairs 3"]:
    """The pairs of a training split, at least one batch of them.

    Args:
      frames: The training split.
      pairing: `all` or `half_and_flips`.
      batch_size: Pairs per batch.

    Returns:
      One row (frame 1, frame 2, mirrored) per pair.

    Raises:
      ValueError: If there are fewer pairs than `batch_size`.
    """
    chosen = pairs.dataset_pairs(
        [folder.count for folder in frames.folders], pairing=pairing
    )
    if len(chosen) < batch_size:
        raise ValueError(
            f"batch_size is {batch_size}, but {frames.directory} has only "
            f"{len(chosen)} pairs in split {frames.split!r} (pairing {pairing!r}); use "
            "a smaller batch or more data."
        )
    return chosen


def evaluation_batches(
    frames: source.Source,
    *,
    image_size: int,
    batch_size: int,
    reading: Reading | None = None,
) -> Iterator[Batch]:
    """Every frame of a split once, in order, in batches of equal size.

    Args:
      frames: The split.
      image_size: Side S of the images, pixels.
      batch_size: Frames per batch, of all hosts together.
      reading: Threads, worker processes, and this host's share; every host has the
        same number of batches.

    Returns:
      Batches of `frame_1` and `frame_2` (the next frame of the same folder, the first
      after the last), `joints` and `joint_valid` (skeleton `template_15`, pixels of
      the S x S crop), `diagonal` of the person box (the same pixels), `crop_matrix`
      (source pixels to these), `valid` (False: padding) and `index` in the split.

    Raises:
      ValueError: If the hosts cannot share a batch evenly, or the joints of the data
        are those of another skeleton than `h36m_32`.
      DataError: While iterating, if a record is damaged.
    """
    import grain

    reading = reading or Reading()
    rows = reading.rows(batch_size)
    if frames.metadata["skeleton"] != H36M_32.name:
        raise ValueError(
            f"skeleton of {frames.directory} is {frames.metadata['skeleton']!r}; "
            f"expected {H36M_32.name!r}."
        )
    following = next_frames(frames.folders)
    loader = FrameLoader(frames, following, image_size, batch_size, rows)
    num_batches = -(-len(frames) // batch_size)
    return read_ahead(grain.MapDataset.range(num_batches).map(loader), reading)


def next_frames(
    folders: tuple[source.Folder, ...],
) -> Int[np.ndarray, " frames"]:
    """For each frame the next one of its folder; for a folder's last one the first.

    Args:
      folders: The folders of a split.

    Returns:
      Indices in the split. A frame that is alone in its folder has itself.
    """
    following = [
        folder.start + (np.arange(folder.count) + 1) % folder.count
        for folder in folders
        if folder.count
    ]
    return np.concatenate([np.zeros(0, np.int64), *following])


def template_pairs_data(
    data_dir: str,
    name: str,
    *,
    config: str = "crops",
    pairing: str,
    image_size: int,
    batch_size: int,
    seed: int,
    evaluation_batch_size: int | None = None,
    evaluation_splits: tuple[str, ...] = ("test",),
    reading: Reading | None = None,
) -> PairsData:
    """The data of a template run: pairs to train on, frames to evaluate on.

    Args:
      data_dir: Directory that holds prepared data sets.
      name: Name of the data set.
      config: Its builder config.
      pairing: `all` or `half_and_flips`.
      image_size: Side of the images, pixels.
      batch_size: Pairs per training batch, of all hosts together.
      seed: Decides the order of training.
      evaluation_batch_size: Frames per evaluation batch; None: `batch_size`.
      evaluation_splits: Splits to evaluate on, as far as the data set has them.
      reading: Threads, worker processes, and this host's share.

    Returns:
      Functions that start the streams, and what is known about them.

    Raises:
      FileNotFoundError: If the data set is not prepared.
      ValueError: If the hosts cannot share an evaluation batch evenly. Whether there
        are pairs for a training batch is asked when training starts; see
        `train_batches`.
      DataError: If its files are damaged.
    """
    reading = reading or Reading()
    frames = source.open_source(data_dir, name, config=config, split="train")
    counts = [folder.count for folder in frames.folders]
    num_pairs = len(pairs.dataset_pairs(counts, pairing=pairing))
    present = source.splits(data_dir, name, config=config)
    evaluated = {
        split: source.open_source(data_dir, name, config=config, split=split)
        for split in evaluation_splits
        if split in present
    }
    frames_per_batch = evaluation_batch_size or batch_size
    reading.rows(frames_per_batch)

    def train(step: int) -> Iterator[Batch]:
        return train_batches(
            frames,
            pairing=pairing,
            image_size=image_size,
            batch_size=batch_size,
            seed=seed,
            step=step,
            reading=reading,
        )

    def evaluation(split: source.Source) -> Callable[[], Iterator[Batch]]:
        return lambda: evaluation_batches(
            split, image_size=image_size, batch_size=frames_per_batch, reading=reading
        )

    return PairsData(
        train=train,
        splits={split: evaluation(opened) for split, opened in evaluated.items()},
        steps_per_epoch=num_pairs // batch_size,
        description=_description(name, config, frames, num_pairs, pairing, evaluated),
        num_examples=num_pairs,
    )


def _description(
    name: str,
    config: str,
    frames: source.Source,
    num_pairs: int,
    pairing: str,
    evaluated: Mapping[str, source.Source],
) -> str:
    """One line that names the data in logs and result files."""
    parts = [
        f"{name}/{config} {os.path.basename(frames.directory)}",
        f"train: {num_pairs} pairs ({pairing}) of {len(frames)} frames in "
        f"{len(frames.folders)} folders",
    ]
    for split, opened in evaluated.items():
        labels = "with joints" if opened.metadata["labels"] else "without joints"
        parts.append(f"{split}: {len(opened)} frames {labels}")
    return "; ".join(parts)


def read_ahead(batches: Any, reading: Reading) -> Iterator[Batch]:
    """Reads ahead in threads or worker processes; bounded, closed with the iterator."""
    import grain
    from absl import flags

    num_threads = reading.num_threads
    if num_threads is None:
        num_threads = 2 if reading.num_workers else min(16, os.cpu_count() or 1)
    stream = batches.to_iter_dataset(
        grain.ReadOptions(
            num_threads=num_threads,
            prefetch_buffer_size=num_threads and max(2, num_threads),
        )
    )
    if reading.num_workers:
        if not flags.FLAGS.is_parsed():
            # Outside of an absl program; worker processes read flags of grain.
            flags.FLAGS.mark_as_parsed()
        stream = stream.mp_prefetch(
            grain.MultiprocessingOptions(
                num_workers=reading.num_workers, per_worker_buffer_size=2
            ),
            worker_init_fn=_start_worker,
        )
    # A stream that is still held when the program ends is closed while it still can be;
    # hence no reference to grain's iterator or its last batch but the one in this list.
    held = [iter(stream)]
    close = functools.partial(_close, held)
    atexit.register(close)
    try:
        while held:
            try:
                yield next(held[0])
            except StopIteration:
                return
    except RuntimeError as error:
        if not reading.num_workers:
            raise
        raise ChildProcessError(
            f"reading ahead failed ({' '.join(str(error).split())}); if the machine "
            f"ran out of memory, lower num_workers (now {reading.num_workers})."
        ) from error
    finally:
        if held:
            atexit.unregister(close)
            close()


def _close(held: list[Any]) -> None:
    """Ends threads and processes of the iterator in `held`, and lets go of it."""
    while held:
        held.pop().close()


def _start_worker(index: int, count: int) -> None:
    """Keeps OpenCV from starting threads of its own in every worker."""
    import cv2

    del index, count
    cv2.setNumThreads(0)
