"""Whether poses predicted from several synchronised views are one and the same pose.

Views of a group are (*batch, views, frames, joints, 3), view 0 being the anchor. Losses
are one value per group; groups that do not count (mirrored ones where the cameras
matter) are left out by `numerics.masked_mean` over the groups, which is zero if none
counts.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Float

from posejax.checks import require_choice, require_equal_shapes, require_shape
from posejax.geometry.alignment import rigid_transform
from posejax.geometry.bones import (
    FREE_BONE_LENGTH_ORDER,
    VIDEOPOSE_PARENTS,
    bone_lengths,
    counted_bones,
    free_bone_vectors,
    require_bodies,
)
from posejax.geometry.cameras import camera_to_world
from posejax.numerics import safe_norm

PAIRINGS = ("anchor", "adjacent")
POSTURES = ("vectors", "unit_vectors", "unit_vectors_and_lengths")


def pose_consistency_loss(
    poses: Float[Array, "*batch views frames joints 3"],
    trajectories: Float[Array, "*batch views frames 3"],
    *,
    orientation: Float[Array, "*batch views 4"],
    translation: Float[Array, "*batch views 3"],
    pairing: str = "anchor",
    use_trajectory: bool = False,
) -> Float[Array, "*batch"]:
    """Mean distance in the world between the same joints predicted from two views.

    Args:
      poses: Predicted poses in camera axes, metres, relative to the root; joint 0 must
        be zero.
      trajectories: Predicted positions of the root in camera axes, metres.
      orientation: Camera-to-world quaternion (w, x, y, z) of each view.
      translation: Centre of each camera in the world, metres.
      pairing: Whether the "anchor" is compared with each other view, or "adjacent"
        views with each other.
      use_trajectory: Whether the root's position counts too; otherwise poses are
        compared relative to their root.

    Returns:
      One value per group in metres, the mean over comparisons, frames and joints.

    Raises:
      ValueError: If `pairing` is unknown.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> poses = jnp.zeros((2, 1, 17, 3)).at[1, :, :, 2].set(0.5)
    >>> cameras = {"orientation": jnp.eye(4)[jnp.array([0, 0])],
    ...            "translation": jnp.zeros((2, 3))}
    >>> print(pose_consistency_loss(
    ...     poses, jnp.zeros((2, 1, 3)), use_trajectory=True, **cameras))
    0.5
    """
    require_choice("pairing", pairing, PAIRINGS)
    _require_views(poses)
    require_equal_shapes(
        "give the root of each pose.",
        trajectories=trajectories.shape,
        roots=(*poses.shape[:-2], 3),
    )
    require_equal_shapes(
        "give the quaternion of each view's camera.",
        orientation=orientation.shape,
        quaternions=(*poses.shape[:-3], 4),
    )
    require_equal_shapes(
        "give the centre of each view's camera.",
        translation=translation.shape,
        centres=(*poses.shape[:-3], 3),
    )
    seen = poses + trajectories[..., None, :]
    # A camera's frames and joints are one set of points.
    points = seen.reshape(*seen.shape[:-3], -1, 3)
    world = camera_to_world(points, orientation=orientation, translation=translation)
    world = world.reshape(seen.shape)
    if not use_trajectory:
        world = world - world[..., :1, :]
    first = world[..., :1, :, :, :] if pairing == "anchor" else world[..., :-1, :, :, :]
    offsets = first - world[..., 1:, :, :, :]
    return jnp.mean(safe_norm(offsets), axis=(-3, -2, -1))


def posture_consistency_loss(
    poses: Float[Array, "*batch views frames 17 3"],
    mean_lengths: Float[Array, " 16"],
    *,
    kind: str = "unit_vectors",
    norm_order: int = 1,
    plane: str = "joint",
    has_nose: bool = True,
) -> Float[Array, "*batch"]:
    """Mean difference of the anchor's bone orientations to those of the other views.

    Orientations are those of each bone in the frame of its neighbours, so no camera
    needs to be known. Each difference is multiplied by the bone's mean length.

    Args:
      poses: Predicted poses in camera axes, metres.
      mean_lengths: Mean length of each bone in the labelled poses, metres, in the order
        of `geometry.bones.BONES`.
      kind: What is compared: "vectors", which have the bones' lengths (the loss is
        then in square metres), "unit_vectors", or "unit_vectors_and_lengths", which
        adds the mean absolute difference of the lengths of the bones of
        `geometry.bones.VIDEOPOSE_PARENTS`.
      norm_order: 1 for the sum of absolute differences over x, y, z, 2 for their
        Euclidean norm.
      plane: Whether a "joint" or a "pair" fixes the plane of the torso's bones.
      has_nose: Whether the bone to the nose counts among the orientations.

    Returns:
      One value per group in metres, the mean over other views, frames and bones.

    Raises:
      ValueError: If `kind`, `norm_order` or `plane` is unknown.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose = jnp.cos(jnp.arange(51.0)).reshape(17, 3)
    >>> turned = pose[:, jnp.array([1, 2, 0])]
    >>> views = jnp.stack([pose, turned])[:, None]
    >>> print(posture_consistency_loss(views, jnp.ones(16)) < 1e-5)
    True
    """
    require_choice("kind", kind, POSTURES)
    _require_views(poses)
    require_bodies(poses=poses)
    require_equal_shapes(
        "give one mean length per bone of `geometry.bones.BONES`.",
        mean_lengths=mean_lengths.shape,
        bones=(len(FREE_BONE_LENGTH_ORDER),),
    )
    vectors = free_bone_vectors(
        poses, grouped=False, plane=plane, unit=kind != "vectors"
    )
    differences = vectors[..., :1, :, :, :] - vectors[..., 1:, :, :, :]
    lengths = mean_lengths[np.array(FREE_BONE_LENGTH_ORDER)]
    differences = differences * lengths.reshape((1,) * (vectors.ndim - 2) + (16, 1))
    differences = differences[..., counted_bones(has_nose=has_nose), :]
    loss = jnp.mean(_norm(differences, norm_order), axis=(-3, -2, -1))
    if kind == "unit_vectors_and_lengths":
        own = bone_lengths(poses, parents=VIDEOPOSE_PARENTS)
        changes = jnp.abs(own[..., :1, :, :] - own[..., 1:, :, :])
        loss = loss + jnp.mean(changes, axis=(-3, -2, -1))
    return loss


def rigid_consistency_loss(
    poses: Float[Array, "*batch views frames joints 3"],
) -> Float[Array, "*batch"]:
    """Mean distance of the joints of each view from the next view's, rigidly aligned.

    Each pose is turned and moved to be nearest to that of the next view; rotation and
    translation are constants under differentiation.

    Args:
      poses: Predicted poses in camera axes, metres.

    Returns:
      One value per group in metres, the mean over pairs of views, frames and joints.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749. Their code computes the
      translation with a scale that it does not apply, and uses the first group only.

    >>> pose = jnp.cos(jnp.arange(51.0)).reshape(17, 3)
    >>> turned = pose[:, jnp.array([1, 2, 0])] + 1
    >>> print(rigid_consistency_loss(jnp.stack([pose, turned])[:, None]) < 1e-5)
    True
    """
    _require_views(poses)
    first, second = poses[..., :-1, :, :, :], poses[..., 1:, :, :, :]
    rotation, translation = lax.stop_gradient(rigid_transform(first, second))
    turned = jnp.sum(first[..., :, None] * rotation[..., None, :, :], axis=-2)
    offsets = turned + translation[..., None, :] - second
    return jnp.mean(safe_norm(offsets), axis=(-3, -2, -1))


def _require_views(poses: Array) -> None:
    remedy = "give the views of each group on an axis before the frames."
    require_shape("poses", poses, ("views", "frames", "joints", 3), remedy)


def _norm(vectors: Array, order: int) -> Array:
    match order:
        case 1:
            return jnp.sum(jnp.abs(vectors), axis=-1)
        case 2:
            return safe_norm(vectors)
        case other:
            raise ValueError(f"norm_order is {other!r}; expected 1 or 2.")
