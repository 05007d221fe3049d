"""Reads a prepared set of poses; numpy and TFDS, without TensorFlow and without JAX.

The set is what a builder in `datasets` wrote: one record per recording, see
`datasets/pose_records.py`.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from posejax import checks
from posejax.data.keypoint_layouts import KeypointLayout
from posejax.data.pose_cameras import PoseCamera
from posejax.data.recordings import PoseSet, Recording
from posejax.data.source import DataError, prepared_directory

_METADATA = ("folders", "detectors", "cameras", "skeleton", "fps")


def read_pose_set(
    data_dir: str,
    name: str,
    *,
    config: str = "poses",
    subjects: Sequence[str] | None = None,
) -> PoseSet:
    """Reads the recordings of a prepared set into memory.

    Args:
      data_dir: Directory that holds prepared data sets.
      name: Name of the data set, such as `human36m_poses`.
      config: Its builder config.
      subjects: Whose recordings are read, of any split; None means all.

    Returns:
      The recordings: training subjects first, in the order of the records.

    Raises:
      FileNotFoundError: If the data set is not prepared; says how to prepare it.
      ValueError: If it has no poses, or not of these subjects.
      DataError: If its files are damaged.
    """
    directory = prepared_directory(data_dir, name, config=config)
    if directory is None:
        raise FileNotFoundError(
            f"data set {name!r} (config {config!r}) is not prepared in {data_dir}; run "
            f"`python -m datasets.prepare {name} --config {config} --data_dir "
            f"{data_dir}` (--manual_dir DIR where it is made from raw files)."
        )
    metadata = _metadata(directory)
    folders = {
        split: [str(row["name"]) for row in rows]
        for split, rows in metadata["folders"].items()
    }
    owners = {row.rpartition("/")[0] for rows in folders.values() for row in rows}
    for subject in subjects or ():
        checks.require_choice("subject", subject, owners)
    layouts = {
        row["name"]: KeypointLayout(
            row["layout"], row["num_joints"], tuple(row["left"]), tuple(row["right"])
        )
        for row in metadata["detectors"]
    }
    recordings = []
    for split in sorted(folders, key=lambda name: name != "train"):
        wanted = [
            position
            for position, row in enumerate(folders[split])
            if subjects is None or row.rpartition("/")[0] in subjects
        ]
        for record in _records(directory, split, wanted, len(folders[split])):
            recordings.append(_recording(record, layouts, metadata["cameras"]))
    return PoseSet(
        tuple(recordings), layouts, str(metadata["skeleton"]), float(metadata["fps"])
    )


def _metadata(directory: pathlib.Path) -> dict[str, Any]:
    path = directory / "metadata.json"
    try:
        metadata = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise _damaged(f"{path} cannot be read ({error})", directory) from None
    missing = [key for key in _METADATA if key not in metadata]
    if missing and "crop_size" in metadata:
        raise ValueError(
            f"{directory} holds pictures, not poses; expected a set with the config "
            "'poses'."
        )
    if missing:
        raise _damaged(f"{path} lacks {', '.join(missing)}", directory)
    return metadata


def _records(
    directory: pathlib.Path, split: str, wanted: Sequence[int], count: int
) -> list[Mapping[str, Any]]:
    import tensorflow_datasets as tfds

    # The reader, the parser and the features each have errors of their own.
    try:
        # The checker does not see through the decorator of this method.
        source = tfds.builder_from_directory(directory).as_data_source(
            split  # pyright: ignore[reportCallIssue]
        )
        found = len(source)
        records = [source[position] for position in wanted]
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(f"split {split} cannot be read ({error})", directory) from None
    if found != count:
        raise _damaged(
            f"split {split} holds {found} records, metadata.json lists {count}",
            directory,
        )
    return records


def _recording(
    record: Mapping[str, Any],
    layouts: Mapping[str, KeypointLayout],
    camera_names: Sequence[str],
) -> Recording:
    keypoints, first = {}, 0
    for name, layout in layouts.items():
        joints = slice(first, first + layout.num_joints)
        keypoints[name] = record["keypoints"][:, :, joints]
        first += layout.num_joints
    cameras = tuple(
        PoseCamera(
            name=name,
            orientation=extrinsics[:4],
            translation=extrinsics[4:],
            resolution=(int(resolution[0]), int(resolution[1])),
            intrinsics=intrinsics if np.isfinite(intrinsics).all() else None,
            azimuth_deg=float(azimuth),
        )
        for name, extrinsics, intrinsics, resolution, azimuth in zip(
            camera_names,
            record["extrinsics"],
            record["intrinsics"],
            record["resolutions"],
            record["azimuths_deg"],
            strict=True,
        )
    )
    return Recording(
        subject=record["subject"].decode(),
        action=record["action"].decode(),
        poses_3d=record["poses_3d"],
        keypoints=keypoints,
        cameras=cameras,
    )


def _damaged(what: str, directory: object) -> DataError:
    return DataError(
        f"prepared data are damaged: {' '.join(what.split())}; delete {directory} and "
        "prepare the data set again."
    )
