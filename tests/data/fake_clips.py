"""Tiny clips in the layouts of the joint optimisation: of Human3.6M and of Sintel."""

import json

import cv2
import numpy as np

from posejax import render
from posejax.data.flow_files import write_flo
from posejax.data.keypoint_layouts import LAYOUTS
from posejax.data.metro import MetroEstimates, write_metro
from posejax.data.pose_files import Keypoints, write_keypoints, write_poses_3d

HEIGHT, WIDTH = 48, 64
CAMERA = "60457274"
VIDEOS = (
    ("S9", "Walking 1"),
    ("S9", "TakingPhoto"),
    ("S9", "_ALL 1"),
    ("S11", "Directions"),
    ("S11", "Directions 1"),
)
SCENES = ("alley_2", "bamboo_2", "cave_2", "cave_4")


def body(seed=0, frames=3):
    """A standing body that sways, metres, and a camera that sees all of it."""
    x = np.array([-2, -2, -1, 1, 2, 2, -4, -4, -2, 2, 4, 4, 0, 0]) * 0.08
    y = np.array([8, 4, 0, 0, 4, 8, 0, -3, -6, -6, -3, 0, -6, -9]) * 0.09
    pose = np.stack([x, y, np.zeros(14)], axis=-1)[None]
    rng = np.random.default_rng(seed)
    sway = 0.03 * np.arange(frames)[:, None, None]
    pose = pose + sway + 0.01 * rng.normal(size=(frames, 14, 3))
    return pose.astype(np.float32)


def estimates(frames=3, seed=0):
    """METRO's estimates of the body; the crop is the middle of the frames."""
    one = np.ones((frames, 1), np.float32)
    scale = 224 / HEIGHT
    middle = np.array([WIDTH / 2, HEIGHT / 2]) * scale
    return MetroEstimates(
        pose=body(seed, frames),
        camera=one * np.array([0.9, 0, 0], np.float32),
        scale=(one * np.array([scale, scale])).astype(np.float32),
        center=(one * middle).astype(np.float32),
        crop_size=224.0,
    )


def frame(number, seed=0):
    """Smooth noise that moves, and the number of the frame as the blue of a corner."""
    rng = np.random.default_rng(seed)
    wide = rng.integers(0, 256, (HEIGHT // 4, WIDTH // 2, 3), dtype=np.uint8)
    wide = cv2.resize(wide, (2 * WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    image = np.ascontiguousarray(wide[:, number : number + WIDTH])
    image[:16, :16] = 12 * number
    return image


def write_detections(path, frames=3, *, score=0.9, missing=()):
    """DCPose's JSON of joints spread over the frame, moving a pixel per frame."""
    path.parent.mkdir(parents=True, exist_ok=True)
    x, y = 10 + 2.5 * np.arange(17), 6 + 2.0 * np.arange(17)
    entries = []
    for t in range(frames):
        rows = np.stack([x + t, y + 0.5 * t, np.full(17, score)], axis=-1)
        rows[list(missing)] = 0
        entries.append({"keypoints": rows.tolist()})
    path.write_text(json.dumps({"Info": entries}))


def write_film(path, frames=12, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    render.write_video(path, (frame(n, seed) for n in range(frames)), 50)


def write_human36m(root, videos=VIDEOS[:1], *, frames=3, detected=2, labelled=12):
    """The tree of `posejax.data.h36m_clips`, with labels of `labelled` video frames."""
    for subject, action in videos:
        video = f"{action}.{CAMERA}"
        write_film(root / subject / "Videos" / f"{video}.mp4", 5 * frames - 3)
        poses = root / "metro_estimates_h36m" / subject / f"{video}_results.npz"
        poses.parent.mkdir(parents=True, exist_ok=True)
        write_metro(poses, estimates(frames))
        found = root / "dcpose_estimates_h36m" / subject / f"result_{video}.json"
        write_detections(found, detected)
    rng = np.random.default_rng(3)
    space = rng.normal(size=(labelled, 32, 3)).astype(np.float32)
    flat = rng.uniform(8, 40, (labelled, 17, 2)).astype(np.float32)
    keys = [(s, a.replace("TakingPhoto", "Photo")) for s, a in videos]
    write_poses_3d(root / "data_3d_h36m.npz", dict.fromkeys(keys, space))
    views = dict.fromkeys(keys, (flat + 100, flat + 100, flat + 100, flat))
    labels = Keypoints(LAYOUTS["h36m"], views)
    write_keypoints(root / "data_2d_h36m_gt.npz", labels)
    return root


def write_sintel(root, scenes=SCENES, *, frames=3, detected=3):
    """The tree of `posejax.data.sintel_clips`; everything moves a pixel to the left."""
    flow = np.tile(np.array([-1, 0], np.float32), (HEIGHT, WIDTH, 1))
    for seed, scene in enumerate(scenes):
        for t in range(frames):
            path = root / "training/final" / scene / f"frame_{t + 1:04d}.png"
            render.write_png(path, frame(t, seed))
            if t + 1 < frames:
                path = root / "training/flow" / scene / f"frame_{t + 1:04d}.flo"
                path.parent.mkdir(parents=True, exist_ok=True)
                write_flo(path, flow)
        write_detections(root / "dcpose_sintel" / f"result_{scene}.json", detected)
    return root
