"""What flow_pose refines of a person: a body in space, or its joints in the frames.

The procedure is the same for both; what differs are the variables, the data of their
energy, the joint set, and which joints say where the flow should go.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

import jax.numpy as jnp
import numpy as np

from posejax.checks import require_choice
from posejax.data.clips import Clip
from posejax.geometry import LSP_FLOW_BONES, POSETRACK_FLOW_BONES
from posejax.losses import PointClip, PoseClip, PoseVariables
from posejax.skeletons import LSP_14, POSETRACK_17, Skeleton
from posejax.tasks.flow_pose import projected
from posejax.typing import Config, Tree

Estimates = dict[str, np.ndarray]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One of the two.

    Attributes:
      skeleton: The joints.
      bones: Those along which flow is asked for, in the order of painting.
      keeps_beyond: Whether points of bones beyond the right or lower border of the
        frames ask for flow as far as their squares reach into them.
      start: `(clip) -> variables`, where the minimisation starts.
      data: `(clip, flow, flow_offset) -> data` of the energy, see `losses`.
      estimates: `(clip, variables) -> arrays` by name, on the host; `joints2d`
        (frames, joints, 2), pixels, and what else is refined.
      known: `(clip) -> (frames, joints)`, which joints there are.
      trusted: `(clip, least) -> (frames, joints)`, which joints ask for flow, if it
        takes this confidence.
      about: What the estimates are, by name.
    """

    skeleton: Skeleton
    bones: tuple[tuple[int, int], ...]
    keeps_beyond: bool
    start: Callable[[Clip], Tree]
    data: Callable[[Clip, np.ndarray, np.ndarray], Any]
    estimates: Callable[[Clip, Tree], Estimates]
    known: Callable[[Clip], np.ndarray]
    trusted: Callable[[Clip, float], np.ndarray]
    about: Mapping[str, str]


def pose_kind(config: Config) -> Kind:
    """Returns what a config asks for.

    Raises:
      ValueError: `config.pose.kind` is unknown.
    """
    return KINDS[require_choice("config.pose.kind", config.pose.kind, KINDS)]


def points_of(kind: Kind, clip: Clip) -> np.ndarray:
    """Returns where the joints are before anything is refined; NaN where unknown."""
    points = kind.estimates(clip, kind.start(clip))["joints2d"]
    return np.where(kind.known(clip)[..., None], points, np.nan)


def _start_of_body(clip: Clip) -> PoseVariables:
    return PoseVariables(
        jnp.asarray(clip.pose, jnp.float32), jnp.asarray(clip.camera, jnp.float32)
    )


def _body_data(clip: Clip, flow: np.ndarray, flow_offset: np.ndarray) -> PoseClip:
    return PoseClip(
        initial_pose=jnp.asarray(clip.pose, jnp.float32),
        detections=jnp.asarray(clip.detections),
        confidence=jnp.asarray(clip.confidence),
        scale=jnp.asarray(clip.scale, jnp.float32),
        origin=jnp.asarray(clip.origin, jnp.float32),
        flow=jnp.asarray(flow),
        flow_offset=jnp.asarray(flow_offset, jnp.float32),
    )


def _body_estimates(clip: Clip, variables: PoseVariables) -> Estimates:
    pose, camera = (np.asarray(array) for array in variables)
    points = projected(pose, camera, clip.scale, clip.origin)
    return {"joints3d": pose, "joints2d": points, "camera": camera}


def _all_joints(clip: Clip, least: float = 0.0) -> np.ndarray:
    del least  # an estimator gives every joint
    return np.ones((clip.num_frames, LSP_14.num_joints), bool)


def _point_data(clip: Clip, flow: np.ndarray, flow_offset: np.ndarray) -> PointClip:
    return PointClip(
        initial=jnp.asarray(clip.detections, jnp.float32),
        confidence=jnp.asarray(clip.confidence),
        flow=jnp.asarray(flow),
        flow_offset=jnp.asarray(flow_offset, jnp.float32),
    )


KINDS: Mapping[str, Kind] = {
    "3d": Kind(
        skeleton=LSP_14,
        bones=LSP_FLOW_BONES,
        keeps_beyond=True,
        start=_start_of_body,
        data=_body_data,
        estimates=_body_estimates,
        known=_all_joints,
        trusted=_all_joints,
        about={
            "joints3d": "metres relative to the pelvis; camera axes: x right, y down",
            "joints2d": "pixels of the frames as used, x before y",
            "camera": "(s, tx, ty) of a weak-perspective camera, see posejax.geometry",
        },
    ),
    "2d": Kind(
        skeleton=POSETRACK_17,
        bones=POSETRACK_FLOW_BONES,
        keeps_beyond=False,
        start=lambda clip: jnp.asarray(clip.detections, jnp.float32),
        data=_point_data,
        estimates=lambda clip, variables: {"joints2d": np.asarray(variables)},
        known=lambda clip: clip.confidence > 0,
        trusted=lambda clip, least: clip.confidence > least,
        about={
            "joints2d": "pixels of the frames as used, x before y; none where the "
            "confidence is 0",
        },
    ),
}
