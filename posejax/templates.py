"""The body template: parts, rest poses, anchors, and how warp parameters reach parts.

A template is a figure of 18 Gaussian blobs with anchor points on them, in pixels of a
256 x 256 crop. "left" and "right" of a part are sides of the picture (left: x < 128).
Centres are (row, column); anchors and every other point are (x, y). Numbers: Yoo and
Russakovsky 2023 (arXiv 2311.02815), after Schmidtke et al. 2021 (arXiv 2105.04154).
Numpy only, so that data workers may import it.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

# fmt: off
PARTS = (
    "core", "left hip", "right hip", "left thigh", "right thigh", "left shin",
    "right shin", "left shoulder", "right shoulder", "left arm", "right arm",
    "left forearm", "right forearm", "left foot", "right foot", "left hand",
    "right hand", "head",
)
# fmt: on
NUM_PARTS = len(PARTS)
TEMPLATE_SIZE = 256  # side in pixels of the crop in which the templates are given

# Anchors come in the order of the parts: three on the core, two (parent end, child
# end) on each of the next twelve parts, one on each of the last five.
ANCHORS_PER_PART = (3,) + 12 * (2,) + 5 * (1,)
NUM_ANCHORS = sum(ANCHORS_PER_PART)
ANCHOR_PARTS = np.repeat(np.arange(NUM_PARTS), ANCHORS_PER_PART)
ANCHOR_PARTS.setflags(write=False)

# Anchors that coincide in a connected body: the 17 terms of the anchor loss.
# fmt: off
JOINTED = (
    (0, 3), (0, 5),      # pelvis: core, left and right hip
    (1, 15), (1, 17),    # shoulder line: core, left and right shoulder
    (2, 31),             # neck: core, head
    (4, 7), (6, 9),      # hip, thigh
    (8, 11), (10, 13),   # thigh, shin
    (16, 19), (18, 21),  # shoulder, arm
    (20, 23), (22, 25),  # arm, forearm
    (12, 27), (14, 28),  # shin, foot
    (24, 29), (26, 30),  # forearm, hand
)

# Anchors whose mean is each joint of `TEMPLATE_15`. The published table averages one
# anchor for hipR where every other limb joint has two; the symmetric table has both.
JOINT_ANCHORS = (
    (0, 3, 5), (6,), (10, 13), (14, 28), (4, 7), (8, 11), (12, 27), (1, 15, 17),
    (2, 31), (18, 21), (22, 25), (26, 30), (16, 19), (20, 23), (24, 29),
)
# fmt: on
JOINT_ANCHORS_SYMMETRIC = (JOINT_ANCHORS[0], (6, 9), *JOINT_ANCHORS[2:])

# Segments of the proportion metric: the joint at one end, by its index in
# `TEMPLATE_15`; `BONE_ENDS` has the other end. The first segment is the torso.
CONSISTENCY_SEGMENTS = (0, 1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 14)
BONE_ENDS = (8, 0, 1, 2, 0, 4, 5, 7, 8, 7, 9, 10, 7, 12, 13)

# Order of the joints on the axis of per-joint plots, and polylines of the skeleton.
PLOT_ORDER = (7, 0, 8, 1, 4, 9, 12, 2, 5, 3, 6, 10, 13, 11, 14)
SKELETON_CHAINS = (
    (0, 1, 2, 3),
    (0, 4, 5, 6),
    (0, 7, 8),
    (7, 9, 10, 11),
    (7, 12, 13, 14),
)


@dataclasses.dataclass(frozen=True, eq=False)
class Template:
    """A figure of Gaussian blobs at rest, in pixels of a 256 x 256 crop.

    Attributes:
      name: Key in `TEMPLATES`.
      parts: Names of the parts, in array order.
      centers: Centre of each blob, (row, column).
      sigmas: Standard deviations; at angle 0 the first is along rows.
      angles: Rotation of each blob in radians.
      anchors: Anchor points, (x, y), in the order of the parts (`ANCHOR_PARTS`).
    """

    name: str
    parts: tuple[str, ...]
    centers: Float[np.ndarray, "parts 2"]
    sigmas: Float[np.ndarray, "parts 2"]
    angles: Float[np.ndarray, " parts"]
    anchors: Float[np.ndarray, "anchors 2"]


_UPRIGHT = 1.5708  # the published angle of core and shins; not exactly pi / 2
_ARM = np.pi / 3
_HAND = np.deg2rad(80.0)

# part: centre (row, column), sigmas, angle, anchors (x, y). Python keeps the order.
_Rows = dict[str, tuple[tuple, tuple, float, tuple]]
# fmt: off
_T_POSE: _Rows = {
    "core": ((120, 128), (15.36, 25.6), _UPRIGHT, ((128, 144), (128, 80), (128, 68))),
    "left hip": ((152, 120), (6.4, 7.68), -0.9, ((128, 144), (116, 144))),
    "right hip": ((152, 136), (6.4, 7.68), 0.9, ((128, 144), (140, 144))),
    "left thigh": ((172, 108), (6.4, 10.24), -1.1, ((116, 144), (100, 184))),
    "right thigh": ((172, 148), (6.4, 10.24), 1.1, ((140, 144), (156, 184))),
    "left shin": ((196, 100), (6.4, 12.8), _UPRIGHT, ((100, 184), (100, 208))),
    "right shin": ((196, 156), (6.4, 12.8), -_UPRIGHT, ((156, 184), (156, 208))),
    "left shoulder": ((80, 120), (6.4, 10.24), 0, ((128, 80), (112, 80))),
    "right shoulder": ((80, 136), (6.4, 10.24), 0, ((128, 80), (144, 80))),
    "left arm": ((80, 96), (6.4, 10.24), 0, ((112, 80), (88, 80))),
    "right arm": ((80, 160), (6.4, 10.24), 0, ((144, 80), (168, 80))),
    "left forearm": ((80, 72), (6.4, 10.24), 0, ((88, 80), (68, 80))),
    "right forearm": ((80, 184), (6.4, 10.24), 0, ((168, 80), (188, 80))),
    "left foot": ((220, 100), (5.12, 5.12), 0, ((100, 208),)),
    "right foot": ((220, 156), (5.12, 5.12), 0, ((156, 208),)),
    "left hand": ((80, 56), (5.12, 6.4), 0, ((68, 80),)),
    "right hand": ((80, 200), (5.12, 6.4), 0, ((188, 80),)),
    "head": ((52, 128), (12.8, 8.96), 0, ((128, 68),)),
}
# Only arms, forearms and hands differ: they hang.
_NATURAL: _Rows = {
    **_T_POSE,
    "left arm": ((93, 100), (6.4, 10.24), -_ARM, ((112, 80), (93, 102))),
    "right arm": ((93, 156), (6.4, 10.24), _ARM, ((144, 80), (160, 102))),
    "left forearm": ((118, 90), (6.4, 10.24), -_HAND, ((93, 102), (86, 127))),
    "right forearm": ((118, 165), (6.4, 10.24), _HAND, ((160, 102), (167, 127))),
    "left hand": ((138, 87), (5.12, 6.4), -_HAND, ((86, 127),)),
    "right hand": ((138, 170), (5.12, 6.4), _HAND, ((167, 127),)),
}
# fmt: on


def _read_only(values: list, dtype: type = np.float64) -> np.ndarray:
    array = np.array(values, dtype)
    array.setflags(write=False)
    return array


def _template(name: str, rows: _Rows) -> Template:
    centers, sigmas, angles, anchors = zip(*(rows[p] for p in PARTS), strict=True)
    return Template(
        name=name,
        parts=PARTS,
        centers=_read_only(list(centers)),
        sigmas=_read_only(list(sigmas)),
        angles=_read_only(list(angles)),
        anchors=_read_only([point for points in anchors for point in points]),
    )


T_POSE = _template("t_pose", _T_POSE)
NATURAL = _template("natural", _NATURAL)
TEMPLATES = {"t_pose": T_POSE, "natural": NATURAL}

IDENTITY = -1  # in `WarpScheme.steps`: the part stays where it is in this step


@dataclasses.dataclass(frozen=True)
class WarpScheme:
    """How the outputs of the regressor become one map per part and step.

    Attributes:
      name: Key in `SCHEMES`.
      num_maps: Number of maps that the regressor predicts.
      is_constrained: If False a map is six numbers (2 x 3, row-major). If True it is
        (angle, t1, t2), and two column scales shared by all maps follow the last.
      steps: `steps[s][part]` is the map used for that part in step s, or `IDENTITY`.
    """

    name: str
    num_maps: int
    is_constrained: bool
    steps: tuple[tuple[int, ...], ...]

    @property
    def num_outputs(self) -> int:
        """Number of values per image that the regressor has to predict."""
        return 3 * self.num_maps + 2 if self.is_constrained else 6 * self.num_maps

    def moved_parts(self, step: int) -> Int[np.ndarray, " moved"]:
        """Returns the parts that are not left where they are in `step`."""
        return np.flatnonzero(np.array(self.steps[step]) != IDENTITY)


# Coarse to fine: in the first step an arm moves with its forearm and hand, in the
# second each of the three moves by itself. Entries are in the order of `PARTS`.
# fmt: off
_COARSE_TO_FINE = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 9, 10, 11, 12, 9, 10, 13),
    (-1, -1, -1, -1, -1, -1, -1, -1, -1, 14, 17, 15, 18, -1, -1, 16, 19, -1),
)
# fmt: on
SCHEMES = {
    "affine": WarpScheme("affine", 18, False, (tuple(range(NUM_PARTS)),)),
    "two_step": WarpScheme("two_step", 20, False, _COARSE_TO_FINE),
    "constrained": WarpScheme("constrained", 20, True, _COARSE_TO_FINE),
}


def joint_anchors(
    *, midpoint: bool = True, symmetric: bool = False
) -> tuple[tuple[int, ...], ...]:
    """Returns for each joint of `TEMPLATE_15` the anchors whose mean it is.

    Args:
      midpoint: Average abdomen, chest and neck over all parts that meet there
        (published figures); if False they are the core's own anchors 0, 1 and 2.
      symmetric: Use two anchors for hipR, as for every other limb joint.

    Returns:
      Indices of anchors, one row per joint.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation.

    >>> joint_anchors(midpoint=False)[:2], joint_anchors(symmetric=True)[1]
    (((0,), (6,)), (6, 9))
    """
    table = list(JOINT_ANCHORS_SYMMETRIC if symmetric else JOINT_ANCHORS)
    if not midpoint:
        table[0], table[7], table[8] = (0,), (1,), (2,)
    return tuple(table)
