"""The flow record: two pictures and the motion between them.

Every builder of optical flow writes these. A folder of the metadata is a scene; a
record is one pair of frames of it. Pairs may differ in size.
"""

import dataclasses
import pathlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from datasets.records import encode_png
from posejax.data.flow_files import known_flow, read_flow
from posejax.data.transforms import decode_image

Record = dict[str, Any]
Scenes = Mapping[str, Sequence["RawPair"]]

# RAFT's rule for dense sets: a component as large as this is a mark, not a motion.
LARGEST_FLOW_PX = 1000.0
HELP = "datasets/README.md shows the tree"

_PPM_HEAD = re.compile(rb"P6(?:(?:\s|#[^\n]*\n)+\d+){3}\s")
_PNG_RGB8 = re.compile(rb"\x89PNG\r\n\x1a\n.{4}IHDR.{8}\x08\x02", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class RawPair:
    """The files of one pair.

    Attributes:
      name: Scene and frame, as in `alley_1/frame_0001`.
      image_1: Picture whose pixels move.
      image_2: Picture in which they are found again.
      flow: Motion from the first to the second.
    """

    name: str
    image_1: pathlib.Path
    image_2: pathlib.Path
    flow: pathlib.Path


def flow_features() -> tfds.features.FeaturesDict:
    """Features of a flow record.

    * `image_1`, `image_2`: RGB, encoded as PNG, (height, width, 3).
    * `flow`: (height, width, 2) float32, (x, y) in pixels: what is at p in the first
      picture is at p + flow[p] in the second. 0 where it is unknown.
    * `valid`: (height, width) uint8, 1 where the flow is known, else 0.
    * `name`: scene and frame.
    """
    tensor, image = tfds.features.Tensor, tfds.features.Image
    return tfds.features.FeaturesDict(
        {
            "image_1": image(shape=(None, None, 3), dtype=np.uint8),
            "image_2": image(shape=(None, None, 3), dtype=np.uint8),
            "flow": tensor(shape=(None, None, 2), dtype=np.float32, encoding="zlib"),
            "valid": tensor(shape=(None, None), dtype=np.uint8, encoding="zlib"),
            "name": tfds.features.Text(),
        }
    )


def flow_record(
    *,
    name: str,
    image_1: bytes,
    image_2: bytes,
    flow: np.ndarray,
    valid: np.ndarray | None = None,
) -> Record:
    """Puts one flow record together.

    Args:
      name: Scene and frame.
      image_1: First picture, PNG.
      image_2: Second picture, PNG.
      flow: (height, width, 2), pixels; may hold NaN or marks for "unknown".
      valid: (height, width), true where the flow was measured; None means everywhere.

    Returns:
      The record. Not valid is also what is not finite or has a component of at least
      `LARGEST_FLOW_PX`; the flow is 0 there.

    Raises:
      ValueError: If `valid` does not fit the flow.
    """
    known = known_flow(flow, limit=LARGEST_FLOW_PX)
    if valid is not None:
        if valid.shape != known.shape:
            raise ValueError(
                f"valid of {name} has shape {valid.shape}, its flow {flow.shape}; "
                "expected one value per pixel."
            )
        known &= np.asarray(valid) > 0
    return {
        "image_1": image_1,
        "image_2": image_2,
        "flow": np.where(known[..., None], flow, 0).astype(np.float32),
        "valid": known.astype(np.uint8),
        "name": name,
    }


def flow_metadata(
    folders: Mapping[str, Mapping[str, int]], *, sparse: bool, source: str
) -> dict[str, Any]:
    """Metadata of a set of flow records.

    Args:
      folders: Per split the scenes in the order of the records, with their counts.
      sparse: Whether the flow is known at scattered pixels only; such flow must not be
        interpolated.
      source: One sentence on origin and licence.

    Returns:
      What goes into the data set's metadata. `sizes` is empty; `numbered` fills it
      while the records are written.
    """
    return {
        "content": "flow",
        "folders": {
            split: [{"name": name, "count": count} for name, count in scenes.items()]
            for split, scenes in folders.items()
        },
        "sizes": {split: [] for split in folders},
        "sparse": sparse,
        "frame": "pixels of the first picture, x to the right, y down",
        "unit": "px",
        "labels": True,
        "source": source,
    }


def numbered(
    records: Iterable[Record], sizes: list[list[int]]
) -> Iterator[tuple[int, Record]]:
    """Numbers records and notes their sizes.

    Args:
      records: Flow records.
      sizes: The split's list in the metadata; gets a row (count, height, width) for
        each run of records of one size.

    Yields:
      (number, record).
    """
    for number, record in enumerate(records):
        size = [int(side) for side in record["valid"].shape]
        if not sizes or sizes[-1][1:] != size:
            sizes.append([0, *size])
        sizes[-1][0] += 1
        yield number, record


def raw_splits(
    builder: Any,
    splits: Mapping[str, Scenes],
    *,
    sparse: bool,
    source: str,
) -> dict[str, Iterator[tuple[int, Record]]]:
    """Sets the metadata of a set made from files, and returns its records.

    Args:
      builder: The builder, for its `set_metadata`.
      splits: Per split its scenes; splits without pairs are left out.
      sparse: See `flow_metadata`.
      source: One sentence on origin and licence.

    Returns:
      Per split the numbered records, read one at a time.
    """
    kept = {split: scenes for split, scenes in splits.items() if any(scenes.values())}
    counts = {
        split: {name: len(pairs) for name, pairs in scenes.items()}
        for split, scenes in kept.items()
    }
    metadata = flow_metadata(counts, sparse=sparse, source=source)
    builder.set_metadata(metadata)
    return {
        split: numbered(
            (read_pair(pair) for pairs in scenes.values() for pair in pairs),
            metadata["sizes"][split],
        )
        for split, scenes in kept.items()
    }


def read_pair(pair: RawPair) -> Record:
    """Reads the files of a pair.

    Args:
      pair: The files; that of the flow is `.flo`, `.pfm` or a PNG of KITTI.

    Returns:
      The record.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If one is damaged, or they differ in size.
    """
    (image_1, size_1), (image_2, size_2) = map(
        read_picture, (pair.image_1, pair.image_2)
    )
    field = read_flow(pair.flow)
    for path, size in ((pair.image_2, size_2), (pair.flow, field.valid.shape)):
        if tuple(size) != size_1:
            raise ValueError(
                f"{path} is {size[1]} x {size[0]} pixels, {pair.image_1} is "
                f"{size_1[1]} x {size_1[0]}; unpack these files again."
            )
    return flow_record(
        name=pair.name,
        image_1=image_1,
        image_2=image_2,
        flow=field.flow,
        valid=field.valid,
    )


def read_picture(path: pathlib.Path) -> tuple[bytes, tuple[int, int]]:
    """Reads a PNG or PPM picture.

    Args:
      path: The file.

    Returns:
      The picture as RGB PNG without loss (bytes of an RGB PNG are kept as they are),
      and its (height, width).

    Raises:
      FileNotFoundError: If it is missing.
      ValueError: If it is damaged or cut short.
    """
    data = existing(path).read_bytes()
    try:
        pixels = _ppm_pixels(data) if data.startswith(b"P6") else decode_image(data)
    except ValueError as error:
        raise ValueError(f"{path} {error}; unpack it again.") from None
    encoded = data if _PNG_RGB8.match(data) else encode_png(pixels)
    return encoded, (pixels.shape[0], pixels.shape[1])


def _ppm_pixels(data: bytes) -> np.ndarray:
    # OpenCV reads these too, but fills up what is missing.
    head = _PPM_HEAD.match(data)
    if head is None:
        raise ValueError("holds no PPM picture")
    words = re.sub(rb"#[^\n]*\n", b" ", head.group()).split()
    width, height, largest = map(int, words[1:])
    if largest != 255 or 0 in (width, height):
        raise ValueError("holds no PPM picture of 8 bits per colour")
    if len(data) - head.end() < 3 * width * height:
        raise ValueError(
            f"holds a picture of {width} x {height} pixels that is cut short at "
            f"{len(data)} bytes"
        )
    values = np.frombuffer(data, np.uint8, 3 * width * height, head.end())
    return values.reshape(height, width, 3)


def existing(path: pathlib.Path) -> pathlib.Path:
    """Returns the path of a file or folder that must be there.

    Raises:
      FileNotFoundError: If it is not.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} is missing ({HELP}).")
    return path


def subfolders(*parents: pathlib.Path) -> list[str]:
    """Returns the names of the folders in any of some folders, sorted.

    Raises:
      FileNotFoundError: If one of them is missing or none holds a folder.
    """
    found = {
        path.name
        for parent in parents
        for path in existing(parent).iterdir()
        if path.is_dir()
    }
    if not found:
        raise FileNotFoundError(f"{parents[0]} holds no folders ({HELP}).")
    return sorted(found)


def files_by_number(
    folder: pathlib.Path, pattern: str
) -> dict[tuple[int, ...], pathlib.Path]:
    """Returns the files of a folder by the numbers in their names, in their order.

    Args:
      folder: The folder.
      pattern: A regular expression of the whole name whose groups are the numbers.

    Raises:
      FileNotFoundError: If the folder is missing.
    """
    names = re.compile(pattern)
    found = {
        tuple(int(group) for group in match.groups()): path
        for path in existing(folder).iterdir()
        if (match := names.fullmatch(path.name))
    }
    return dict(sorted(found.items()))


def require_complete(
    scenes: Mapping[str, Sequence[RawPair]], folder: pathlib.Path, expected: str
) -> None:
    """Checks that there are pairs and that their files exist, before work begins.

    Args:
      scenes: The pairs of a split.
      folder: Where they were looked for.
      expected: What the files are called there.

    Raises:
      FileNotFoundError: If there are no pairs, or a file of one is missing.
    """
    if not any(scenes.values()):
        raise FileNotFoundError(
            f"{folder} holds no pairs; expected {expected} ({HELP})."
        )
    # Frames belong to two pairs, and a look at a file of a network disk takes time.
    for path in dict.fromkeys(
        file
        for pairs in scenes.values()
        for pair in pairs
        for file in (pair.image_1, pair.image_2, pair.flow)
    ):
        existing(path)
