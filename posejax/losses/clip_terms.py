"""Terms of energies over the frames of a clip, smooth L1 of differences.

For a clip of T frames, with H(d) = d^2 / 2 where |d| < 1 and |d| - 1/2 elsewhere, each
term is a sum over frames or pairs of consecutive frames, joints and coordinates of H of
a difference, divided by T (there are T - 1 pairs). A clip of one frame has no pairs:
those terms are zero.

Everything may have leading batch axes, one entry per clip. Frames that a clip does not
have (clips of different length in one batch) are False in `frame_valid`, stand at the
end, take no part in any sum and are not counted in T. Their numbers must be finite.

Reference:
  Arko et al., Bootstrapping Human Optical Flow and Pose, BMVC 2022 (arXiv 2210.15121).
"""

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Bool, Float, Int

from posejax.checks import require_equal_shapes, require_shape
from posejax.geometry.flow import sample_map


def frame_term(
    values: Float[Array, "*batch frames n k"],
    target: Float[Array, "*batch frames n k"],
    *,
    frame_valid: Bool[Array, "*batch frames"] | None = None,
) -> Float[Array, "*batch"]:
    """Sum of H(values - target) per frame: near to a given value.

    Args:
      values: Vectors of each frame, any unit.
      target: What they should be, same unit.
      frame_valid: Which frames there are; all by default.

    Returns:
      One value per clip.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), prior term.

    >>> print(frame_term(jnp.full((2, 1, 1), 3.0), jnp.zeros((2, 1, 1))))
    2.5
    """
    _require_vectors("values", values, frame_valid)
    require_equal_shapes(
        "give one target per value.", values=values.shape, target=target.shape
    )
    costs = _huber(values - target)
    return _per_frame(costs, None, frame_valid, values.shape[-3])


def detection_term(
    points: Float[Array, "*batch frames joints 2"],
    detections: Float[Array, "*batch frames joints 2"],
    confidence: Float[Array, "*batch frames joints"],
    *,
    frame_valid: Bool[Array, "*batch frames"] | None = None,
) -> Float[Array, "*batch"]:
    """Sum of H(c (detections - points)) per frame: projections where they are seen.

    Args:
      points: Projected joints, pixels.
      detections: Detected joints, pixels; anything where the confidence is 0.
      confidence: c of each joint, 0 to 1.
      frame_valid: Which frames there are; all by default.

    Returns:
      One value per clip.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), detection term.

    >>> points, seen = jnp.zeros((1, 2, 2)), jnp.ones((1, 2, 2))
    >>> print(detection_term(points, seen, jnp.array([[1.0, 0.0]])))
    1.0
    """
    _require_vectors("points", points, frame_valid)
    require_equal_shapes(
        "give each joint its detection.",
        points=points.shape,
        detections=detections.shape,
    )
    require_equal_shapes(
        "give one confidence per joint.",
        points=points.shape[:-1],
        confidence=confidence.shape,
    )
    confidence = confidence[..., None]
    offsets = jnp.where(confidence != 0, confidence * (detections - points), 0.0)
    return _per_frame(_huber(offsets), None, frame_valid, points.shape[-3])


def step_term(
    values: Float[Array, "*batch frames n k"],
    *,
    frame_valid: Bool[Array, "*batch frames"] | None = None,
    counts: Bool[Array, "*batch pairs _"] | None = None,
) -> Float[Array, "*batch"]:
    """Sum of H(step) over pairs of consecutive frames: little change.

    Args:
      values: Vectors of each frame, any unit.
      frame_valid: Which frames there are; all by default.
      counts: Which vectors of which pairs count (one column for all vectors of a
        pair); all by default.

    Returns:
      One value per clip; zero for a clip of one frame.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), temporal and bone-length terms.

    >>> print(step_term(jnp.array([0.0, 2.0, 2.0]).reshape(3, 1, 1)))
    0.5
    """
    _require_vectors("values", values, frame_valid)
    costs = _huber(jnp.diff(values, axis=-3))
    return _per_frame(costs, counts, frame_valid, values.shape[-3])


