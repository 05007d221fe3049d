"""The sample as frame records: cropped frames, spread over time, with 2-D joints."""

import collections
import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from datasets import records
from datasets.people_sample.cameras import CAMERAS, IMAGE_SIZE, Camera, project
from datasets.people_sample.motion import ACTIONS, Action
from datasets.people_sample.processes import processed
from datasets.people_sample.takes import (
    NUM_FRAMES,
    draw,
    encode_jpeg,
    make_take,
    video_name,
)
from datasets.people_sample.wardrobe import TEST, TRAIN, Person
from datasets.progress import track
from posejax.data.crops import CELL, crop_image, crop_matrix, raster_cells

CELL_PX = CELL * IMAGE_SIZE / 1000  # the raster of Human3.6M on smaller frames

Folders = dict[str, list[records.Record]]


@dataclasses.dataclass(frozen=True)
class Shots:
    """Which frames of one person are cropped.

    Attributes:
      person: Who.
      actions: The takes.
      cameras: The cameras that look.
      frames: Numbers of the frames of every take.
      crop_size: Side of the crops, pixels.
    """

    person: Person
    actions: tuple[Action, ...]
    cameras: tuple[Camera, ...]
    frames: tuple[int, ...]
    crop_size: int


def full_shots(crop_size: int) -> dict[str, list[Shots]]:
    """Returns the shots of all people: 2800 crops for training, 360 to test."""
    spread = {"train": (TRAIN, 9), "test": (TEST, 28)}
    return {
        split: [
            Shots(
                person, (action,), CAMERAS, tuple(range(0, NUM_FRAMES, step)), crop_size
            )
            for person in people
            for action in ACTIONS
        ]
        for split, (people, step) in spread.items()
    }


def tiny_shots(crop_size: int) -> dict[str, list[Shots]]:
    """Returns the shots of a set for tests: 24 crops for training, 10 to test."""
    actions = {action.name: action for action in ACTIONS}
    waiting, camera = (actions["Waiting"],), (CAMERAS[1],)
    every_fifth = tuple(range(0, 60, 5))
    return {
        "train": [
            Shots(person, waiting, camera, every_fifth, crop_size)
            for person in TRAIN[:2]
        ],
        "test": [Shots(TEST[0], waiting, camera, every_fifth[:10], crop_size)],
    }


def crop_records(shots: Shots) -> list[tuple[str, records.Record]]:
    """Draws and crops; returns (folder name, frame record) in the order of time."""
    result = []
    for action in shots.actions:
        take = make_take(shots.person, action, np.array(shots.frames))
        for camera in shots.cameras:
            pose_2d = project(camera, take.motion.joints)
            for index, number in enumerate(shots.frames):
                frame = draw(take, index, camera)
                matrix = crop_matrix(frame.box, crop_size=shots.crop_size, cell=CELL_PX)
                crop = crop_image(frame.image, matrix, shots.crop_size)
                record = records.frame_record(
                    image=encode_jpeg(crop),
                    box=frame.box,
                    crop_matrix=matrix,
                    subject=shots.person.name,
                    camera=camera.name,
                    action=action.name,
                    take=video_name(action, camera),
                    frame=number,
                    pose_2d=pose_2d[index],
                )
                cells = raster_cells(frame.box, cell=CELL_PX)
                name = records.folder_name(shots.person.name, cells, camera.name)
                result.append((name, record))
    return result


def collect_folders(
    all_shots: Mapping[str, Sequence[Shots]],
    *,
    num_workers: int,
    progress: str = "none",
) -> dict[str, Folders]:
    """Draws all shots and sorts the crops into folders, each in its permutation.

    Args:
      all_shots: Per split what is drawn.
      num_workers: Number of processes; the result does not depend on it.
      progress: How progress is shown, see `datasets.progress.track`.

    Returns:
      Per split the folders by name, in the order of their names.
    """
    jobs = [(split, shots) for split, group in all_shots.items() for shots in group]
    drawn = track(
        processed(crop_records, [shots for _, shots in jobs], num_workers=num_workers),
        total=len(jobs),
        description="drawing people",
        unit="takes",
        progress=progress,
    )
    loose: dict[str, Folders] = {
        split: collections.defaultdict(list) for split in all_shots
    }
    for (split, _), part in zip(jobs, drawn, strict=True):
        for name, record in part:
            loose[split][name].append(record)
    return {
        split: {
            name: [members[i] for i in records.permutation(len(members), name)]
            for name, members in sorted(folders.items())
        }
        for split, folders in loose.items()
    }
