"""What is in a batch of pairs with flow, and what loads it.

The loaders are frozen records that pickle; threads and worker processes run them. They
write only the rows that this host is to load. The streams made of them are in
`flow_pairs`.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Bool, Int

from posejax import checks
from posejax.data import color_jitter, flow_augmentation
from posejax.data.flow_source import FlowPair, FlowSource

PADDINGS = ("sintel", "kitti")
MULTIPLE = 8  # the networks' output stride


@dataclasses.dataclass(frozen=True)
class MixPart:
    """One set of a training mix.

    Attributes:
      name: Name of the data set, such as `sintel`.
      config: Its builder config.
      split: Its split.
      repeats: How often each pair comes in one epoch.
      log2_scale: Smallest and largest binary logarithm of the random scale.
      use_flips: Whether pictures are mirrored at random.
      erased_px: Shortest and longest side of what is erased in the second picture.
      is_augmented: False takes the middle of each pair as it is.
    """

    name: str
    config: str = "pairs"
    split: str = "train"
    repeats: int = 1
    log2_scale: tuple[float, float] = (-0.2, 0.6)
    use_flips: bool = True
    erased_px: tuple[int, int] = color_jitter.ERASED_PX
    is_augmented: bool = True

    def __post_init__(self) -> None:
        checks.require_at_least(f"repeats of {self.name}", self.repeats, 1)
        shortest, longest = self.erased_px
        if not 1 <= shortest <= longest:
            raise ValueError(
                f"erased_px of {self.name} is {self.erased_px}; expected two sides of "
                "at least 1 pixel, the shorter first."
            )
        low, high = self.log2_scale
        if not low <= high:
            raise ValueError(
                f"log2_scale of {self.name} is {(low, high)}; expected the smaller "
                "number first."
            )


@dataclasses.dataclass(frozen=True)
class EvaluatedSet:
    """One set to evaluate on.

    Attributes:
      name: Name of the data set.
      config: Its builder config.
      split: Its split.
      padding: Where a pair is padded: `sintel` on all sides (the larger half right and
        bottom), `kitti` with all rows at the bottom.
    """

    name: str
    config: str = "pairs"
    split: str = "test"
    padding: str = "sintel"

    def __post_init__(self) -> None:
        checks.require_choice(f"padding of {self.name}", self.padding, PADDINGS)


@dataclasses.dataclass(frozen=True)
class MixLoader:
    """Loads the training batch of given positions of a mix; picklable.

    Attributes:
      parts: The sets.
      sources: Their opened splits.
      crop: Height and width of the examples, pixels.
      seed: Decides what augmentation draws.
      steps_per_epoch: Number of batches in one epoch.
      rows: This host's rows of a batch.
    """

    parts: tuple[MixPart, ...]
    sources: tuple[FlowSource, ...]
    crop: tuple[int, int]
    seed: int
    steps_per_epoch: int
    rows: slice

    def __call__(
        self, number: int, positions: Int[np.ndarray, " batch"]
    ) -> dict[str, np.ndarray]:
        """Returns this host's rows of batch `number`, counted from 0."""
        epoch = int(number) // self.steps_per_epoch
        examples = [
            self._example(position, epoch) for position in positions[self.rows].tolist()
        ]
        return {key: np.stack([e[key] for e in examples]) for key in examples[0]}

    def _example(self, position: int, epoch: int) -> dict[str, np.ndarray]:
        counts = [
            (len(source), part.repeats)
            for part, source in zip(self.parts, self.sources, strict=True)
        ]
        number, index = mix_entry(counts, position)
        part, source = self.parts[number], self.sources[number]
        pair = source[index]
        example = {
            "image_1": pair.image_1,
            "image_2": pair.image_2,
            "flow": pair.flow,
            "valid": pair.valid,
        }
        if part.is_augmented:
            rng = np.random.default_rng([self.seed, epoch, position])
            augment = (
                flow_augmentation.augment_sparse
                if source.is_sparse
                else flow_augmentation.augment_dense
            )
            example = augment(
                example,
                rng,
                crop=self.crop,
                log2_scale=part.log2_scale,
                use_flips=part.use_flips,
                erased_px=part.erased_px,
            )
        else:
            example = _middle(example, self.crop)
        return {
            "image_1": example["image_1"],
            "image_2": example["image_2"],
            "flow": example["flow"],
            "mask": example["valid"],
        }