def flow_term(
    points: Float[Array, "*batch frames joints 2"],
    flow: Float[Array, "*batch pairs height width 2"],
    *,
    flow_offset: Float[Array, "*batch pairs 2"]
    | Int[Array, "*batch pairs 2"]
    | None = None,
    frame_valid: Bool[Array, "*batch frames"] | None = None,
    counts: Bool[Array, "*batch pairs joints"] | None = None,
) -> Float[Array, "*batch"]:
    """Sum of H(flow at a joint - its step to the next frame) over pairs and joints.

    The flow is read where the joint is now, but that place is a constant under
    differentiation: a joint is moved by its step alone. A joint that starts outside
    the field does not count.

    Args:
      points: Joints in the picture, pixels.
      flow: Flow from each frame to the next, pixels.
      flow_offset: Pixel (x, y) in which each field begins; (0, 0) by default.
      frame_valid: Which frames there are; all by default.
      counts: Which joints of which pairs count; all by default.

    Returns:
      One value per clip; zero for a clip of one frame.

    Reference:
      Arko et al. 2022 (arXiv 2210.15121), flow term.

    >>> points = jnp.array([[[1.0, 1.0]], [[2.0, 1.0]]])
    >>> print(flow_term(points, jnp.zeros((1, 4, 4, 2)).at[..., 0].set(3.0)))
    0.75
    """
    _require_vectors("points", points, frame_valid)
    require_shape("flow", flow, ("pairs", "height", "width", 2), "give fields (x, y).")
    frames = points.shape[-3]
    require_equal_shapes(
        "give one field per pair of consecutive frames.",
        points=(*points.shape[:-3], max(frames - 1, 0)),
        flow=flow.shape[:-3],
    )
    if frames < 2:
        return jnp.zeros(points.shape[:-3], points.dtype)
    starts = points[..., :-1, :, :]
    places = lax.stop_gradient(starts)
    if flow_offset is not None:
        require_equal_shapes(
            "give one pixel (x, y) per field.",
            flow=(*flow.shape[:-3], 2),
            flow_offset=flow_offset.shape,
        )
        places = places - flow_offset[..., None, :].astype(points.dtype)
    moved, is_inside = sample_map(flow, places)
    steps = points[..., 1:, :, :] - starts
    # Before H, so that what the field has outside of the picture may be anything.
    offsets = jnp.where(is_inside[..., None], moved.astype(points.dtype) - steps, 0.0)
    return _per_frame(_huber(offsets), counts, frame_valid, frames)


def _huber(differences: Array) -> Array:
    size = jnp.abs(differences)
    return jnp.where(size < 1, differences**2 / 2, size - 0.5)


def _per_frame(
    costs: Array, counts: Array | None, frame_valid: Array | None, frames: int
) -> Array:
    """The sum of what counts of (*batch, frames or pairs, n, k), by the frames."""
    if counts is not None:
        costs = jnp.where(counts[..., None], costs, 0.0)
    axes = (-3, -2, -1)
    if frame_valid is None:
        return jnp.sum(costs, axis=axes) / max(frames, 1)
    is_there = frame_valid
    if costs.shape[-3] != frames:
        is_there = frame_valid[..., 1:] & frame_valid[..., :-1]
    total = jnp.sum(jnp.where(is_there[..., None, None], costs, 0.0), axis=axes)
    return total / jnp.maximum(jnp.sum(frame_valid, axis=-1, dtype=costs.dtype), 1)


def _require_vectors(name: str, values: Array, frame_valid: Array | None) -> None:
    require_shape(name, values, ("frames", "n", "k"), "give vectors of each frame.")
    if frame_valid is not None:
        require_equal_shapes(
            "give one truth value per frame.",
            frames=values.shape[:-2],
            frame_valid=frame_valid.shape,
        )
