"""Keypoints that are to be lifted: one record for four kinds of files.

*Keypoints of one person*, npz of plain arrays: `keypoints` (frames, joints, 2), source
pixels; `layout`, a key of `LAYOUTS` or the name of a joint set, or `keypoint_names`, or
both; `width` and `height` of the pictures. If wanted `fps`; `frame_index` (frames,);
`camera_orientation` (w, x, y, z), camera to world, with `camera_translation`, metres;
`ground_truth` (frames, 17, 3), joints in camera axes, metres.
*COCO's JSON*: see `coco_keypoints`. Names of joints under `categories` are compared.
*Detections*, `data_2d_custom_<name>.npz` of own videos or `data_2d_h36m_<name>.npz` and
`data_2d_humaneva15_<name>.npz` of recordings, published or plain: see `pose_files`.
*Detectron's output* of one video: see `detectron_keypoints`.

A video of the same name beside the file gives frame rate, size and pictures.
"""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from posejax.data import video
from posejax.data.coco_keypoints import (
    ACTION,
    coco_keypoints,
    read_coco_content,
    result_frames,
)
from posejax.data.detectron_keypoints import detectron_keypoints, is_detectron_output
from posejax.data.keypoint_checks import (
    checked_keypoints,
    identified_layout,
    is_number,
    positive_number,
    require_known_layout,
    shaped_array,
)
from posejax.data.keypoint_layouts import LAYOUTS, KeypointLayout
from posejax.data.object_arrays import read_arrays
from posejax.data.pose_cameras import PoseCamera
from posejax.data.pose_files import Keypoints, read_keypoints
from posejax.data.recorded_cameras import recorded_cameras, upright_camera

_UNIT_TOLERANCE = 1e-3


@dataclasses.dataclass(frozen=True)
class KeypointSequence:
    """Keypoints of one person, seen by one camera.

    Attributes:
      name: Name of the video, or subject, action and camera.
      recording: Subject and action; of an own video its name and `custom`.
      keypoints: Joints (frames, joints, 2), source pixels, float32, finite.
      layout: Which joints.
      frames: Number of each frame in its video, increasing.
      camera: Size of the pictures, and how the camera stands. Where that is unknown, it
        is upright at the origin of the world.
      is_camera_known: Whether orientation and place of the camera are those of the file
        or of its data set.
      fps: Frames per second; None if unknown.
      video: The video, if it lies beside the file.
      ground_truth: Joints (frames, 17, 3) in camera axes, metres; None if unknown.
    """

    name: str
    recording: tuple[str, str]
    keypoints: Float[np.ndarray, "frames joints 2"]
    layout: KeypointLayout
    frames: Int[np.ndarray, " frames"]
    camera: PoseCamera
    is_camera_known: bool = False
    fps: float | None = None
    video: pathlib.Path | None = None
    ground_truth: Float[np.ndarray, "frames 17 3"] | None = None


@dataclasses.dataclass(frozen=True)
class KeypointInput:
    """What a file holds.

    Attributes:
      path: The file.
      kind: 'person', 'videos' or 'recordings' (of a data set).
      sequences: All sequences, of one layout, in the order of the file.
    """

    path: pathlib.Path
    kind: str
    sequences: tuple[KeypointSequence, ...]

    @property
    def layout(self) -> KeypointLayout:
        """Which joints there are."""
        return self.sequences[0].layout


