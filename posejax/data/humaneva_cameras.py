"""The three colour cameras of HumanEva-I: where they stand, without their lenses.

Reference:
  Sigal, Balan, Black, HumanEva: Synchronized video and motion capture dataset and
  baseline algorithm for evaluation of articulated human motion, IJCV 87, 2010.
"""

import numpy as np

from posejax import checks
from posejax.data.pose_cameras import PoseCamera

# fmt: off
# Per camera the orientation (w, x, y, z), camera to world, and the place, millimetres.
_PLACES = {
    "S1": (
        ((0.424207, -0.4983646, -0.5802981, 0.4847012),
         (4062.227, 663.2477, 1528.397)),
        ((0.6503354, -0.7481602, -0.0919284, 0.0941766),
         (844.8131, -3805.2092, 1504.9929)),
        ((0.0664734, -0.0690535, 0.7416416, -0.6639132),
         (-797.67377, 3916.3174, 1433.6602)),
    ),
    "S2": (
        ((0.4214752, -0.4961493, -0.5838273, 0.4851187),
         (4112.9121, 626.4929, 1545.2988)),
        ((0.6501393, -0.7476588, -0.0954617, 0.0959808),
         (923.574, -3877.9243, 1504.5518)),
        ((0.0699353, -0.0712403, 0.7421637, -0.662742),
         (-781.4915, 3838.8853, 1444.9929)),
    ),
    "S3": (
        ((0.424207, -0.4983646, -0.5802981, 0.4847012),
         (4062.2271, 663.2477, 1528.397)),
        ((0.6503354, -0.7481602, -0.0919284, 0.0941766),
         (844.8131, -3805.2092, 1504.9929)),
        ((0.0664734, -0.0690535, 0.7416416, -0.6639132),
         (-797.6738, 3916.3174, 1433.6602)),
    ),
}
# fmt: on

HUMANEVA_CAMERAS = ("C1", "C2", "C3")
HUMANEVA_SUBJECTS = tuple(_PLACES)
HUMANEVA_FPS = 60
HUMANEVA_RESOLUTION = (640, 480)
_AZIMUTHS_DEG = (0.0, -90.0, 90.0)


def humaneva_cameras(subject: str) -> tuple[PoseCamera, ...]:
    """Returns the cameras of a subject of HumanEva-I; they have no intrinsics.

    Args:
      subject: Name of the subject, such as `S1`, `Train/S1` or `Unlabeled/Validate/S1`.

    Returns:
      Three cameras of 640 x 480 pixels.

    Raises:
      ValueError: If the cameras of the subject are not known.
    """
    person = subject.rpartition("/")[2]
    if person not in _PLACES:
        raise checks.unknown("subject", subject, _PLACES)
    return tuple(
        PoseCamera(
            name=name,
            orientation=np.array(orientation, np.float32),
            translation=np.array(place, np.float32) / np.float32(1000),
            resolution=HUMANEVA_RESOLUTION,
            azimuth_deg=azimuth,
        )
        for name, azimuth, (orientation, place) in zip(
            HUMANEVA_CAMERAS, _AZIMUTHS_DEG, _PLACES[person], strict=True
        )
    )
