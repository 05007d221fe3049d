"""What `predict` draws: the section `animation` of a config, and recordings by name.

A recording of the prepared data set is an input like a file of joints, and gives the
truth beside what is lifted from a file of its detections.
"""

import dataclasses
import json
import pathlib
from collections.abc import Iterable

import numpy as np
from absl import logging

from posejax import render
from posejax.checks import require_at_least, require_choice, unknown
from posejax.data import pose_cameras, video
from posejax.data.keypoint_checks import checked_keypoints, require_known_layout
from posejax.data.keypoint_inputs import KeypointInput, KeypointSequence
from posejax.data.keypoint_layouts import LAYOUTS
from posejax.data.pose_cameras import PoseCamera
from posejax.data.pose_sequences import EXACT
from posejax.data.pose_source import read_pose_set
from posejax.data.recordings import PoseSet, Recording
from posejax.data.source import prepared_directory
from posejax.procedures.lifted_poses import WHOLE, file_name
from posejax.render.pose_animation import num_shown_frames
from posejax.skeletons import H36M_17
from posejax.typing import Config

PANEL_PX = (32, 4096)  # smallest and largest side of a panel
_LEAST = {"camera": 0, "skip": 0, "limit": 0, "downsample": 1, "bitrate_kbps": 0}
_FIELD = "config.animation.recording"


@dataclasses.dataclass(frozen=True)
class Animation:
    """What `config.animation` asks for.

    Attributes:
      recording: Subject and action of a recording of a data set; None for none.
      camera: Which view of it, from 0.
      video: What the input was seen in; None for the video beside the input.
      has_truth: Whether the truth has a panel, where it is known.
      options: Which frames, how large, and how finely stored.
    """

    recording: tuple[str, str] | None = None
    camera: int = 0
    video: pathlib.Path | None = None
    has_truth: bool = True
    options: render.AnimationOptions = WHOLE


def asked_animation(section: Config | None) -> Animation:
    """Returns what the section `animation` of a config asks for.

    Args:
      section: See `configs/bases/posture_pose.py`; None for a config without.

    Raises:
      ValueError: a field is out of its range.
    """
    if section is None:
        return Animation()
    for name, least in _LEAST.items():
        require_at_least(f"config.animation.{name}", section[name], least)
    inches, dots = section.size_inches, section.dots_per_inch
    least, most = PANEL_PX
    if dots < 1 or not least <= inches * dots <= most:
        raise ValueError(
            f"config.animation.size_inches times dots_per_inch is {inches} * {dots}; "
            f"expected a panel of {least} to {most} pixels."
        )
    subject, _, action = section.recording.rpartition("/")
    if section.recording and not (subject and action):
        raise ValueError(
            f"{_FIELD} is {section.recording!r}; expected a subject and an action, "
            "such as 'S9/Walking 1', or '' for none."
        )
    return Animation(
        recording=(subject, action) if section.recording else None,
        camera=section.camera,
        video=pathlib.Path(section.video) if section.video else None,
        has_truth=section.ground_truth,
        options=render.AnimationOptions(
            skip=section.skip,
            limit=section.limit or None,
            downsample=section.downsample,
            size_inches=inches,
            dots_per_inch=dots,
            bitrate_kbps=section.bitrate_kbps or None,
        ),
    )


def require_recording(
    recording: tuple[str, str], known: Iterable[tuple[str, str]]
) -> None:
    """Checks that a recording is one of the known ones, all (subject, action).

    Raises:
      ValueError: its subject or action is unknown; gives the nearest names.
    """
    (subject, action), known = recording, list(known)
    require_choice(f"the subject of {_FIELD}", subject, {one for one, _ in known})
    actions = {name for one, name in known if one == subject}
    require_choice(f"the action of {_FIELD} for {subject}", action, actions)


def animated_sequences(
    source: KeypointInput, animation: Animation, config: Config, data_dir: str
) -> tuple[KeypointSequence, ...]:
    """Returns the sequences of which an animation is made, with the video asked for.

    Args:
      source: The input. All of own videos are animated, of a data set the chosen view,
        with its truth if the prepared data set knows it.
      animation: What is asked for.
      config: The config of the run, which names the data set.
      data_dir: Folder of prepared data sets.

    Raises:
      FileNotFoundError: the video is missing.
      ValueError: there is no such recording or view, no one sequence that the video
        could belong to, no frame left to show, or the video is of another size.
    """
    shown, chosen = source.sequences, animation.recording
    if source.kind == "recordings":
        shown = ()
        if chosen is not None:
            require_recording(chosen, (one.recording for one in source.sequences))
            views = [one for one in source.sequences if one.recording == chosen]
            if animation.camera >= len(views):
                names = [f"{n} ({one.camera.name})" for n, one in enumerate(views)]
                raise ValueError(
                    f"config.animation.camera is {animation.camera}; expected one of "
                    f"{'/'.join(chosen)}: {', '.join(names)}."
                )
            one = views[animation.camera]
            if one.ground_truth is None:
                one = with_truth(one, config, data_dir)
            shown = (one,)
    elif chosen is not None:
        raise ValueError(
            f"{_FIELD} is {'/'.join(chosen)!r}, but {source.path.name} holds no "
            "recordings of a data set; leave one of the two out."
        )
    if animation.video is not None:
        if len(shown) != 1:
            raise ValueError(
                f"config.animation.video is {str(animation.video)!r}, but "
                f"{len(shown)} sequences of {source.path.name} are drawn; choose a "
                f"recording with {_FIELD}, or lift one video at a time."
            )
        opened, size = video.open_video(animation.video), shown[0].camera.resolution
        if opened.size != tuple(size):
            raise ValueError(
                f"config.animation.video {str(animation.video)!r} has pictures of "
                f"{opened.size[0]}x{opened.size[1]} pixels, but the keypoints of "
                f"{shown[0].name!r} are of {size[0]}x{size[1]}; name the video that "
                "they were found in."
            )
        fps = shown[0].fps or opened.fps
        shown = (dataclasses.replace(shown[0], video=animation.video, fps=fps),)
    for one in shown:
        num_shown_frames(len(one.keypoints), animation.options)
    return shown


