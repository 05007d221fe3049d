"""The loss terms of posture_pose, each a mean over the windows that count.

Labelled windows are compared with their true poses. Unlabelled windows, which come in
groups of views of one moment, are compared with their pictures, with what is known of
bodies (the priors) and with each other. Frames of padding windows count in no term.

Reference: Pavllo et al. 2019, section 4; Amadi and Agam 2022, 2023.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from posejax import losses, priors
from posejax.geometry.bones import BONES, bone_lengths
from posejax.losses.reprojection import ALIGNMENTS
from posejax.numerics import masked_mean
from posejax.tasks.posture_pose_metrics import kept_joints

# Root, hips and spine: where a body is and which way it faces, of which the
# orientations of its bones say nothing.
ANCHOR_JOINTS = (0, 1, 4, 7)


class Predicted(NamedTuple):
    """What the networks say of windows.

    Attributes:
      pose: `(batch, frames, 17, 3)` metres, camera axes, near root-relative.
      auxiliary: `(batch, frames, 1, units)`: the root's place in metres (3 units), a
        scale (1 unit), or nothing (0 units).
    """

    pose: Float[Array, "batch frames 17 3"]
    auxiliary: Float[Array, "batch frames 1 units"]


class Labelled(NamedTuple):
    """What is known of labelled windows.

    Attributes:
      pose: `(batch, frames, 17, 3)` true poses, the root at the origin.
      root: `(batch, frames, 3)` true place of the root, camera axes, metres.
      input_2d: `(batch, frames, joints, 2)` input of the output frames.
      valid: `(batch,)` which windows count.
    """

    pose: Float[Array, "batch frames 17 3"]
    root: Float[Array, "batch frames 3"]
    input_2d: Float[Array, "batch frames joints 2"]
    valid: Bool[Array, " batch"]


class Unlabelled(NamedTuple):
    """What is known of unlabelled windows; rows of a group of views are neighbours.

    Attributes:
      target_2d: `(batch, frames, 17, 2)` what the projected joints are compared with.
      intrinsics: `(batch, 9)`, mirrored where the window is.
      extrinsics: `(batch, 7)`, never mirrored.
      flip: `(batch,)` which windows are mirrored.
      valid: `(batch,)` which windows count.
    """

    target_2d: Float[Array, "batch frames 17 2"]
    intrinsics: Float[Array, "batch 9"]
    extrinsics: Float[Array, "batch 7"]
    flip: Bool[Array, " batch"]
    valid: Bool[Array, " batch"]


@dataclasses.dataclass(frozen=True)
class Settings:
    """Which terms there are, and how they are taken; fixed for a run.

    Attributes:
      terms: Names of the terms that have a weight.
      auxiliary: 'none', 'trajectory' or 'scale'.
      projection: 'none', 'perspective', 'linear', or the alignment of an orthographic
        camera (`losses.reprojection.ALIGNMENTS`).
      views: Views of a group.
      view_pairing: 'anchor' or 'adjacent' views are compared in the world.
      view_trajectory: Whether the comparison in the world includes the root's place.
      view_posture: What of the posture is compared: see
        `losses.posture_consistency_loss`, or 'rigid'.
      norm_order: 1 or 2, of the differences of bone orientations.
      posture_kind: Supervised posture loss, see `losses.posture_loss`.
      ranks: 1 or 2, components of the joint-mobility prior.
      ignore_nose: Whether the nose and its bone are left out.
    """

    terms: tuple[str, ...]
    auxiliary: str = "none"
    projection: str = "none"
    views: int = 1
    view_pairing: str = "anchor"
    view_trajectory: bool = True
    view_posture: str = "unit_vectors"
    norm_order: int = 1
    posture_kind: str = "bs-uvec-norm"
    ranks: int = 2
    ignore_nose: bool = False


class Priors(NamedTuple):
    """Distributions fitted to labelled poses; None where no term asks for one."""

    proportion: priors.BoneProportionPrior | None = None
    mobility: priors.JointMobilityPrior | None = None


Terms = dict[str, jax.Array]


def _mean(values: Array, valid: Array) -> Array:
    """Returns the mean of `(batch, frames)` over the windows that count."""
    counts = jnp.broadcast_to(valid[:, None], values.shape)
    return masked_mean(values.reshape(-1), counts.reshape(-1))


def supervised_terms(
    predicted: Predicted, labelled: Labelled, settings: Settings
) -> Terms:
    """Returns the terms of labelled windows.

    These are `pose`, `auxiliary`, `posture`, and `posture_anchor`: the distance of
    `ANCHOR_JOINTS`.

    Args:
      predicted: What the networks say.
      labelled: The truth.
      settings: Terms without a weight are left out.
    """
    terms: Terms = {}

    def distance(joints: tuple[int, ...]) -> Array:
        some = np.array(joints)
        errors = losses.joint_distance_loss(
            predicted.pose[..., some, :], labelled.pose[..., some, :]
        )
        return _mean(errors, labelled.valid)

    if "pose" in settings.terms:
        count = labelled.pose.shape[-2]
        kept = kept_joints(count, ignore_nose=settings.ignore_nose)
        terms["pose"] = distance(kept)
    if "posture_anchor" in settings.terms:
        terms["posture_anchor"] = distance(ANCHOR_JOINTS)
    if "auxiliary" in settings.terms:
        errors = _auxiliary_errors(predicted, labelled, settings.auxiliary)
        terms["auxiliary"] = _mean(errors, labelled.valid)
    if "posture" in settings.terms:
        errors = losses.posture_loss(
            predicted.pose,
            labelled.pose,
            kind=settings.posture_kind,
            order=settings.norm_order,
            has_nose=not settings.ignore_nose,
        )
        terms["posture"] = _mean(errors, labelled.valid)
    return terms


def ramped_factors(
    step: int | jax.Array, *, every: int, factor: float, pose_follows: bool
) -> Terms:
    """Returns what the labelled weights are multiplied by while the posture's grows.

    Args:
      step: Steps done. May be traced.
      every: Steps from one change to the next, at least 1.
      factor: Of g = 1 at each change, in 0 < factor < 1.
      pose_follows: Whether the pose's factor is g; else it stays 1.

    Returns:
      `posture`: 1 - g; and `pose`: g, if it follows.

    Reference:
      The supervised schedule of the code of Amadi and Agam 2022.

    >>> late = ramped_factors(20, every=10, factor=0.5, pose_follows=True)
    >>> {name: float(value) for name, value in late.items()}
    {'posture': 0.75, 'pose': 0.25}
    """
    exponent = jnp.asarray(step // every) * math.log(factor)
    factors = {"posture": -jnp.expm1(exponent)}
    return factors | ({"pose": jnp.exp(exponent)} if pose_follows else {})


def swapped_factors(step: int | jax.Array, *, every: int) -> Terms:
    """Returns what the labelled weights are multiplied by in turns.

    Args:
      step: Steps done. May be traced.
      every: Steps from one exchange to the next, at least 1.

    Returns:
      `pose`: 1, then 0, and so on; `posture` and `posture_anchor`: 0, then 1.

    Reference:
      The alternating epochs of the code of Amadi and Agam 2022.

    >>> late = swapped_factors(10, every=10)
    >>> {name: float(value) for name, value in late.items()}
    {'pose': 0.0, 'posture': 1.0, 'posture_anchor': 1.0}
    """
    is_posture = jnp.asarray(step // every) % 2 == 1
    on, off = jnp.where(is_posture, 1.0, 0.0), jnp.where(is_posture, 0.0, 1.0)
    return {"pose": off, "posture": on, "posture_anchor": on}


def _auxiliary_errors(predicted: Predicted, labelled: Labelled, kind: str) -> Array:
    found = predicted.auxiliary[..., 0, :]
    if kind == "trajectory":
        return losses.trajectory_loss(found, labelled.root)
    return losses.scale_loss(found[..., 0], labelled.pose, labelled.input_2d)


def unlabelled_terms(
    predicted: Predicted,
    unlabelled: Unlabelled,
    predicted_labelled: Predicted,
    labelled: Labelled,
    settings: Settings,
    *,
    fitted: Priors,
) -> Terms:
    """Returns the terms of unlabelled windows that `settings` names.

    The terms on bodies and views see poses whose root is put at the origin, and send
    no gradient to the predicted root; `root` itself draws it there.

    Args:
      predicted: What the networks say of the unlabelled windows.
      unlabelled: What is known of them.
      predicted_labelled: What they say of the labelled ones (`bone_length`).
      labelled: The truth of those (`view_posture` takes mean bone lengths from it).
      settings: Terms without a weight are left out.
      fitted: The priors that the terms need.
    """
    pose = predicted.pose
    rooted = pose.at[..., 0, :].set(0.0)
    frames = pose.shape[1]
    valid = unlabelled.valid

    def bone_length() -> Array:
        counts = (labelled.valid, valid)
        masks = [jnp.broadcast_to(v[:, None], (len(v), frames)) for v in counts]
        return losses.bone_length_difference_over_batch(
            predicted_labelled.pose,
            pose,
            labelled_mask=masks[0],
            unlabelled_mask=masks[1],
        )

    ways: Mapping[str, Callable[[], Array]] = {
        "reprojection": lambda: _mean(
            _reprojection_errors(predicted, unlabelled, settings), valid
        ),
        "bone_length": bone_length,
        "root": lambda: _mean(losses.root_to_origin_loss(pose), valid),
        "symmetry": lambda: _mean(losses.bone_symmetry_loss(rooted), valid),
        "bone_proportion": lambda: _mean(
            _proportion_loss(rooted, fitted, settings), valid
        ),
        "joint_mobility": lambda: _mean(
            _mobility_loss(rooted, fitted, settings), valid
        ),
        "view_pose": lambda: _view_pose(rooted, predicted, unlabelled, settings),
        "view_posture": lambda: _view_posture(rooted, unlabelled, labelled, settings),
    }
    return {name: way() for name, way in ways.items() if name in settings.terms}


def _reprojection_errors(
    predicted: Predicted, unlabelled: Unlabelled, settings: Settings
) -> Array:
    count = predicted.pose.shape[-2]
    kept = np.array(kept_joints(count, ignore_nose=settings.ignore_nose))
    target = unlabelled.target_2d[..., kept, :]
    pose = predicted.pose[..., kept, :]
    if settings.projection in ALIGNMENTS:
        # Without a network for the scale, the one that fits best.
        scale = (
            predicted.auxiliary[..., 0, 0]
            if settings.auxiliary == "scale"
            else losses.orthographic_scale(pose, target)
        )
        return losses.orthographic_reprojection_loss(
            pose, target, scale, alignment=settings.projection
        )
    shape = (*pose.shape[:2], 9)
    intrinsics = jnp.broadcast_to(unlabelled.intrinsics[:, None], shape)
    placed = pose + predicted.auxiliary if settings.auxiliary == "trajectory" else pose
    return losses.reprojection_loss(
        placed, target, intrinsics, projection=settings.projection
    )


def _proportion_loss(pose: Array, fitted: Priors, settings: Settings) -> Array:
    assert fitted.proportion is not None  # make_task fits what the terms need
    return priors.bone_proportion_loss(
        pose, fitted.proportion, has_nose=not settings.ignore_nose
    )


def _mobility_loss(pose: Array, fitted: Priors, settings: Settings) -> Array:
    assert fitted.mobility is not None
    return priors.joint_mobility_loss(
        pose,
        fitted.mobility,
        ranks=settings.ranks,
        has_nose=not settings.ignore_nose,
    )


def _groups(values: Array, views: int) -> Array:
    return values.reshape(-1, views, *values.shape[1:])


def _anchors(values: Array, views: int) -> Array:
    """Returns what all rows of a group have in common."""
    return values.reshape(-1, views)[:, 0]


def _view_pose(
    pose: Array, predicted: Predicted, unlabelled: Unlabelled, settings: Settings
) -> Array:
    """Mirrored views contradict each other in the world, and are left out."""
    views = settings.views
    extrinsics = _groups(unlabelled.extrinsics, views)
    errors = losses.pose_consistency_loss(
        _groups(pose, views),
        _groups(predicted.auxiliary[..., 0, :], views),
        orientation=extrinsics[..., :4],
        translation=extrinsics[..., 4:],
        pairing=settings.view_pairing,
        use_trajectory=settings.view_trajectory,
    )
    counts = _anchors(unlabelled.valid & ~unlabelled.flip, views)
    return masked_mean(errors, counts)


def _view_posture(
    pose: Array, unlabelled: Unlabelled, labelled: Labelled, settings: Settings
) -> Array:
    """Beside a comparison in the world, the mirrored groups only; else all."""
    views = settings.views
    counts = unlabelled.valid
    if "view_pose" in settings.terms:
        counts = counts & unlabelled.flip
    groups = _groups(pose, views)
    if settings.view_posture == "rigid":
        errors = losses.rigid_consistency_loss(groups)
        return masked_mean(errors, _anchors(counts, views))
    lengths = bone_lengths(labelled.pose)
    known = jnp.broadcast_to(labelled.valid[:, None], lengths.shape[:2]).reshape(-1)
    lengths = lengths.reshape(-1, len(BONES)).T
    means = masked_mean(lengths, jnp.broadcast_to(known[None], lengths.shape))
    errors = losses.posture_consistency_loss(
        groups,
        means,
        kind=settings.view_posture,
        norm_order=settings.norm_order,
        has_nose=not settings.ignore_nose,
    )
    return masked_mean(errors, _anchors(counts, views))
