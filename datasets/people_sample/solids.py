"""The body of a person as about forty rounded cones, each fixed to one joint.

A rounded cone is the hull of two spheres, here stretched across its axis so that trunk,
hands and feet are flat. `Solids` holds all of them as arrays; canonical coordinates of
a solid have its axis along z, from 0 to `height`.
"""

import dataclasses
from collections.abc import Iterator

import numpy as np

from datasets.people_sample.bodies import (
    LEFT_ARM,
    LEFT_LEG,
    RIGHT_ARM,
    RIGHT_LEG,
    rest_joints,
)
from datasets.people_sample.wardrobe import Cloth, Person

FACE_CENTER_M = (0.0, 0.022, 0.155)  # from the base of the neck
FACE_RADII_M = (0.074, 0.092, 0.118)


@dataclasses.dataclass(frozen=True)
class Solid:
    """One rounded cone in the rest frame, relative to its joint, metres.

    Attributes:
      joint: Joint that it moves with.
      start: Centre of the first sphere.
      end: Centre of the second sphere.
      radii: Radii of the two spheres.
      cloth: Its look.
      stretch: Factors along (width, depth, length); width is the person's right.
    """

    joint: int
    start: tuple[float, float, float]
    end: tuple[float, float, float]
    radii: tuple[float, float]
    cloth: Cloth
    stretch: tuple[float, float, float] = (1.0, 1.0, 1.0)


@dataclasses.dataclass(frozen=True)
class Solids:
    """All solids of a person as arrays of length n.

    Attributes:
      joints: (n,) int, the joint of each.
      origins: (n, 3) rest position of the start relative to the joint.
      axes: (n, 3, 3) canonical coordinates to the rest frame.
      heights: (n,) canonical length of the axis.
      radii: (n, 2) canonical radii.
      rest_origins: (n, 3) rest position of the start relative to the hip centre.
      cloth_indices: (n,) index into `cloths`.
      cloths: The distinct looks.
    """

    joints: np.ndarray
    origins: np.ndarray
    axes: np.ndarray
    heights: np.ndarray
    radii: np.ndarray
    rest_origins: np.ndarray
    cloth_indices: np.ndarray
    cloths: tuple[Cloth, ...]


def _axes(solid: Solid) -> tuple[np.ndarray, float]:
    direction = np.subtract(solid.end, solid.start)
    length = float(np.linalg.norm(direction))
    along = direction / length if length else np.array([0.0, 0.0, 1.0])
    across = np.array([1.0, 0.0, 0.0])
    if abs(along[0]) > 0.9:
        across = np.array([0.0, 0.0, 1.0])
    across = across - along * (along @ across)
    across /= np.linalg.norm(across)
    frame = np.stack([across, np.cross(along, across), along], axis=1)
    return frame * np.asarray(solid.stretch), length / solid.stretch[2]


def _trunk(person: Person, joints: np.ndarray) -> Iterator[Solid]:
    girth, top, bottom = person.build.girth, person.top, person.bottom
    hip, shoulder = joints[1, 0], joints[25, 0]
    spine, chest = joints[12, 2], joints[13, 2] - joints[12, 2]
    yield Solid(
        0,
        (-0.45 * hip, 0.0, -0.03),
        (0.45 * hip, 0.0, -0.03),
        (0.112 * girth,) * 2,
        bottom,
        (1.0, 0.98, 1.0),
    )
    waist, ribs = hip + 0.024, shoulder * 0.86
    yield Solid(
        11,
        (0.0, 0.0, 0.0),
        (0.0, 0.0, spine),
        (0.114 * girth, 0.116 * girth),
        top,
        (waist / 0.114, 0.92, 1.0),
    )
    yield Solid(
        12,
        (0.0, 0.0, -0.01),
        (0.0, 0.0, 0.60 * chest),
        (0.116 * girth, 0.122 * girth),
        top,
        (ribs / 0.118, 0.92, 1.0),
    )
    yield Solid(
        12,
        (-0.72 * shoulder, -0.01, chest - 0.045),
        (0.72 * shoulder, -0.01, chest - 0.045),
        (0.068 * girth,) * 2,
        top,
    )
    yield Solid(
        12,
        (0.0, -0.012, chest - 0.03),
        (0.0, 0.0, chest + 0.035),
        (0.075, 0.056),
        top,
        (1.25, 1.0, 1.0),
    )


def _head(person: Person) -> Iterator[Solid]:
    skin, hair = Cloth(person.skin), Cloth(person.hair)
    face = Cloth(person.skin, person.hair, "face")
    yield Solid(13, (0.0, -0.01, -0.02), (0.0, 0.012, 0.09), (0.055, 0.05), skin)
    yield Solid(13, FACE_CENTER_M, FACE_CENTER_M, (1.0, 1.0), face, FACE_RADII_M)
    yield Solid(13, (0.0, 0.105, 0.155), (0.0, 0.118, 0.133), (0.011, 0.014), skin)
    for side in (-1.0, 1.0):
        ear = (side * 0.076, 0.01, 0.15)
        yield Solid(13, ear, ear, (1.0, 1.0), skin, (0.012, 0.02, 0.03))
    if person.hair_style != "bald":
        crown = (0.0, -0.004, 0.182)
        yield Solid(13, crown, crown, (1.0, 1.0), hair, (0.083, 0.096, 0.106))
        nape = (0.0, -0.03, 0.135)
        yield Solid(13, nape, nape, (1.0, 1.0), hair, (0.077, 0.072, 0.085))
    if person.hair_style == "long":
        yield Solid(
            13,
            (0.0, -0.045, 0.14),
            (0.0, -0.085, -0.07),
            (0.07, 0.055),
            hair,
            (1.25, 0.75, 1.0),
        )
    if person.hair_style == "bun":
        knot = (0.0, -0.1, 0.235)
        yield Solid(13, knot, knot, (0.048, 0.048), hair)


