r"""The joint optimisation on real frames: one man, seen by calibrated cameras.

  python -m experiments.flow_pose.multiview --recording DIR \
      --weights raft_small_drawn --output runs/multiview

The folder holds `cam01.mp4`, ... and one npz: per camera `camN_K`, `camN_dist`,
`camN_R`, `camN_t` and `camN_det2d` (frames, people, 25, 3; person 0 is used), and the
triangulated joints `pose3d` (1, frames, joints, 3), with `body25b_names` and
`pose3d_names`. Each camera is a clip.

The weak-perspective camera of the optimisation knows no lens: frames and detections are
undistorted first, and joints are projected without distortion. Poses start from the
triangulated joints in camera axes with an estimator's faults; detections are real.

The reference is no ground truth: triangulated joints are wrong by centimetres. So the
flow is compared with two motions, that of projected triangulated joints and that of
detected joints, and it is said how far these are from each other.

A camera that the output folder has already is not computed again. Pictures in it show
frames of the recording.
"""

import argparse
import dataclasses
import datetime
import functools
import itertools
import json
import pathlib
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, cast

import cv2
import numpy as np

from configs import flow_pose_sample
from experiments.benchmarks import measure
from experiments.flow_pose.real_pairs import read_raft
from posejax import render
from posejax.checks import require_at_least, require_choice
from posejax.data.clips import Clip, ClipTruth
from posejax.data.degraded_estimates import CROP_SIZE_PX, Faults, degraded_estimates
from posejax.data.h36m_lsp import centred_on_hips
from posejax.data.video import open_video, read_frames
from posejax.procedures import alternate
from posejax.procedures.alternate import ClipResult
from posejax.procedures.clip_results import (
    clip_figures,
    figure_tables,
    mean_figures,
    write_clip,
)
from posejax.skeletons import LSP_14
from posejax.tasks.flow_pose_data import shrunk_clip
from posejax.tasks.flow_pose_kinds import pose_kind
from posejax.typing import Config

ROOT = pathlib.Path(__file__).resolve().parents[2]
PERSON_PX = 250  # height of the person in the frames as used
DETECTED_ABOVE = 0.3  # confidence of a detection that counts
_PERSON_IN_CROP_PX = 150  # of an estimator's crop (HMR)
_RECORDING = ("pose3d", "pose3d_names", "body25b_names")
_CAMERA = ("K", "dist", "R", "t", "det2d")
# The joints of `skeletons.LSP_14` as the recording calls them; Head is its top.
_TRIANGULATED = (
    *("RAnkle", "RKnee", "RHip", "LHip", "LKnee", "LAnkle", "RWrist", "RElbow"),
    *("RShoulder", "LShoulder", "LElbow", "LWrist", "Neck", "Head"),
)
_DETECTED = (
    *("r_ankle", "r_knee", "r_hip", "l_hip", "l_knee", "l_ankle", "r_wrist", "r_elbow"),
    *("r_shoulder", "l_shoulder", "l_elbow", "l_wrist", "neck", "head_top"),
)

Optimise = Callable[[Clip], ClipResult]
Sums = dict[str, list[float]]


class Setting(NamedTuple):
    """What all cameras of an experiment have in common."""

    frames: int = 20  # number of frames
    every: int = 3  # every how manieth frame of the video is used
    scale: float | None = None  # of frames; None makes the person `PERSON_PX` high
    seed: int = 0  # of the faults in the starting poses


class View(NamedTuple):
    """What a camera saw in the frames that are used.

    Attributes:
      clip: Undistorted, cut to the person; its truth is the triangulation.
      metres_per_px: At the depth of the person.
      scale: New size of the frames by old.
    """

    clip: Clip
    metres_per_px: float
    scale: float


