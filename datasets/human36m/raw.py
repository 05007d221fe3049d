"""Frame records out of the owners' raw tree."""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator

import numpy as np

from datasets import records
from datasets.human36m import decoding, tree
from posejax.data import crops


@dataclasses.dataclass(frozen=True)
class Split:
    """The decoded videos of a split.

    Attributes:
      takes: The videos.
      caches: Where the crops of each video are.
      members: For each folder, by name, (number of the take, number of the frame).
      crop_size: Side of the crops, pixels.
    """

    takes: tuple[tree.Take, ...]
    caches: tuple[pathlib.Path, ...]
    members: dict[str, np.ndarray]
    crop_size: int

    @property
    def folders(self) -> list[tuple[str, int]]:
        """Folders in the order of the records, with the number of records."""
        return [(name, len(entries)) for name, entries in self.members.items()]


def open_splits(
    root: pathlib.Path,
    cache: pathlib.Path,
    *,
    take_filter: str,
    crop_size: int,
    num_workers: int | None = None,
    progress: str = "auto",
) -> dict[str, Split]:
    """Finds and decodes the videos of both splits.

    Args:
      root: Folder of the raw tree.
      cache: Folder of the cache.
      take_filter: "reference" or "all".
      crop_size: Side of the crops, pixels.
      num_workers: Number of processes; None means all processors.
      progress: How progress is shown.

    Returns:
      The splits.

    Raises:
      FileNotFoundError: If a subject or one of its files is missing.
      ValueError: If a file is not what it should be.
    """
    check_subjects(root)
    takes = {
        split: [
            take
            for subject in subjects
            for take in tree.find_takes(
                root, subject, take_filter=take_filter, needs_poses=split == "test"
            )
        ]
        for split, subjects in tree.SUBJECTS.items()
    }
    everything = [take for split in takes.values() for take in split]
    caches = decoding.decode_takes(
        everything,
        cache,
        crop_size=crop_size,
        num_workers=num_workers,
        progress=progress,
    )
    folder_of = dict(zip(everything, caches, strict=True))
    return {
        split: _split(members, [folder_of[t] for t in members], crop_size)
        for split, members in takes.items()
    }


def check_subjects(root: pathlib.Path) -> None:
    """Refuses a tree in which a subject is missing."""
    subjects = [s for split in tree.SUBJECTS.values() for s in split]
    missing = [s for s in subjects if not (root / s).is_dir()]
    if missing:
        raise FileNotFoundError(
            f"manual_dir {root} lacks {', '.join(missing)}; expected a folder for each "
            f"of {', '.join(subjects)} (datasets/README.md shows the tree)."
        )


def _split(takes: list[tree.Take], caches: list[pathlib.Path], crop_size: int) -> Split:
    members: dict[str, list[tuple[int, int]]] = {}
    for number, (take, cache) in enumerate(zip(takes, caches, strict=True)):
        with np.load(cache / "index.npz") as index:
            cells = crops.raster_cells(index["boxes"])
        for frame, cell in enumerate(cells):
            name = records.folder_name(take.subject, cell, take.camera)
            members.setdefault(name, []).append((number, frame))
    # Frames of all activities of a folder are mixed, as the published names mix them.
    shuffled = {
        name: np.array(members[name])[records.permutation(len(members[name]), name)]
        for name in sorted(members)
    }
    return Split(tuple(takes), tuple(caches), shuffled, crop_size)


def generate(split: Split) -> Iterator[tuple[int, records.Record]]:
    """Yields the records of a split, folder by folder.

    Args:
      split: The split.

    Yields:
      Position and record.
    """
    key = 0
    for entries in split.members.values():
        with contextlib.ExitStack() as stack:
            opened = {
                number: _OpenTake(split, int(number), stack)
                for number in np.unique(entries[:, 0])
            }
            for number, frame in entries:
                yield key, opened[number].record(int(frame))
                key += 1


class _OpenTake:
    """The crops of one video, open for reading."""

    def __init__(self, split: Split, number: int, stack: contextlib.ExitStack):
        cache = split.caches[number]
        self.take = split.takes[number]
        self.crop_size = split.crop_size
        self.file = stack.enter_context((cache / "crops.bin").open("rb"))
        with np.load(cache / "index.npz") as index:
            self.boxes = index["boxes"]
            self.offsets = index["offsets"]
            self.poses = index.get("poses")

    def record(self, frame: int) -> records.Record:
        begin, end = self.offsets[frame : frame + 2]
        self.file.seek(begin)
        box = self.boxes[frame]
        return records.frame_record(
            image=self.file.read(end - begin),
            box=box,
            crop_matrix=crops.crop_matrix(box, crop_size=self.crop_size),
            subject=self.take.subject,
            camera=self.take.camera,
            action=self.take.action,
            take=self.take.name,
            frame=frame,
            pose_2d=None if self.poses is None else self.poses[frame],
        )
