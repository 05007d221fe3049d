"""Lifted poses as files: arrays that say what they are, and animations.

A library's use of it: read a file with `data.read_keypoint_input`, lift its sequences
with `predict_poses.make_lift_sequence`, and write them with the functions here.
"""

import dataclasses
import json
import pathlib
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from posejax import render, training
from posejax.data import pose_cameras, video
from posejax.data.keypoint_inputs import KeypointSequence
from posejax.data.keypoint_layouts import LAYOUT_SKELETONS
from posejax.procedures.evaluate import write_json
from posejax.render.pose_animation import num_shown_frames
from posejax.skeletons import H36M_17, Skeleton

FPS = 25.0  # of an animation whose input does not say
WHOLE = render.AnimationOptions()
CAMERA_AXES = "camera axes: x right, y down, z forward"
WORLD_AXES = "world axes: z up"


class LiftedSequence(NamedTuple):
    """What the model makes of a sequence.

    Attributes:
      joints_3d: `(frames, joints, 3)` metres, camera axes, relative to the root.
      root: `(frames, 3)` place of the root in camera axes, metres; None without a
        trajectory model.
      skeleton: Which joints.
    """

    joints_3d: np.ndarray
    root: np.ndarray | None
    skeleton: Skeleton = H36M_17


LiftSequence = Callable[[KeypointSequence], LiftedSequence]


def file_name(name: str) -> str:
    """Returns a name that is one part of a path."""
    return re.sub(r"[^\w.\- ]", "_", name).strip(". ") or "_"


def world_joints(
    points: np.ndarray, sequence: KeypointSequence, *, is_placed: bool
) -> np.ndarray:
    """Returns joints in the world, metres, z up.

    Args:
      points: `(frames, joints, 3)` in camera axes, metres.
      sequence: Whose camera it is.
      is_placed: Whether the place of the camera counts; if not, the camera's
        orientation alone does, and the lowest joint of the sequence touches the ground.
    """
    camera = sequence.camera
    if is_placed:
        return pose_cameras.camera_to_world(points, camera)
    origin = np.zeros(3, np.float32)
    camera = dataclasses.replace(camera, translation=origin)
    turned = pose_cameras.camera_to_world(points, camera)
    return turned - np.array([0, 0, turned[..., 2].min()], turned.dtype)


def lifted_arrays(
    sequence: KeypointSequence, lifted: LiftedSequence
) -> dict[str, np.ndarray]:
    """Returns the arrays of a result; with a trajectory also places.

    Args:
      sequence: What was lifted.
      lifted: What came out.

    Returns:
      `frame_index` (frames,), `keypoints` (frames, joints, 2) in pixels, `joints_3d`
      (frames, joints, 3); `root_camera` (frames, 3) and `joints_world` (frames, joints,
      3) if the root's place is known. Metres.
    """
    arrays = {
        "frame_index": sequence.frames,
        "keypoints": sequence.keypoints,
        "joints_3d": lifted.joints_3d,
    }
    if lifted.root is not None:
        points = lifted.joints_3d + lifted.root[:, None]
        is_placed = sequence.is_camera_known
        arrays["root_camera"] = lifted.root
        arrays["joints_world"] = world_joints(points, sequence, is_placed=is_placed)
    return arrays


def description(
    sequence: KeypointSequence, lifted: LiftedSequence, about: Mapping[str, Any]
) -> dict[str, Any]:
    """Returns what the numbers of a result mean: joint sets, unit, frame, root, fps."""
    width, height = sequence.camera.resolution
    joints = lifted.skeleton.joints
    found = {
        **about,
        "name": sequence.name,
        "fps": sequence.fps,
        "unit": "m",
        "frame": CAMERA_AXES,
        "root": f"{joints[0]}, joint 0, at the origin of joints_3d",
        "skeleton": lifted.skeleton.name,
        "joint_names": list(joints),
        "layout": sequence.layout.name,
        "keypoint_names": list(LAYOUT_SKELETONS[sequence.layout.name].joints),
        "width": width,
        "height": height,
    }
    if lifted.root is not None:
        found["world"] = (
            f"{WORLD_AXES}; camera {sequence.camera.name}"
            if sequence.is_camera_known
            else f"{WORLD_AXES}; the camera is unknown: it is taken to look as the "
            "first of Human3.6M, and the lowest joint to touch the ground"
        )
    if sequence.is_camera_known:
        found["camera_orientation"] = sequence.camera.orientation.tolist()
        found["camera_translation"] = sequence.camera.translation.tolist()
    return found


