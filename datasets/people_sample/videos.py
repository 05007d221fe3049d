"""The sample as whole videos: every frame in order, with flow, masks and 3-D joints."""

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from datasets.people_sample.cameras import (
    CAMERAS,
    IMAGE_SIZE,
    Camera,
    project,
    to_camera,
)
from datasets.people_sample.flow import forward_flow
from datasets.people_sample.motion import ACTIONS, FPS, Action
from datasets.people_sample.processes import processed
from datasets.people_sample.takes import draw, encode_jpeg, make_take, video_name
from datasets.people_sample.wardrobe import TEST, TRAIN, Person
from datasets.records import encode_png


@dataclasses.dataclass(frozen=True)
class Clip:
    """A stretch of a video.

    Attributes:
      person: Who.
      action: What.
      camera: Who looks.
      start: Number of its first frame in the recording.
      count: Number of frames.
    """

    person: Person
    action: Action
    camera: Camera
    start: int
    count: int

    @property
    def name(self) -> str:
        """Name of the clip: `S1/Posing.54138969`."""
        return f"{self.person.name}/{video_name(self.action, self.camera)}"


def full_clips() -> dict[str, list[Clip]]:
    """Returns two actions of each person from all cameras, synchronised."""
    return {
        split: [
            Clip(person, ACTIONS[(index + turn) % len(ACTIONS)], camera, 50, 32)
            for index, person in enumerate(people)
            for turn in (0, 2)
            for camera in CAMERAS
        ]
        for split, people in (("train", TRAIN), ("test", TEST))
    }


def tiny_clips() -> dict[str, list[Clip]]:
    """Returns a few frames of two people, for tests."""
    return {
        "train": [Clip(TRAIN[0], ACTIONS[1], camera, 50, 4) for camera in CAMERAS[:2]],
        "test": [Clip(TEST[0], ACTIONS[4], CAMERAS[0], 50, 4)],
    }


def frame_features() -> tfds.features.FeaturesDict:
    """Features of a video frame.

    * `image`: RGB.
    * `mask`: 255 where the person is, else 0.
    * `flow`: (x, y) in source pixels: what is at p is at p + flow[p] in the next
      record; 0 on the background. All 0 where `has_flow` is False, at a clip's end.
    * `box`: `[[x0, y0], [x1, y1]]`, first and last pixel of the mask.
    * `pose_2d`: joints in source pixels, order `H36M_32` as the two that follow.
    * `pose_3d_world`, `pose_3d_camera`: joints in metres; world has z up.
    * `camera_intrinsics`, `camera_rotation`, `camera_shift`: pixel ~ K (R X + t) for
      a world point X in metres; no distortion.
    * `subject`, `camera`, `action`, `take`, `frame`, `fps`: where it comes from.
    """
    text, tensor = tfds.features.Text, tfds.features.Tensor
    size = IMAGE_SIZE
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(shape=(size, size, 3), dtype=np.uint8),
            "mask": tfds.features.Image(shape=(size, size, 1), dtype=np.uint8),
            "flow": tensor(shape=(size, size, 2), dtype=np.float32, encoding="zlib"),
            "has_flow": np.bool_,
            "box": tensor(shape=(2, 2), dtype=np.float32),
            "pose_2d": tensor(shape=(32, 2), dtype=np.float32),
            "pose_3d_world": tensor(shape=(32, 3), dtype=np.float32),
            "pose_3d_camera": tensor(shape=(32, 3), dtype=np.float32),
            "camera_intrinsics": tensor(shape=(3, 3), dtype=np.float64),
            "camera_rotation": tensor(shape=(3, 3), dtype=np.float64),
            "camera_shift": tensor(shape=(3,), dtype=np.float64),
            "subject": text(),
            "camera": text(),
            "action": text(),
            "take": text(),
            "frame": np.int32,
            "fps": np.int32,
        }
    )


def clip_records(clip: Clip) -> list[dict[str, Any]]:
    """Draws the frames of a clip, in order."""
    numbers = np.arange(clip.start, clip.start + clip.count)
    take, camera = make_take(clip.person, clip.action, numbers), clip.camera
    joints, rotations = take.motion.joints, take.motion.rotations
    pose_2d, pose_3d_camera = project(camera, joints), to_camera(camera, joints)
    result = []
    for i, number in enumerate(numbers):
        frame = draw(take, i, camera)
        has_flow = i + 1 < clip.count
        flow = np.zeros((IMAGE_SIZE, IMAGE_SIZE, 2), np.float32)
        if has_flow:
            flow = forward_flow(
                take.solids,
                camera,
                frame.surface,
                frame.mask,
                (joints[i], rotations[i]),
                (joints[i + 1], rotations[i + 1]),
            )
        result.append(
            {
                "image": encode_jpeg(frame.image),
                "mask": encode_png(frame.mask.astype(np.uint8) * 255),
                "flow": flow,
                "has_flow": has_flow,
                "box": frame.box.astype(np.float32),
                "pose_2d": pose_2d[i].astype(np.float32),
                "pose_3d_world": joints[i].astype(np.float32),
                "pose_3d_camera": pose_3d_camera[i].astype(np.float32),
                "camera_intrinsics": camera.intrinsics,
                "camera_rotation": camera.rotation,
                "camera_shift": camera.shift,
                "subject": clip.person.name,
                "camera": camera.name,
                "action": clip.action.name,
                "take": video_name(clip.action, camera),
                "frame": int(number),
                "fps": FPS,
            }
        )
    return result


def clip_stream(clips: Sequence[Clip], *, num_workers: int) -> Iterator[dict[str, Any]]:
    """Yields the records of all clips, clip by clip."""
    for group in processed(clip_records, clips, num_workers=num_workers):
        yield from group


def clip_metadata(clips: Mapping[str, Sequence[Clip]], source: str) -> dict[str, Any]:
    """Returns the metadata: the clips are the folders, in the order of the records."""
    return {
        "folders": {
            split: [{"name": clip.name, "count": clip.count} for clip in group]
            for split, group in clips.items()
        },
        "image_size": IMAGE_SIZE,
        "fps": FPS,
        "skeleton": "h36m_32",
        "frame": "source pixels; world and camera frame",
        "unit": "px; m",
        "labels": True,
        "source": source,
    }
