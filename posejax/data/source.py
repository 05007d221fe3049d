"""Random access to a prepared data set on disk, without TensorFlow and without JAX.

A data set lies in `<data_dir>/<name>/<config>/<version>`: ArrayRecord shards beside
`dataset_info.json`, `features.json` and `metadata.json`. Its records are written folder
by folder (one folder = one subject, camera and crop window), so a record's index says
which folder it belongs to. The shards carry check sums: a damaged one is found when it
is opened (cut short) or when the record is read (changed bytes), and ends in a
`DataError` that names the shard, the record and the remedy.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Mapping
from typing import Any

_VERSION = re.compile(r"\d+\.\d+\.\d+")
_METADATA = ("folders", "skeleton", "labels")
_SIZES = ("crop_size", "image_size")  # of crops, of whole frames


class DataError(ValueError):
    """Prepared data that cannot be read: what, where, and what to do, in one line."""


@dataclasses.dataclass(frozen=True)
class Folder:
    """A run of records with one subject, one camera and one crop window.

    Attributes:
      name: As in the metadata, such as `S1/2.0,0.0,5.0,4.0_54138969`.
      count: Number of records.
      start: Index of the first one in the split.
    """

    name: str
    count: int
    start: int


@dataclasses.dataclass(frozen=True)
class Shard:
    """One file of a split: its path, its number of records, the index of the first."""

    path: str
    count: int
    start: int


@dataclasses.dataclass(frozen=True)
class Source:
    """A split of a prepared data set; picklable, for worker processes.

    `len(source)` is the number of records; `source[i]` is a dictionary of numpy arrays,
    ints and strings in which `image` is still encoded (bytes).

    Attributes:
      directory: The version's directory.
      split: Name of the split.
      folders: The split's folders, in the order of the records.
      shards: The split's files, in the order of the records.
      metadata: `crop_size`, `skeleton`, `frame`, `unit`, `labels`, `source`, ...
      records: Random access to serialised records.
      features: What deserialises a whole record.
      image_feature: What deserialises the image alone, several times as fast.
      decoders: What leaves the image encoded.
    """

    directory: str
    split: str
    folders: tuple[Folder, ...]
    shards: tuple[Shard, ...]
    metadata: Mapping[str, Any]
    records: Any
    features: Any
    image_feature: Any
    decoders: Mapping[str, Any]

    def __len__(self) -> int:
        return sum(shard.count for shard in self.shards)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """Returns a record; raises `DataError` if it is damaged."""
        example = self._read(index, self.features)
        return {
            key: value.decode()
            if isinstance(value, bytes) and key != "image"
            else value
            for key, value in example.items()
        }

    def image(self, index: int) -> bytes:
        """Returns the encoded image of a record; raises `DataError` if damaged."""
        return self._read(index, self.image_feature)["image"]

    def where(self, index: int) -> str:
        """Names a record for an error message: shard, position in it, index."""
        for shard in self.shards:
            if shard.start <= index < shard.start + shard.count:
                return (
                    f"record {index - shard.start} of shard {shard.path} "
                    f"({self.split} index {index})"
                )
        return f"{self.split} index {index} of {self.directory}"

    def damaged(self, index: int, reason: str) -> DataError:
        """Returns the error for a record that cannot be used."""
        return _damaged(f"{self.where(index)} {_one_line(reason)}", self.directory)

    def _read(self, index: int, features: Any) -> Mapping[str, Any]:
        index = int(index)
        if not 0 <= index < len(self):
            raise IndexError(
                f"index is {index}; expected 0 to {len(self) - 1}, "
                f"the records of split {self.split!r}."
            )
        try:
            return features.deserialize_example_np(
                self.records[index], decoders=self.decoders
            )
        except MemoryError:
            raise
        # The reader, the parser and the features each have errors of their own, some
        # of which do not survive the way out of a worker process.
        except Exception as error:
            raise self.damaged(index, f"cannot be read ({error})") from None


def open_source(
    data_dir: str, name: str, *, config: str = "crops", split: str
) -> Source:
    """Opens one split of a prepared data set.

    Args:
      data_dir: Directory that holds prepared data sets.
      name: Name of the data set, such as `people_sample`.
      config: Its builder config.
      split: `train` or `test`.

    Returns:
      The source. Every shard has been opened once and has its full number of records.

    Raises:
      FileNotFoundError: If the data set is not prepared; says how to prepare it.
      ValueError: If it has no such split.
      DataError: If its files are damaged.
    """
    import tensorflow_datasets as tfds

    directory = prepared_directory(data_dir, name, config=config)
    if directory is None:
        raise FileNotFoundError(
            f"data set {name!r} (config {config!r}) is not prepared in {data_dir}; run "
            f"`python -m datasets.prepare {name} --config {config} --manual_dir DIR "
            f"--data_dir {data_dir}`."
        )
    metadata = _read_json(directory / "metadata.json", directory)
    missing = [key for key in _METADATA if key not in metadata]
    if not any(key in metadata for key in _SIZES):
        missing.append(_SIZES[0])
    if missing:
        raise _damaged(
            f"{directory / 'metadata.json'} lacks {', '.join(missing)}", directory
        )
    try:
        builder = tfds.builder_from_directory(directory)
        features: Any = builder.info.features
        image_feature = tfds.features.FeaturesDict({"image": features["image"]})
    except Exception as error:
        raise _damaged(f"cannot be opened ({_one_line(error)})", directory) from None
    if split not in builder.info.splits:
        raise ValueError(
            f"split is {split!r}; data set {name!r} in {directory} has "
            f"{', '.join(sorted(builder.info.splits))}."
        )
    shards = _shards(builder.info.splits[split], directory)
    # The checker does not see through the decorator of this method.
    records = builder.as_data_source(
        split,  # pyright: ignore[reportCallIssue]
        deserialize_method=tfds.decode.DeserializeMethod.RAW_BYTES,
    )
    return Source(
        directory=str(directory),
        split=split,
        folders=_folders(metadata, split, shards, directory),
        shards=shards,
        metadata=metadata,
        records=records,
        features=features,
        image_feature=image_feature,
        decoders={"image": tfds.decode.SkipDecoding()},
    )


def is_prepared(data_dir: str, name: str, config: str = "crops") -> bool:
    """Says whether a data set lies finished in `data_dir`.

    A set whose preparation was interrupted does not count: it lies in a directory
    that is renamed to its version only when everything is written.
    """
    return prepared_directory(data_dir, name, config=config) is not None


def prepared_directory(
    data_dir: str, name: str, *, config: str = "crops"
) -> pathlib.Path | None:
    """Returns the directory of the newest finished version of a data set, or None."""
    root = pathlib.Path(data_dir).expanduser().absolute() / name / config
    if not root.is_dir():
        return None
    needed = ("dataset_info.json", "features.json")
    versions = [
        path
        for path in root.iterdir()
        if _VERSION.fullmatch(path.name)
        and all((path / file).is_file() for file in needed)
    ]
    return max(versions, key=_version_number, default=None)


def splits(data_dir: str, name: str, *, config: str = "crops") -> tuple[str, ...]:
    """Returns the names of the splits of a prepared data set; none if not prepared."""
    directory = prepared_directory(data_dir, name, config=config)
    if directory is None:
        return ()
    info = _read_json(directory / "dataset_info.json", directory)
    return tuple(split["name"] for split in info.get("splits", ()))


def _version_number(path: pathlib.Path) -> tuple[int, ...]:
    return tuple(int(part) for part in path.name.split("."))


def _shards(split: Any, directory: pathlib.Path) -> tuple[Shard, ...]:
    """The files of a split, each opened once to see that it is whole."""
    # The checker cannot look into the extension module.
    from array_record.python import (
        array_record_module,  # pyright: ignore[reportAttributeAccessIssue]
    )

    shards, start = [], 0
    for path, count in zip(split.filepaths, split.shard_lengths, strict=True):
        path = str(path)
        try:
            reader = array_record_module.ArrayRecordReader(path)
            found = reader.num_records()
            reader.close()
        except Exception as error:
            raise _damaged(
                f"shard {path} cannot be opened ({_one_line(error)})", directory
            ) from None
        if found != count:
            raise _damaged(
                f"shard {path} has {found} records instead of {count}", directory
            )
        shards.append(Shard(path=path, count=count, start=start))
        start += count
    return tuple(shards)


def _folders(
    metadata: Mapping[str, Any],
    split: str,
    shards: tuple[Shard, ...],
    directory: pathlib.Path,
) -> tuple[Folder, ...]:
    """The folders of a split, which must account for every record."""
    folders, start = [], 0
    try:
        for row in metadata["folders"][split]:
            folders.append(
                Folder(name=row["name"], count=int(row["count"]), start=start)
            )
            start += int(row["count"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(
            f"{directory / 'metadata.json'} lists no folders for split {split!r} "
            f"({type(error).__name__}: {_one_line(error)})",
            directory,
        ) from None
    count = sum(shard.count for shard in shards)
    if start != count:
        raise _damaged(
            f"{directory / 'metadata.json'} lists {start} records for split {split!r}, "
            f"the shards hold {count}",
            directory,
        )
    return tuple(folders)


def _read_json(path: pathlib.Path, directory: pathlib.Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(
            f"{path} cannot be read ({_one_line(error)})", directory
        ) from None


def _damaged(what: str, directory: object) -> DataError:
    return DataError(
        f"prepared data are damaged: {what}; delete {directory} and prepare the data "
        "set again."
    )


def _one_line(message: object) -> str:
    return " ".join(str(message).split())
