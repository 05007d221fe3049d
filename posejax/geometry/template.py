"""The body template in the picture: from regressor outputs to blobs, anchors, joints.

All points are (x, y) in pixels of the S x S crop, with S = `image_size` or `size`. All
maps are forward maps of these pixels: translations are scaled by S once, in
`expand_parameters`, and nowhere else.
"""

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape
from posejax.geometry.affine import (
    compose_affine,
    identity_affine,
    invert_affine,
    transform_points,
)
from posejax.geometry.warping import warp_images, warp_images_twice
from posejax.templates import (
    ANCHOR_PARTS,
    NUM_ANCHORS,
    NUM_PARTS,
    TEMPLATE_SIZE,
    Template,
    WarpScheme,
    joint_anchors,
)


def gaussian_blob(
    centers: Float[Array, "*batch 2"],
    sigmas: Float[Array, "*batch 2"],
    angles: Float[Array, "*batch"],
    *,
    size: int,
) -> Float[Array, "*batch {size} {size}"]:
    """Rotated Gaussians with peak 1 on a square of pixels, without cut-off.

    Args:
      centers: (row, column) in pixels.
      sigmas: Standard deviations in pixels, positive; at angle 0 the first is vertical.
      angles: Rotation in radians.
      size: Side of the square.

    Returns:
      Value at each pixel, row by row.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3.

    >>> blob = gaussian_blob(
    ...     jnp.array([1.0, 1.0]), jnp.array([1.0, 2.0]), jnp.array(0.0), size=3
    ... )
    >>> print(f"{blob[1, 1]:.3f} {blob[0, 1]:.3f} {blob[1, 0]:.3f}")
    1.000 0.607 0.882
    """
    require_shape("centers", centers, (2,), "give points (row, column).")
    require_equal_shapes(
        "give a centre and two deviations for each angle.",
        centers=centers.shape,
        sigmas=sigmas.shape,
        angles=(*angles.shape, 2),
    )
    return _standard_gaussian(_whitening(centers, sigmas, angles), size)


def draw_template(
    template: Template, *, size: int
) -> Float[Array, "parts {size} {size}"]:
    """The blobs of a template at rest, one picture for each part.

    Args:
      template: Numbers in pixels of a 256 x 256 crop; scaled by size / 256.
      size: Side of the pictures.

    Returns:
      Pictures with values in 0 ... 1, in the order of `template.parts`.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3.

    >>> from posejax.templates import T_POSE
    >>> draw_template(T_POSE, size=64).shape
    (18, 64, 64)
    """
    return gaussian_blob(*_blob_parameters(template, size), size=size)


def template_anchors(template: Template, *, size: int) -> Float[Array, "anchors 2"]:
    """Anchors of a template at rest.

    Args:
      template: Numbers in pixels of a 256 x 256 crop; scaled by size / 256.
      size: Side of the crop in pixels.

    Returns:
      (x, y) in pixels of the crop.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3; Yoo and Russakovsky 2023 for
      the natural pose.

    >>> from posejax.templates import T_POSE
    >>> print(template_anchors(T_POSE, size=128)[0])
    [64. 72.]
    """
    return jnp.asarray(template.anchors * (size / TEMPLATE_SIZE))


