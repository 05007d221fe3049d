"""Builder of `own_videos`: crops of a moving person out of anybody's videos."""

import collections
import dataclasses
import pathlib
import tempfile
from collections.abc import Iterator
from typing import IO, Any, ClassVar

import numpy as np
import tensorflow_datasets as tfds
from absl import logging

from datasets import records
from datasets.base import OrderedBuilder
from datasets.own_videos import tree
from datasets.progress import track
from posejax.data import crops, video, windows

TRAIN_SHARE = 0.8


@dataclasses.dataclass
class OwnVideosConfig(tfds.core.BuilderConfig):
    """Configuration of the builder.

    Attributes:
      crop_size: Side of the stored crops, pixels.
    """

    crop_size: int = 256


@dataclasses.dataclass(frozen=True)
class _Plan:
    """What is written of one video.

    Attributes:
      take: The video.
      boxes: (frames, 2, 2), source pixels.
      windows: (frames, 2, 2) raster cells of the crop window.
      cell: Side of a raster cell, source pixels.
      pose: (frames, 32, 2), source pixels.
      pose_valid: (frames, 32).
      folders: Per split, the frame numbers of each folder in the order of the records.
      boxes_from: Where the boxes come from.
    """

    take: tree.Take
    boxes: np.ndarray
    windows: np.ndarray
    cell: int
    pose: np.ndarray
    pose_valid: np.ndarray
    folders: dict[str, dict[str, np.ndarray]]
    boxes_from: str