def read_recording(folder: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a recording; raises if there is not one npz, or not all."""
    files = sorted(folder.glob("*.npz"))
    if len(files) != 1:
        raise FileNotFoundError(
            f"{folder} holds {len(files)} npz files; expected one, and cam01.mp4, ..."
        )
    with np.load(files[0], allow_pickle=False) as file:
        arrays = {name: file[name] for name in file.files}
    for name in _RECORDING:
        if name not in arrays:
            raise ValueError(f"{files[0]} lacks {name}; it has {', '.join(arrays)}.")
    return arrays


def cameras_of(arrays: Mapping[str, np.ndarray]) -> tuple[int, ...]:
    """Returns the numbers of the cameras all of whose arrays exist, at most 9."""
    wanted = {n: [f"cam{n}_{key}" for key in _CAMERA] for n in range(1, 10)}
    return tuple(n for n, names in wanted.items() if set(names) <= set(arrays))


def _columns(names: np.ndarray, joints: Sequence[str]) -> list[int]:
    known = [str(name) for name in names]
    missing = [joint for joint in joints if joint not in known]
    if missing:
        raise ValueError(f"the recording lacks joints: {', '.join(missing)}.")
    return [known.index(joint) for joint in joints]


def make_view(
    folder: pathlib.Path,
    arrays: Mapping[str, np.ndarray],
    camera: int,
    setting: Setting,
    config: Config,
) -> View:
    """Returns a camera's clip: frames, estimates, detections, references.

    Args:
      folder: Of the recording; raises if a video is missing or too short.
      arrays: Its arrays.
      camera: Number of the camera.
      setting: Which frames, how large.
      config: See `configs/bases/flow_pose.py`: its `faults` and `data.crop_margin`.
    """
    index = np.arange(setting.frames) * setting.every
    recorded = len(arrays["pose3d"][0])
    if index[-1] >= recorded:
        raise ValueError(
            f"--frames {setting.frames} with --every {setting.every} needs "
            f"{index[-1] + 1} frames; the recording has {recorded}."
        )
    intrinsics, lens, rotation, shift, seen = (
        np.asarray(arrays[f"cam{camera}_{key}"], np.float64) for key in _CAMERA
    )
    columns = _columns(arrays["pose3d_names"], _TRIANGULATED)
    space = arrays["pose3d"][0, index][:, columns] @ rotation.T + shift
    flat = space @ intrinsics.T
    joints = flat[..., :2] / flat[..., 2:]
    columns = _columns(arrays["body25b_names"], _DETECTED)
    people = seen[index][:, 0, columns]
    is_detected = people[..., 2] > DETECTED_ABOVE
    detections = undistorted_points(people[..., :2], intrinsics, lens)

    video = folder / f"cam{camera:02d}.mp4"
    rate = (open_video(video).fps or 1.0) / setting.every
    images = undistorted_frames(video, index, intrinsics, lens)
    pose, known = centred_on_hips(space), np.isfinite(joints).all(axis=-1)
    truth = ClipTruth(pose.astype(np.float32), joints.astype(np.float32), known)
    person = float(np.median(np.ptp(joints[..., 1], axis=1)))
    estimates = degraded_estimates(
        pose,
        joints,
        height=round(person * CROP_SIZE_PX / _PERSON_IN_CROP_PX),
        faults=Faults(**config.faults.to_dict()),
        rng=np.random.default_rng([setting.seed, camera]),
    )._replace(
        detections=np.where(is_detected[..., None], detections, 0).astype(np.float32),
        confidence=is_detected.astype(np.float32),
    )
    name = f"{folder.resolve().name}/cam{camera}"
    clip = Clip(name, images, rate, *estimates, truth=truth)
    used = config.copy_and_resolve_references()
    used.data.scale = setting.scale or min(1.0, PERSON_PX / person)
    used.data.crop, used.data.max_frames = True, 0
    focal = float(np.sqrt(intrinsics[0, 0] * intrinsics[1, 1])) * used.data.scale
    metres = float(np.median(space[..., 2])) / focal
    return View(shrunk_clip(clip, used), metres, used.data.scale)


def undistorted_points(
    points: np.ndarray, intrinsics: np.ndarray, lens: np.ndarray
) -> np.ndarray:
    """Returns where a camera of the same intrinsics without distortion sees points."""
    rows = np.ascontiguousarray(points.reshape(-1, 1, 2), np.float64)
    moved = cv2.undistortPoints(rows, intrinsics, lens, None, None, intrinsics)
    return moved.reshape(points.shape)


def undistorted_frames(
    video: pathlib.Path, index: np.ndarray, intrinsics: np.ndarray, lens: np.ndarray
) -> np.ndarray:
    """Returns frames of a video as a camera without distortion sees them."""
    wanted = set(index.tolist())
    frames = itertools.islice(read_frames(video), int(index[-1]) + 1)
    images = [image for number, image in enumerate(frames) if number in wanted]
    if len(images) < len(index):
        raise ValueError(f"{video} has fewer than {index[-1] + 1} frames.")
    height, width = images[0].shape[:2]
    maps = cv2.initUndistortRectifyMap(
        intrinsics, lens, None, intrinsics, (width, height), cv2.CV_32FC1
    )
    return np.stack([cv2.remap(image, *maps, cv2.INTER_LINEAR) for image in images])


def camera_figures(view: View, result: ClipResult, config: Config) -> dict[str, Sums]:
    """Returns sums and counts against both references, and between them.

    `triangulated` and `detected` are what `clip_figures` says, and `joint_epe/zero`,
    the mean length of the reference's displacements; `references`: `disagreement`.
    """
    clip, kind = view.clip, pose_kind(config)
    detected = ClipTruth(None, clip.detections, clip.confidence > 0)
    still = result._replace(flows=(np.zeros_like(result.flows[0]),))
    found: dict[str, Sums] = {"references": disagreement(view)}
    for name, truth in (("triangulated", clip.truth), ("detected", detected)):
        judged = dataclasses.replace(clip, truth=truth)
        zero = clip_figures(judged, still, kind, config.evaluation)
        figures = clip_figures(judged, result, kind, config.evaluation)
        found[name] = {"joint_epe/zero": zero["joint_epe/original"], **figures}
    return found


def disagreement(view: View) -> Sums:
    """Returns how far the references are from each other, `[sum, count]` by name.

    `position_px`, `position_mm`: from projected triangulated to detected joints, of
    which `offset_x_px`, `offset_y_px` are the mean; `displacement_px`: between their
    displacements to the next frame; `bone_length_mm`: deviation over time of the
    lengths of triangulated bones.
    """
    clip, truth = view.clip, cast(Any, view.clip.truth)  # a view has one
    both = (clip.confidence > 0) & truth.joint_valid
    offsets = np.where(both[..., None], clip.detections - truth.joints, 0)
    pairs = both[:-1] & both[1:]
    changes = np.where(pairs[..., None], np.diff(offsets, axis=0), 0)
    bones = truth.pose[:, np.array(LSP_14.bones)]
    lengths = 1000 * np.linalg.norm(bones[..., 0, :] - bones[..., 1, :], axis=-1)
    spread = lengths.std(axis=0)
    distance = np.linalg.norm(offsets, axis=-1).sum()
    sums = {
        "position_px": (distance, both.sum()),
        "position_mm": (1000 * view.metres_per_px * distance, both.sum()),
        "offset_x_px": (offsets[..., 0].sum(), both.sum()),
        "offset_y_px": (offsets[..., 1].sum(), both.sum()),
        "displacement_px": (np.linalg.norm(changes, axis=-1).sum(), pairs.sum()),
        "bone_length_mm": (spread.sum(), spread.size),
    }
    return {name: [float(s), float(n)] for name, (s, n) in sums.items()}


def run_cameras(
    output: pathlib.Path,
    views: Mapping[int, Callable[[], View]],
    optimise: Optimise,
    config: Config,
    about: Mapping[str, Any],
) -> str:
    """Optimises the cameras that are not finished; writes and returns the tables.

    Args:
      output: Folder: `camN/` of each camera, `multiview.json` and `multiview.md`.
      views: What reads each camera.
      optimise: The joint optimisation.
      config: See `configs/bases/flow_pose.py`.
      about: What all figures belong to; raises if a finished camera has another.
    """
    rows: dict[str, Any] = {}
    for camera, read in views.items():
        folder = output / f"cam{camera}"
        path = folder / "figures.json"  # written last: the camera is finished
        if not path.is_file():
            view = read()
            result = optimise(view.clip)
            write_clip(folder, view.clip, result, pose_kind(config), config.output)
            figures = {
                "about": dict(about),
                "frame_size": list(view.clip.size),
                "scale": view.scale,
                "fps": view.clip.fps,
                "pose_steps": len(result.energies),
                "sums": camera_figures(view, result, config),
            }
            render.write_text(path, json.dumps(figures, indent=2) + "\n")
            print(figure_tables(mean_figures([figures["sums"]["triangulated"]])))
        row = json.loads(path.read_text(encoding="utf-8"))
        if row.pop("about") != about:
            raise ValueError(f"{folder} is of another setting; use another --output.")
        rows[f"camera {camera}"] = row
    groups = {camera: [row] for camera, row in rows.items()} | {"all": rows.values()}
    means = {
        part: {
            name: mean_figures(row["sums"][part] for row in group)
            for name, group in groups.items()
        }
        for part in ("triangulated", "detected", "references")
    }
    result = {
        "date": datetime.date.today().isoformat(),
        "commit": measure.commit_of(ROOT),
        "machine": measure.machine(),
        **about,
        "cameras": rows,
        "means": means,
    }
    text = markdown(means)
    render.write_text(output / "multiview.json", json.dumps(result, indent=2) + "\n")
    render.write_text(output / "multiview.md", text + "\n")
    return text


def markdown(means: Mapping[str, Mapping[str, Mapping[str, float]]]) -> str:
    """Returns a table for each part of `camera_figures`, a column for each camera."""
    how = {"corner": "", "layout": "markdown", "transposed": True}
    headings = {
        "triangulated": "Against triangulated joints",
        "detected": "Against detected joints",
        "references": "Between the two references",
    }
    tables = {part: render.figure_table(means[part], **how) for part in headings}
    return "\n\n".join(f"{headings[part]}\n\n{tables[part]}" for part in headings)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options."""
    default = Setting()
    parser = argparse.ArgumentParser(
        prog="python -m experiments.flow_pose.multiview",
        description=(__doc__ or "").partition("\n\n")[0],
    )
    add = parser.add_argument
    add("--recording", type=pathlib.Path, required=True, help="folder")
    add("--weights", default="raft_small_drawn", help="npz, or name of packaged ones")
    add("--output", type=pathlib.Path, required=True, help="folder to write to")
    add("--cameras", type=int, nargs="+", help="numbers; default: all")
    add("--frames", type=int, default=default.frames, help="number of frames")
    add("--every", type=int, default=default.every, help="every how manieth frame")
    add("--scale", type=float, help=f"of frames; default: person {PERSON_PX} px high")
    add("--seed", type=int, default=default.seed, help="of the faults of the start")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the experiment and prints the tables."""
    options = parse(arguments)
    setting = Setting(options.frames, options.every, options.scale, options.seed)
    folder = options.recording
    try:
        require_at_least("--frames", setting.frames, 3)
        require_at_least("--every", setting.every, 1)
        require_at_least("--seed", setting.seed, 0)
        arrays = read_recording(folder)
        found = cameras_of(arrays)
        cameras = options.cameras or found
        for camera in cameras:
            require_choice("--cameras", str(camera), map(str, found))
        weights = read_raft(options.weights)
        config = flow_pose_sample.get_config()
        config.flow.variant = weights.about["variant"]
        config.flow.weights = options.weights
        about = {
            "recording": folder.resolve().name,
            "config": "flow_pose_sample",
            "weights": weights.about,
            "setting": setting._asdict(),
        }
        programs = alternate.make_programs(config)
        start = alternate.Weights(*weights.variables)

        def optimise(clip: Clip) -> ClipResult:
            print(f"{clip.name}: frames of {clip.size[1]} x {clip.size[0]}")
            return alternate.joint_optimise(clip, config, programs, start, watch=_print)

        views = {
            n: functools.partial(make_view, folder, arrays, n, setting, config)
            for n in cameras
        }
        text = run_cameras(options.output, views, optimise, config, about)
    except (OSError, ValueError, FloatingPointError) as error:
        sys.exit(f"multiview: {error}")
    print("\n" + text)


def _print(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    main()
