"""From the joints of a motion capture skeleton to the 17 of Human3.6M, in metres.

Skeletons differ in names, unit and axes. Names are compared without prefix, case and
signs; the unit follows from the length of the legs, the upward axis from where the head
is.
"""

import re
from collections.abc import Sequence

import numpy as np

from datasets.mocap.bvh import END, Motion
from posejax.skeletons import H36M_17

# Where a joint of ours is found, the best first: the names of CMU's BVH conversion,
# LaFAN1, Mixamo and Bandai Namco. The end of a branch is named after its joint.
_SIDE_NAMES = {
    "hip": ("{s}upleg", "{s}thigh", "{s}hip", "upperleg{l}", "thigh{l}", "{s}upperleg"),
    "knee": ("{s}leg", "{s}knee", "{s}shin", "lowerleg{l}", "calf{l}", "{s}lowerleg"),
    "ankle": ("{s}foot", "{s}ankle", "foot{l}"),
    "shoulder": ("{s}arm", "{s}upperarm", "upperarm{l}", "{s}shoulder"),
    "elbow": ("{s}forearm", "{s}elbow", "{s}lowerarm", "lowerarm{l}", "forearm{l}"),
    "wrist": ("{s}hand", "{s}wrist", "hand{l}"),
}
_CENTRE_NAMES = {
    "spine": ("spine1", "chest", "spine", "abdomen"),
    "thorax": ("neck", "neck1", "spine2", "spine3", "chest"),
    "nose": ("head",),
    "head_top": (f"head{END}", "headtopend", "headend", "headnub", "headtop"),
}
_HEAD_M = 0.14  # from the head joint to the top, where the file does not say
_UNITS_M = (1.0, 0.01, 0.0254, 0.056444, 0.001)  # m, cm, inch, CMU's, mm
_LEG_M = (0.55, 1.1)


def human_joints(motion: Motion, where: str) -> np.ndarray:
    """Returns the joints of Human3.6M, z up.

    Args:
      motion: A motion of a human skeleton.
      where: Names the file in error messages.

    Returns:
      Joints (frames, 17, 3), metres, float64. The pelvis is the midpoint of the hips.

    Raises:
      ValueError: If a joint is not found, or unit or axes cannot be told.
    """
    names = [_plain(name) for name in motion.names]
    joints = np.empty((len(motion.positions), H36M_17.num_joints, 3))
    for joint in H36M_17.joints[1:]:
        if joint == "head_top":
            continue
        source = _find(names, _candidates(joint))
        if source is None:
            raise ValueError(
                f"{where} has no joint for {joint} (looked for "
                f"{', '.join(_candidates(joint))}); its joints are "
                f"{', '.join(n for n in motion.names if not n.endswith(END))}."
            )
        joints[:, H36M_17.index(joint)] = motion.positions[:, source]
    hips = [H36M_17.index("left_hip"), H36M_17.index("right_hip")]
    joints[:, 0] = joints[:, hips].mean(axis=1)
    scale = _metres(joints, where)
    top = _find(names, _CENTRE_NAMES["head_top"])
    joints[:, H36M_17.index("head_top")] = _head_top(motion, joints, top, scale)
    return _upright(joints * scale, where)


def _plain(name: str) -> str:
    """`mixamorig:LeftUpLeg` and `Left_Up_Leg` become `leftupleg`; an end stays one."""
    end = END if name.endswith(END) else ""
    short = re.sub(r"[^a-z0-9]", "", name.removesuffix(END).rpartition(":")[2].lower())
    return short + end


def _candidates(joint: str) -> Sequence[str]:
    side, _, part = joint.partition("_")
    if part in _SIDE_NAMES:
        return [
            form.format(s=prefix, l=side[0])
            for prefix in (side, side[0])
            for form in _SIDE_NAMES[part]
        ]
    return _CENTRE_NAMES[joint]


def _find(names: Sequence[str], candidates: Sequence[str]) -> int | None:
    return next((names.index(c) for c in candidates if c in names), None)


def _metres(joints: np.ndarray, where: str) -> float:
    hip, knee, ankle = (H36M_17.index(f"left_{j}") for j in ("hip", "knee", "ankle"))
    leg = np.linalg.norm(joints[0, hip] - joints[0, knee])
    leg += np.linalg.norm(joints[0, knee] - joints[0, ankle])
    for unit in _UNITS_M:
        if _LEG_M[0] <= leg * unit <= _LEG_M[1]:
            return unit
    raise ValueError(
        f"the legs of {where} are {leg:.3g} units long; expected {_LEG_M[0]} to "
        f"{_LEG_M[1]} m in metres, centimetres, millimetres, inches or CMU's unit."
    )


def _head_top(
    motion: Motion, joints: np.ndarray, top: int | None, scale: float
) -> np.ndarray:
    nose, neck = H36M_17.index("nose"), H36M_17.index("thorax")
    if top is not None:
        found = motion.positions[:, top]
        if np.linalg.norm(found[0] - joints[0, nose]) * scale > 0.02:
            return found
    along = joints[:, nose] - joints[:, neck]
    length = np.maximum(np.linalg.norm(along, axis=-1, keepdims=True), 1e-9)
    return joints[:, nose] + along / length * (_HEAD_M / scale)


def _upright(joints: np.ndarray, where: str) -> np.ndarray:
    """Turns the axis along which the body stands to z."""
    body = (joints[:, H36M_17.index("thorax")] - joints[:, 0]).mean(axis=0)
    axis = int(np.argmax(np.abs(body)))
    if body[axis] <= 0 or axis == 0:
        raise ValueError(
            f"{where} stands along {'-' if body[axis] <= 0 else '+'}{'xyz'[axis]}; "
            "expected a person who stands along +y or +z on average."
        )
    if axis == 2:
        return joints
    return np.stack([joints[..., 0], -joints[..., 2], joints[..., 1]], axis=-1)
