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
      parents: Index of each joint's parent; -1 for the root.
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

SKELETONS = {skeleton.name: skeleton for skeleton in (H36M_32, TEMPLATE_15)}

# Joint sets whose names do not say which joint of one is which joint of the other:
# for each joint of the second set, its index in the first.
_CORRESPONDENCES = {
    ("h36m_32", "template_15"): (0, 6, 7, 8, 1, 2, 3, 13, 14, 17, 18, 19, 25, 26, 27),
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
