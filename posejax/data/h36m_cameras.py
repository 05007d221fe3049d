"""The four calibrated cameras of Human3.6M.

Every subject was recorded with the same cameras, which were moved a little in between:
the lenses are common to all, the places differ by subject. The numbers are those of the
calibration that comes with the data set.

Reference:
  Ionescu, Papava, Olaru, Sminchisescu, Human3.6M: Large scale datasets and predictive
  methods for 3D human sensing in natural environments, IEEE TPAMI 36(7), 2014.
"""

from collections.abc import Sequence

from posejax import checks
from posejax.data.pose_cameras import PoseCamera, calibrated_camera

# fmt: off
_LENSES = {
    "54138969": {
        "center_px": (512.5415, 515.4515),
        "focal_px": (1145.0494, 1143.7811),
        "radial": (-0.20709892, 0.24777518, -0.0030751503),
        "tangential": (-0.0009756989, -0.0014244716),
        "resolution": (1000, 1002),
        "azimuth_deg": 70.0,
    },
    "55011271": {
        "center_px": (508.84863, 508.0649),
        "focal_px": (1149.6757, 1147.5917),
        "radial": (-0.19421363, 0.24040854, 0.0068199756),
        "tangential": (-0.0016190266, -0.0027408944),
        "resolution": (1000, 1000),
        "azimuth_deg": -70.0,
    },
    "58860488": {
        "center_px": (519.81586, 501.40265),
        "focal_px": (1149.1407, 1148.799),
        "radial": (-0.20833819, 0.255488, -0.0024604974),
        "tangential": (0.001484387, -0.0007599993),
        "resolution": (1000, 1000),
        "azimuth_deg": 110.0,
    },
    "60457274": {
        "center_px": (514.9682, 501.88202),
        "focal_px": (1145.5114, 1144.7739),
        "radial": (-0.19838409, 0.21832368, -0.008947807),
        "tangential": (-0.0005872056, -0.001813362),
        "resolution": (1000, 1002),
        "azimuth_deg": -110.0,
    },
}

