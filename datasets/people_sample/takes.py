"""Takes: one person, one action, seen by every camera, and the frames drawn from it."""

import dataclasses

import cv2
import numpy as np

from datasets.people_sample.backgrounds import background, with_shadow
from datasets.people_sample.bodies import LEFT_LEG, RIGHT_LEG
from datasets.people_sample.cameras import Camera
from datasets.people_sample.drawing import (
    Surface,
    mask_box,
    paint,
    shade,
    visible_surface,
)
from datasets.people_sample.motion import FPS, SECONDS, Action, Motion, motion
from datasets.people_sample.solids import Solids, person_solids
from datasets.people_sample.wardrobe import Person

NUM_FRAMES = round(FPS * SECONDS)
JPEG_QUALITY = 95


@dataclasses.dataclass(frozen=True)
class Take:
    """What one person does, at some frames of the recording.

    Attributes:
      person: Who.
      action: What.
      frames: (count,) numbers of the frames in the recording, from 0.
      solids: The body.
      motion: Its poses at these frames, world frame.
    """

    person: Person
    action: Action
    frames: np.ndarray
    solids: Solids
    motion: Motion


@dataclasses.dataclass(frozen=True)
class Frame:
    """One picture.

    Attributes:
      image: (256, 256, 3) uint8 RGB.
      mask: (256, 256) bool, the person.
      box: (2, 2) first and last pixel of the mask, `[[x0, y0], [x1, y1]]`.
      surface: Where on the body the samples of the picture lie.
    """

    image: np.ndarray
    mask: np.ndarray
    box: np.ndarray
    surface: Surface


def make_take(person: Person, action: Action, frames: np.ndarray) -> Take:
    """Returns the poses of some frames; they do not depend on which others are asked.

    Args:
      person: Who.
      action: What.
      frames: (count,) numbers of frames, `FPS` per second.
    """
    return Take(
        person=person,
        action=action,
        frames=frames,
        solids=person_solids(person),
        motion=motion(person.build, person.name, action, frames / FPS),
    )


def video_name(action: Action, camera: Camera) -> str:
    """Name of a video in the manner of Human3.6M: `Posing.54138969`."""
    return f"{action.name}.{camera.name}"


def draw(take: Take, index: int, camera: Camera) -> Frame:
    """Draws one frame of a take.

    Args:
      take: The take.
      index: Position in `take.frames`.
      camera: Who looks.
    """
    joints, rotations = take.motion.joints[index], take.motion.rotations[index]
    surface = visible_surface(take.solids, camera, joints, rotations)
    feet = joints[[RIGHT_LEG[3], LEFT_LEG[3]], :2]
    room = with_shadow(background(camera.name), camera, feet, joints[0, :2])
    image, mask = paint(room, surface, shade(take.solids, camera, surface))
    return Frame(image, mask, mask_box(mask), surface)


def encode_jpeg(image: np.ndarray) -> bytes:
    """Returns an RGB picture as JPEG, colours at full resolution."""
    options = (
        cv2.IMWRITE_JPEG_QUALITY,
        JPEG_QUALITY,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
        cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
    )
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(image, cv2.COLOR_RGB2BGR), options)
    return encoded.tobytes()
