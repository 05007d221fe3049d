"""Cameras: world to camera, and camera to picture with lens distortion.

Camera axes are x right, y down, z forward, in metres. Screen coordinates ("normalised
units") put the picture's centre at the origin, x from -1 at the left edge to 1 at the
right one, y downwards in the same unit, so that its edges are at -h/w and h/w.

A point set is (*batch, n, 3); its camera has the same leading axes. Orientations are
unit quaternions (w, x, y, z) that turn camera axes into world axes; a translation is
the camera's centre in the world.
"""

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from posejax.checks import require_equal_shapes, require_shape

# Points nearer to the plane of the lens are taken to be in it: far out of any picture.
MIN_DEPTH_M = 1e-6

_CAMERA_VALUES = {"quaternion": 4, "orientation": 4, "translation": 3, "intrinsics": 9}


def normalize_screen_coordinates(
    pixels: Float[Array, "*batch 2"], *, width: int, height: int
) -> Float[Array, "*batch 2"]:
    """Screen coordinates of pixel coordinates: 2 x / w - (1, h / w).

    Args:
      pixels: (x, y) in pixels.
      width: Width w of the picture in pixels.
      height: Height h of the picture in pixels.

    Returns:
      (x, y) in normalised units.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> print(normalize_screen_coordinates(
    ...     jnp.array([1000.0, 250.0]), width=1000, height=500))
    [1. 0.]
    """
    require_shape("pixels", pixels, (2,), "give points (x, y).")
    return pixels * (2 / width) - _corner(pixels, width, height)


def image_coordinates(
    points_unit: Float[Array, "*batch 2"], *, width: int, height: int
) -> Float[Array, "*batch 2"]:
    """Pixel coordinates of screen coordinates: (u + (1, h / w)) w / 2.

    Args:
      points_unit: (x, y) in normalised units.
      width: Width w of the picture in pixels.
      height: Height h of the picture in pixels.

    Returns:
      (x, y) in pixels.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> print(image_coordinates(jnp.array([0.0, 0.0]), width=1000, height=500))
    [500. 250.]
    """
    require_shape("points_unit", points_unit, (2,), "give points (x, y).")
    return (points_unit + _corner(points_unit, width, height)) * (width / 2)


def rotate_by_quaternion(
    quaternion: Float[Array, "*batch 4"], points: Float[Array, "*batch n 3"]
) -> Float[Array, "*batch n 3"]:
    """Points turned by a quaternion: X + 2 (w (v x X) + v x (v x X)).

    The quaternion is not normalised.

    Args:
      quaternion: (w, x, y, z) with v = (x, y, z), of length 1.
      points: Points X, any unit.

    Returns:
      The turned points, same unit.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> half_turn_about_z = jnp.array([0.0, 0.0, 0.0, 1.0])
    >>> print(rotate_by_quaternion(half_turn_about_z, jnp.array([[1.0, 2.0, 3.0]])))
    [[-1. -2.  3.]]
    """
    _require_camera(points, quaternion=quaternion)
    scalar = quaternion[..., None, :1]
    vector = jnp.broadcast_to(quaternion[..., None, 1:], points.shape)
    cross = jnp.cross(vector, points)
    return points + 2 * (scalar * cross + jnp.cross(vector, cross))


def world_to_camera(
    points: Float[Array, "*batch n 3"],
    *,
    orientation: Float[Array, "*batch 4"],
    translation: Float[Array, "*batch 3"],
) -> Float[Array, "*batch n 3"]:
    """Points of the world as the camera sees them.

    Args:
      points: Points in world axes, metres.
      orientation: Camera-to-world quaternion (w, x, y, z).
      translation: Centre of the camera in the world, metres.

    Returns:
      The points in camera axes, metres.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> print(world_to_camera(jnp.array([[1.0, 2.0, 3.0]]),
    ...     orientation=jnp.array([1.0, 0.0, 0.0, 0.0]), translation=jnp.ones(3)))
    [[0. 1. 2.]]
    """
    _require_camera(points, orientation=orientation, translation=translation)
    conjugate = orientation * np.array([1, -1, -1, -1], orientation.dtype).reshape(
        (1,) * (orientation.ndim - 1) + (4,)
    )
    return rotate_by_quaternion(conjugate, points - translation[..., None, :])


