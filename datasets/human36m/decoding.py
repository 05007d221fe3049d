"""Decodes videos into crops, one process per video; finished videos are kept.

The crops of a video go to a folder of the cache: `crops.bin`, the encoded pictures one
after the other, and `index.npz`. The folder gets its name when it is whole, so an
interrupted run loses only the videos it was working on.
"""

import concurrent.futures
import contextlib
import json
import multiprocessing
import multiprocessing.connection
import os
import pathlib
import shutil
import signal
import threading
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
from absl import logging

from datasets.human36m import annotations
from datasets.human36m.tree import Take
from datasets.progress import track
from datasets.records import encode_png
from posejax.data import crops, video

CACHE_VERSION = 1
# The owners' videos run on for a few frames after the last annotation.
MAX_SURPLUS = 50


class Stopped(Exception):
    """The work was called off."""


def decode_takes(
    takes: Sequence[Take],
    cache: pathlib.Path,
    *,
    crop_size: int,
    num_workers: int | None = None,
    progress: str = "auto",
) -> list[pathlib.Path]:
    """Decodes videos that are not decoded yet.

    Args:
      takes: The videos.
      cache: Folder of the cache.
      crop_size: Side of the crops, pixels.
      num_workers: Number of processes; None means all processors.
      progress: How progress is shown, see `datasets.progress.track`.

    Returns:
      The cache folder of each take, in the order of `takes`.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If a file is not what it should be.
    """
    cache.mkdir(parents=True, exist_ok=True)
    for leftover in cache.glob("*/.*"):
        shutil.rmtree(leftover)
    folders = [cache / take.subject / take.name for take in takes]
    open_work = [
        (take, folder)
        for take, folder in zip(takes, folders, strict=True)
        if not _is_finished(take, folder, crop_size)
    ]
    workers = num_workers or os.cpu_count() or 1
    decode = _decode_here if min(workers, len(open_work)) <= 1 else _decode_in_processes
    with contextlib.closing(decode(open_work, crop_size, workers)) as done:
        for _ in track(
            done,
            total=len(open_work),
            description="decoding",
            unit="videos",
            progress=progress,
        ):
            pass
    return folders


def _decode_here(work, crop_size: int, workers: int):
    del workers
    for take, folder in work:
        yield decode_take(take, folder, crop_size=crop_size)


def _decode_in_processes(work, crop_size: int, workers: int):
    # Spawned, since forking a process that has threads may hang.
    context = multiprocessing.get_context("spawn")
    stop = context.Event()
    pool = concurrent.futures.ProcessPoolExecutor(
        min(workers, len(work)),
        mp_context=context,
        initializer=_start_worker,
        initargs=(stop,),
    )
    try:
        jobs = [pool.submit(_decode_in_worker, *w, crop_size) for w in work]
        for job in concurrent.futures.as_completed(jobs):
            yield job.result()
    except concurrent.futures.process.BrokenProcessPool as error:
        raise OSError(
            "a decoding process was killed (out of memory?); run the same command "
            "again, with a smaller --num_workers: finished videos are kept"
        ) from error
    finally:
        stop.set()
        pool.shutdown(cancel_futures=True)


_stop: Any = None


def _start_worker(stop: Any) -> None:
    """Leaves interruptions to the parent, and ends with it."""
    # An event can be handed to a worker only when it starts.
    global _stop
    _stop = stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # One thread per process: the processes share the processors.
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()

    def end_with_parent() -> None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)

    threading.Thread(target=end_with_parent, daemon=True).start()


def _decode_in_worker(take: Take, folder: pathlib.Path, crop_size: int) -> int:
    def check() -> None:
        if _stop.is_set():
            raise Stopped

    return decode_take(take, folder, crop_size=crop_size, check=check)


def decode_take(
    take: Take,
    folder: pathlib.Path,
    *,
    crop_size: int,
    check: Callable[[], None] = lambda: None,
) -> int:
    """Decodes one video into its folder of the cache.

    Args:
      take: The video.
      folder: Folder to make; it appears when everything is in it.
      crop_size: Side of the crops, pixels.
      check: Called once per frame; may raise to stop.

    Returns:
      Number of crops.

    Raises:
      FileNotFoundError: If a file is missing.
      ValueError: If a file is not what it should be.
    """
    boxes = annotations.read_boxes(take.masks)
    poses = None if take.poses is None else annotations.read_poses(take.poses)
    if poses is not None:
        _check_count(take, "poses", len(poses), len(boxes))
    # A name of one's own, should two runs meet.
    temporary = folder.with_name(f".{folder.name}.{os.getpid()}")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    try:
        offsets = _write_crops(take, boxes, temporary / "crops.bin", crop_size, check)
        index = {
            "stamp": np.array(_stamp(take, crop_size)),
            "boxes": boxes,
            "offsets": offsets,
        }
        if poses is not None:
            index["poses"] = poses[: len(boxes)]
        np.savez(temporary / "index.npz", **index)
        shutil.rmtree(folder, ignore_errors=True)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return len(boxes)


def _write_crops(
    take: Take,
    boxes: np.ndarray,
    path: pathlib.Path,
    crop_size: int,
    check: Callable[[], None],
) -> np.ndarray:
    """Writes the crops one after the other; returns where each begins, and the end."""
    offsets = [0]
    count = 0
    with path.open("wb") as file:
        for frame in video.read_frames(take.video):
            check()
            if count < len(boxes):
                _check_box(take, boxes[count], count, frame.shape)
                matrix = crops.crop_matrix(boxes[count], crop_size=crop_size)
                encoded = encode_png(crops.crop_image(frame, matrix, crop_size))
                file.write(encoded)
                offsets.append(offsets[-1] + len(encoded))
            count += 1
    _check_count(take, "frames", count, len(boxes))
    return np.array(offsets)


def _check_box(take: Take, box: np.ndarray, frame: int, shape) -> None:
    height, width = shape[:2]
    if box.min() < 0 or box[1, 0] >= width or box[1, 1] >= height:
        raise ValueError(
            f"box {box.tolist()} of frame {frame} lies outside the {width} x {height} "
            f"picture of {take.video}; {take.masks} belongs to another video."
        )


def _check_count(take: Take, what: str, found: int, masks: int) -> None:
    if not masks <= found <= masks + MAX_SURPLUS:
        file = take.video if what == "frames" else take.poses
        raise ValueError(
            f"{file} has {found} {what}, but {take.masks} has {masks} masks; copy or "
            "unpack both again, or take the video away to leave it out."
        )
    if found > masks:
        logging.info(
            "%s: %d %s, %d masks; the rest is left out", take.name, found, what, masks
        )


def _stamp(take: Take, crop_size: int) -> str:
    """What the crops were made from: other files or sizes make them again."""
    files = [f for f in (take.video, take.masks, take.poses) if f is not None]
    states = [(f.name, f.stat().st_size, f.stat().st_mtime_ns) for f in files]
    return json.dumps([CACHE_VERSION, crop_size, states])


def _is_finished(take: Take, folder: pathlib.Path, crop_size: int) -> bool:
    if not (folder / "index.npz").is_file():
        return False
    with np.load(folder / "index.npz") as index:
        return str(index["stamp"]) == _stamp(take, crop_size)
