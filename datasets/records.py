"""The frame record: what every image builder writes, one record per cropped frame.

A folder is a set of crops that share subject, camera and crop window, hence background.
Records are written folder by folder, inside a folder in a seeded permutation.
"""

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import cv2
import numpy as np
import tensorflow_datasets as tfds

NUM_JOINTS = 32
SEED = 0

Record = dict[str, Any]


def frame_features(crop_size: int) -> tfds.features.FeaturesDict:
    """Features of a frame record.

    * `image`: the crop, RGB, encoded as PNG or JPEG.
    * `pose_2d`: joints (x, y) in source pixels, order `H36M_32`, 0 where unknown.
    * `pose_valid`: which joints are known.
    * `box`: the person box `[[x0, y0], [x1, y1]]` in source pixels.
    * `crop_matrix`: source pixel (x, y, 1) to pixel of the stored crop.
    * `subject`, `camera`, `action`, `take`: where the frame comes from; `take` is the
      name of the video.
    * `frame`: number of the frame in the source video, from 0.

    Args:
      crop_size: Side of the stored crops, pixels.

    Returns:
      The features.
    """
    text = tfds.features.Text
    tensor = tfds.features.Tensor
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(
                shape=(crop_size, crop_size, 3), dtype=np.uint8
            ),
            "pose_2d": tensor(shape=(NUM_JOINTS, 2), dtype=np.float32),
            "pose_valid": tensor(shape=(NUM_JOINTS,), dtype=np.bool_),
            "box": tensor(shape=(2, 2), dtype=np.float32),
            # Without this encoding the file would hold float32.
            "crop_matrix": tensor(shape=(2, 3), dtype=np.float64, encoding="bytes"),
            "subject": text(),
            "camera": text(),
            "action": text(),
            "take": text(),
            "frame": np.int32,
        }
    )


def frame_record(
    *,
    image: bytes,
    box: np.ndarray,
    crop_matrix: np.ndarray,
    subject: str,
    camera: str,
    action: str,
    take: str,
    frame: int,
    pose_2d: np.ndarray | None = None,
    pose_valid: np.ndarray | None = None,
) -> Record:
    """Puts one frame record together.

    Args:
      image: Encoded crop.
      box: Person box (2, 2), source pixels.
      crop_matrix: Source to crop pixels (2, 3).
      subject: Name of the person.
      camera: Name of the camera.
      action: Name of the activity.
      take: Name of the video.
      frame: Number of the frame in the video, from 0.
      pose_2d: Joints (32, 2), source pixels; None if nothing is known.
      pose_valid: Which joints are known (32,); None means those with finite numbers.

    Returns:
      The record; unknown joints are 0.

    Raises:
      ValueError: If an array has the wrong shape.
    """
    if pose_2d is None:
        pose_2d = np.full((NUM_JOINTS, 2), np.nan)
    finite = np.isfinite(pose_2d).all(axis=-1)
    valid = finite if pose_valid is None else finite & np.asarray(pose_valid, bool)
    arrays = {
        "pose_2d": np.where(valid[:, None], pose_2d, 0).astype(np.float32),
        "pose_valid": valid,
        "box": np.asarray(box, np.float32),
        "crop_matrix": np.asarray(crop_matrix, np.float64),
    }
    shapes = {"pose_2d": (32, 2), "pose_valid": (32,), "box": (2, 2)}
    for name, shape in {**shapes, "crop_matrix": (2, 3)}.items():
        if arrays[name].shape != shape:
            raise ValueError(
                f"{name} of frame {frame} of {take} has shape {arrays[name].shape}; "
                f"expected {shape}."
            )
    return {
        "image": image,
        **arrays,
        "subject": subject,
        "camera": camera,
        "action": action,
        "take": take,
        "frame": int(frame),
    }


def encode_png(image: np.ndarray) -> bytes:
    """Encodes an RGB or one-channel uint8 image without loss.

    Raises:
      ValueError: If OpenCV cannot encode it.
    """
    if image.ndim == 3 and image.shape[-1] == 3:
        image = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    done, encoded = cv2.imencode(".png", image)
    if not done:
        raise ValueError(f"an image of shape {image.shape} cannot be encoded as PNG.")
    return encoded.tobytes()


def folder_name(subject: str, cells: np.ndarray, camera: str) -> str:
    """Name of a folder: `S1/2.0,0.0,5.0,4.0_54138969`.

    Args:
      subject: Name of the person.
      cells: Raster cells `[[X0, Y0], [X1, Y1]]` of the crop window.
      camera: Name of the camera.
    """
    window = ",".join(f"{float(cell):.1f}" for cell in np.ravel(cells))
    return f"{subject}/{window}_{camera}"


def permutation(count: int, folder: str, *, seed: int = SEED) -> np.ndarray:
    """Order of the frames of a folder: depends on seed, name and count only.

    Args:
      count: Number of frames.
      folder: Name of the folder.
      seed: Seed of the data set.

    Returns:
      A permutation of `range(count)`.
    """
    rng = np.random.default_rng([seed, zlib.crc32(folder.encode())])
    return rng.permutation(count)


def frame_metadata(
    *,
    folders: Mapping[str, Sequence[tuple[str, int]]],
    crop_size: int,
    labels: bool,
    source: str,
) -> dict[str, Any]:
    """Metadata of a set of frame records.

    Args:
      folders: Per split the folders in the order of the records: name and count.
      crop_size: Side of the stored crops, pixels.
      labels: Whether the test split has joints.
      source: One sentence on origin and licence.

    Returns:
      What goes into the data set's metadata.
    """
    return {
        "folders": {
            split: [{"name": name, "count": int(count)} for name, count in entries]
            for split, entries in folders.items()
        },
        "crop_size": crop_size,
        "skeleton": "h36m_32",
        "frame": "source pixels",
        "unit": "px",
        "labels": labels,
        "source": source,
    }