def camera_to_world(
    points: Float[Array, "*batch n 3"],
    *,
    orientation: Float[Array, "*batch 4"],
    translation: Float[Array, "*batch 3"],
) -> Float[Array, "*batch n 3"]:
    """Points seen by the camera, in the world; the inverse of `world_to_camera`.

    Args:
      points: Points in camera axes, metres.
      orientation: Camera-to-world quaternion (w, x, y, z).
      translation: Centre of the camera in the world, metres.

    Returns:
      The points in world axes, metres.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> print(camera_to_world(jnp.zeros((1, 3)),
    ...     orientation=jnp.array([1.0, 0.0, 0.0, 0.0]), translation=jnp.ones(3)))
    [[1. 1. 1.]]
    """
    _require_camera(points, orientation=orientation, translation=translation)
    return rotate_by_quaternion(orientation, points) + translation[..., None, :]


def project_points(
    points: Float[Array, "*batch n 3"], intrinsics: Float[Array, "*batch 9"]
) -> Float[Array, "*batch n 2"]:
    """Pictures of points through a lens with radial and tangential distortion.

    With (x, y) the direction X_xy / X_z clipped to [-1, 1], r^2 = x^2 + y^2,
    g = 1 + k1 r^2 + k2 r^4 + k3 r^6 and h = p1 x + p2 y:
    uv = f ((g + h) (x, y) + r^2 (p1, p2)) + c. A clipped coordinate has no gradient.

    Pavllo et al. 2019 (arXiv 1811.11742) pair p1 with x and p2 with y; other code for
    Human3.6M does the reverse, a difference of less than a pixel.

    Args:
      points: Points in camera axes, metres.
      intrinsics: fx, fy, cx, cy, k1, k2, k3, p1, p2 in normalised units.

    Returns:
      (x, y) in normalised units; finite for points beside and behind the camera.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> lens = jnp.array([2.0, 2.0, 0.0, 0.5, 0.1, 0.0, 0.0, 0.0, 0.0])
    >>> print(project_points(jnp.array([[1.0, 0.0, 2.0]]), lens))
    [[1.025 0.5  ]]
    """
    _require_camera(points, intrinsics=intrinsics)
    direction = _direction(points)
    focal, centre, k, p = jnp.split(intrinsics[..., None, :], (2, 4, 7), axis=-1)
    squared = jnp.sum(direction**2, axis=-1, keepdims=True)
    powers = jnp.concatenate([squared, squared**2, squared**3], axis=-1)
    radial = 1 + jnp.sum(k * powers, axis=-1, keepdims=True)
    tangential = jnp.sum(p * direction, axis=-1, keepdims=True)
    return focal * (direction * (radial + tangential) + p * squared) + centre


def project_points_linear(
    points: Float[Array, "*batch n 3"], intrinsics: Float[Array, "*batch 9"]
) -> Float[Array, "*batch n 2"]:
    """Pictures of points through an ideal lens: uv = f (x, y) + c.

    Args:
      points: Points in camera axes, metres.
      intrinsics: As for `project_points`; only fx, fy, cx and cy count.

    Returns:
      (x, y) in normalised units; finite for points beside and behind the camera.

    Reference:
      Pavllo et al. 2019 (arXiv 1811.11742), with the cameras of Human3.6M.

    >>> lens = jnp.array([2.0, 2.0, 0.0, 0.5, 0.1, 0.0, 0.0, 0.0, 0.0])
    >>> print(project_points_linear(jnp.array([[1.0, 0.0, 2.0]]), lens))
    [[1.  0.5]]
    """
    _require_camera(points, intrinsics=intrinsics)
    intrinsics = intrinsics[..., None, :]
    return intrinsics[..., :2] * _direction(points) + intrinsics[..., 2:4]


def _require_camera(points: Array, **values: Array) -> None:
    """Raises ValueError unless each point set has its own values of a camera."""
    require_shape("points", points, ("n", 3), "give points (x, y, z).")
    for name, value in values.items():
        remedy = "give all values of the camera."
        require_shape(name, value, (_CAMERA_VALUES[name],), remedy)
    require_equal_shapes(
        "give each point set its camera: the same leading axes.",
        points=points.shape[:-2],
        **{name: value.shape[:-1] for name, value in values.items()},
    )


def _corner(like: Array, width: int, height: int) -> Array:
    """The lower right corner in normalised units, with the rank and type of `like`."""
    corner = jnp.array([1.0, height / width], like.dtype)
    return corner.reshape((1,) * (like.ndim - 1) + (2,))


def _direction(points: Array) -> Array:
    """X_xy / X_z clipped to [-1, 1]; the division happens only where it is inside."""
    lateral, depth = points[..., :2], points[..., 2:]
    is_inside = (jnp.abs(lateral) <= jnp.abs(depth)) & (jnp.abs(depth) > MIN_DEPTH_M)
    ratio = lateral / jnp.where(is_inside, depth, 1.0)
    edge = jnp.sign(lateral) * jnp.where(depth < 0, -1.0, 1.0)
    return jnp.where(is_inside, ratio, edge.astype(points.dtype))
