"""Writes what the benchmark of flow_pose reads, on both sides: frames, flow and a clip.

Started by `experiments.benchmarks.flow_pose`; prints one JSON line. Everything is
drawn from one seed:

  pair_HEIGHTxWIDTH.npz   `image_1`, `image_2` (2, height, width, 3) uint8, the second a
                          shifted copy with noise; `flow` (2, height, width, 2) pixels
  clip.npz                a moving body, its cameras, crops and detections, and a flow
                          field per pair of frames
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

import numpy as np

PAIRS = 2  # as many as the largest batch
PICTURE = 256  # side of the clip's frames, px
CLIP_FILE = "clip.npz"
# Joints of LSP that DCPose does not give: hips, neck, head top.
UNDETECTED = (2, 3, 12, 13)
# A standing body, (x, y) in metres about the pelvis, y down, joints of LSP.
_STANDING = (
    (-0.10, 0.80), (-0.11, 0.42), (-0.12, 0.00), (0.12, 0.00), (0.11, 0.42),
    (0.10, 0.80), (-0.38, 0.02), (-0.30, -0.22), (-0.18, -0.46), (0.18, -0.46),
    (0.30, -0.22), (0.38, 0.02), (0.00, -0.50), (0.00, -0.72),
)  # fmt: skip


def pair_file(height: int, width: int) -> str:
    """Returns the name of the file of frames of a size."""
    return f"pair_{height}x{width}.npz"


def write_pairs(folder: pathlib.Path, height: int, width: int) -> None:
    """Writes frames of a size, the flow between them, and nothing that is learnt.

    Args:
      folder: Where to write.
      height: Rows of a frame.
      width: Columns of a frame.
    """
    rng = np.random.default_rng(0)
    blocks = rng.integers(40, 216, (PAIRS, -(-height // 8), -(-width // 8), 3))
    first = blocks.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    first = first + rng.integers(-20, 21, first.shape)
    second = np.roll(first, (2, 3), (1, 2)) + rng.integers(-5, 6, first.shape)
    rows, columns = np.mgrid[:height, :width]
    waves = np.stack([np.sin(rows / 30), np.cos(columns / 40)], axis=-1)
    flow = np.array([3.0, 2.0]) + 0.5 * waves
    np.savez(
        folder / pair_file(height, width),
        image_1=np.clip(first, 0, 255).astype(np.uint8),
        image_2=np.clip(second, 0, 255).astype(np.uint8),
        flow=np.broadcast_to(flow, (PAIRS, *flow.shape)).astype(np.float32),
    )


def write_clip(folder: pathlib.Path, frames: int) -> None:
    """Writes a body that moves within the frame, and all that its energy reads.

    Args:
      folder: Where to write.
      frames: Of the clip.
    """
    rng = np.random.default_rng(1)
    times = np.arange(frames)
    standing = np.concatenate([_STANDING, rng.normal(0, 0.1, (14, 1))], axis=1)
    swing = np.sin(times[:, None, None] / 8 + rng.uniform(0, 6, (1, 14, 3)))
    pose = standing + 0.05 * swing + rng.normal(0, 0.01, (frames, 14, 3))
    camera = np.array([0.85, 0.02, 0.03]) + rng.normal(0, 0.005, (frames, 3))
    # In the frame's pixels: the crop of 224 px is in the middle and not resized.
    centre = np.full((frames, 2), PICTURE / 2)
    points = camera[:, None, :1] * (pose[..., :2] + camera[:, None, 1:])
    points = (points + 1) / 2 * 224 + centre[:, None] - 112
    confidence = np.ones((frames, 14, 1))
    confidence[:, UNDETECTED] = 0
    detections = confidence * (points + rng.normal(0, 2, points.shape))
    rows, columns = np.mgrid[:PICTURE, :PICTURE]
    place = np.stack([rows / 30 + columns / 90, columns / 40], axis=-1)
    field = 2 * np.sin(place + times[:-1, None, None, None] / 5)
    names = {
        "pose": pose, "camera": camera, "start_pt": centre, "flow": field,
    }  # fmt: skip
    arrays = {name: array.astype(np.float32) for name, array in names.items()}
    np.savez(folder / CLIP_FILE, **arrays, detections=detections, confidence=confidence)


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes the files and prints an empty JSON object on the last line."""
    parser = argparse.ArgumentParser(description="Writes random frames and a clip.")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--sizes", nargs="*", default=(), help="HEIGHTxWIDTH ...")
    parser.add_argument("--frames", type=int, default=0, help="of the clip; 0: none")
    options = parser.parse_args(arguments)
    for size in options.sizes:
        height, width = map(int, size.split("x"))
        write_pairs(options.folder, height, width)
    if options.frames:
        write_clip(options.folder, options.frames)
    print(json.dumps({}))


if __name__ == "__main__":
    main()