def write_recordings(
    output: pathlib.Path,
    sequences: Iterable[KeypointSequence],
    lifted: LiftSequence,
    about: Mapping[str, Any],
) -> list[dict[str, Any]]:
    """Lifts the recordings of a data set; writes one npz of plain arrays for each.

    Args:
      output: Folder to write to.
      sequences: The sequences, views of a recording one behind another.
      lifted: See `make_lift_sequence`.
      about: What else is said of the results.

    Returns:
      One row per sequence: what it is and in which file. An array is named after what
      it is and its camera, `joints_3d/54138969`; `about` is a JSON text.
    """
    rows: list[dict[str, Any]] = []
    arrays: dict[str, np.ndarray] = {}
    views: dict[str, Any] = {}
    recording = None

    def finish():
        if recording is None:
            return
        subject, action = (file_name(part) for part in recording)
        target = output / subject / f"{action}.npz"
        with render.replaced_whole(target) as draft:
            np.savez(draft, about=json.dumps(views), **arrays)  # pyright: ignore
        arrays.clear()
        views.clear()

    for sequence in sequences:
        if sequence.recording != recording:
            finish()
            recording = sequence.recording
        one = lifted(sequence)
        camera = sequence.camera.name
        views[camera] = description(sequence, one, about)
        found = lifted_arrays(sequence, one)
        arrays |= {f"{name}/{camera}": array for name, array in found.items()}
        file = "/".join(file_name(part) for part in sequence.recording) + ".npz"
        rows.append({"name": sequence.name, "file": file, "frames": len(one.joints_3d)})
    finish()
    write_json(output / "joints.json", {**about, "sequences": rows})
    return rows


def write_joints(
    folder: pathlib.Path,
    sequence: KeypointSequence,
    lifted: LiftedSequence,
    about: Mapping[str, Any],
) -> None:
    """Writes `joints.npz`, `joints.npy` (joints in camera axes) and `joints.json`."""
    arrays = lifted_arrays(sequence, lifted)
    words = description(sequence, lifted, about)
    plain = {name: np.array(np.nan if v is None else v) for name, v in words.items()}
    with render.replaced_whole(folder / "joints.npz") as draft:
        np.savez(draft, **plain, **arrays)  # pyright: ignore[reportArgumentType]
    points = lifted.joints_3d
    if lifted.root is not None:
        points = points + lifted.root[:, None]
    with render.replaced_whole(folder / "joints.npy") as draft:
        np.save(draft, points)
    rounded = {
        name: np.round(array.astype(float), 5).tolist()
        for name, array in arrays.items()
        if name != "frame_index"
    }
    frames = [
        {"frame": int(number)} | {name: rows[i] for name, rows in rounded.items()}
        for i, number in enumerate(sequence.frames)
    ]
    write_json(folder / "joints.json", words | {"frames": frames})


def write_animation(
    path: pathlib.Path,
    sequence: KeypointSequence,
    lifted: LiftedSequence,
    *,
    options: render.AnimationOptions = WHOLE,
    has_truth: bool = True,
) -> int:
    """Writes the animation of a sequence: input, reconstruction, truth if known.

    Args:
      path: File to write, `.mp4` or `.gif`.
      sequence: What was lifted, with its video and its truth if they are known.
      lifted: What came out, of as many frames or more.
      options: Which frames, how large, and how finely stored.
      has_truth: Whether the truth has a panel, if it is known. It places the
        reconstruction either way.

    Returns:
      The number of frames written.
    """
    count = len(sequence.keypoints)
    points, truth = lifted.joints_3d[:count], sequence.ground_truth
    if truth is not None:
        # Both stand where the true root is, so that only the poses differ.
        is_placed = sequence.is_camera_known
        both = np.stack([points + truth[:, :1], truth])
        both = world_joints(both, sequence, is_placed=is_placed)
        poses = {"Reconstruction": both[0]}
        if has_truth:
            poses["Ground truth"] = both[1]
    else:
        if lifted.root is not None:
            points = points + lifted.root[:count, None]
        placed = world_joints(points, sequence, is_placed=False)
        poses = {"Reconstruction": placed}
    total = num_shown_frames(count, options)
    return render.write_pose_animation(
        path,
        sequence.keypoints,
        poses,
        keypoint_skeleton=LAYOUT_SKELETONS[sequence.layout.name],
        skeleton=lifted.skeleton,
        resolution=sequence.camera.resolution,
        fps=sequence.fps or FPS,
        images=_pictures(sequence),
        azimuth_deg=sequence.camera.azimuth_deg,
        options=options,
        watch=lambda frames: training.progress(frames, total=total, unit="frame"),
    )


def _pictures(sequence: KeypointSequence) -> Iterator[np.ndarray] | None:
    if sequence.video is None:
        return None
    wanted = set(sequence.frames.tolist())
    frames = enumerate(video.read_frames(sequence.video))
    return (image for number, image in frames if number in wanted)
