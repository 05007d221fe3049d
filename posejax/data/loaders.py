"""What threads and worker processes run: from positions to a batch of arrays.

The loaders are frozen records that pickle. They write only the rows that this host is
to load.
"""

import dataclasses
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from posejax.data import crops, source, transforms


@dataclasses.dataclass(frozen=True)
class PairLoader:
    """Loads the training batch of the pairs at given positions."""

    frames: source.Source
    pairs: Int[np.ndarray, "pairs 3"]
    image_size: int
    rows: slice

    def __call__(self, positions: Int[np.ndarray, " batch"]) -> dict[str, np.ndarray]:
        """Returns `frame_1` and `frame_2` of this host's rows of the batch."""
        chosen = self.pairs[positions[self.rows]]
        shape = (len(chosen), self.image_size, self.image_size, 3)
        batch = {name: np.empty(shape, np.uint8) for name in ("frame_1", "frame_2")}
        for row, (first, second, mirrored) in enumerate(chosen.tolist()):
            for name, index in (("frame_1", first), ("frame_2", second)):
                image = load_image(
                    self.frames, self.frames.image(index), index, size=self.image_size
                )
                batch[name][row] = transforms.mirror_image(image) if mirrored else image
        return batch


@dataclasses.dataclass(frozen=True)
class FrameLoader:
    """Loads the evaluation batch of a given number."""

    frames: source.Source
    next_frame: Int[np.ndarray, " frames"]
    image_size: int
    batch_size: int
    rows: slice

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        """Returns this host's rows of evaluation batch `number`."""
        positions = number * self.batch_size + np.arange(self.batch_size)[self.rows]
        last = len(self.frames) - 1
        valid = positions <= last
        # A copy of a real frame is the padding: its values are as harmless as can be.
        indices = np.minimum(positions, last)
        # Nearly every frame is also the next one of another.
        records = {int(i): self._record(int(i)) for i in np.unique(indices)}
        following = self.next_frame[indices].tolist()
        images = {i: image for i, (image, _) in records.items()}
        for index in set(following) - set(images):
            images[index] = load_image(
                self.frames, self.frames.image(index), index, size=self.image_size
            )
        labels = [records[i][1] for i in indices.tolist()]
        return {
            "frame_1": np.stack([images[i] for i in indices.tolist()]),
            "frame_2": np.stack([images[i] for i in following]),
            **{key: np.stack([row[key] for row in labels]) for key in labels[0]},
            "valid": valid,
            "index": indices.astype(np.int32),
        }

    def _record(
        self, index: int
    ) -> tuple[UInt8[np.ndarray, "size size 3"], dict[str, Any]]:
        record = self.frames[index]
        image = load_image(self.frames, record["image"], index, size=self.image_size)
        matrix = transforms.scale_matrix(
            record["crop_matrix"],
            factor=self.image_size / self.frames.metadata["crop_size"],
        )
        joints, valid = transforms.template_joints(
            record["pose_2d"], record["pose_valid"], matrix
        )
        labels = {
            "joints": joints.astype(np.float32),
            "joint_valid": valid & bool(self.frames.metadata["labels"]),
            "diagonal": np.float32(crops.box_diagonal(record["box"], matrix)),
            "crop_matrix": matrix.astype(np.float32),
        }
        return image, labels


def load_image(
    frames: source.Source, encoded: bytes, index: int, *, size: int
) -> UInt8[np.ndarray, "{size} {size} 3"]:
    """Decodes and resizes the image of a record.

    Args:
      frames: The split it belongs to.
      encoded: The image as stored.
      index: Index of the record.
      size: Side that is wanted, pixels.

    Returns:
      The crop, RGB.

    Raises:
      DataError: If the image cannot be decoded; names shard and record.
    """
    try:
        image = transforms.decode_image(encoded)
    except ValueError as error:
        raise frames.damaged(index, str(error)) from None
    return transforms.resize_image(image, size=size)