def expand_parameters(
    raw: Float[Array, "*batch outputs"],
    *,
    scheme: WarpScheme,
    image_size: int,
    constrained_identity: bool = True,
) -> tuple[Float[Array, "*batch 18 2 3"], ...]:
    """One forward map in pixels for each part and each step of the scheme.

    Unconstrained, an offset [A | t] of six numbers (row-major) gives M = [I + A | S t].
    Constrained, (angle, t) and column scales s shared by the image give
    M = [I + R diag(s) | S R t], R = [[cos, sin], [-sin, cos]]. The published method
    adds the identity to a rotation; with `constrained_identity` off it is
    M = [R diag(1 + s) | S R t].

    Args:
      raw: Outputs of the regressor; translations in units of the image side S.
      scheme: Which output moves which part in which step.
      image_size: S, in pixels.
      constrained_identity: As above; for unconstrained schemes without meaning.

    Returns:
      For each step the maps of the 18 parts; the identity for parts it does not move.

    Raises:
      ValueError: If `raw` does not have the number of outputs of the scheme.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), "two-step warp" and "constrained".

    >>> from posejax.templates import SCHEMES
    >>> raw = jnp.zeros(108).at[2].set(0.5)
    >>> (maps,) = expand_parameters(raw, scheme=SCHEMES["affine"], image_size=64)
    >>> print(maps[0])
    [[ 1.  0. 32.]
     [ 0.  1.  0.]]
    """
    if raw.shape[-1] != scheme.num_outputs:
        raise ValueError(
            f"raw has {raw.shape[-1]} outputs per image; warp scheme {scheme.name!r} "
            f"takes {scheme.num_outputs}: choose the scheme the regressor was made for."
        )
    identity = jnp.broadcast_to(
        identity_affine().astype(raw.dtype), (*raw.shape[:-1], 1, 2, 3)
    )
    if scheme.is_constrained:
        maps = _constrained_maps(
            raw, scheme.num_maps, add_identity=constrained_identity
        )
    else:
        maps = raw.reshape(*raw.shape[:-1], scheme.num_maps, 2, 3) + identity
    maps = maps.at[..., 2].multiply(image_size)
    # The identity stands last: `IDENTITY` is -1, the index of the last.
    maps = jnp.concatenate([maps, identity], axis=-3)
    return tuple(maps[..., np.array(step), :, :] for step in scheme.steps)


def warp_template(
    blobs: Float[Array, "18 size size"],
    maps: Sequence[Float[Array, "*batch 18 2 3"]],
    *,
    scheme: WarpScheme,
) -> Float[Array, "*batch 18 size size"]:
    """The template's pictures moved by bilinear sampling, once for each step.

    Parts that the second step leaves where they are are sampled once only.

    Args:
      blobs: Pictures at rest, from `draw_template`.
      maps: Maps from `expand_parameters`; the first step alone is also allowed.
      scheme: The scheme of these maps.

    Returns:
      The moved pictures of every example.

    Raises:
      ValueError: If there are no maps or more than the scheme has steps, or not one
        map and one picture for each part.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3; Yoo and Russakovsky 2023
      (arXiv 2311.02815), "two-step warp".

    >>> from posejax.templates import SCHEMES, T_POSE
    >>> raw, scheme = jnp.zeros((2, 108)), SCHEMES["affine"]
    >>> maps = expand_parameters(raw, scheme=scheme, image_size=32)
    >>> warp_template(draw_template(T_POSE, size=32), maps, scheme=scheme).shape
    (2, 18, 32, 32)
    """
    if not 1 <= len(maps) <= len(scheme.steps):
        raise ValueError(
            f"maps has {len(maps)} steps; warp scheme {scheme.name!r} has "
            f"{len(scheme.steps)}: pass the maps of `expand_parameters`."
        )
    _require_part_maps(maps)
    require_shape(
        "blobs", blobs, (NUM_PARTS, "size", "size"), "give those of `draw_template`."
    )
    if len(maps) == 1:
        return warp_images(blobs, maps[0])
    first, second = maps
    moved = scheme.moved_parts(1)
    still = np.setdiff1d(np.arange(NUM_PARTS), moved)
    once = warp_images(blobs[still], first[..., still, :, :])
    twice = warp_images_twice(
        blobs[moved], first[..., moved, :, :], second[..., moved, :, :]
    )
    # Split and concatenate are each other's transpose; the gradient of a permutation by
    # index would be a scatter of whole pictures.
    parts = jnp.split(once, len(still), axis=-3) + jnp.split(twice, len(moved), axis=-3)
    order = np.argsort(np.concatenate([still, moved]))
    return jnp.concatenate([parts[i] for i in order], axis=-3)


