"""The verb `predict` of systems that look at one person in one picture.

The input is a picture, a folder of pictures or a video. Of a video the moving person is
found by background subtraction unless a file of boxes is given; a picture without a box
is taken to be a crop of a person already.
"""

import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging

from posejax import render, training
from posejax.data import background, crops, people, transforms, video, windows
from posejax.procedures.evaluate import restore, write_json
from posejax.procedures.run import Run, open_run
from posejax.skeletons import SKELETONS

BATCH = 16
# Crops are cut at the side of the data sets and made small like theirs, by averaging.
CROP_SIZE = 256
SMALLEST_SIDE = 16  # pixels of the input below which nobody can be seen


def predict_images(run: Run) -> Mapping[str, Any]:
    """Predicts joints in every frame of `run.input`; writes joints and overlays.

    Writes `joints.npz`, `joints.json` and `overlay.mp4` (`overlay.gif` for a GIF, one
    PNG per picture otherwise) into `run.output`.

    Raises:
      FileNotFoundError: there is no input, or no checkpoint.
      ValueError: the input is unreadable, too small, or no person is found in it; or
        the folder to write to holds the predictions for another input.
    """
    if run.input is None:
        raise FileNotFoundError(
            "--input is not given; name a picture, a folder of pictures or a video."
        )
    source = video.open_video(run.input)
    files = _pictures(source)
    _require_sizes(source, files)
    opened = open_run(run, needs_data=False)
    output = output_folder(run, opened.workdir)
    system = opened.system
    task = system.make_task(opened.config, opened.data_dir)
    params, model_state, step = restore(run, opened, task)
    matrices, boxes = crop_matrices(run, source)
    output.mkdir(parents=True, exist_ok=True)
    predict = jax.jit(lambda batch: task.predict(params, model_state, batch).joints)
    found = _Found(predict, opened.config.image_size, system)
    overlays = found.frames(source, matrices, boxes)
    progress = training.progress(overlays, total=source.num_frames, unit="frame")
    written = _write_overlays(output, source, files, progress)
    _write_joints(output, run, source, found, step, system.skeleton)
    logging.info("%d frames: joints and %s in %s", len(found.index), written, output)
    return {"frames": len(found.index), "output": str(output)}


def _pictures(source: video.Video) -> list[pathlib.Path]:
    """Returns the files of the frames; none for a video."""
    if source.kind == "folder":
        return video.image_files(source.path)
    return [source.path] if source.kind == "image" else []


def _require_sizes(source: video.Video, files: Sequence[pathlib.Path]) -> None:
    """Refuses frames that are too small to show anybody, before anything is written."""
    for file in files or [source.path]:
        width, height = source.size
        if source.kind == "folder":  # whose pictures may differ
            height, width, _ = video.read_image(file).shape
        if min(width, height) < SMALLEST_SIDE:
            raise ValueError(
                f"--input {str(file)!r} is {width}x{height} pixels; expected at least "
                f"{SMALLEST_SIDE}x{SMALLEST_SIDE}."
            )


def output_folder(run: Run, workdir: pathlib.Path) -> pathlib.Path:
    """Returns where predictions go: `--output`, else a folder named like the input.

    Raises:
      ValueError: that folder holds the predictions for an input from another place.
    """
    if run.output is not None:
        return pathlib.Path(run.output)
    source = pathlib.Path(str(run.input)).resolve()
    folder = workdir / "predictions" / source.name
    try:
        before = json.loads((folder / "joints.json").read_text()).get("path")
    except (OSError, ValueError):
        return folder  # nothing there, or nothing that could be lost
    if before not in (None, str(source)):
        raise ValueError(
            f"{str(folder)!r} holds the predictions for {before!r}; name another "
            "folder with --output."
        )
    return folder


def overlay_names(files: Sequence[pathlib.Path]) -> list[str]:
    """Returns a name per picture; whole file names where their stems are not unique."""
    stems = [file.stem for file in files]
    names = stems if len(set(stems)) == len(files) else [file.name for file in files]
    return [f"{name}_overlay.png" for name in names]


def crop_matrices(run: Run, source: video.Video) -> tuple[Any, people.Boxes | None]:
    """Returns the crop of every frame (a function of frame number and size), and boxes.

    Raises:
      ValueError: no person is found.
    """
    if run.boxes is None and source.kind != "video":
        return (lambda index, size: whole_frame_matrix(size, CROP_SIZE)), None
    if run.boxes is not None:
        boxes = people.read_boxes(
            run.boxes,
            num_frames=source.num_frames or sum(1 for _ in source.frames()),
            image_size=source.size,
        )
    else:
        logging.info("finding the person who moves, in two passes over the video")
        boxes = background.background_boxes(
            source.path,
            watch=lambda frames: training.progress(
                frames, total=source.num_frames, unit="frame"
            ),
        )
    seen = np.flatnonzero(boxes.valid)
    if not len(seen):
        raise ValueError(
            f"no person found in {run.input!r}; give --boxes, a file of person boxes."
        )
    cell = windows.choose_cell(boxes.boxes[seen])
    cells = windows.stable_windows(boxes.boxes[seen], cell=cell)
    matrices = {
        int(index): crops.crop_matrix(
            (window * cell).astype(np.float64), crop_size=CROP_SIZE, cell=float(cell)
        )
        for index, window in zip(seen, cells, strict=True)
    }
    return (lambda index, size: matrices[index]), boxes


