"""Calibrated cameras of recorded poses, and what they see; numpy, whole arrays at once.

World axes are those of the recording, metres. Camera axes: x right, y down, z forward.
Normalised image coordinates: the width of the picture spans -1 to 1, the height as much
as keeps the pixels square, x to the right, y down:

    (-1, -h/w) +-------------+
               |    (0, 0)   |
               +-------------+ (1, h/w)
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float


@dataclasses.dataclass(frozen=True)
class PoseCamera:
    """A camera around a scene.

    Attributes:
      name: Name or number of the camera.
      orientation: Unit quaternion (w, x, y, z), camera to world.
      translation: Centre of the camera in the world, metres.
      resolution: Width and height of its pictures, pixels.
      intrinsics: fx, fy, cx, cy, k1, k2, k3, p1, p2 in normalised image coordinates;
        None where the camera is not calibrated.
      azimuth_deg: View angle of three-dimensional plots.
    """

    name: str
    orientation: Float[np.ndarray, "4"]
    translation: Float[np.ndarray, "3"]
    resolution: tuple[int, int]
    intrinsics: Float[np.ndarray, "9"] | None = None
    azimuth_deg: float = 0.0

    @property
    def extrinsics(self) -> Float[np.ndarray, "7"]:
        """Orientation, then translation."""
        return np.concatenate([self.orientation, self.translation])


def calibrated_camera(
    name: str,
    *,
    orientation: Sequence[float],
    translation_mm: Sequence[float],
    resolution: tuple[int, int],
    center_px: Sequence[float],
    focal_px: Sequence[float],
    radial: Sequence[float],
    tangential: Sequence[float],
    azimuth_deg: float = 0.0,
) -> PoseCamera:
    """Returns a camera from the numbers of a calibration in pixels and millimetres.

    Args:
      name: Name or number of the camera.
      orientation: Unit quaternion (w, x, y, z), camera to world.
      translation_mm: Centre of the camera in the world.
      resolution: Width and height of its pictures, pixels.
      center_px: Principal point (x, y).
      focal_px: Focal lengths (x, y).
      radial: k1, k2, k3.
      tangential: p1, p2.
      azimuth_deg: View angle of three-dimensional plots.
    """
    center = normalize_screen_coordinates(
        np.array(center_px, np.float32), resolution=resolution
    )
    focal = np.array(focal_px, np.float32) / np.float32(resolution[0]) * np.float32(2)
    distortion = np.array([*radial, *tangential], np.float32)
    return PoseCamera(
        name=name,
        orientation=np.array(orientation, np.float32),
        translation=np.array(translation_mm, np.float32) / np.float32(1000),
        resolution=resolution,
        intrinsics=np.concatenate([focal, center, distortion]),
        azimuth_deg=azimuth_deg,
    )


def normalize_screen_coordinates(
    pixels: Float[np.ndarray, "*batch 2"], *, resolution: tuple[int, int]
) -> Float[np.ndarray, "*batch 2"]:
    """Maps pixels to normalised image coordinates.

    Args:
      pixels: Points (x, y), pixels.
      resolution: Width and height of the picture, pixels.

    Returns:
      The points, dtype kept.

    >>> corner = np.array([1000.0, 500.0])
    >>> normalize_screen_coordinates(corner, resolution=(1000, 500)).tolist()
    [1.0, 0.5]
    """
    width, height = resolution
    normalized = pixels / width * 2 - np.array([1.0, height / width])
    return normalized.astype(pixels.dtype)


def image_coordinates(
    points: Float[np.ndarray, "*batch 2"], *, resolution: tuple[int, int]
) -> Float[np.ndarray, "*batch 2"]:
    """Maps normalised image coordinates to pixels; undoes the normalisation.

    Args:
      points: Points (x, y), normalised.
      resolution: Width and height of the picture, pixels.

    Returns:
      The points in pixels, dtype kept.
    """
    width, height = resolution
    pixels = (points + np.array([1.0, height / width])) * width / 2
    return pixels.astype(points.dtype)


def world_to_camera(
    points: Float[np.ndarray, "*batch 3"], camera: PoseCamera
) -> Float[np.ndarray, "*batch 3"]:
    """Returns world points in the axes of a camera, metres.

    Args:
      points: Points in the world, metres.
      camera: The camera; its quaternion is used as it is, not normalised again.
    """
    # The inverse of a unit quaternion is its conjugate.
    return _rotated(points - camera.translation, _inverse(camera.orientation))


def camera_to_world(
    points: Float[np.ndarray, "*batch 3"], camera: PoseCamera
) -> Float[np.ndarray, "*batch 3"]:
    """Returns points of a camera's axes in the world, metres.

    Args:
      points: Points in camera axes, metres.
      camera: The camera.
    """
    return _rotated(points, camera.orientation) + camera.translation


def _inverse(quaternion: np.ndarray) -> np.ndarray:
    return quaternion * np.array([1, -1, -1, -1], quaternion.dtype)


def _rotated(points: np.ndarray, quaternion: np.ndarray) -> np.ndarray:
    """Rotates by w, v: X + 2 (w (v x X) + v x (v x X))."""
    w, v = quaternion[0], quaternion[1:]
    turned = np.cross(v, points)
    return points + 2 * (w * turned + np.cross(v, turned))


def project_points(
    points: Float[np.ndarray, "*batch 3"], intrinsics: Float[np.ndarray, "9"]
) -> Float[np.ndarray, "*batch 2"]:
    """Projects points of camera axes, with the distortion of the lens.

    p1 goes with x and p2 with y, which is how the published detections called ground
    truth were made; other code for Human3.6M swaps the two, a difference of less than a
    pixel. Where x/z or y/z leaves -1 to 1 it is clipped.

    Args:
      points: Points in camera axes, metres; finite even for z = 0.
      intrinsics: fx, fy, cx, cy, k1, k2, k3, p1, p2, normalised.

    Returns:
      Normalised image coordinates.

    Reference:
      Pavllo et al., 3D human pose estimation in video with temporal convolutions and
      semi-supervised training, CVPR 2019.
    """
    depth = points[..., 2:]
    depth = np.where(depth == 0, np.finfo(points.dtype).tiny, depth)
    with np.errstate(over="ignore"):
        xy = np.clip(points[..., :2] / depth, -1, 1)
    focal, center = intrinsics[:2], intrinsics[2:4]
    radial, tangential = intrinsics[4:7], intrinsics[7:]
    r2 = np.sum(xy * xy, axis=-1, keepdims=True)
    gain = 1 + r2 * (radial[0] + r2 * (radial[1] + r2 * radial[2]))
    tilt = np.sum(tangential * xy, axis=-1, keepdims=True)
    return focal * (xy * (gain + tilt) + tangential * r2) + center


def projected_pixels(
    world: Float[np.ndarray, "*batch 3"], camera: PoseCamera
) -> Float[np.ndarray, "*batch 2"]:
    """Returns where a calibrated camera sees world points, pixels.

    Args:
      world: Points in the world, metres.
      camera: The camera.

    Raises:
      ValueError: If the camera has no intrinsics.
    """
    if camera.intrinsics is None:
        raise ValueError(
            f"camera {camera.name!r} has no intrinsics; points can be projected with a "
            "calibrated camera only."
        )
    points = project_points(world_to_camera(world, camera), camera.intrinsics)
    return image_coordinates(points, resolution=camera.resolution)
