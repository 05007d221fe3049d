"""Which frames a training window covers, and in which order windows come.

Everything here is index arithmetic on the host. A batch is a handful of small integers
per window; the frames are gathered where the sequences lie, with the indices of
`window_indices`. The position in a stream is the step: batch k is a function of the
seed and of k, so a run that resumes needs to know k only.

Reference:
  Pavllo et al., 3D human pose estimation in video with temporal convolutions and
  semi-supervised training, CVPR 2019 (chunks, edge padding, flips); Amadi and Agam,
  PosturePose, Sensors 23(24), 2023 (groups of views).
"""

from collections.abc import Iterator, Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from posejax import checks

# Entries of fx, fy, cx, cy, k1, k2, k3, p1, p2 whose sign changes in a mirror.
_CENTER_X, _TANGENTIAL_X = 2, 7


def chunk_entries(
    lengths: Int[np.ndarray, " sequences"] | Sequence[int],
    *,
    chunk_length: int = 1,
    flip: bool = False,
) -> Int[np.ndarray, "entries 4"]:
    """Cuts sequences into chunks of output frames.

    Chunks that do not fit stand out by the same number of frames at either end.

    Args:
      lengths: Number of frames of each sequence.
      chunk_length: Number of output frames of a chunk.
      flip: Whether the chunks of a sequence are followed by their mirror images.

    Returns:
      Rows (sequence, first frame, frame after the last, mirrored); frames may lie
      outside the sequence.

    Raises:
      ValueError: If `chunk_length` or a length is below 1.

    >>> chunk_entries([4], chunk_length=3, flip=True).tolist()
    [[0, -1, 2, 0], [0, 2, 5, 0], [0, -1, 2, 1], [0, 2, 5, 1]]
    """
    checks.require_at_least("chunk_length", chunk_length, 1)
    sizes = np.asarray(lengths, np.int64)
    if sizes.size:
        checks.require_at_least("lengths", int(sizes.min()), 1)
    counts = -(-sizes // chunk_length)
    copies = 2 if flip else 1
    rows = copies * counts
    sequence = np.repeat(np.arange(len(sizes)), rows)
    position = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
    mirrored, chunk = np.divmod(position, np.repeat(counts, rows))
    outside = (counts * chunk_length - sizes) // 2
    start = chunk * chunk_length - outside[sequence]
    return np.stack([sequence, start, start + chunk_length, mirrored], axis=-1)


def window_indices(
    starts: Int[np.ndarray, " windows"],
    lengths: Int[np.ndarray, " windows"],
    offsets: Int[np.ndarray, " windows"],
    *,
    size: int,
    before: int = 0,
) -> Int[np.ndarray, "windows {size}"]:
    """Returns the frames of windows; outside a sequence its end frame is repeated.

    A window of 2-D input reaches `pad + shift` frames before the chunk and is
    `chunk_length + 2 * pad` long (shift = pad for a causal model, else 0); a window of
    targets is the chunk itself.

    Args:
      starts: First frame of each chunk, counted within its sequence.
      lengths: Number of frames of the sequence of each chunk.
      offsets: Where that sequence begins in the array of all frames.
      size: Number of frames of a window.
      before: Number of frames by which a window begins before its chunk.

    Returns:
      Indices into the array of all frames.

    >>> one = np.array([1])
    >>> window_indices(0 * one, 3 * one, 10 * one, size=5, before=1).tolist()
    [[10, 10, 11, 12, 12]]
    """
    frames = (starts - before)[:, None] + np.arange(size)
    return offsets[:, None] + np.clip(frames, 0, (lengths - 1)[:, None])


def flip_poses(
    poses: Float[np.ndarray, "*batch joints axes"], order: Int[np.ndarray, " joints"]
) -> Float[np.ndarray, "*batch joints axes"]:
    """Mirrors poses: x changes its sign, left and right change places.

    Args:
      poses: Joints in normalised image coordinates or camera axes; x comes first.
      order: Joint that takes each place, such as `skeleton.mirror()`.

    Returns:
      The mirrored poses.
    """
    sign = np.ones(poses.shape[-1], poses.dtype)
    sign[0] = -1
    return poses[..., order, :] * sign


def flip_intrinsics(
    intrinsics: Float[np.ndarray, "*batch 9"],
) -> Float[np.ndarray, "*batch 9"]:
    """Returns the intrinsics of a camera whose pictures are mirrored.

    Args:
      intrinsics: fx, fy, cx, cy, k1, k2, k3, p1, p2, normalised.

    Returns:
      The same with cx and p1 negated.
    """
    sign = np.ones(9, intrinsics.dtype)
    sign[[_CENTER_X, _TANGENTIAL_X]] = -1
    return intrinsics * sign


def epoch_order(count: int, *, seed: int, epoch: int) -> Int[np.ndarray, " count"]:
    """Returns the order in which an epoch goes through its entries.

    Args:
      count: Number of entries.
      seed: Seed of the stream.
      epoch: Number of the epoch, from 0.

    Returns:
      A permutation of `range(count)`.
    """
    return np.random.default_rng([seed, epoch, 0]).permutation(count)


def view_groups(
    num_clips: int, views: int, group_size: int, *, seed: int, epoch: int
) -> Int[np.ndarray, "clips groups {group_size}"]:
    """Draws which views of each clip are compared with each other in an epoch.

    The views of a clip are put in a random order and cut into groups; views that are
    left over sit out. The first view of a group is its anchor.

    Args:
      num_clips: Number of clips; mirrored clips are clips of their own.
      views: Number of synchronised views.
      group_size: Number of views of a group.
      seed: Seed of the stream.
      epoch: Number of the epoch, from 0.

    Returns:
      Numbers of views.

    Raises:
      ValueError: If `group_size` is not between 1 and `views`.
    """
    if not 1 <= group_size <= views:
        raise ValueError(
            f"group_size is {group_size}; expected 1 to {views}, the number of views."
        )
    rng = np.random.default_rng([seed, epoch, 1])
    order = rng.permuted(np.tile(np.arange(views), (num_clips, 1)), axis=1)
    groups = views // group_size
    return order[:, : groups * group_size].reshape(num_clips, groups, group_size)


def num_batches(count: int, batch_size: int) -> int:
    """Returns the number of batches of an epoch; the last may be partly filled.

    Args:
      count: Number of entries.
      batch_size: Entries per batch.

    Raises:
      ValueError: If either is below 1.
    """
    checks.require_at_least("count", count, 1)
    checks.require_at_least("batch_size", batch_size, 1)
    return -(-count // batch_size)


def batch_rows(
    order: Int[np.ndarray, " count"], *, batch_size: int, number: int
) -> tuple[Int[np.ndarray, " {batch_size}"], Bool[np.ndarray, " {batch_size}"]]:
    """Returns a batch of an epoch in the shape that all batches have.

    Args:
      order: The epoch's order.
      batch_size: Entries per batch.
      number: Number of the batch in its epoch, from 0.

    Returns:
      Entries, and which of them count: what is missing in the last batch is filled up
      with entries of the epoch's beginning.
    """
    places = number * batch_size + np.arange(batch_size)
    return order[places % len(order)], places < len(order)


def entry_batches(
    entries: Int[np.ndarray, "entries 4"], *, batch_size: int, seed: int, step: int = 0
) -> Iterator[dict[str, np.ndarray]]:
    """The endless stream of single-view windows.

    Args:
      entries: What `chunk_entries` returned.
      batch_size: Windows per batch.
      seed: Decides the order.
      step: Number of batches that have been used.

    Returns:
      The stream: `sequence` and `start`, int32, `flip` and `valid`, bool, each
      (batch_size,).

    Raises:
      ValueError: If there are no entries or `step` is negative.
    """
    per_epoch = num_batches(len(entries), batch_size)
    checks.require_at_least("step", step, 0)

    def batches(epoch: int, first: int) -> Iterator[dict[str, np.ndarray]]:
        while True:
            order = epoch_order(len(entries), seed=seed, epoch=epoch)
            for number in range(first, per_epoch):
                rows, valid = batch_rows(order, batch_size=batch_size, number=number)
                yield _batch(entries[rows, 0], entries[rows], valid)
            epoch, first = epoch + 1, 0

    return batches(*divmod(step, per_epoch))


def group_batches(
    entries: Int[np.ndarray, "entries 4"],
    *,
    views: int,
    group_size: int,
    num_groups: int,
    seed: int,
    step: int = 0,
) -> Iterator[dict[str, np.ndarray]]:
    """The endless stream of windows in groups of views that run at the same time.

    Groups are drawn anew for every clip in every epoch, for mirrored clips apart from
    the others. Mirrored views look mirrored from cameras that were not: a comparison in
    the world is for groups whose `flip` is False.

    Args:
      entries: What `chunk_entries` returned for the recordings: the first column is the
        number k of a recording, whose views are the sequences `k * views + view`.
      views: Number of views of every recording.
      group_size: Number of views of a group.
      num_groups: Groups per batch.
      seed: Decides groups and order.
      step: Number of batches that have been used.

    Returns:
      The stream: `sequence` and `start`, int32, `flip` and `valid`, bool, each
      (num_groups * group_size,). Rows of a group are neighbours and agree in all but
      `sequence`; the first is the anchor.

    Raises:
      ValueError: If there are no entries, `step` is negative or `group_size` is not
        between 1 and `views`.
    """
    view_groups(0, views, group_size, seed=seed, epoch=0)
    per_clip = views // group_size
    count = len(entries) * per_clip
    per_epoch = num_batches(count, num_groups)
    checks.require_at_least("step", step, 0)

    def batches(epoch: int, first: int) -> Iterator[dict[str, np.ndarray]]:
        while True:
            order = epoch_order(count, seed=seed, epoch=epoch)
            drawn = view_groups(
                len(entries), views, group_size, seed=seed, epoch=epoch
            ).reshape(count, group_size)
            for number in range(first, per_epoch):
                rows, valid = batch_rows(order, batch_size=num_groups, number=number)
                clips = entries[rows // per_clip]
                sequence = clips[:, :1] * views + drawn[rows]
                repeated = np.repeat(clips, group_size, axis=0)
                valid = np.repeat(valid, group_size)
                yield _batch(sequence.reshape(-1), repeated, valid)
            epoch, first = epoch + 1, 0

    return batches(*divmod(step, per_epoch))


def _batch(
    sequence: np.ndarray, entries: np.ndarray, valid: np.ndarray
) -> dict[str, np.ndarray]:
    return {
        "sequence": sequence.astype(np.int32),
        "start": entries[:, 1].astype(np.int32),
        "flip": entries[:, 3].astype(bool),
        "valid": valid,
    }
