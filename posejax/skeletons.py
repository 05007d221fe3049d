"""Named joint sets: the order, the tree and the left-right pairs of each.

An array of joints means nothing without its joint set. Every array that crosses a
public boundary names one of these. Numpy only, so that data workers may import it.
"""

import dataclasses

import numpy as np
from jaxtyping import Int


@dataclasses.dataclass(frozen=True)
class Skeleton:
    """A joint set.

    Attributes:
      name: Key in `SKELETONS`.
      joints: Joint names in array order, each once.
      parents: Index of each joint's parent, which may stand behind it; -1 for the root.
      left_right: Index pairs (left, right) that change places in a mirrored picture.
    """

    name: str
    joints: tuple[str, ...]
    parents: tuple[int, ...]
    left_right: tuple[tuple[int, int], ...]

    @property
    def num_joints(self) -> int:
        """Number of joints."""
        return len(self.joints)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(parent, child) index pairs, in the order of the children."""
        return tuple((p, c) for c, p in enumerate(self.parents) if p >= 0)

    def index(self, joint: str) -> int:
        """Returns the position of the named joint, or raises a `ValueError`."""
        if joint not in self.joints:
            raise ValueError(
                f"joint {joint!r} is not in skeleton {self.name!r}; "
                f"its joints are {', '.join(self.joints)}."
            )
        return self.joints.index(joint)

    def mirror(self) -> Int[np.ndarray, " joints"]:
        """Returns `order`; `pose[..., order, :]` has left and right exchanged."""
        order = np.arange(self.num_joints)
        for left, right in self.left_right:
            order[left], order[right] = right, left
        return order


# fmt: off
_H36M_PARENTS = (
    -1, 0, 1, 2, 3, 4, 0, 6, 7, 8, 9, 0, 11, 12, 13, 14,
    12, 16, 17, 18, 19, 20, 19, 22, 12, 24, 25, 26, 27, 28, 27, 30,
)
# fmt: on

# Human3.6M as distributed. "left" and "right" are the person's own (anatomical) sides.
# Joint 11 coincides with 0, and 16 and 24 with 13, in most recordings.
H36M_32 = Skeleton(
    name="h36m_32",
    joints=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "right_toe_base",
        "right_toe_tip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "left_toe_base",
        "left_toe_tip",
        "spine_base",
        "spine",
        "thorax",
        "nose",
        "head_top",
        "left_collar",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "left_thumb",
        "left_thumb_tip",
        "left_hand",
        "left_hand_tip",
        "right_collar",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "right_thumb",
        "right_thumb_tip",
        "right_hand",
        "right_hand_tip",
    ),
    parents=_H36M_PARENTS,
    left_right=(
        *((6 + i, 1 + i) for i in range(5)),
        *((16 + i, 24 + i) for i in range(8)),
    ),
)

# The joints of the body template. "R" and "L" are sides of the picture: of a person who
# faces the camera, hipR is to the right in the picture, the anatomical LEFT hip.
TEMPLATE_15 = Skeleton(
    name="template_15",
    joints=(
        "abdomen",
        "hipR",
        "kneeR",
        "ankleR",
        "hipL",
        "kneeL",
        "ankleL",
        "chest",
        "neck",
        "shoulderR",
        "elbowR",
        "wristR",
        "shoulderL",
        "elbowL",
        "wristL",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 7, 9, 10, 7, 12, 13),
    left_right=((4, 1), (5, 2), (6, 3), (12, 9), (13, 10), (14, 11)),
)

# The 17 joints of Human3.6M that pose estimators predict. The head hangs on the nose:
# thorax, nose, head_top. Other trees of the same joints belong to the bones' code.
H36M_17 = Skeleton(
    name="h36m_17",
    joints=(
        "pelvis",
        "right_hip",
        "right_knee",
        "right_ankle",
        "left_hip",
        "left_knee",
        "left_ankle",
        "spine",
        "thorax",
        "nose",
        "head_top",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
    ),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 9, 8, 11, 12, 8, 14, 15),
    left_right=((4, 1), (5, 2), (6, 3), (11, 14), (12, 15), (13, 16)),
)

# The same without the nose, as some detectors give it; the head hangs on the thorax.
H36M_16 = Skeleton(
    name="h36m_16",
    joints=(*H36M_17.joints[:9], *H36M_17.joints[10:]),
    parents=(-1, 0, 1, 2, 0, 4, 5, 0, 7, 8, 8, 10, 11, 8, 13, 14),
    left_right=((4, 1), (5, 2), (6, 3), (10, 13), (11, 14), (12, 15)),
)

# The keypoints of COCO. Its limbs contain circles; this tree keeps those that lead from
# the nose over eyes and ears down each side.
COCO_17 = Skeleton(
    name="coco_17",
    joints=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    parents=(-1, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    left_right=tuple((i, i + 1) for i in range(1, 17, 2)),
)

# The keypoints of MPII. Children stand before their parents in the legs and the right
# arm.
MPII_16 = Skeleton(
    name="mpii_16",
    joints=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "pelvis",
        "thorax",
        "upper_neck",
        "head_top",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
    ),
    parents=(1, 2, 6, 6, 3, 4, -1, 6, 7, 8, 11, 12, 7, 7, 13, 14),
    left_right=((3, 2), (4, 1), (5, 0), (13, 12), (14, 11), (15, 10)),
)

# HumanEva with the two ends of neighbouring body parts averaged, as its own evaluation
# does.
HUMANEVA_15 = Skeleton(
    name="humaneva_15",
    joints=(
        "pelvis",
        "thorax",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "right_shoulder",
        "right_elbow",
        "right_wrist",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_hip",
        "right_knee",
        "right_ankle",
        "head",
    ),
    parents=(-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1),
    left_right=((2, 5), (3, 6), (4, 7), (8, 11), (9, 12), (10, 13)),
)

# HumanEva with both ends of its ten body parts. An elbow or knee is two points: the far
# end of one part and the near end of the next.
HUMANEVA_20 = Skeleton(
    name="humaneva_20",
    joints=(
        "pelvis",
        "torso_top",
        "head_bottom",
        "left_shoulder",
        "left_upper_arm_end",
        "left_lower_arm_start",
        "left_wrist",
        "right_shoulder",
        "right_upper_arm_end",
        "right_lower_arm_start",
        "right_wrist",
        "left_hip",
        "left_upper_leg_end",
        "left_lower_leg_start",
        "left_ankle",
        "right_hip",
        "right_upper_leg_end",
        "right_lower_leg_start",
        "right_ankle",
        "head",
    ),
    parents=(-1, 0, 1, 1, 3, 4, 5, 1, 7, 8, 9, 0, 11, 12, 13, 0, 15, 16, 17, 2),
    left_right=(
        *((3 + i, 7 + i) for i in range(4)),
        *((11 + i, 15 + i) for i in range(4)),
    ),
)

# The joints of LSP, in whose order METRO estimates bodies. There is no pelvis: the legs
# hang on the shoulders.
LSP_14 = Skeleton(
    name="lsp_14",
    joints=(
        "right_ankle",
        "right_knee",
        "right_hip",
        "left_hip",
        "left_knee",
        "left_ankle",
        "right_wrist",
        "right_elbow",
        "right_shoulder",
        "left_shoulder",
        "left_elbow",
        "left_wrist",
        "neck",
        "head_top",
    ),
    parents=(1, 2, 8, 9, 3, 4, 7, 8, 12, 12, 9, 10, -1, 12),
    left_right=((3, 2), (4, 1), (5, 0), (9, 8), (10, 7), (11, 6)),
)

# The keypoints of PoseTrack, in whose order DCPose detects people.
POSETRACK_17 = Skeleton(
    name="posetrack_17",
    joints=(
        "nose",
        "head_bottom",
        "head_top",
        "left_ear",
        "right_ear",
        *COCO_17.joints[5:],
    ),
    parents=(1, -1, 0, 0, 0, 1, 1, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
    left_right=tuple((i, i + 1) for i in range(3, 17, 2)),
)

_ALL = (
    H36M_32,
    TEMPLATE_15,
    H36M_17,
    H36M_16,
    COCO_17,
    MPII_16,
    HUMANEVA_15,
    HUMANEVA_20,
    LSP_14,
    POSETRACK_17,
)
SKELETONS = {skeleton.name: skeleton for skeleton in _ALL}

# Joint sets whose names do not say which joint of one is which joint of the other:
# for each joint of the second set, its index in the first.
_CORRESPONDENCES = {
    ("h36m_32", "template_15"): (0, 6, 7, 8, 1, 2, 3, 13, 14, 17, 18, 19, 25, 26, 27),
    # The neck of LSP is the thorax of Human3.6M.
    ("h36m_32", "lsp_14"): (3, 2, 1, 6, 7, 8, 27, 26, 25, 17, 18, 19, 13, 15),
    ("h36m_17", "lsp_14"): (3, 2, 1, 4, 5, 6, 16, 15, 14, 11, 12, 13, 8, 10),
}


def remap(source: Skeleton, target: Skeleton) -> Int[np.ndarray, " joints"]:
    """Returns the index array that selects the target's joints from the source's.

    `pose[..., remap(source, target), :]` is the pose in the order of `target`.

    Args:
      source: Joint set of the array at hand.
      target: Joint set that is wanted.

    Returns:
      For each joint of `target` its index in `source`.

    Raises:
      ValueError: If a joint of `target` is missing in `source`.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), evaluation, for the joints of
      Human3.6M that the body template is scored on; equal names otherwise.

    >>> remap(H36M_32, TEMPLATE_15)[:4].tolist()
    [0, 6, 7, 8]
    >>> remap(H36M_32, H36M_17)[8:12].tolist()
    [13, 14, 15, 17]
    """
    known = _CORRESPONDENCES.get((source.name, target.name))
    if known is not None:
        return np.array(known)
    missing = [joint for joint in target.joints if joint not in source.joints]
    if missing:
        raise ValueError(
            f"skeleton {source.name!r} cannot be remapped to {target.name!r}: "
            f"it has no joint {', '.join(missing)}; use a skeleton with these joints."
        )
    return np.array([source.index(joint) for joint in target.joints])
