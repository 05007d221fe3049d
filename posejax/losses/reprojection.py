"""How far predicted joints, seen by a camera, are from their pictures.

Pictures are in normalised units (`geometry.normalize_screen_coordinates`); poses are in
camera axes, metres. With known intrinsics poses are projected in perspective; without,
the x and y of a root-relative pose are scaled (an orthographic camera), by a factor
that a scale network predicts or that fits best.
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape, unknown
from posejax.geometry.alignment import least_squares_scale
from posejax.geometry.cameras import project_points, project_points_linear
from posejax.losses.joints import joint_distance_loss
from posejax.numerics import safe_divide

PROJECTIONS = ("perspective", "linear", "none")
ALIGNMENTS = (
    "root_aligned", "root_added", "both_rooted", "target_rooted",
    "target_rescaled", "both_rooted_target_rescaled",
)  # fmt: skip


def reprojection_loss(
    predicted: Float[Array, "*batch joints 3"],
    target_2d: Float[Array, "*batch joints 2"],
    intrinsics: Float[Array, "*batch 9"],
    *,
    projection: str = "perspective",
) -> Float[Array, "*batch"]:
    """Mean distance in the picture between projected joints and their true pictures.

    Args:
      predicted: Joints in camera axes, metres: root-relative pose plus trajectory.
      target_2d: True pictures of the joints, normalised units.
      intrinsics: fx, fy, cx, cy, k1, k2, k3, p1, p2 in normalised units.
      projection: "perspective" with lens distortion, "linear" without, or "none", which
        makes the loss zero.

    Returns:
      One value per pose, normalised units.

    Raises:
      ValueError: If `projection` is none of these.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), sec. 4.

    >>> lens = jnp.array([2.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    >>> print(reprojection_loss(jnp.array([[1.0, 0.0, 4.0]]), jnp.zeros((1, 2)), lens))
    0.5
    """
    _require_pictures(predicted=predicted, target_2d=target_2d)
    require_shape("intrinsics", intrinsics, (9,), "give all values of the camera.")
    _require_one_per_pose(predicted, intrinsics=intrinsics.shape[:-1])
    match projection:
        case "perspective":
            points = project_points(predicted, intrinsics)
        case "linear":
            points = project_points_linear(predicted, intrinsics)
        case "none":
            return jnp.zeros(predicted.shape[:-2], predicted.dtype)
        case other:
            raise unknown("projection", other, PROJECTIONS)
    return joint_distance_loss(points, target_2d)


def orthographic_pair(
    predicted: Float[Array, "*batch joints 3"],
    target_2d: Float[Array, "*batch joints 2"],
    scale: Float[Array, "*batch"],
    *,
    alignment: str = "root_added",
) -> tuple[Float[Array, "*batch joints 2"], Float[Array, "*batch joints 2"]]:
    """What an orthographic camera shows of the joints, and what it should show.

    With p the predicted x and y, t the target, s the scale and p0, t0 the roots (joint
    0), the two are

    =============================  ================  ============
    "root_aligned"                 s (p - p0) + t0   t
    "root_added"                   s p + t0          t
    "both_rooted"                  s (p - p0)        t - t0
    "target_rooted"                s p               t - t0
    "target_rescaled"              p                 (t - t0) / s
    "both_rooted_target_rescaled"  p - p0            (t - t0) / s
    =============================  ================  ============

    An error of the predicted root counts only where p0 is not subtracted.

    Args:
      predicted: Joints in camera axes, metres.
      target_2d: True pictures of the joints, normalised units.
      scale: Normalised units per metre; a constant under differentiation. A zero scale
        rescales the target to zero.
      alignment: One of the six names.

    Returns:
      The pictures to be compared, in normalised units; in metres if rescaled.

    Raises:
      ValueError: If `alignment` is none of the six names.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose, picture, scale = jnp.ones((1, 3)), jnp.full((1, 2), 5.0), jnp.array(0.5)
    >>> shown, wanted = orthographic_pair(pose, picture, scale, alignment="root_added")
    >>> print(shown, wanted)
    [[5.5 5.5]] [[5. 5.]]
    """
    _require_pictures(predicted=predicted, target_2d=target_2d)
    _require_one_per_pose(predicted, scale=scale.shape)
    s = lax.stop_gradient(scale)[..., None, None]
    p, t = predicted[..., :2], target_2d
    rooted_p, t0 = p - p[..., :1, :], t[..., :1, :]
    match alignment:
        case "root_aligned":
            return s * rooted_p + t0, t
        case "root_added":
            return s * p + t0, t
        case "both_rooted":
            return s * rooted_p, t - t0
        case "target_rooted":
            return s * p, t - t0
        case "target_rescaled":
            return p, safe_divide(t - t0, s)
        case "both_rooted_target_rescaled":
            return rooted_p, safe_divide(t - t0, s)
        case other:
            raise unknown("alignment", other, ALIGNMENTS)


def orthographic_reprojection_loss(
    predicted: Float[Array, "*batch joints 3"],
    target_2d: Float[Array, "*batch joints 2"],
    scale: Float[Array, "*batch"],
    *,
    alignment: str = "root_added",
) -> Float[Array, "*batch"]:
    """Mean distance between orthographic and true pictures of the joints.

    Amadi and Agam's code compares "both_rooted" with a target that is not rooted, an
    oversight; here the target is rooted.

    Args:
      predicted: Joints in camera axes, metres.
      target_2d: True pictures of the joints, normalised units.
      scale: Normalised units per metre; receives no gradient (`scale_loss` trains it).
      alignment: Where the two roots are placed, as in `orthographic_pair`.

    Returns:
      One value per pose in normalised units; in metres if the target is rescaled.

    Raises:
      ValueError: If `alignment` is unknown.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose, picture = jnp.zeros((2, 3)).at[1, 0].set(4.0), jnp.zeros((2, 2))
    >>> print(orthographic_reprojection_loss(pose, picture, jnp.array(0.5)))
    1.0
    """
    return joint_distance_loss(
        *orthographic_pair(predicted, target_2d, scale, alignment=alignment)
    )


def orthographic_scale(
    pose: Float[Array, "*batch joints 3"], pose_2d: Float[Array, "*batch joints 2"]
) -> Float[Array, "*batch"]:
    """The scale that brings a pose's x and y nearest to its picture, both rooted.

    Args:
      pose: True joints in camera axes, metres; joint 0 is the root.
      pose_2d: Pictures of the joints, normalised units.

    Returns:
      One scale per pose, normalised units per metre; zero where all joints coincide.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose = jnp.array([[1.0, 1.0, 0.0], [3.0, 2.0, 0.0]])
    >>> print(orthographic_scale(pose, 0.5 * pose[:, :2] + 7.0))
    0.5
    """
    _require_pictures(pose=pose, pose_2d=pose_2d)
    flat = pose[..., :2]
    return least_squares_scale(flat - flat[..., :1, :], pose_2d - pose_2d[..., :1, :])


def scale_loss(
    predicted: Float[Array, "*batch"],
    pose: Float[Array, "*batch joints 3"],
    pose_2d: Float[Array, "*batch joints 2"],
) -> Float[Array, "*batch"]:
    """Distance of a predicted scale from the one that fits best.

    Args:
      predicted: Estimated scale, normalised units per metre.
      pose: True joints in camera axes, metres; receives no gradient.
      pose_2d: Pictures of the joints, normalised units; receive no gradient.

    Returns:
      One absolute difference per pose, normalised units per metre.

    Reference:
      Amadi and Agam, PosturePose, Sensors 2023, 23(24), 9749.

    >>> pose = jnp.array([[1.0, 1.0, 0.0], [3.0, 2.0, 0.0]])
    >>> print(scale_loss(jnp.array(0.75), pose, 0.5 * pose[:, :2]))
    0.25
    """
    _require_pictures(pose=pose, pose_2d=pose_2d)
    _require_one_per_pose(pose, predicted=predicted.shape)
    return jnp.abs(predicted - lax.stop_gradient(orthographic_scale(pose, pose_2d)))


def _require_pictures(**poses_and_pictures: Array) -> None:
    """Raises ValueError unless each joint of the poses has its picture."""
    (name, poses), (picture_name, pictures) = poses_and_pictures.items()
    require_shape(name, poses, ("joints", 3), "give points (x, y, z).")
    require_shape(picture_name, pictures, ("joints", 2), "give points (x, y).")
    shapes = {name: poses.shape[:-1], picture_name: pictures.shape[:-1]}
    require_equal_shapes("give one picture per joint of each pose.", **shapes)


def _require_one_per_pose(poses: Array, **shapes: tuple[int, ...]) -> None:
    remedy = "give one value per pose: the same leading axes."
    require_equal_shapes(remedy, poses=poses.shape[:-2], **shapes)
