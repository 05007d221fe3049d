"""Random pose files of real sizes, which both sides of the benchmark read.

The files are those of VideoPose3D's preparation scripts, with noise in them: bodies
that stand about the origin of the world, keypoints anywhere in the pictures.
"""

import argparse
import json
import pathlib
from collections.abc import Sequence

import numpy as np

from datasets.prepare import prepare
from posejax.data.h36m_cameras import H36M_SUBJECTS, h36m_cameras
from posejax.skeletons import H36M_17, H36M_32, remap

POSES_FILE = "poses.npz"
ACTIONS = ("Walking", "Eating", "Sitting", "Posing", "Waiting", "Greeting")

# A standing person, joints of `H36M_17`: x to the left, y forward, z up, metres.
STANDING = np.array(
    [
        (0.0, 0.0, 0.95), (-0.13, 0.0, 0.95), (-0.14, 0.02, 0.50), (-0.15, -0.03, 0.08),
        (0.13, 0.0, 0.95), (0.14, 0.02, 0.50), (0.15, -0.03, 0.08), (0.0, 0.02, 1.20),
        (0.0, 0.0, 1.46), (0.0, 0.09, 1.55), (0.0, 0.04, 1.66), (0.16, 0.0, 1.42),
        (0.24, 0.02, 1.15), (0.26, 0.10, 0.92), (-0.16, 0.0, 1.42), (-0.24, 0.02, 1.15),
        (-0.26, 0.10, 0.92),
    ],
    np.float32,
)  # fmt: skip
JITTER_M = 0.05


def random_bodies(rng: np.random.Generator, count: int) -> np.ndarray:
    """Returns bodies `(count, 17, 3)` in the world, metres, float32."""
    jitter = JITTER_M * rng.standard_normal((count, 17, 3), np.float32)
    place = rng.uniform(-0.5, 0.5, (count, 1, 3)).astype(np.float32)
    place[..., 2] = 0.0
    return STANDING + jitter + place


def write_raw_files(folder: pathlib.Path, *, frames: int, recordings: int) -> None:
    """Writes `data_3d_h36m.npz` and `data_2d_h36m_gt.npz`, as published: pickles.

    Args:
      folder: Where to.
      frames: Frames of each recording.
      recordings: Recordings of each of the seven subjects, at most `len(ACTIONS)`.
    """
    rng = np.random.default_rng(0)
    bodies, keypoints = {}, {}
    for subject in H36M_SUBJECTS:
        bodies[subject], keypoints[subject] = {}, {}
        for action in ACTIONS[:recordings]:
            joints = np.zeros((frames, 32, 3), np.float32)
            joints[:, remap(H36M_32, H36M_17)] = random_bodies(rng, frames)
            bodies[subject][action] = joints
            keypoints[subject][action] = [
                rng.uniform(0, 1000, (frames, 17, 2)).astype(np.float32)
                for _ in h36m_cameras(subject)
            ]
    left, right = (list(side) for side in zip(*H36M_17.left_right, strict=True))
    metadata = {
        "layout_name": "h36m",
        "num_joints": 17,
        "keypoints_symmetry": [left, right],
    }
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "data_3d_h36m.npz", positions_3d=np.array(bodies, object))
    np.savez(
        folder / "data_2d_h36m_gt.npz",
        positions_2d=np.array(keypoints, object),
        metadata=np.array(metadata, object),
    )


def write_poses(folder: pathlib.Path, *, count: int) -> None:
    """Writes pairs of bodies, `target` and `predicted`, each `(count, 17, 3)`.

    The root is at the origin; the second body is the first with more noise.
    """
    rng = np.random.default_rng(1)
    target = random_bodies(rng, count)
    target -= target[:, :1]
    noise = JITTER_M * rng.standard_normal(target.shape, np.float32)
    noise[:, 0] = 0.0
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / POSES_FILE, target=target, predicted=target + noise)


def prepare_files(
    folder: pathlib.Path, *, frames: int, recordings: int, poses: int
) -> None:
    """Writes everything: `folder/data` for the references, `folder/prepared` for us.

    Args:
      folder: Where to; must be empty.
      frames: Frames of each recording.
      recordings: Recordings of each subject.
      poses: Pairs of bodies.
    """
    write_raw_files(folder / "data", frames=frames, recordings=recordings)
    write_poses(folder, count=poses)
    prepare(
        "human36m_poses",
        data_dir=folder / "prepared",
        manual_dir=folder / "data",
        progress="none",
        allow_pickle=True,
    )


def main(arguments: Sequence[str] | None = None) -> None:
    """Writes all files and prints, as JSON, how many frames there are."""
    parser = argparse.ArgumentParser(description="Writes files of random poses.")
    parser.add_argument("--folder", type=pathlib.Path, required=True)
    parser.add_argument("--frames", type=int, default=1000)
    parser.add_argument("--recordings", type=int, default=2)
    parser.add_argument("--poses", type=int, default=100_000)
    options = parser.parse_args(arguments)
    prepare_files(
        options.folder,
        frames=options.frames,
        recordings=options.recordings,
        poses=options.poses,
    )
    print(json.dumps({"frames": options.frames * options.recordings}))


if __name__ == "__main__":
    main()
