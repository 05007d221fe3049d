"""Random access to prepared pairs with optical flow; no TensorFlow, no JAX.

The set is what a builder in `datasets` wrote: one record per pair, see
`datasets/flow_records.py`. How large each pair is stands in the metadata, so pairs can
be grouped by size without reading one.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

from posejax.data.source import DataError, prepared_directory
from posejax.data.transforms import decode_image

_METADATA = ("folders", "sizes", "sparse")
_IMAGES = ("image_1", "image_2")


@dataclasses.dataclass(frozen=True)
class FlowPair:
    """Two pictures and the motion between them.

    Attributes:
      image_1: RGB picture whose pixels move.
      image_2: RGB picture in which they are found again.
      flow: (x, y) in pixels: what is at p in the first is at p + flow[p] in the
        second; 0 where it is unknown.
      valid: Where the flow is known.
      name: Scene and frame.
    """

    image_1: UInt8[np.ndarray, "height width 3"]
    image_2: UInt8[np.ndarray, "height width 3"]
    flow: Float[np.ndarray, "height width 2"]
    valid: Bool[np.ndarray, "height width"]
    name: str


@dataclasses.dataclass(frozen=True)
class FlowSource:
    """A split of a prepared set of pairs; picklable, for worker processes.

    `len(source)` is the number of pairs; `source[i]` is a `FlowPair`.

    Attributes:
      directory: The version's directory.
      split: Name of the split.
      sizes: Height and width of each pair, pixels.
      is_sparse: Whether the flow is known at scattered pixels only and must not be
        interpolated.
      metadata: `folders`, `frame`, `unit`, `source`, ...
      records: Random access to serialised records.
      features: What deserialises a record.
      decoders: What leaves the pictures encoded.
    """

    directory: str
    split: str
    sizes: Int[np.ndarray, "pairs 2"]
    is_sparse: bool
    metadata: Mapping[str, Any]
    records: Any
    features: Any
    decoders: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.sizes)

    def __getitem__(self, index: int) -> FlowPair:
        """Returns a pair; raises `DataError` if its record is damaged."""
        index = int(index)
        if not 0 <= index < len(self):
            raise IndexError(
                f"index is {index}; expected 0 to {len(self) - 1}, the pairs of split "
                f"{self.split!r}."
            )
        try:
            record = self.features.deserialize_example_np(
                self.records[index], decoders=self.decoders
            )
            pair = FlowPair(
                *(decode_image(record[name]) for name in _IMAGES),
                flow=np.asarray(record["flow"], np.float32),
                valid=np.asarray(record["valid"]) > 0,
                name=record["name"].decode(),
            )
        except MemoryError:
            raise
        # The reader, the parser and the features each have errors of their own, some
        # of which do not survive the way out of a worker process.
        except Exception as error:
            raise self._damaged(index, f"cannot be read ({error})") from None
        size = tuple(self.sizes[index].tolist())
        shapes = {a.shape[:2] for a in (pair.image_1, pair.image_2, pair.flow)}
        if shapes | {pair.valid.shape} != {size}:
            raise self._damaged(index, f"is not of size {size}, as the metadata say")
        return pair

    def _damaged(self, index: int, reason: str) -> DataError:
        return _damaged(f"{self.split} pair {index} {reason}", self.directory)


def open_flow_source(
    data_dir: str, name: str, *, config: str = "pairs", split: str = "train"
) -> FlowSource:
    """Opens one split of a prepared set of pairs.

    Args:
      data_dir: Directory that holds prepared data sets.
      name: Name of the data set, such as `sintel`.
      config: Its builder config.
      split: `train`, or `test` where there is one.

    Returns:
      The split. Every shard has been opened once and has its full number of records.

    Raises:
      FileNotFoundError: If the data set is not prepared; says how to prepare it.
      ValueError: If it has no such split, or holds no pairs with flow.
      DataError: If its files are damaged.
    """
    import tensorflow_datasets as tfds

    directory = prepared_directory(data_dir, name, config=config)
    if directory is None:
        raise FileNotFoundError(
            f"data set {name!r} (config {config!r}) is not prepared in {data_dir}; run "
            f"`python -m datasets.prepare {name} --config {config} --data_dir "
            f"{data_dir}` (--manual_dir DIR where it is made from raw files)."
        )
    metadata = _read_metadata(directory)
    try:
        builder = tfds.builder_from_directory(directory)
        features: Any = builder.info.features
        present = sorted(builder.info.splits)
    except Exception as error:
        raise _damaged(f"cannot be opened ({error})", directory) from None
    if split not in present:
        raise ValueError(
            f"split is {split!r}; data set {name!r} in {directory} has "
            f"{', '.join(present)}."
        )
    _check_shards(builder.info.splits[split], directory)
    sizes = _sizes(metadata, split, directory)
    if len(sizes) != builder.info.splits[split].num_examples:
        raise _damaged(
            f"metadata.json lists {len(sizes)} pairs for split {split!r}, the shards "
            f"hold {builder.info.splits[split].num_examples}",
            directory,
        )
    return FlowSource(
        directory=str(directory),
        split=split,
        sizes=sizes,
        is_sparse=bool(metadata["sparse"]),
        metadata=metadata,
        # The checker does not see through the decorator of this method.
        records=builder.as_data_source(
            split,  # pyright: ignore[reportCallIssue]
            deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
        ),
        features=features,
        decoders={name: tfds.decode.SkipDecoding() for name in _IMAGES},
    )


def _read_metadata(directory: pathlib.Path) -> dict[str, Any]:
    path = directory / "metadata.json"
    try:
        metadata = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(f"{path} cannot be read ({error})", directory) from None
    if "folders" in metadata and metadata.get("content") != "flow":
        raise ValueError(
            f"{directory} holds no pairs with optical flow; expected a set such as "
            "flow_sample, flying_chairs or sintel."
        )
    missing = [key for key in _METADATA if key not in metadata]
    if missing:
        raise _damaged(f"{path} lacks {', '.join(missing)}", directory)
    return metadata


def _sizes(
    metadata: Mapping[str, Any], split: str, directory: pathlib.Path
) -> Int[np.ndarray, "pairs 2"]:
    """Height and width of each pair, from runs (count, height, width)."""
    try:
        runs = np.array(metadata["sizes"][split], np.int64).reshape(-1, 3)
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(
            f"metadata.json lists no sizes for split {split!r} ({error})", directory
        ) from None
    return np.repeat(runs[:, 1:], runs[:, 0], axis=0)


def _check_shards(split: Any, directory: pathlib.Path) -> None:
    """Opens each file of a split once, to see that it is whole."""
    # The checker cannot look into the extension module.
    from array_record.python import (
        array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
    )

    for path, count in zip(split.filepaths, split.shard_lengths, strict=True):
        try:
            reader = array_record_module.ArrayRecordReader(str(path))
            found = reader.num_records()
            reader.close()
        except Exception as error:
            raise _damaged(
                f"shard {path} cannot be opened ({error})", directory
            ) from None
        if found != count:
            raise _damaged(
                f"shard {path} has {found} records instead of {count}", directory
            )


def _damaged(what: str, directory: object) -> DataError:
    return DataError(
        f"prepared data are damaged: {' '.join(what.split())}; delete {directory} and "
        "prepare the data set again."
    )
