"""Tiny sets of optical flow in exactly the layouts that the builders read.

Every picture and every flow is a function of its scene and its frame, so a test can say
which files a record was made of.
"""

import pathlib
import zlib

import cv2
import numpy as np

from datasets import prepare
from posejax.data import flow_files
from posejax.data.pfm_files import write_pfm

HEIGHT, WIDTH = 10, 14
RAFT_SPLIT = "chairs_split.txt"


def picture(name: str, *, size=(HEIGHT, WIDTH)) -> np.ndarray:
    """RGB noise that depends on the name."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return rng.integers(0, 256, (*size, 3), dtype=np.uint8)


def motion(name: str, *, size=(HEIGHT, WIDTH)) -> np.ndarray:
    """Flow that depends on the name, a multiple of 1/64 pixel."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    return (rng.integers(-640, 641, (*size, 2)) / 64).astype(np.float32)


def known(name: str, *, size=(HEIGHT, WIDTH)) -> np.ndarray:
    """Where measured flow is known."""
    rng = np.random.default_rng(zlib.crc32(name.encode()) + 1)
    return rng.random(size) < 0.4


def write_picture(path: pathlib.Path, image: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.ascontiguousarray(image[..., ::-1]))


def write_chairs(root: pathlib.Path, marks=(1, 1, 2, 1)) -> pathlib.Path:
    for number, _ in enumerate(marks, 1):
        stem = f"{number:05d}"
        for i in (1, 2):
            path = root / "data" / f"{stem}_img{i}.ppm"
            write_picture(path, picture(f"{stem}_{i}"))
        flow_files.write_flo(root / "data" / f"{stem}_flow.flo", motion(stem))
    (root / RAFT_SPLIT).write_text("".join(f"{mark}\n" for mark in marks))
    return root


def write_sintel(root: pathlib.Path, scenes=(("alley_1", 4), ("cave_2", 3))):
    for scene, count in scenes:
        for i in range(1, count + 1):
            for rendering in ("clean", "final"):
                path = root / "training" / rendering / scene / f"frame_{i:04d}.png"
                write_picture(path, picture(f"{rendering}/{scene}/{i}"))
        for i in range(1, count):
            path = root / "training" / "flow" / scene / f"frame_{i:04d}.flo"
            flow_files.write_flo(path, motion(f"{scene}/{i}"))
    return root


def write_things(root: pathlib.Path, scenes=("A/0000", "B/0002"), first=6, count=3):
    for scene in scenes:
        for i in range(first, first + count):
            for rendering in ("cleanpass", "finalpass"):
                path = root / f"frames_{rendering}" / "TRAIN" / scene / "left"
                image = picture(f"{rendering}/{scene}/{i}")
                write_picture(path / f"{i:04d}.png", image)
            for direction, stem in (
                ("into_future", "OpticalFlowIntoFuture"),
                ("into_past", "OpticalFlowIntoPast"),
            ):
                path = root / "optical_flow" / "TRAIN" / scene / direction / "left"
                flow = motion(f"{direction}/{scene}/{i}")
                third = np.zeros_like(flow[..., :1])
                values = np.concatenate([flow, third], axis=-1)
                write_pfm(path / f"{stem}_{i:04d}_L.pfm", values)
    return root


def write_kitti(root: pathlib.Path, sizes=((HEIGHT, WIDTH), (HEIGHT + 2, WIDTH))):
    for number, size in enumerate(sizes):
        for i in (10, 11):
            path = root / "training" / "image_2" / f"{number:06d}_{i}.png"
            write_picture(path, picture(f"{number}_{i}", size=size))
        name = str(number)
        flow_files.write_kitti_flow(
            root / "training" / "flow_occ" / f"{number:06d}_10.png",
            motion(name, size=size),
            valid=known(name, size=size),
        )
    return root


def write_hd1k(root: pathlib.Path, counts=(3, 2)) -> pathlib.Path:
    for sequence, count in enumerate(counts):
        for frame in range(count):
            name = f"{sequence:06d}_{frame:04d}"
            write_picture(root / "hd1k_input/image_2" / f"{name}.png", picture(name))
            flow_files.write_kitti_flow(
                root / "hd1k_flow_gt/flow_occ" / f"{name}.png",
                motion(name),
                valid=known(name),
            )
    return root


def prepare_pairs(folder: pathlib.Path) -> pathlib.Path:
    """Prepares five pairs of one size with dense flow, and four of two with sparse."""
    write_sintel(folder / "raw" / "sintel")
    sizes = ((10, 14), (18, 14), (9, 16), (18, 15))
    write_kitti(folder / "raw" / "kitti_flow", sizes)
    for name in ("sintel", "kitti_flow"):
        prepare.prepare(
            name,
            manual_dir=folder / "raw" / name,
            data_dir=folder / "data",
            progress="none",
        )
    return folder / "data"
