"""What all builders share: ordered array_record shards, without TensorFlow."""

import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
from absl import logging
from array_record.python import array_record_module
from tensorflow_datasets.core import example_serializer

from datasets.progress import track

SHARD_BYTES = 512 << 20


class OrderedBuilder(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """A builder whose records come out in the order in which they are generated.

    A subclass writes `_info` (with `make_info`), `_split_generators` (which also calls
    `set_metadata`) and `_generate_examples`, whose keys are 0, 1, 2, ...

    TFDS's own writer sorts a whole split in memory, and needs TensorFlow for a split of
    more than a gigabyte; this one streams records into shards.

    Attributes:
      progress: How progress is shown, see `datasets.progress.track`.
      num_workers: Number of processes that may be used; None means all processors.
      cache_dir: Folder for work that an interrupted run need not do again; it is
        deleted when the set is finished.
    """

    progress: str = "auto"
    num_workers: int | None = None
    cache_dir: pathlib.Path | None = None

    def __init__(self, *, file_format: str | None = None, **options: Any):
        if file_format not in (None, "array_record"):
            raise ValueError(
                f"file_format is {file_format!r}; only 'array_record' can be read."
            )
        super().__init__(file_format="array_record", **options)

    def make_info(
        self,
        *,
        features: tfds.features.FeaturesDict,
        description: str,
        homepage: str = "",
        citation: str = "",
    ) -> tfds.core.DatasetInfo:
        """Returns the info of an ordered set, with metadata to be filled later."""
        return tfds.core.DatasetInfo(
            builder=self,
            features=features,
            description=description,
            homepage=homepage or None,
            citation=citation or None,
            metadata=tfds.core.MetadataDict(),
            disable_shuffling=True,
        )

    def set_metadata(self, metadata: Mapping[str, Any]) -> None:
        """Sets the metadata that are saved with the records."""
        self.info.metadata.clear()
        self.info.metadata.update(metadata)

    def _generate_splits(
        self, dl_manager: Any, download_config: Any
    ) -> list[tfds.core.SplitInfo]:
        del download_config
        splits = []
        for name, records in self._split_generators(dl_manager).items():
            total = self._expected_count(name)
            records = track(
                records,
                total=total,
                description=f"writing {name}",
                unit="records",
                progress=self.progress,
            )
            splits.append(self._write_split(name, records, total))
        return splits

    def _expected_count(self, split: str) -> int | None:
        folders = self.info.metadata.get("folders", {}).get(split)
        return None if folders is None else sum(f["count"] for f in folders)

    def _write_split(
        self, name: str, records: Iterable[tuple[int, Any]], total: int | None
    ) -> tfds.core.SplitInfo:
        template = self._get_filename_template(split_name=name)
        paths, lengths, num_bytes = _write_shards(
            self._serialized(records, name), pathlib.Path(self.data_dir), name
        )
        if total not in (None, sum(lengths)):
            raise ValueError(
                f"split {name} got {sum(lengths)} records, its folders hold {total}."
            )
        for index, path in enumerate(paths):
            shard = template.sharded_filepath(
                shard_index=index, num_shards=len(lengths)
            )
            path.rename(os.fspath(shard))
        logging.info("%s: %d records in %d shards", name, sum(lengths), len(lengths))
        return tfds.core.SplitInfo(
            name=name,
            shard_lengths=lengths,
            num_bytes=num_bytes,
            filename_template=template,
        )

    def _serialized(
        self, records: Iterable[tuple[int, Any]], split: str
    ) -> Iterator[bytes]:
        features = self.info.features
        serializer = example_serializer.ExampleSerializer(
            features.get_serialized_info()
        )
        for position, (key, record) in enumerate(records):
            if key != position:
                raise ValueError(
                    f"record {position} of split {split} has key {key!r}; expected "
                    "keys 0, 1, 2, ..."
                )
            yield serializer.serialize_example(features.encode_example(record))


def _write_shards(
    records: Iterator[bytes], folder: pathlib.Path, split: str
) -> tuple[list[pathlib.Path], list[int], int]:
    """Streams records into files of about `SHARD_BYTES`; names do not yet say how many.

    Raises:
      ValueError: If there are no records.
    """
    paths: list[pathlib.Path] = []
    lengths: list[int] = []
    num_bytes = 0
    writer, shard_bytes = None, 0
    for record in records:
        if writer is None:
            paths.append(folder / f"{split}.part-{len(paths):05d}")
            lengths.append(0)
            writer = array_record_module.ArrayRecordWriter(
                os.fspath(paths[-1]), "group_size:1"
            )
            shard_bytes = 0
        writer.write(record)
        lengths[-1] += 1
        shard_bytes += len(record)
        num_bytes += len(record)
        if shard_bytes >= SHARD_BYTES:
            _close(writer, paths[-1])
            writer = None
    if writer is not None:
        _close(writer, paths[-1])
    if not paths:
        raise ValueError(f"split {split} has no records.")
    return paths, lengths, num_bytes


def _close(writer: Any, path: pathlib.Path) -> None:
    writer.close()
    # The set is renamed to its final name later; its bytes must be there by then.
    with path.open("rb") as file:
        os.fsync(file.fileno())