# Per camera the orientation (w, x, y, z), camera to world, and the place, millimetres.
_PLACES = {
    "S1": (
        ((0.14070565, -0.15007018, -0.7552408, 0.62232804),
         (1841.107, 4955.2847, 1563.4454)),
        ((0.6157188, -0.7648363, -0.14833826, 0.11794741),
         (1761.2786, -5078.007, 1606.265)),
        ((0.14651473, -0.14647852, 0.76530236, -0.60941756),
         (-1846.7777, 5215.0464, 1491.9724)),
        ((0.58340085, -0.7853162, 0.14548823, -0.14749594),
         (-1794.7897, -3722.699, 1574.8927)),
    ),
    "S5": (
        ((0.14673772, -0.16237096, -0.7551893, 0.6178939),
         (2097.3916, 4880.945, 1605.7324)),
        ((0.61597586, -0.7626792, -0.15728192, 0.1189815),
         (2031.7008, -5167.933, 1612.9231)),
        ((0.14291371, -0.12907842, 0.7678385, -0.6110143),
         (-1620.5948, 5171.6587, 1496.437)),
        ((0.592048, -0.7814218, 0.12747486, -0.15036418),
         (-1637.1737, -3867.3174, 1547.0332)),
    ),
    "S6": (
        ((0.13378978, -0.15692396, -0.75710905, 0.61988795),
         (1935.4518, 4950.2456, 1618.0839)),
        ((0.61471975, -0.7628813, -0.16174768, 0.11819245),
         (1969.804, -5128.739, 1632.7788)),
        ((0.15299481, -0.13529131, 0.76460963, -0.6112781),
         (-1769.5964, 5185.3613, 1476.9934)),
        ((0.59161013, -0.7804774, 0.1283227, -0.15615939),
         (-1721.6687, -3884.1313, 1540.4879)),
    ),
    "S7": (
        ((0.14352418, -0.16313368, -0.75483286, 0.6188825),
         (1974.513, 4926.3545, 1597.8326)),
        ((0.6141673, -0.76382625, -0.15966456, 0.117792994),
         (1937.0585, -5119.79, 1631.5665)),
        ((0.1455006, -0.12874816, 0.76605165, -0.61271393),
         (-1741.8112, 5208.2495, 1464.8246)),
        ((0.5912848, -0.78217643, 0.12445474, -0.15196487),
         (-1734.7106, -3832.4214, 1548.583)),
    ),
    "S8": (
        ((0.14110588, -0.15589868, -0.75619173, 0.61964405),
         (2150.6519, 4896.161, 1611.9047)),
        ((0.61696017, -0.7647668, -0.1484635, 0.11158158),
         (2219.9656, -5148.453, 1613.0441)),
        ((0.1471444, -0.1337712, 0.76701283, -0.61003697),
         (-1571.2216, 5137.0186, 1498.1761)),
        ((0.59278244, -0.78258705, 0.12147816, -0.14631996),
         (-1476.9133, -3896.7412, 1547.9722)),
    ),
    "S9": (
        ((0.15540588, -0.15548216, -0.75320953, 0.6199595),
         (2044.4585, 4935.117, 1481.2275)),
        ((0.6187845, -0.7634735, -0.14132239, 0.11933968),
         (1990.9597, -5123.8105, 1568.8048)),
        ((0.13357827, -0.13671005, 0.76894546, -0.61007386),
         (-1670.9922, 5211.986, 1528.388)),
        ((0.5879399, -0.7823407, 0.14276144, -0.1479487),
         (-1696.0435, -3827.0999, 1591.4127)),
    ),
    "S11": (
        ((0.15232472, -0.1544232, -0.75475633, 0.619107),
         (2098.4402, 4926.5547, 1500.2786)),
        ((0.61894494, -0.7600917, -0.15300633, 0.12552583),
         (2083.1824, -4912.173, 1561.0786)),
        ((0.14943229, -0.15650228, 0.7681234, -0.60263044),
         (-1609.8153, 5177.336, 1537.8967)),
        ((0.58942515, -0.7818877, 0.13991211, -0.14715362),
         (-1590.738, -3854.169, 1578.0176)),
    ),
}
# fmt: on

H36M_CAMERAS = tuple(_LENSES)
H36M_SUBJECTS = tuple(_PLACES)
H36M_FPS = 50


def h36m_camera(subject: str, camera: int | str) -> PoseCamera:
    """Returns a camera of Human3.6M as it stood for a subject.

    Args:
      subject: Name of the subject, one of `H36M_SUBJECTS`; the cameras of S2, S3 and S4
        are not published.
      camera: Position in `H36M_CAMERAS`, or its name there.

    Returns:
      The camera, in metres and normalised image coordinates, float32.

    Raises:
      ValueError: If there is no such subject or camera.

    >>> camera = h36m_camera("S9", "55011271")
    >>> print(camera.resolution, camera.intrinsics[:2].round(3))
    (1000, 1000) [2.299 2.295]
    """
    if subject not in _PLACES:
        raise checks.unknown("subject", subject, _PLACES)
    name = camera
    if isinstance(camera, int):
        if not 0 <= camera < len(H36M_CAMERAS):
            raise ValueError(
                f"camera is {camera}; expected 0 to {len(H36M_CAMERAS) - 1} or one of "
                f"{', '.join(H36M_CAMERAS)}."
            )
        name = H36M_CAMERAS[camera]
    if name not in _LENSES:
        raise checks.unknown("camera", name, _LENSES)
    orientation, place = _PLACES[subject][H36M_CAMERAS.index(name)]
    return calibrated_camera(
        name, orientation=orientation, translation_mm=place, **_LENSES[name]
    )


def h36m_cameras(
    subject: str, cameras: Sequence[int | str] = H36M_CAMERAS
) -> tuple[PoseCamera, ...]:
    """Returns cameras of a subject in the given order; all four unless said otherwise.

    Args:
      subject: Name of the subject.
      cameras: Positions or names of cameras.

    Raises:
      ValueError: If there is no such subject or camera.
    """
    return tuple(h36m_camera(subject, camera) for camera in cameras)