def warp_template_closed_form(
    template: Template, maps: Sequence[Float[Array, "*batch 18 2 3"]], *, size: int
) -> Float[Array, "*batch 18 {size} {size}"]:
    """The template moved by evaluating each Gaussian at M^-1 p', for all steps at once.

    Differs from `warp_template`, which smooths a little in each step: in value by at
    most 0.01 at 256 pixels and 0.12 at 64 after one step, 0.02 and 0.2 after two. What
    leaves the picture in the first step can come back in the second.

    Args:
      template: Numbers in pixels of a 256 x 256 crop; scaled by size / 256.
      maps: Maps from `expand_parameters` for the same size.
      size: Side of the pictures.

    Returns:
      The moved pictures of every example.

    Raises:
      ValueError: If there are no maps or not one for each part.

    Reference:
      None; the exact form of the published warp of drawn Gaussians.

    >>> from posejax.templates import T_POSE
    >>> shift = jnp.tile(jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]]), (18, 1, 1))
    >>> warped = warp_template_closed_form(T_POSE, (shift,), size=32)
    >>> rest = draw_template(T_POSE, size=32)
    >>> print(abs(warped[..., 2:] - rest[..., :-2]).max() < 1e-5)
    True
    """
    _require_part_maps(maps)
    composed = maps[0]
    for step in maps[1:]:
        composed = compose_affine(step, composed)
    whitening = _whitening(*_blob_parameters(template, size)).astype(composed.dtype)
    whitening = jnp.broadcast_to(whitening, composed.shape)
    return _standard_gaussian(compose_affine(whitening, invert_affine(composed)), size)


def transform_anchors(
    anchors: Float[Array, "32 2"], maps: Sequence[Float[Array, "*batch 18 2 3"]]
) -> Float[Array, "*batch 32 2"]:
    """Anchors moved with their parts through all given steps, in crop pixels.

    Args:
      anchors: Anchors at rest, from `template_anchors`.
      maps: Maps from `expand_parameters`; leave out the last to see the first step.

    Returns:
      Anchors of every example, (x, y) in crop pixels.

    Raises:
      ValueError: If there are not 32 anchors, no maps, or not one for each part.

    Reference:
      Schmidtke et al. 2021 (arXiv 2105.04154), sec. 3.

    >>> double = jnp.tile(jnp.array([[2.0, 0.0, 1.0], [0.0, 2.0, 0.0]]), (18, 1, 1))
    >>> print(transform_anchors(jnp.ones((32, 2)), (double, double))[0])
    [7. 4.]
    """
    _require_part_maps(maps)
    require_anchors(anchors)
    moved = jnp.broadcast_to(anchors, (*maps[0].shape[:-3], *anchors.shape))[
        ..., None, :
    ]
    # A fresh copy: JAX remembers the integer width it gave to an array it has seen,
    # which would be wrong after a change between single and double precision.
    parts = np.array(ANCHOR_PARTS)
    for step in maps:
        moved = transform_points(step[..., parts, :, :], moved)
    return moved[..., 0, :]


def joints_from_anchors(
    anchors: Float[Array, "*batch 32 2"],
    *,
    midpoint: bool = True,
    symmetric: bool = False,
) -> Float[Array, "*batch 15 2"]:
    """Joints of `TEMPLATE_15` as means of anchors, in the unit of the anchors.

    Args:
      anchors: Anchor points (x, y), in crop pixels.
      midpoint: Average abdomen, chest and neck over the parts that meet there, as in
        published figures; if False they are the core's own anchors.
      symmetric: Give hipR two anchors like every other limb joint. The published table
        gives it one.

    Returns:
      Joints (x, y).

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation.

    >>> print(joints_from_anchors(jnp.arange(64.0).reshape(32, 2))[0].round(2))
    [5.33 6.33]
    """
    require_anchors(anchors)
    table = joint_anchors(midpoint=midpoint, symmetric=symmetric)
    most = max(len(row) for row in table)
    # Rows are filled up with their own first anchor at weight zero, so that an anchor
    # that is not finite reaches no other joint than its own.
    index = np.array([row + row[:1] * (most - len(row)) for row in table])
    weights = [[1 / len(row)] * len(row) + [0.0] * (most - len(row)) for row in table]
    weights = jnp.asarray(weights, anchors.dtype)
    points = anchors[..., index, :]
    weights = jnp.broadcast_to(weights[..., None], points.shape)
    return jnp.sum(points * weights, axis=-2)