def prepared_input(
    config: Config, data_dir: str, recording: tuple[str, str] | None
) -> KeypointInput:
    """Returns a recording of the prepared data set: all its views, with their truth.

    Args:
      config: The config of the run: its data set, and whose keypoints it is tested on.
      data_dir: Folder of prepared data sets.
      recording: Subject and action.

    Raises:
      FileNotFoundError: no recording is named, or the data set is not prepared.
      ValueError: there is no such recording, or no such keypoints of it.
    """
    if recording is None:
        raise FileNotFoundError(
            "--input is not given; name a file of 2-D joints, npz or COCO's JSON, or a "
            "recording of the data set: --config.animation.recording='S9/Walking 1'."
        )
    poses, found = _prepared(config, data_dir, recording)
    world, detector = found.poses_3d, config.data.test.input_2d
    if detector in poses.layouts:
        views, layout = found.keypoints[detector], poses.layouts[detector]
    elif detector == EXACT and world is not None and poses.skeleton == H36M_17.name:
        layout = LAYOUTS["h36m"]
        views = [pose_cameras.projected_pixels(world, one) for one in found.cameras]
    else:
        raise unknown("config.data.test.input_2d", detector, poses.layouts)
    folder = prepared_directory(data_dir, config.data.name, config=config.data.config)
    path = (folder or pathlib.Path()) / file_name("/".join(recording))
    require_known_layout(layout, path)
    stride = config.data.downsample
    sequences = []
    for view, camera in zip(views, found.cameras, strict=True):
        name = f"{'/'.join(recording)}/{camera.name}"
        keypoints = checked_keypoints(view[::stride], layout, f"keypoints of {name}")
        one = KeypointSequence(
            name=name,
            recording=recording,
            keypoints=keypoints,
            layout=layout,
            frames=np.arange(len(view))[::stride],
            camera=camera,
            is_camera_known=True,
            fps=poses.fps / stride,
            ground_truth=_truth(poses, found, camera, slice(None, None, stride)),
        )
        sequences.append(one)
    return KeypointInput(path, "recordings", tuple(sequences))


def with_truth(
    sequence: KeypointSequence, config: Config, data_dir: str
) -> KeypointSequence:
    """Returns a view of a recording with its truth, if the prepared data set knows it.

    Frames after the last one that is known are left out.

    Args:
      sequence: The view.
      config: The config of the run, which names the data set.
      data_dir: Folder of prepared data sets.
    """
    try:
        poses, found = _prepared(config, data_dir, sequence.recording)
    except (FileNotFoundError, ValueError) as error:
        logging.info("no ground truth of %s: %s", sequence.name, error)
        return sequence
    camera, count = sequence.camera, min(len(sequence.frames), found.num_frames)
    truth = _truth(poses, found, camera, slice(count))
    # Drawn people bear the names of those of Human3.6M; their frame rate is another.
    is_same = sequence.fps == poses.fps and any(
        one.name == camera.name and np.allclose(one.extrinsics, camera.extrinsics)
        for one in found.cameras
    )
    if truth is None or not is_same:
        logging.info(
            "no ground truth of %s: that of the prepared data set %r has another "
            "camera, frame rate or joint set", sequence.name, config.data.name,
        )  # fmt: skip
        return sequence
    return dataclasses.replace(
        sequence,
        keypoints=sequence.keypoints[:count],
        frames=sequence.frames[:count],
        ground_truth=truth,
    )


def _prepared(
    config: Config, data_dir: str, recording: tuple[str, str]
) -> tuple[PoseSet, Recording]:
    """Reads a recording of the prepared data set of a run."""
    name, builder = config.data.name, config.data.config
    read_pose_set(data_dir, name, config=builder, subjects=())  # says what is wrong
    folder = prepared_directory(data_dir, name, config=builder) or pathlib.Path()
    splits = json.loads((folder / "metadata.json").read_text())["folders"].values()
    parts = [row["name"].rpartition("/") for rows in splits for row in rows]
    require_recording(recording, [(subject, action) for subject, _, action in parts])
    subject, action = recording
    poses = read_pose_set(data_dir, name, config=builder, subjects=(subject,))
    return poses, next(one for one in poses.recordings if one.action == action)


def _truth(
    poses: PoseSet, recording: Recording, camera: PoseCamera, frames: slice
) -> np.ndarray | None:
    """Returns true joints in camera axes, metres, if they are those that are lifted."""
    if recording.poses_3d is None or poses.skeleton != H36M_17.name:
        return None
    return pose_cameras.world_to_camera(recording.poses_3d[frames], camera)