def _leg(person: Person, joints: np.ndarray, leg: tuple[int, ...]) -> Iterator[Solid]:
    hip, knee, ankle = leg[:3]
    girth, bottom, skin = person.build.girth, person.bottom, Cloth(person.skin)
    side = np.sign(joints[hip, 0])
    thigh, shin = joints[hip, 2] - joints[knee, 2], joints[knee, 2] - joints[ankle, 2]
    long = person.trousers == "long"
    low = bottom if long else skin
    yield Solid(
        hip,
        (-0.01 * side, 0.0, -0.01),
        (0.0, 0.005, -thigh),
        (0.092 * girth, 0.056 * girth),
        bottom if long else skin,
    )
    if not long:
        yield Solid(
            hip,
            (-0.005 * side, 0.0, -0.02),
            (0.0, 0.004, -0.78 * thigh),
            (0.098 * girth, 0.084 * girth),
            bottom,
        )
    slack = 1.12 if long else 1.0
    yield Solid(
        knee,
        (0.0, 0.005, 0.0),
        (0.0, 0.0, -shin + 0.03),
        (0.055 * girth, 0.036 * slack * girth),
        low,
    )
    calf = (0.0, -0.014, -0.3 * shin)
    yield Solid(knee, calf, calf, (1.0, 1.0), low, (0.054 * girth, 0.054 * girth, 0.13))
    if long:
        yield Solid(
            knee,
            (0.0, 0.0, -0.6 * shin),
            (0.0, 0.0, -shin + 0.015),
            (0.047, 0.052),
            low,
        )
    shoe = Cloth(person.shoes)
    yield Solid(
        ankle,
        (0.0, -0.03, -0.045),
        (0.008 * side, 0.17, -0.055),
        (0.045, 0.036),
        shoe,
        (1.05, 0.9, 1.0),
    )
    yield Solid(ankle, (0.0, 0.0, 0.0), (0.0, 0.06, -0.04), (0.043, 0.04), shoe)


def _arm(person: Person, joints: np.ndarray, arm: tuple[int, ...]) -> Iterator[Solid]:
    shoulder, elbow, wrist = arm[1:4]
    girth, top, skin = person.build.girth, person.top, Cloth(person.skin)
    side = np.sign(joints[shoulder, 0])
    upper = joints[shoulder, 2] - joints[elbow, 2]
    fore = joints[elbow, 2] - joints[wrist, 2]
    yield Solid(
        shoulder,
        (0.0, 0.0, 0.0),
        (0.0, 0.0, -upper),
        (0.052 * girth, 0.039 * girth),
        skin,
    )
    if person.sleeves != "none":
        end = 0.55 if person.sleeves == "short" else 1.0
        yield Solid(
            shoulder,
            (-0.012 * side, 0.0, 0.0),
            (0.0, 0.0, -end * upper),
            (0.066 * girth, (0.062 if end < 1 else 0.048) * girth),
            top,
        )
    yield Solid(elbow, (0.0, 0.0, 0.0), (0.0, 0.0, -fore), (0.041 * girth, 0.028), skin)
    if person.sleeves == "long":
        yield Solid(
            elbow,
            (0.0, 0.0, 0.0),
            (0.0, 0.0, -0.92 * fore),
            (0.048 * girth, 0.038),
            top,
        )
    yield Solid(
        wrist,
        (0.0, 0.0, -0.035),
        (0.0, 0.012, -0.135),
        (0.036, 0.026),
        skin,
        (0.62, 1.15, 1.0),
    )
    yield Solid(
        wrist, (0.0, 0.02, -0.03), (-0.01 * side, 0.055, -0.075), (0.016, 0.013), skin
    )


def person_solids(person: Person) -> Solids:
    """Returns the body of a person."""
    joints = rest_joints(person.build)
    parts = [*_trunk(person, joints), *_head(person)]
    for leg, arm in ((RIGHT_LEG, RIGHT_ARM), (LEFT_LEG, LEFT_ARM)):
        parts += [*_leg(person, joints, leg), *_arm(person, joints, arm)]
    frames, heights = zip(*(_axes(part) for part in parts), strict=True)
    cloths = tuple(dict.fromkeys(part.cloth for part in parts))
    indices = np.array([part.joint for part in parts])
    origins = np.array([part.start for part in parts], dtype=np.float64)
    return Solids(
        joints=indices,
        origins=origins,
        axes=np.stack(frames),
        heights=np.array(heights),
        radii=np.array([part.radii for part in parts]),
        rest_origins=joints[indices] + origins,
        cloth_indices=np.array([cloths.index(part.cloth) for part in parts]),
        cloths=cloths,
    )


def place(
    solids: Solids, positions: np.ndarray, rotations: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Moves the solids with the joints of one pose.

    Args:
      solids: The body.
      positions: (32, 3) joints in the world, metres.
      rotations: (32, 3, 3) rest frame to world, one per joint.

    Returns:
      Origins (n, 3) and axes (n, 3, 3): canonical coordinates q of solid i are at
      `origins[i] + axes[i] @ q` in the world.
    """
    turned = rotations[solids.joints]
    origins = positions[solids.joints] + np.einsum("nij,nj->ni", turned, solids.origins)
    return origins, turned @ solids.axes