def require_anchors(anchors: Array) -> None:
    """Raises ValueError unless `anchors` has every anchor of the template."""
    remedy = "give all anchors of the template, (x, y)."
    require_shape("anchors", anchors, (NUM_ANCHORS, 2), remedy)


def _require_part_maps(maps: Sequence[Array]) -> None:
    if not maps:
        raise ValueError("maps has 0 steps; pass the maps of `expand_parameters`.")
    for step in maps:
        remedy = "give one map per part, from `expand_parameters`."
        require_shape("maps", step, (NUM_PARTS, 2, 3), remedy)


def _constrained_maps(raw: Array, num_maps: int, *, add_identity: bool) -> Array:
    """Maps of (angle, t) and shared column scales; translation in units of the side."""
    values = raw[..., : 3 * num_maps].reshape(*raw.shape[:-1], num_maps, 3)
    angle, translation = values[..., 0], values[..., 1:]
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    rotation = jnp.stack([cos, sin, -sin, cos], axis=-1)
    rotation = rotation.reshape(*angle.shape, 2, 2)
    scales = raw[..., None, None, 3 * num_maps :]
    moved = jnp.sum(rotation * translation[..., None, :], axis=-1, keepdims=True)
    if add_identity:
        identity = jnp.broadcast_to(jnp.eye(2, dtype=raw.dtype), rotation.shape)
        return jnp.concatenate([identity + rotation * scales, moved], axis=-1)
    return jnp.concatenate([rotation * (1 + scales), moved], axis=-1)


def _blob_parameters(template: Template, size: int) -> tuple[Array, Array, Array]:
    """Centres, standard deviations and angles for pictures of the given size."""
    scale = size / TEMPLATE_SIZE
    return (
        jnp.asarray(template.centers * scale),
        jnp.asarray(template.sigmas * scale),
        # A copy: once jit has read an array in float32, JAX remembers it so, and reads
        # the same array in float32 where float64 is switched on later.
        jnp.asarray(template.angles.copy()),
    )


def _whitening(centers: Array, sigmas: Array, angles: Array) -> Array:
    """Maps z of pixels (x, y) in which each blob is exp(-|z|^2)."""
    cos, sin = jnp.cos(angles), jnp.sin(angles)
    first, second = jnp.moveaxis(np.sqrt(2.0) * sigmas, -1, 0)
    rows = jnp.stack([-sin / first, cos / first, cos / second, sin / second], axis=-1)
    linear = rows.reshape(*angles.shape, 2, 2)
    shift = -jnp.sum(linear * centers[..., None, ::-1], axis=-1, keepdims=True)
    return jnp.concatenate([linear, shift], axis=-1)


def _standard_gaussian(maps: Array, size: int) -> Array:
    """exp(-|z|^2) with z = M (x, y, 1), at every pixel of a square."""
    y, x = jnp.indices((size, size), dtype=maps.dtype)
    grid = jnp.stack([x, y, jnp.ones_like(x)])
    # A product, for the sake of the sum over pixels in its gradient; see warping.py.
    z = jnp.einsum("...ij,jrc->...irc", maps, grid, precision="highest")
    return jnp.exp(-jnp.sum(z**2, axis=-3))
