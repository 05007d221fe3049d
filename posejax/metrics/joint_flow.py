"""How far a flow is from the motion of labelled joints, where those joints are.

Pixel coordinates (x, y), pixel centres at integers. The flow of a joint is read at the
nearest pixel (half to even) of its place in the earlier frame. A joint whose nearest
pixel is outside the picture has no flow there: it does not count.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from posejax.checks import require_equal_shapes, require_shape
from posejax.numerics import safe_norm


class JointFlowErrors(NamedTuple):
    """Endpoint errors of joints.

    The figure of a clip, or of many, is the sum of `errors` by the sum of `counts`; the
    latter is reported beside it.

    Attributes:
      errors: `(*batch, joints)`, pixels; zero for joints that do not count.
      counts: `(*batch, joints)`, which joints count.
    """

    errors: Array
    counts: Array


def joint_flow_errors(
    flow: Float[Array, "*batch height width 2"],
    joints: Float[Array, "*batch joints 2"],
    next_joints: Float[Array, "*batch joints 2"],
    *,
    joint_valid: Bool[Array, "*batch joints"] | None = None,
) -> JointFlowErrors:
    """Endpoint error of the flow at each joint: |flow(p) - (p' - p)|.

    Args:
      flow: Flow from the first frame of each pair to the second, pixels.
      joints: True joints in the first frame, pixels.
      next_joints: The same joints in the second frame.
      joint_valid: Which joints are labelled in both frames; all by default.

    Returns:
      The errors, and which joints count.

    Raises:
      ValueError: If the shapes do not fit.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), flow at human joints. Their code divides the
      sum by 32 per pair, whatever the number of joints.

    >>> joints = jnp.array([[1.0, 0.0], [9.0, 0.0]])
    >>> found = joint_flow_errors(jnp.zeros((2, 3, 2)), joints, joints + 3.0)
    >>> print(found.errors.round(3), found.counts)
    [4.243 0.   ] [ True False]
    """
    pixels, is_inside = _pixels(flow, joints)
    require_equal_shapes(
        "give each joint in both frames.",
        joints=joints.shape,
        next_joints=next_joints.shape,
    )
    counts = is_inside
    if joint_valid is not None:
        require_equal_shapes(
            "give one truth value per joint.",
            joints=joints.shape[:-1],
            joint_valid=joint_valid.shape,
        )
        counts = counts & joint_valid
    flat = flow.reshape(*flow.shape[:-3], -1, 2)
    index = jnp.where(is_inside, pixels[..., 1] * flow.shape[-2] + pixels[..., 0], 0)
    there = jnp.take_along_axis(flat, index[..., None], axis=-2, mode="clip")
    offsets = there.astype(joints.dtype) - (next_joints - joints)
    return JointFlowErrors(safe_norm(jnp.where(counts[..., None], offsets, 0)), counts)


def joint_flow_distinct_pixels(
    flow: Float[Array, "*batch height width 2"], joints: Float[Array, "*batch joints 2"]
) -> Bool[Array, "*batch joints"]:
    """Which joints are the last of those that share their nearest pixel.

    For comparison with published figures only: their code writes the displacements of
    all joints into one map, where a later joint covers an earlier one. Its figure is
    the sum of the errors of these joints by 32 times the number of pairs.

    Args:
      flow: The flow, of which the size counts.
      joints: True joints in the first frame, pixels.

    Returns:
      True for the joints inside the picture that no later joint covers.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), their code.

    >>> joints = jnp.array([[1.0, 0.0], [1.2, 0.0], [2.0, 0.0]])
    >>> print(joint_flow_distinct_pixels(jnp.zeros((2, 3, 2)), joints))
    [False  True  True]
    """
    pixels, is_inside = _pixels(flow, joints)
    same = jnp.all(pixels[..., :, None, :] == pixels[..., None, :, :], axis=-1)
    number = jnp.arange(joints.shape[-2])
    is_later = number[None, :] > number[:, None]
    is_later = is_later.reshape((1,) * (joints.ndim - 2) + is_later.shape)
    return is_inside & ~jnp.any(same & is_later, axis=-1)


def _pixels(flow: Array, joints: Array) -> tuple[Array, Array]:
    """The nearest pixel of each joint, and whether it is in the picture."""
    require_shape("flow", flow, ("height", "width", 2), "give channels (x, y) last.")
    require_shape("joints", joints, ("joints", 2), "give points (x, y).")
    require_equal_shapes(
        "give each pair of frames its flow and its joints.",
        flow=flow.shape[:-3],
        joints=joints.shape[:-2],
    )
    height, width = flow.shape[-3:-1]
    rounded = jnp.round(joints)
    x, y = rounded[..., 0], rounded[..., 1]
    is_inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    # What is outside may not fit into an integer.
    pixels = jnp.where(is_inside[..., None], rounded, -1).astype(jnp.int32)
    return pixels, is_inside
