"""Weak perspective: a pose in the picture of a crop, and the crop in the picture.

Networks that estimate bodies see a square crop of a resized picture and give a camera
(s, tx, ty) for it. Depth plays no part. Three frames follow each other:

    crop, normalised    u = s (X_xy + (tx, ty)), -1 to 1 across the crop
    crop, pixels        (u + 1) / 2 * 224
    picture, pixels     (crop + origin) / scale

where the picture was resized by `scale` and `origin` is the crop's upper left corner in
the resized picture.
"""

import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape

# Side of the crop that METRO sees, whatever the size of the picture.
CROP_SIZE_PX = 224


def project_weak_perspective(
    pose: Float[Array, "*batch joints 3"],
    camera: Float[Array, "*batch 3"],
    scale: Float[Array, "*batch 2"],
    origin: Float[Array, "*batch 2"],
) -> Float[Array, "*batch joints 2"]:
    """Joints of a pose in the pixels of the full picture.

    Args:
      pose: Joints relative to the pelvis in the camera's axes (x right, y down, z
        forward), metres.
      camera: (s, tx, ty): normalised units per metre, and a shift in metres.
      scale: Factors (x, y) by which the picture was resized before it was cropped.
      origin: Upper left corner (x, y) of the crop in the resized picture, pixels;
        where HMR's preparation gives the centre, half of the crop less than that.

    Returns:
      (x, y) in pixels; zero where a scale is zero.

    Raises:
      ValueError: If a pose has no camera, scale or origin of its own.

    Reference:
      Kanazawa et al., HMR, CVPR 2018 (arXiv 1712.06584), sec. 3.1; Arko et al. 2022
      (arXiv 2210.15121).

    >>> camera, one = jnp.array([1.0, 0.5, 0.0]), jnp.ones(2)
    >>> print(project_weak_perspective(jnp.zeros((1, 3)), camera, one, 10 * one))
    [[178. 122.]]
    """
    require_shape("pose", pose, ("joints", 3), "give points (x, y, z).")
    require_shape("camera", camera, (3,), "give s, tx and ty of each pose.")
    require_shape("scale", scale, (2,), "give the factors in x and y of each pose.")
    require_shape("origin", origin, (2,), "give the corner (x, y) of each crop.")
    require_equal_shapes(
        "give each pose its camera and its crop: the same leading axes.",
        pose=pose.shape[:-2],
        camera=camera.shape[:-1],
        scale=scale.shape[:-1],
        origin=origin.shape[:-1],
    )
    zoom, shift = camera[..., None, :1], camera[..., None, 1:]
    crop = (zoom * (pose[..., :2] + shift) + 1) / 2 * CROP_SIZE_PX
    is_zero = scale == 0
    factor = jnp.where(is_zero, 0.0, 1 / jnp.where(is_zero, 1.0, scale))
    return (crop + origin[..., None, :]) * factor[..., None, :]
