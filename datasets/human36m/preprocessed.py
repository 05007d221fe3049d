"""Frame records out of a folder that the reference's scripts made.

  preprocessed/training/<S>/<X0>,<Y0>,<X1>,<Y1>_<camera>/frame_<10 letters>.png
  preprocessed_to_orig.json   for S9 and S11: crop to box, pose and original frame
  mapping_preprocessed.json   optional: original frame to crop, gives take and number
  data_dict.json              optional: original frame to box

The names of the files are the reference's shuffle, so the sorted order is kept: pairs
are then the very pairs that the reference trains on.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

import cv2
import numpy as np

from datasets import records
from datasets.human36m import tree
from posejax.data import crops

CROP_SIZE = 256
FOLDER_NAME = re.compile(r"^(\d+\.\d+),(\d+\.\d+),(\d+\.\d+),(\d+\.\d+)_(\w+)$")
TO_ORIGINAL = "preprocessed_to_orig.json"
MAPPING = "mapping_preprocessed.json"
BOXES = "data_dict.json"
PNG_END = b"IEND\xaeB`\x82"


@dataclasses.dataclass(frozen=True)
class Original:
    """What is known of the frame that a crop was cut from.

    Attributes:
      take: Name of the video; empty where unknown.
      frame: Number in the video; -1 where unknown.
      box: Person box in source pixels; None where unknown.
      pose: Joints (32, 2) in source pixels; None where unknown.
    """

    take: str = ""
    frame: int = -1
    box: np.ndarray | None = None
    pose: np.ndarray | None = None


@dataclasses.dataclass(frozen=True)
class Folder:
    """The crops of one folder, in the order of their names."""

    name: str
    subject: str
    camera: str
    cells: np.ndarray
    files: tuple[pathlib.Path, ...]


def training_folder(root: pathlib.Path) -> pathlib.Path | None:
    """Folder of the subjects in a preprocessed tree; None if `root` is none.

    Args:
      root: The folder that holds `preprocessed`, or `preprocessed`, or `training`.
    """
    for folder in (root / "preprocessed" / "training", root / "training", root):
        for subject in (*tree.TRAIN_SUBJECTS, *tree.TEST_SUBJECTS):
            if any((folder / subject).glob("*,*,*,*_*")):
                return folder
    return None


def open_splits(root: pathlib.Path) -> tuple[dict[str, list[Folder]], dict]:
    """Lists the folders of both splits and reads what is known of their crops.

    Args:
      root: The folder that holds `preprocessed`, or `preprocessed`, or `training`.

    Returns:
      Folders per split, and originals by (subject, folder, file).

    Raises:
      FileNotFoundError: If a subject or the mapping of the test subjects is missing.
      ValueError: If a name or a mapping is not what it should be.
    """
    training = training_folder(root)
    if training is None:
        raise FileNotFoundError(f"{root} holds no preprocessed/training/<subject>.")
    splits = {
        split: [f for subject in subjects for f in _folders(training / subject)]
        for split, subjects in tree.SUBJECTS.items()
    }
    originals = _training_originals(training)
    originals.update(_test_originals(training))
    for folder in splits["test"]:
        for file in folder.files:
            if originals.get(_key(file), Original()).pose is None:
                raise ValueError(
                    f"{TO_ORIGINAL} has no entry for {file}; make it again from this "
                    "preprocessed folder (step 5 of the reference's scripts)."
                )
    return splits, originals


def _folders(home: pathlib.Path) -> list[Folder]:
    found = []
    for path in sorted(p for p in home.glob("*") if p.is_dir()):
        match = FOLDER_NAME.match(path.name)
        if match is None:
            raise ValueError(
                f"folder {path} is not named like '2.0,0.0,5.0,4.0_54138969' (crop "
                "window and camera); take it away."
            )
        files = tuple(sorted(path.glob("frame_*.png")))
        # The reference makes folders first: one without crops is no mistake.
        if files:
            cells = np.array(match.groups()[:4], float).astype(int).reshape(2, 2)
            name = f"{home.name}/{path.name}"
            found.append(Folder(name, home.name, match.group(5), cells, files))
    if not found:
        raise FileNotFoundError(
            f"{home} holds no crops; expected <window>_<camera>/frame_*.png."
        )
    return found


def _key(path: str | pathlib.Path) -> tuple[str, ...]:
    """Subject, folder and file: what a path keeps on another machine."""
    return pathlib.PurePosixPath(path).parts[-3:]


def _find(training: pathlib.Path, name: str) -> pathlib.Path | None:
    places = (training, training.parent, training.parent.parent)
    return next((p / name for p in places if (p / name).is_file()), None)


def _read_json(path: pathlib.Path) -> Any:
    try:
        return json.loads(path.read_text())
    except (ValueError, OSError) as error:
        raise ValueError(
            f"{path} cannot be read as JSON ({error}); make it again with the "
            "reference's scripts."
        ) from error


def _array(value: Any) -> np.ndarray:
    """An array as the reference's JSON holds it."""
    if isinstance(value, Mapping):
        return np.array(value["__ndarray__"], value["dtype"]).reshape(value["shape"])
    return np.array(value)


