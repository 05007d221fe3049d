"""Four calibrated pinhole cameras around the room of the sample.

World frame: metres, z up, origin on the floor in the middle of the room. Camera frame:
x right, y down, z forward. Pixel (0, 0) is the centre of the upper left pixel.
"""

import dataclasses

import numpy as np

IMAGE_SIZE = 256  # a quarter of Human3.6M's side


@dataclasses.dataclass(frozen=True)
class Camera:
    """A pinhole camera without distortion: `pixel ~ intrinsics (rotation X + shift)`.

    Attributes:
      name: Name of the camera, as in Human3.6M.
      intrinsics: (3, 3) float64, pixels.
      rotation: (3, 3) float64, world to camera.
      shift: (3,) float64, metres: the world's origin in the camera frame.
    """

    name: str
    intrinsics: np.ndarray
    rotation: np.ndarray
    shift: np.ndarray

    @property
    def center(self) -> np.ndarray:
        """(3,) position of the camera in the world, metres."""
        return -self.rotation.T @ self.shift


def to_camera(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Returns world points (..., 3) in the frame of the camera, metres."""
    return points @ camera.rotation.T + camera.shift


def project(camera: Camera, points: np.ndarray) -> np.ndarray:
    """Returns the source pixels (..., 2) of world points (..., 3)."""
    image = to_camera(camera, points) @ camera.intrinsics.T
    return image[..., :2] / image[..., 2:]


def looking_at(
    name: str,
    *,
    azimuth_deg: float,
    distance_m: float,
    height_m: float,
    focal_px: float,
    principal_px: tuple[float, float],
    aim_m: float,
) -> Camera:
    """Returns a level camera that looks at a person in the middle of the room.

    Args:
      name: Name of the camera.
      azimuth_deg: Direction of the camera from the centre, from +y towards +x.
      distance_m: Horizontal distance from the centre.
      height_m: Height above the floor.
      focal_px: Focal length.
      principal_px: Principal point (x, y).
      aim_m: Height above the floor that it looks at. Different heights place people
        differently on the raster of the crops, as Human3.6M's tilted cameras do.
    """
    azimuth = np.deg2rad(azimuth_deg)
    outward = np.array([np.sin(azimuth), np.cos(azimuth), 0.0])
    center = distance_m * outward + np.array([0.0, 0.0, height_m])
    forward = np.array([0.0, 0.0, aim_m]) - center
    forward /= np.linalg.norm(forward)
    right = np.cross(forward, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    rotation = np.stack([right, np.cross(forward, right), forward])
    intrinsics = np.array(
        [
            [focal_px, 0.0, principal_px[0]],
            [0.0, focal_px, principal_px[1]],
            [0.0, 0.0, 1.0],
        ]
    )
    return Camera(name, intrinsics, rotation, -rotation @ center)


CAMERAS = (
    looking_at(
        "54138969",
        azimuth_deg=-48.0,
        distance_m=4.6,
        height_m=1.55,
        focal_px=366.0,
        principal_px=(129.4, 126.8),
        aim_m=0.93,
    ),
    looking_at(
        "55011271",
        azimuth_deg=-4.0,
        distance_m=4.4,
        height_m=1.45,
        focal_px=358.0,
        principal_px=(126.1, 128.3),
        aim_m=1.05,
    ),
    looking_at(
        "58860488",
        azimuth_deg=40.0,
        distance_m=4.8,
        height_m=1.6,
        focal_px=375.0,
        principal_px=(128.2, 125.9),
        aim_m=0.84,
    ),
    looking_at(
        "60457274",
        azimuth_deg=84.0,
        distance_m=4.5,
        height_m=1.5,
        focal_px=362.0,
        principal_px=(126.9, 127.6),
        aim_m=0.99,
    ),
)
