"""The flow that a moving skeleton asks for: points along bones, squares around them.

Points are (x, y) in pixels, pixel centres at integers. The target of a pair of frames
is a given flow in which the square around each point of the skeleton is replaced by
that point's displacement.
"""

import jax.numpy as jnp
import numpy as np
from jax import lax
from jaxtyping import Array, Bool, Float

from posejax.checks import require_at_least, require_equal_shapes, require_shape

# fmt: off
# Bones in the order in which they are painted: later ones cover earlier ones.
LSP_FLOW_BONES = (
    (0, 1), (1, 2), (2, 8), (5, 4), (4, 3), (3, 9), (12, 8), (12, 9), (9, 10),
    (10, 11), (8, 7), (7, 6), (12, 13),
)
POSETRACK_FLOW_BONES = (
    (2, 0), (0, 1), (1, 5), (5, 7), (7, 9), (1, 6), (6, 8), (8, 10), (5, 11),
    (11, 13), (13, 15), (6, 12), (12, 14), (14, 16),
)
# fmt: on


def skeleton_points(
    joints: Float[Array, "*batch joints 2"],
    *,
    bones: tuple[tuple[int, int], ...] = LSP_FLOW_BONES,
    num_between: int = 20,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
) -> tuple[Float[Array, "*batch points 2"], Bool[Array, "*batch points"]]:
    """Equally spaced points along the bones, both ends among them.

    Args:
      joints: Joints in the picture, pixels.
      bones: Joint indices (first, second) of each bone.
      num_between: Points between the ends of a bone.
      joint_valid: Which joints are known; all by default. A bone without one of its
        ends has no valid points.

    Returns:
      Points (bone by bone, each from its first end to its second), and which are valid.
      The points of a bone that is not valid are at the origin.

    Raises:
      ValueError: If the joints are no points of a picture, a bone names a joint that is
        not there, or `num_between` is negative.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), flow targets.

    >>> points, valid = skeleton_points(
    ...     jnp.array([[0.0, 0.0], [4.0, 8.0]]), bones=((0, 1),), num_between=1)
    >>> print(points.tolist(), valid.tolist())
    [[0.0, 0.0], [2.0, 4.0], [4.0, 8.0]] [True, True, True]
    """
    require_shape("joints", joints, ("joints", 2), "give points (x, y).")
    require_at_least("num_between", num_between, 0)
    count = joints.shape[-2]
    if not bones or max(max(bone) for bone in bones) >= count:
        raise ValueError(
            f"bones has {len(bones)} bones up to joint "
            f"{max((max(bone) for bone in bones), default=None)}, joints has {count} "
            "joints; give the bones of the joint set of `joints`."
        )
    if joint_valid is None:
        joint_valid = jnp.ones(joints.shape[:-1], bool)
    require_equal_shapes(
        "give one truth value per joint.",
        joints=joints.shape[:-1],
        joint_valid=joint_valid.shape,
    )
    first, second = np.array(bones).T
    shares = np.arange(num_between + 2) / (num_between + 1)
    shares = jnp.asarray(shares, joints.dtype).reshape(
        (1,) * (joints.ndim - 1) + (-1, 1)
    )
    # Both products, so that the ends are exact.
    points = joints[..., first, None, :] * (1 - shares)
    points = points + joints[..., second, None, :] * shares
    valid = joint_valid[..., first] & joint_valid[..., second]
    points = jnp.where(valid[..., None, None], points, 0.0)
    valid = jnp.repeat(valid, num_between + 2, axis=-1)
    return points.reshape(*joints.shape[:-2], -1, 2), valid


def flow_target(
    flow: Float[Array, "height width 2"],
    points: Float[Array, "points 2"],
    next_points: Float[Array, "points 2"],
    *,
    valid: Bool[Array, " points"] | None = None,
    radius: int = 15,
) -> tuple[Float[Array, "height width 2"], Bool[Array, "height width"]]:
    """A flow with squares around points set to the displacements of the points.

    The square of a point is rows and columns round(p) - radius up to but without
    round(p) + radius (half to even), clipped to the picture. Points are painted in
    their order: where squares overlap, the later point's displacement stays.

    One pair of frames; use `jax.lax.map` for several, so that the fields of a clip need
    not be in memory twice.

    Args:
      flow: The flow to start from, such as the network's own, pixels.
      points: Points in the first frame, pixels; may be outside.
      next_points: The same points in the second frame.
      valid: Which points are painted; all by default. One that is not may be anything.
      radius: Half the side of a square, pixels.

    Returns:
      The target, of the dtype of `flow`, and the mask of the painted pixels.

    Raises:
      ValueError: If the shapes do not fit or `radius` is below 1.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), flow targets. Their code loses squares that
      reach beyond the left or upper border; here they are clipped.

    >>> still = jnp.zeros((3, 4, 2))
    >>> target, painted = flow_target(
    ...     still, jnp.array([[1.0, 0.0]]), jnp.array([[1.0, 5.0]]), radius=1)
    >>> print(target[..., 1].tolist()[0], int(painted.sum()))
    [5.0, 5.0, 0.0, 0.0] 2
    """
    require_shape("flow", flow, ("height", "width", 2), "give channels (x, y) last.")
    require_shape("points", points, ("points", 2), "give points (x, y).")
    if flow.ndim != 3 or points.ndim != 2:
        raise ValueError(
            f"flow has shape {flow.shape}, points has shape {points.shape}; expected "
            "(height, width, 2) and (points, 2): give one pair of frames at a time."
        )
    require_at_least("radius", radius, 1)
    valid = jnp.ones(points.shape[:-1], bool) if valid is None else valid
    require_equal_shapes(
        "give each point in both frames, and whether it is valid.",
        points=points.shape[:-1],
        next_points=next_points.shape[:-1],
        valid=valid.shape,
    )
    height, width = flow.shape[:2]
    side = 2 * radius
    # A margin as wide as a square takes what lies outside, and is cut off at the end.
    corners = jnp.round(points) - radius
    corners = jnp.where(valid[:, None], jnp.nan_to_num(corners), -side)
    corners = jnp.clip(corners, -side, jnp.array([[width, height]]))
    corners = (corners + side).astype(jnp.int32)
    moved = jnp.where(valid[:, None], next_points - points, 0).astype(flow.dtype)

    # The third channel remembers what is painted.
    patches = jnp.concatenate([moved, jnp.ones_like(moved[:, :1])], axis=-1)

    def paint(canvas: Array, square: tuple[Array, Array]) -> tuple[Array, None]:
        (column, row), patch = square
        patch = jnp.broadcast_to(patch.reshape(1, 1, 3), (side, side, 3))
        place = (row, column, jnp.zeros_like(row))
        return lax.dynamic_update_slice(canvas, patch, place), None

    blank = jnp.concatenate([flow, jnp.zeros_like(flow[..., :1])], axis=-1)
    canvas = jnp.pad(blank, ((side, side), (side, side), (0, 0)))
    canvas, _ = lax.scan(paint, canvas, (corners, patches))
    canvas = canvas[side : side + height, side : side + width]
    return canvas[..., :2], canvas[..., 2] > 0