def _source(path: str) -> tuple[str, int]:
    """Video and number of `.../frames/<video>/frame0012.png`."""
    parts = pathlib.PurePosixPath(path)
    return parts.parent.name, int(re.sub(r"\D", "", parts.stem))


def _test_originals(training: pathlib.Path) -> dict[tuple[str, ...], Original]:
    path = _find(training, TO_ORIGINAL)
    if path is None:
        raise FileNotFoundError(
            f"{training.parent.parent / TO_ORIGINAL} is missing; it holds boxes and "
            "poses of S9 and S11 and is made by step 5 of the reference's scripts."
        )
    originals = {}
    for crop, entry in _read_json(path).items():
        try:
            take, frame = _source(entry["path"])
            pose = _array(entry["pose"]).reshape(records.NUM_JOINTS, 2)
            box = _array(entry["bbox"]).reshape(2, 2)
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"entry {crop!r} of {path} is damaged ({error!r}); expected bbox "
                "(2, 2), pose (64) and path; make the file again."
            ) from error
        originals[_key(crop)] = Original(take, frame, box, pose)
    return originals


def _training_originals(training: pathlib.Path) -> dict[tuple[str, ...], Original]:
    mapping = _find(training, MAPPING)
    if mapping is None:
        return {}
    boxes = _find(training, BOXES)
    box_of = {} if boxes is None else _boxes(_read_json(boxes))
    originals = {}
    for frame, crop in _read_json(mapping).items():
        take, number = _source(frame)
        # The published script stores (folder, file), its users' repairs one path.
        path = "/".join(crop) if isinstance(crop, list) else crop
        subject = pathlib.PurePosixPath(frame).parts[-4]
        originals[_key(path)] = Original(
            take, number, box_of.get((subject, take, number))
        )
    return originals


def _boxes(data: Any) -> dict[tuple[str, str, int], np.ndarray]:
    return {
        (subject, *_source(entry["frame"])): _array(entry["bounding_box"])
        for subject, takes in data.items()
        for entries in takes.values()
        for entry in entries
    }


def generate(
    folders: list[Folder], originals: Mapping[tuple[str, ...], Original]
) -> Iterator[tuple[int, records.Record]]:
    """Yields the records of a split, folder by folder.

    Where the person box is unknown, the raster window stands for it.

    Args:
      folders: The folders.
      originals: What is known of the crops.

    Yields:
      Position and record.
    """
    key = 0
    for folder in folders:
        window = folder.cells * crops.CELL
        matrix = crops.crop_matrix(window, crop_size=CROP_SIZE)
        for file in folder.files:
            original = originals.get(_key(file), Original())
            action = tree.activity(original.take, take_filter="all") or ""
            record = records.frame_record(
                image=_read_png(file),
                box=window if original.box is None else original.box,
                crop_matrix=matrix,
                subject=folder.subject,
                camera=folder.camera,
                action=action.strip(),
                take=original.take,
                frame=original.frame,
                pose_2d=original.pose,
            )
            yield key, record
            key += 1


def _read_png(path: pathlib.Path) -> bytes:
    data = path.read_bytes()
    image = None
    # OpenCV decodes the upper part of a picture that is cut short.
    if PNG_END in data[-64:]:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if image is None:
        raise ValueError(
            f"picture {path} is empty, cut short or no PNG; make it again or delete it."
        )
    if image.shape != (CROP_SIZE, CROP_SIZE, 3):
        raise ValueError(
            f"picture {path} has shape {image.shape}; expected "
            f"({CROP_SIZE}, {CROP_SIZE}, 3)."
        )
    return data