def read_keypoint_input(
    path: str | os.PathLike[str],
    *,
    resolution: tuple[int, int] | None = None,
    allow_pickle: bool = False,
) -> KeypointInput:
    """Reads keypoints of one of the four kinds.

    Args:
      path: The file, `.npz` or `.json`.
      resolution: Width and height of the pictures, pixels, where the file does not say.
      allow_pickle: Whether a published file, a pickle, may be read; see `read_arrays`.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is none of these files; if number, names or order of its joints
        are not those of its layout; if there is no person, a joint is not finite, or
        the size of the pictures is unknown.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        found = "is a folder" if path.is_dir() else "is missing"
        raise FileNotFoundError(f"{path} {found}; expected an npz or COCO JSON file.")
    suffix = path.suffix.lower()
    if suffix == ".json":
        return _coco_input(path, resolution)
    if suffix != ".npz":
        raise ValueError(
            f"{path} ends in {suffix!r}; expected .npz (keypoints or detections) or "
            ".json (COCO): 2-D joints, which a detector finds in pictures."
        )
    arrays = read_arrays(path, allow_pickle=allow_pickle)
    if is_detectron_output(arrays):
        return _videos_input(path, detectron_keypoints(arrays, path), resolution)
    if "keypoints" in arrays:
        return KeypointInput(path, "person", (_person(arrays, path, resolution),))
    found = read_keypoints(path, allow_pickle=allow_pickle)
    require_known_layout(found.layout, path)
    if all(action == ACTION for _, action in found.positions):
        return _videos_input(path, found, resolution)
    return _recordings_input(path, found)


def video_beside(path: pathlib.Path, name: str) -> pathlib.Path | None:
    """Returns the video in the folder of a file that has a certain name, if any.

    Args:
      path: The file.
      name: Name of the video, with or without its suffix.
    """
    plain = pathlib.PurePath(name).name
    names = [plain] if video.is_video(plain) else []
    names += [plain + suffix for suffix in video.VIDEO_SUFFIXES]
    found = (path.parent / candidate for candidate in names)
    return next((file for file in found if file.is_file()), None)


def _person(
    arrays: Mapping[str, np.ndarray],
    path: pathlib.Path,
    resolution: tuple[int, int] | None,
) -> KeypointSequence:
    names = arrays.get("keypoint_names")
    key = identified_layout(
        str(arrays["layout"]) if "layout" in arrays else None,
        None if names is None else tuple(str(name) for name in np.atleast_1d(names)),
        str(path),
    )
    keypoints = checked_keypoints(
        arrays["keypoints"], LAYOUTS[key], f"keypoints of {path}"
    )
    count = len(keypoints)
    if "width" in arrays and "height" in arrays:
        size = (
            positive_number(arrays, "width", path),
            positive_number(arrays, "height", path),
        )
        resolution = (int(size[0]), int(size[1]))
    frames = shaped_array(arrays, "frame_index", (count,), path)
    frames = np.arange(count) if frames is None else frames.astype(np.int64)
    if (np.diff(frames) <= 0).any() or frames[0] < 0:
        raise ValueError(
            f"frame_index of {path} is not increasing from 0 or above; expected the "
            "number of each frame in its video."
        )
    truth = shaped_array(arrays, "ground_truth", (count, 17, 3), path)
    found = _sequence(
        path,
        path.stem,
        (path.stem, ACTION),
        keypoints,
        LAYOUTS[key],
        resolution,
        frames=frames,
        fps=positive_number(arrays, "fps", path) if is_number(arrays, "fps") else None,
    )
    camera = _own_camera(arrays, path, found.camera)
    return dataclasses.replace(
        found,
        camera=camera or found.camera,
        is_camera_known=camera is not None,
        ground_truth=None if truth is None else truth.astype(np.float32),
    )


def _own_camera(
    arrays: Mapping[str, np.ndarray], path: pathlib.Path, like: PoseCamera
) -> PoseCamera | None:
    orientation = shaped_array(arrays, "camera_orientation", (4,), path)
    translation = shaped_array(arrays, "camera_translation", (3,), path)
    if orientation is None and translation is None:
        return None
    if orientation is None or translation is None:
        raise ValueError(
            f"{path} has only one of camera_orientation and camera_translation; give "
            "both or neither."
        )
    length = float(np.linalg.norm(orientation))
    if abs(length - 1) > _UNIT_TOLERANCE:
        raise ValueError(
            f"camera_orientation of {path} has length {length:.4g}; expected a unit "
            "quaternion (w, x, y, z), camera to world."
        )
    return dataclasses.replace(
        like,
        name="given",
        orientation=orientation.astype(np.float32),
        translation=translation.astype(np.float32),
    )


def _videos_input(
    path: pathlib.Path, found: Keypoints, resolution: tuple[int, int] | None
) -> KeypointInput:
    sequences = []
    for (subject, action), views in found.positions.items():
        for number, view in enumerate(views):
            name = subject if len(views) == 1 else f"{subject}/{number}"
            size = found.resolutions.get(subject, resolution)
            keypoints = checked_keypoints(
                view, found.layout, f"video {name!r} of {path}"
            )
            key = (subject, action)
            sequences.append(_sequence(path, name, key, keypoints, found.layout, size))
    return KeypointInput(path, "videos", _some(sequences, path))


def _recordings_input(path: pathlib.Path, found: Keypoints) -> KeypointInput:
    """Sequences of a data set whose cameras are known."""
    sequences = []
    for (subject, action), views in found.positions.items():
        seen = recorded_cameras(subject)
        if seen is None or len(views) > len(seen.cameras):
            raise ValueError(
                f"{subject}/{action} of {path} is no recording of Human3.6M or "
                f"HumanEva, and its action is not {ACTION!r}: the size of its pictures "
                f"is unknown; give own videos the action {ACTION!r} and video_metadata."
            )
        for camera, view in zip(seen.cameras, views, strict=False):
            name = f"{subject}/{action}/{camera.name}"
            where = f"{name} of {path}"
            sequences.append(
                KeypointSequence(
                    name=name,
                    recording=(subject, action),
                    keypoints=checked_keypoints(view, found.layout, where),
                    layout=found.layout,
                    frames=np.arange(len(view)),
                    camera=camera,
                    is_camera_known=seen.are_known,
                    fps=seen.fps,
                )
            )
    return KeypointInput(path, "recordings", _some(sequences, path))


def _coco_input(
    path: pathlib.Path, resolution: tuple[int, int] | None
) -> KeypointInput:
    content = read_coco_content(path)
    if isinstance(content, list):
        beside = video_beside(path, path.stem)
        if resolution is None and beside is not None:
            resolution = video.open_video(beside).size
        if resolution is None:
            raise ValueError(
                f"{path} is a list of results, which does not say how large the "
                f"pictures are; put the video {path.stem}.mp4 beside it, or give a "
                "COCO data set, whose images have width and height."
            )
        key, first = "coco", min(result_frames(content, path))
    else:
        key, first = _coco_layout(content, path), 0
    found = coco_keypoints(content, path, resolution=resolution, layout=key)
    sequences = []
    for (name, action), (view,) in found.positions.items():
        keypoints = checked_keypoints(view, found.layout, f"video {name!r} of {path}")
        size = found.resolutions[name]
        frames = first + np.arange(len(keypoints))
        sequences.append(
            _sequence(
                path, name, (name, action), keypoints, found.layout, size, frames=frames
            )
        )
    return KeypointInput(path, "videos", _some(sequences, path))


def _coco_layout(content: Mapping[str, Any], path: pathlib.Path) -> str:
    categories = content.get("categories")
    named = [
        row["keypoints"]
        for row in (categories if isinstance(categories, list) else [])
        if isinstance(row, dict) and isinstance(row.get("keypoints"), list)
    ]
    if not named:
        return "coco"
    return identified_layout(None, tuple(str(name) for name in named[0]), str(path))


def _sequence(
    path: pathlib.Path,
    name: str,
    recording: tuple[str, str],
    keypoints: np.ndarray,
    layout: KeypointLayout,
    resolution: tuple[int, int] | None,
    *,
    frames: np.ndarray | None = None,
    fps: float | None = None,
) -> KeypointSequence:
    """Puts a sequence of an unknown camera together with the video beside its file."""
    file = video_beside(path, name)
    opened = None if file is None else video.open_video(file)
    if resolution is None and opened is not None:
        resolution = opened.size
    if resolution is None or min(resolution) < 1:
        raise ValueError(
            f"the size of the pictures of {name!r} in {path} is "
            f"{'unknown' if resolution is None else resolution}; give width and height "
            "in pixels (video_metadata with w and h in files of detections)."
        )
    if opened is not None and tuple(opened.size) != tuple(resolution):
        raise ValueError(
            f"{file} is {opened.size[0]}x{opened.size[1]} pixels, but the keypoints in "
            f"{path} are of pictures of {resolution[0]}x{resolution[1]}; correct the "
            "size or rename the video."
        )
    return KeypointSequence(
        name=name,
        recording=recording,
        keypoints=keypoints,
        layout=layout,
        frames=np.arange(len(keypoints)) if frames is None else frames,
        camera=upright_camera(resolution),
        fps=fps or (opened.fps if opened is not None else None),
        video=file,
    )


def _some(
    sequences: Sequence[KeypointSequence], path: pathlib.Path
) -> tuple[KeypointSequence, ...]:
    if not sequences:
        raise ValueError(f"{path} holds no person; expected at least one sequence.")
    return tuple(sequences)