class Builder(OrderedBuilder):
    """Crops of one person per video, from fixed cameras, ready for training.

    Licence: that of the videos; nothing is downloaded. `manual_dir` holds::

        <name>.mp4            a video (also .avi .mov .mkv .m4v .webm .mpg .gif),
        <name>/               or a folder of pictures of one size;
        <name>.boxes.jsonl    optional: {"frame": 0, "box": [x0, y0, x1, y1]} per line,
                              also "score"; frames from 0, source pixels
        <name>.mot.txt        optional: frame,id,x,y,width,height,confidence,...
                              (MOT challenge, frames from 1; the longest track)
        <name>.box.json       optional: {"box": [x0, y0, x1, y1]} for the whole video,
                              or {"from": "joints"} for boxes around the joints below
        <name>.joints.npz     optional, for evaluation: joints (frames, 15, 2) in source
                              pixels, valid (frames, 15); see `tree.read_joints`

    Without a file of boxes the person is found by the motion before the background,
    which needs a fixed camera and a person who does not stay in one place throughout.

    The raster cell of the crop window is a third of the median height of a video's
    boxes, so people are as large in the crop as in Human3.6M; the cells are in the
    metadata (`cells`). A folder is one video and one crop window, and few windows serve
    all frames (`windows.stable_windows`), so that frames find partners. `train` is the
    first 80 % of every video, `test` the rest; frames without a person are left out.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES: ClassVar = {"1.0.0": "First version."}
    BUILDER_CONFIGS: ClassVar = [
        OwnVideosConfig(name="crops", description="Crops of 256 x 256 pixels.")
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = (
        "Put videos from fixed cameras into a folder and pass it as --manual_dir; "
        "datasets/own_videos/README.md shows what may lie beside them."
    )

    @property
    def _crop_size(self) -> int:
        config = self.builder_config
        return config.crop_size if isinstance(config, OwnVideosConfig) else 256

    def _info(self) -> tfds.core.DatasetInfo:
        return self.make_info(
            features=records.frame_features(self._crop_size),
            description="Crops of moving people from videos of fixed cameras.",
        )

    def _split_generators(self, dl_manager: Any) -> dict[str, Iterator[Any]]:
        takes = tree.find_takes(pathlib.Path(dl_manager.manual_dir))
        plans = [
            _plan(take)
            for take in track(
                takes,
                total=len(takes),
                description="finding people",
                unit="videos",
                progress=self.progress,
            )
        ]
        _check_size(plans)
        metadata = records.frame_metadata(
            folders={
                split: [
                    (name, len(frames))
                    for plan in plans
                    for name, frames in plan.folders[split].items()
                ]
                for split in ("train", "test")
            },
            crop_size=self._crop_size,
            labels=any(plan.pose_valid.any() for plan in plans),
            source="Videos of the user; their licence is the user's matter.",
        )
        metadata["cells"] = {plan.take.name: plan.cell for plan in plans}
        metadata["boxes"] = {plan.take.name: plan.boxes_from for plan in plans}
        self.set_metadata(metadata)
        return {
            split: self._generate_examples(plans, split)
            for split in metadata["folders"]
        }

    def _generate_examples(
        self, plans: list[_Plan], split: str
    ) -> Iterator[tuple[int, records.Record]]:
        key = 0
        for plan in plans:
            # The folder of the unfinished set: on the disk that the set will need.
            with tempfile.TemporaryFile(dir=self.data_dir) as spool:
                for record in _records(plan, split, self._crop_size, spool):
                    yield key, record
                    key += 1


def _plan(take: tree.Take) -> _Plan:
    """Finds the person and decides which frame goes where."""
    num_frames, size = tree.count_frames(take)
    found, boxes_from = tree.find_boxes(take, num_frames=num_frames, image_size=size)
    frames = np.flatnonzero(found.valid)
    cell = windows.choose_cell(found.boxes[frames])
    cells = np.zeros((num_frames, 2, 2), np.int64)
    cells[frames] = windows.stable_windows(found.boxes[frames], cell=cell)
    border = int(TRAIN_SHARE * num_frames)
    folders = {
        "train": _folders(take, frames[frames < border], cells),
        "test": _folders(take, frames[frames >= border], cells),
    }
    logging.info(
        "%s: %d of %d frames with a person (%s), cell %d px, folders %d train, %d test",
        *(take.name, len(frames), num_frames, boxes_from, cell),
        *(len(folders["train"]), len(folders["test"])),
    )
    pose, pose_valid = tree.read_joints(take, num_frames=num_frames)
    return _Plan(take, found.boxes, cells, cell, pose, pose_valid, folders, boxes_from)


def _folders(
    take: tree.Take, frames: np.ndarray, cells: np.ndarray
) -> dict[str, np.ndarray]:
    members: dict[str, list[int]] = collections.defaultdict(list)
    for frame in frames:
        members[records.folder_name(take.name, cells[frame], take.name)].append(frame)
    return {
        name: np.array(members[name])[records.permutation(len(members[name]), name)]
        for name in sorted(members)
    }


def _check_size(plans: list[_Plan]) -> None:
    train = [f for plan in plans for f in plan.folders["train"].values()]
    test = [f for plan in plans for f in plan.folders["test"].values()]
    if not test or max((len(f) for f in train), default=0) < 2:
        raise ValueError(
            f"the videos give {sum(map(len, train))} frames with a person for training "
            f"and {sum(map(len, test))} for testing; training needs two that share a "
            "crop window and testing one. Give longer videos, or boxes of a detector."
        )


def _records(
    plan: _Plan, split: str, crop_size: int, spool: IO[bytes]
) -> Iterator[records.Record]:
    """Crops in the order of the video, records in the order of the folders."""
    folders = plan.folders[split]
    if not folders:
        return
    wanted = set(np.concatenate(list(folders.values())).tolist())
    places = _spool_crops(plan, wanted, crop_size, spool)
    name = plan.take.name
    for frame in (f for frames in folders.values() for f in frames.tolist()):
        start, length = places[frame]
        spool.seek(start)
        yield records.frame_record(
            image=spool.read(length),
            box=plan.boxes[frame],
            crop_matrix=_matrix(plan, frame, crop_size),
            pose_2d=plan.pose[frame],
            pose_valid=plan.pose_valid[frame],
            subject=name,
            camera=name,
            action=name,
            take=name,
            frame=frame,
        )


def _spool_crops(
    plan: _Plan, wanted: set[int], crop_size: int, spool: IO[bytes]
) -> dict[int, tuple[int, int]]:
    """Writes encoded crops to a file, as memory would not hold those of an hour."""
    first, last = min(wanted), max(wanted)
    places = {}
    for frame, image in enumerate(
        video.read_frames(plan.take.path, start=first), first
    ):
        if frame in wanted:
            crop = crops.crop_image(image, _matrix(plan, frame, crop_size), crop_size)
            encoded = records.encode_png(crop)
            places[frame] = (spool.tell(), len(encoded))
            spool.write(encoded)
        if frame == last:
            break
    return places


def _matrix(plan: _Plan, frame: int, crop_size: int) -> np.ndarray:
    window = plan.windows[frame] * float(plan.cell)
    return crops.crop_matrix(window, crop_size=crop_size, cell=float(plan.cell))