def whole_frame_matrix(size: tuple[int, int], crop_size: int) -> np.ndarray:
    """Returns the matrix that fits a whole picture into the crop, centred, unstretched.

    Args:
      size: `(width, height)` in pixels.
      crop_size: Side of the crop, pixels.

    Returns:
      `(2, 3)`: source pixels to crop pixels.
    """
    scale = crop_size / max(size)
    centre = (np.array(size, np.float64) - 1) / 2
    shift = (crop_size - 1) / 2 - scale * centre
    return np.array([[scale, 0.0, shift[0]], [0.0, scale, shift[1]]])


class _Found:
    """Collects the joints while the overlays are drawn, a batch at a time."""

    def __init__(self, predict: Any, size: int, system: Any):
        self.predict, self.size, self.system = predict, size, system
        self.index: list[int] = []
        self.crop: list[np.ndarray] = []
        self.source: list[np.ndarray] = []
        self.matrices: list[np.ndarray] = []
        self.boxes: list[np.ndarray] = []

    def frames(
        self, source: video.Video, matrices: Any, boxes: people.Boxes | None
    ) -> Iterator[np.ndarray]:
        """Yields the overlay of each frame, in order; frames without a person as is."""
        pending: list[tuple[int, np.ndarray, np.ndarray | None]] = []
        for index, frame in enumerate(source.frames()):
            seen = boxes is None or (
                index < len(boxes.valid) and bool(boxes.valid[index])
            )
            size = (frame.shape[1], frame.shape[0])
            pending.append((index, frame, matrices(index, size) if seen else None))
            if len(pending) == BATCH:
                yield from self._drawn(pending, boxes)
                pending = []
        yield from self._drawn(pending, boxes)

    def _drawn(self, pending: list, boxes: people.Boxes | None) -> Iterator[np.ndarray]:
        shape = (BATCH, self.size, self.size, 3)
        images = np.zeros(shape, np.uint8)
        rows = [item for item in pending if item[2] is not None]
        for row, (_, frame, matrix) in enumerate(rows):
            crop = crops.crop_image(frame, matrix, CROP_SIZE)
            images[row] = transforms.resize_image(crop, size=self.size)
        joints = np.asarray(self.predict({"frame_1": images})) if rows else images
        placed = {}
        for row, (index, _, cut) in enumerate(rows):
            matrix = transforms.scale_matrix(cut, factor=self.size / CROP_SIZE)
            inverse = crops.invert_matrix(matrix)
            in_source = crops.apply_matrix(inverse, joints[row].astype(np.float64))
            box = np.full((2, 2), np.nan) if boxes is None else boxes.boxes[index]
            self.index.append(index)
            self.crop.append(joints[row])
            self.source.append(in_source)
            self.matrices.append(matrix)
            self.boxes.append(np.asarray(box, np.float64))
            placed[index] = in_source
        for index, frame, _ in pending:
            if index in placed:
                yield render.draw_skeleton(
                    frame, placed[index], chains=self.system.chains
                )
            else:
                yield frame


def _write_overlays(
    output: pathlib.Path,
    source: video.Video,
    files: Sequence[pathlib.Path],
    overlays: Iterator[np.ndarray],
) -> str:
    if source.kind == "video":
        name = "overlay.gif" if source.path.suffix.lower() == ".gif" else "overlay.mp4"
        render.write_video(output / name, overlays, source.fps or 25.0)
        return name
    for name, overlay in zip(overlay_names(files), overlays, strict=True):
        render.write_png(output / name, overlay)
    return "overlays as PNG"


def _write_joints(
    output: pathlib.Path,
    run: Run,
    source: video.Video,
    found: _Found,
    step: int,
    skeleton: str,
) -> None:
    """Writes the joints in crop and in source pixels, with all that names them."""
    names = SKELETONS[skeleton].joints
    about = {
        "input": pathlib.Path(source.path).name,
        "path": str(pathlib.Path(source.path).resolve()),
        "fps": source.fps,
        "skeleton": skeleton,
        "joint_names": list(names),
        "unit": "px",
        "frame_of_joints_source": "source pixels, x right, y down",
        "frame_of_joints_crop": f"crop pixels, {found.size}x{found.size}",
        "checkpoint": run.checkpoint,
        "step": step,
    }
    shape = (-1, len(names), 2)
    arrays = {
        "frame": np.array(found.index, np.int64),
        "joints_source": np.array(found.source, np.float64).reshape(shape),
        "joints_crop": np.array(found.crop, np.float64).reshape(shape),
        "crop_matrix": np.array(found.matrices, np.float64).reshape(-1, 2, 3),
        "box": np.array(found.boxes, np.float64).reshape(-1, 2, 2),
    }
    with render.replaced_whole(output / "joints.npz") as draft:
        np.savez(draft, about=json.dumps(about), **arrays)
    frames = [
        {
            "frame": int(arrays["frame"][i]),
            "joints_source": np.round(arrays["joints_source"][i], 3).tolist(),
            "joints_crop": np.round(arrays["joints_crop"][i], 3).tolist(),
        }
        for i in range(len(found.index))
    ]
    write_json(output / "joints.json", about | {"frames": frames})
