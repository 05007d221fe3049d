"""Labels of Human3.6M for methods that estimate the 14 joints of LSP.

Published estimates are those of every fifth frame, from the second on (10 per second),
of one camera; their axes are the camera's.

Reference:
  Arko et al. 2022 (arXiv 2210.15121), evaluation on Human3.6M. Their code looks labels
  up in world axes; here they are turned into those of the camera.
"""

import numpy as np
from jaxtyping import Float

from posejax.data.h36m_cameras import H36M_CAMERAS
from posejax.data.pose_cameras import PoseCamera, world_to_camera
from posejax.skeletons import H36M_17, H36M_32, LSP_14, remap

FIRST_FRAME = 1
FRAME_STEP = 5

_HIPS = [LSP_14.index("right_hip"), LSP_14.index("left_hip")]
# Names of videos that are not those of the pose files.
_ACTIONS = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}


def used_frames(num_frames: int) -> slice:
    """Returns which of a video's frames have estimates, if there are `num_frames`.

    Args:
      num_frames: Number of estimates.

    >>> list(range(100))[used_frames(3)]
    [1, 6, 11]
    """
    return slice(FIRST_FRAME, FIRST_FRAME + FRAME_STEP * num_frames, FRAME_STEP)


def video_action(video: str) -> tuple[str, str]:
    """Returns the action, as the pose files name it, and the camera of a video.

    Args:
      video: Name of a video without its ending, `Directions 1.60457274`.

    Raises:
      ValueError: If it does not end in the name of a camera.

    >>> video_action("WalkingDog 1.60457274")
    ('WalkDog 1', '60457274')
    """
    action, _, camera = video.rpartition(".")
    if not action or camera not in H36M_CAMERAS:
        raise ValueError(
            f"video is {video!r}; expected an action and a camera, such as "
            f"'Directions 1.{H36M_CAMERAS[-1]}'; cameras are {', '.join(H36M_CAMERAS)}."
        )
    name, blank, take = action.partition(" ")
    return f"{_ACTIONS.get(name, name)}{blank}{take}", camera


def lsp_labels(
    positions: Float[np.ndarray, "frames joints 3"], camera: PoseCamera
) -> Float[np.ndarray, "frames 14 3"]:
    """Labels of Human3.6M as METRO's poses are: 14 joints, camera axes, no position.

    Args:
      positions: The 32 or 17 joints of Human3.6M in the world, metres; all frames that
        are wanted (see `used_frames`).
      camera: The camera whose axes are wanted.

    Returns:
      Joints of `skeletons.LSP_14` relative to the midpoint of the hips, metres.

    Raises:
      ValueError: If there are neither 32 nor 17 joints.
    """
    return centred_on_hips(world_to_camera(lsp_joints(positions), camera))


def lsp_joints(
    positions: Float[np.ndarray, "*batch joints axes"],
) -> Float[np.ndarray, "*batch 14 axes"]:
    """The 14 joints of LSP among those of Human3.6M, in space or in the picture.

    Args:
      positions: The 32 or 17 joints of Human3.6M.

    Raises:
      ValueError: If there are neither 32 nor 17 joints.

    >>> lsp_joints(np.arange(32.0).reshape(32, 1))[:3, 0].tolist()
    [3.0, 2.0, 1.0]
    """
    by_count = {skeleton.num_joints: skeleton for skeleton in (H36M_17, H36M_32)}
    count = positions.shape[-2] if positions.ndim > 1 else 0
    if count not in by_count:
        raise ValueError(
            f"positions has shape {positions.shape}; expected the "
            f"{' or '.join(map(str, by_count))} joints of Human3.6M."
        )
    return positions[..., remap(by_count[count], LSP_14), :]


def centred_on_hips(
    poses: Float[np.ndarray, "*batch 14 3"],
) -> Float[np.ndarray, "*batch 14 3"]:
    """Poses relative to the midpoint of their hips, in which they are compared.

    Args:
      poses: Joints of `skeletons.LSP_14`, any unit.

    >>> pose = np.zeros((14, 3)); pose[2:4] = 1.0
    >>> centred_on_hips(pose)[0].tolist()
    [-1.0, -1.0, -1.0]
    """
    return poses - poses[..., _HIPS, :].mean(axis=-2, keepdims=True)
