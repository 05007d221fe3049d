"""The pose record: one action of one subject, with all cameras, and no pictures.

Every builder of poses writes these. A record is small (a thousand frames of 17 joints
are 0.2 MB), so a recording is read as a whole.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from posejax.data.recordings import PoseSet, Recording

Record = dict[str, Any]


def pose_features() -> tfds.features.FeaturesDict:
    """Features of a pose record.

    * `subject`, `action`: names; an action may end in the number of its take.
    * `poses_3d`: (frames, joints, 3) joints in the world, metres; which joints, says
      `skeleton` in the metadata: `H36M_17`, or `HUMANEVA_15`.
    * `keypoints`: (cameras, frames, joints, 2) detections in source pixels; the joints
      of all detectors one behind another, see `detectors` in the metadata. Projections
      of the true joints are left to the reader unless the raw files hold them.
    * `extrinsics`: (cameras, 7) orientation (w, x, y, z), camera to world, and place,
      metres.
    * `intrinsics`: (cameras, 9) fx, fy, cx, cy, k1, k2, k3, p1, p2, normalised to the
      width of the picture (`posejax.data.pose_cameras`); NaN if not calibrated.
    * `resolutions`: (cameras, 2) width and height of the pictures, pixels.
    * `azimuths_deg`: (cameras,) view angle of plots.
    """
    tensor, text = tfds.features.Tensor, tfds.features.Text
    return tfds.features.FeaturesDict(
        {
            "subject": text(),
            "action": text(),
            "poses_3d": tensor(
                shape=(None, None, 3), dtype=np.float32, encoding="zlib"
            ),
            "keypoints": tensor(
                shape=(None, None, None, 2), dtype=np.float32, encoding="zlib"
            ),
            "extrinsics": tensor(shape=(None, 7), dtype=np.float32),
            "intrinsics": tensor(shape=(None, 9), dtype=np.float32),
            "resolutions": tensor(shape=(None, 2), dtype=np.int32),
            "azimuths_deg": tensor(shape=(None,), dtype=np.float32),
        }
    )


def pose_record(recording: Recording, detectors: Sequence[str] = ()) -> Record:
    """Returns the record of a recording.

    Args:
      recording: The recording.
      detectors: Names of its detectors in the order of the metadata.
    """
    cameras = recording.cameras
    shape = (len(cameras), recording.num_frames, 0, 2)
    parts = [recording.keypoints[name] for name in detectors]
    unknown = np.full(9, np.nan, np.float32)
    return {
        "subject": recording.subject,
        "action": recording.action,
        "poses_3d": recording.poses_3d,
        "keypoints": np.concatenate([np.zeros(shape, np.float32), *parts], axis=2),
        "extrinsics": np.stack([camera.extrinsics for camera in cameras]),
        "intrinsics": np.stack(
            [unknown if c.intrinsics is None else c.intrinsics for c in cameras]
        ),
        "resolutions": np.array([c.resolution for c in cameras], np.int32),
        "azimuths_deg": np.array([c.azimuth_deg for c in cameras], np.float32),
    }


def pose_metadata(
    poses: PoseSet, splits: Mapping[str, Sequence[Recording]], *, source: str
) -> dict[str, Any]:
    """Metadata of a set of pose records.

    Args:
      poses: The set; its detectors are in the order of the joints in `keypoints`.
      splits: The recordings of each split, in the order of the records.
      source: One sentence on origin and licence.

    Returns:
      What goes into the data set's metadata.
    """
    first = next(recording for split in splits.values() for recording in split)
    return {
        "content": "poses",
        "folders": {
            split: [{"name": f"{r.subject}/{r.action}", "count": 1} for r in recordings]
            for split, recordings in splits.items()
        },
        "detectors": [
            {
                "name": name,
                "layout": layout.name,
                "num_joints": layout.num_joints,
                "left": list(layout.left),
                "right": list(layout.right),
            }
            for name, layout in poses.layouts.items()
        ],
        "cameras": [camera.name for camera in first.cameras],
        "skeleton": poses.skeleton,
        "frame": "world, z up; source pixels",
        "unit": "m; px",
        "fps": poses.fps,
        "labels": True,
        "source": source,
    }


def split_by_subject(
    poses: PoseSet, *, test_subjects: Sequence[str]
) -> dict[str, list[Recording]]:
    """Returns the recordings of both splits.

    Args:
      poses: The recordings.
      test_subjects: Whose recordings are for testing.

    Raises:
      ValueError: If a split would be empty.
    """
    splits: dict[str, list[Recording]] = {"train": [], "test": []}
    for recording in poses.recordings:
        is_test = recording.subject in test_subjects
        splits["test" if is_test else "train"].append(recording)
    empty = [name for name, recordings in splits.items() if not recordings]
    if empty:
        raise ValueError(
            f"split {empty[0]} would be empty: the subjects are "
            f"{', '.join(dict.fromkeys(r.subject for r in poses.recordings))}, of whom "
            f"{', '.join(test_subjects)} are for testing; give files of both."
        )
    return splits


def record_streams(
    splits: Mapping[str, Sequence[Recording]], detectors: Sequence[str]
) -> dict[str, Iterator[tuple[int, Record]]]:
    """Returns the numbered records of each split, made one at a time.

    Args:
      splits: The recordings of each split.
      detectors: Names of the detectors in the order of the metadata.
    """

    def stream(recordings: Sequence[Recording]) -> Iterator[tuple[int, Record]]:
        for number, recording in enumerate(recordings):
            yield number, pose_record(recording, detectors)

    return {split: stream(recordings) for split, recordings in splits.items()}
