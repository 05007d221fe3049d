"""The energy of a clip's poses: near to their estimates, steady, and moved as the flow.

The terms are those of `losses.clip_terms`: sums over frames or pairs of frames, divided
by the number of frames. Everything may have leading batch axes, one entry per clip.

Reference:
  Arko et al., Bootstrapping Human Optical Flow and Pose, BMVC 2022 (arXiv 2210.15121).
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.checks import require_choice, require_equal_shapes, require_shape
from posejax.geometry.lsp_bones import lsp_bone_lengths
from posejax.geometry.weak_perspective import project_weak_perspective
from posejax.losses.clip_terms import (
    detection_term,
    flow_term,
    frame_term,
    step_term,
)
from posejax.losses.terms import weighted_sum

POSE_TERMS = ("det", "prior", "cam", "pos2d", "pos", "bone", "flow")
MISSING_JOINTS = ("masked", "published")


class PoseVariables(NamedTuple):
    """What is optimised.

    Attributes:
      pose: `(*batch, frames, 14, 3)`, joints of `skeletons.LSP_14` relative to the
        pelvis, camera axes, metres.
      camera: `(*batch, frames, 3)`, (s, tx, ty) of `project_weak_perspective`.
    """

    pose: Array
    camera: Array


class PoseClip(NamedTuple):
    """What is known of a clip.

    Attributes:
      initial_pose: `(*batch, frames, 14, 3)`, where the poses started, metres.
      detections: `(*batch, frames, 14, 2)`, detected joints, pixels.
      confidence: `(*batch, frames, 14)`, 0 where a joint was not detected; its
        detection may then be anything.
      scale: `(*batch, frames, 2)`, as for `project_weak_perspective`.
      origin: `(*batch, frames, 2)`, as for `project_weak_perspective`.
      flow: `(*batch, frames - 1, height, width, 2)`, flow from each frame to the next,
        pixels, float32 or float16; whole fields or boxes around the person.
      flow_offset: `(*batch, frames - 1, 2)`, the pixel (x, y) of the picture in which
        each box begins; None for whole fields. A joint outside its box counts as
        outside the picture.
      frame_valid: `(*batch, frames)`, which frames there are; None for all.
    """

    initial_pose: Array
    detections: Array
    confidence: Array
    scale: Array
    origin: Array
    flow: Array
    flow_offset: Array | None = None
    frame_valid: Array | None = None


class PointClip(NamedTuple):
    """What is known of a clip whose joints are optimised in the picture.

    Attributes:
      initial: `(*batch, frames, joints, 2)`, detected joints, pixels.
      confidence: `(*batch, frames, joints)`, 0 where a joint is missing.
      flow: As in `PoseClip`.
      flow_offset: As in `PoseClip`.
      frame_valid: As in `PoseClip`.
    """

    initial: Array
    confidence: Array
    flow: Array
    flow_offset: Array | None = None
    frame_valid: Array | None = None


def pose_energy(
    variables: PoseVariables,
    clip: PoseClip,
    weights: Mapping[str, float],
    *,
    extra_terms: Mapping[str, Callable[[PoseVariables], Array]] | None = None,
) -> tuple[Float[Array, "*batch"], dict[str, Float[Array, "*batch"]]]:
    """Energy of the 3D poses and cameras of a clip.

    Terms: `det` (projections near detections, weighted by confidence), `prior` (poses
    near where they started), `cam`, `pos2d`, `pos` and `bone` (cameras, projections,
    joints and bone lengths that change little from frame to frame), `flow` (projections
    that move as the flow says where they were).

    Args:
      variables: Poses and cameras.
      clip: The clip's data; constants.
      weights: Weight of each term by name, `extra_terms` among them.
      extra_terms: Further terms by name, functions of the variables with one value per
        clip, such as priors of bodies.

    Returns:
      The weighted sum, and the terms before weighting.

    Raises:
      ValueError: If the arrays do not belong to one clip, or the names of the weights
        are not those of the terms.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121). Their code reads zero flow beside the
      picture's border; here the flow term of such a joint is left out.

    >>> pose, camera = jnp.zeros((1, 14, 3)), jnp.array([[1.0, 0.0, 0.0]])
    >>> clip = PoseClip(pose + 0.5, jnp.zeros((1, 14, 2)), jnp.zeros((1, 14)),
    ...                 jnp.ones((1, 2)), jnp.zeros((1, 2)), jnp.zeros((0, 4, 4, 2)))
    >>> weights = dict.fromkeys(("det", "cam", "pos2d", "pos", "bone", "flow"), 1.0)
    >>> print(pose_energy(PoseVariables(pose, camera), clip,
    ...                   {**weights, "prior": 2.0})[0])
    10.5
    """
    extra = extra_terms or {}
    taken = sorted(set(POSE_TERMS) & set(extra))
    if taken:
        raise ValueError(
            f"extra_terms has {', '.join(taken)}, which the energy has itself; give "
            "the further terms other names."
        )
    pose, camera = variables
    _require_clip(pose, camera, clip)
    points = project_weak_perspective(pose, camera, clip.scale, clip.origin)
    valid = {"frame_valid": clip.frame_valid}
    terms = {
        "det": detection_term(points, clip.detections, clip.confidence, **valid),
        "prior": frame_term(pose, clip.initial_pose, **valid),
        "cam": step_term(camera[..., None, :], **valid),
        "pos2d": step_term(points, **valid),
        "pos": step_term(pose, **valid),
        "bone": step_term(lsp_bone_lengths(pose)[..., None], **valid),
        "flow": flow_term(points, clip.flow, flow_offset=clip.flow_offset, **valid),
    }
    terms |= {name: term(variables) for name, term in extra.items()}
    return weighted_sum(terms, weights), terms


def point_energy(
    points: Float[Array, "*batch frames joints 2"],
    clip: PointClip,
    weights: Mapping[str, float],
    *,
    missing: str = "masked",
) -> tuple[Float[Array, "*batch"], dict[str, Float[Array, "*batch"]]]:
    """Energy of the joints of a clip in the picture, without a body or a camera.

    Terms: `prior` (joints near where they were detected), `temporal` (joints that move
    little), `flow` (joints that move as the flow says). A pair of frames counts in the
    last two if each frame has a joint with confidence.

    Args:
      points: The joints, pixels.
      clip: The clip's data; constants.
      weights: Weight of each term by name.
      missing: What is done with the flow term of a joint that is missing in one of the
        two frames: "masked" leaves it out; "published" leaves it out only while the
        joint is at (0, 0) in the first, so that a joint that is missing in the second
        is drawn from (0, 0) to where the flow leads.

    Returns:
      The weighted sum, and the terms before weighting.

    Raises:
      ValueError: If the arrays do not belong to one clip, `missing` is unknown, or the
        names of the weights are not those of the terms.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), their code's variant for Sintel.

    >>> points = jnp.zeros((2, 1, 2)).at[1].set(3.0)
    >>> clip = PointClip(points, jnp.ones((2, 1)), jnp.ones((1, 4, 4, 2)))
    >>> weights = {"prior": 400.0, "flow": 1.0, "temporal": 0.0}
    >>> print(point_energy(points, clip, weights)[0])
    1.5
    """
    require_choice("missing", missing, MISSING_JOINTS)
    require_shape("points", points, ("frames", "joints", 2), "give points (x, y).")
    require_equal_shapes(
        "give each joint its detection and its confidence.",
        points=points.shape[:-1],
        initial=clip.initial.shape[:-1],
        confidence=clip.confidence.shape,
    )
    is_known = clip.confidence > 0
    has_some = jnp.any(is_known, axis=-1)
    pairs = (has_some[..., 1:] & has_some[..., :-1])[..., None]
    if missing == "masked":
        counts = is_known[..., 1:, :] & is_known[..., :-1, :]
    else:
        counts = pairs & jnp.any(points[..., :-1, :, :] != 0, axis=-1)
    valid = {"frame_valid": clip.frame_valid}
    terms = {
        "prior": frame_term(points, clip.initial, **valid),
        "temporal": step_term(points, counts=pairs, **valid),
        "flow": flow_term(
            points, clip.flow, flow_offset=clip.flow_offset, counts=counts, **valid
        ),
    }
    return weighted_sum(terms, weights), terms


def _require_clip(pose: Array, camera: Array, clip: PoseClip) -> None:
    require_shape("pose", pose, ("frames", 14, 3), "give the joints of 'lsp_14'.")
    require_equal_shapes(
        "give each frame one pose, camera, initial pose, scale, origin and row of "
        "detections; cut all to one length.",
        pose=pose.shape[:-2],
        camera=camera.shape[:-1],
        initial_pose=clip.initial_pose.shape[:-2],
        detections=clip.detections.shape[:-2],
        confidence=clip.confidence.shape[:-1],
        scale=clip.scale.shape[:-1],
        origin=clip.origin.shape[:-1],
    )