@dataclasses.dataclass(frozen=True)
class PaddedLoader:
    """Loads the evaluation batch of a given number; picklable.

    Attributes:
      pairs: The split.
      padding: See `EvaluatedSet`.
      plan: Per batch the pairs, and which of its rows are no repetition.
      rows: This host's rows of a batch.
    """

    pairs: FlowSource
    padding: str
    plan: tuple[tuple[Int[np.ndarray, " batch"], Bool[np.ndarray, " batch"]], ...]
    rows: slice

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        """Returns this host's rows of evaluation batch `number`."""
        indices, valid = (array[self.rows] for array in self.plan[number])
        loaded = {int(i): self._padded(self.pairs[int(i)]) for i in np.unique(indices)}
        rows = [loaded[i] for i in indices.tolist()]
        return {
            **{key: np.stack([row[key] for row in rows]) for key in rows[0]},
            "valid": valid,
            "index": indices.astype(np.int32),
        }

    def _padded(self, pair: FlowPair) -> dict[str, np.ndarray]:
        size = pair.valid.shape
        sides = pad_widths((size[0], size[1]), padding=self.padding)
        return {
            "image_1": np.pad(pair.image_1, (*sides, (0, 0)), mode="edge"),
            "image_2": np.pad(pair.image_2, (*sides, (0, 0)), mode="edge"),
            "flow": np.pad(pair.flow, (*sides, (0, 0))),
            "mask": np.pad(pair.valid, sides),
            "window": np.array([sides[0][0], sides[1][0], *size], np.int32),
        }


def pad_widths(
    size: tuple[int, int], *, padding: str
) -> tuple[tuple[int, int], tuple[int, int]]:
    """How many rows and columns are added so that both sides are multiples of 8.

    Args:
      size: Height and width, pixels.
      padding: `sintel` or `kitti`, see `EvaluatedSet`.

    Returns:
      Rows above and below, columns left and right.

    Raises:
      ValueError: If `padding` is none of these.

    Reference:
      Teed and Deng, RAFT, ECCV 2020 (arXiv 2003.12039), their released code's padding.

    >>> pad_widths((436, 1024), padding="sintel")
    ((2, 2), (0, 0))
    >>> pad_widths((375, 1242), padding="kitti")
    ((0, 1), (3, 3))
    """
    checks.require_choice("padding", padding, PADDINGS)
    rows, columns = (-side % MULTIPLE for side in size)
    above = rows // 2 if padding == "sintel" else 0
    return (above, rows - above), (columns // 2, columns - columns // 2)


def mix_entry(counts: Sequence[tuple[int, int]], position: int) -> tuple[int, int]:
    """Which pair of which set is at a position of a mix.

    Args:
      counts: Per set the number of its pairs and how often they are repeated.
      position: From 0 to the length of the mix less one.

    Returns:
      Number of the set, and of the pair in it.

    Raises:
      IndexError: If the position lies outside of the mix.

    >>> [mix_entry([(3, 1), (2, 2)], position) for position in range(7)]
    [(0, 0), (0, 1), (0, 2), (1, 0), (1, 1), (1, 0), (1, 1)]
    """
    left = position
    for number, (pairs, repeats) in enumerate(counts):
        if 0 <= left < pairs * repeats:
            return number, left % pairs
        left -= pairs * repeats
    raise IndexError(f"position is {position}; the mix ends before.")


def evaluation_plan(
    sizes: Int[np.ndarray, "pairs 2"], *, batch_size: int
) -> tuple[tuple[Int[np.ndarray, " batch"], Bool[np.ndarray, " batch"]], ...]:
    """Batches of pairs whose padded sizes are equal.

    Args:
      sizes: Height and width of each pair, pixels.
      batch_size: Pairs per batch.

    Returns:
      Per batch the pairs, filled up with the last of them, and which are no
      repetition. Sizes come in the order in which they first appear, pairs of a size in
      theirs.

    >>> sizes = np.array([[8, 8], [8, 16], [7, 5]])
    >>> for pairs, valid in evaluation_plan(sizes, batch_size=2):
    ...     print(pairs.tolist(), valid.tolist())
    [0, 2] [True, True]
    [1, 1] [True, False]
    """
    checks.require_at_least("batch_size", batch_size, 1)
    groups: dict[tuple[int, ...], list[int]] = {}
    for index, padded in enumerate(-(-sizes // MULTIPLE)):
        groups.setdefault(tuple(padded.tolist()), []).append(index)
    plan = []
    for members in groups.values():
        for start in range(0, len(members), batch_size):
            chunk = members[start : start + batch_size]
            filled = chunk + chunk[-1:] * (batch_size - len(chunk))
            plan.append((np.array(filled), np.arange(batch_size) < len(chunk)))
    return tuple(plan)


def mix_length(parts: Sequence[MixPart], sources: Sequence[FlowSource]) -> int:
    """Returns the number of examples in one epoch, repetitions included."""
    return sum(p.repeats * len(s) for p, s in zip(parts, sources, strict=True))


def _middle(
    example: Mapping[str, np.ndarray], crop: tuple[int, int]
) -> dict[str, np.ndarray]:
    height, width = example["valid"].shape
    top, left = (height - crop[0]) // 2, (width - crop[1]) // 2
    window = slice(top, top + crop[0]), slice(left, left + crop[1])
    return {key: array[window] for key, array in example.items()}
