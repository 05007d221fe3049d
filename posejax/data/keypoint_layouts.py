"""Which joints detectors find: layouts, by the names that files of keypoints use."""

import dataclasses

import numpy as np
from jaxtyping import Int

from posejax.skeletons import (
    COCO_17,
    H36M_16,
    H36M_17,
    HUMANEVA_15,
    HUMANEVA_20,
    MPII_16,
    Skeleton,
)


@dataclasses.dataclass(frozen=True)
class KeypointLayout:
    """Which joints a detector finds.

    Attributes:
      name: `h36m`, `h36m_16` (without the nose), `coco`, `mpii`, `humaneva15`, ...
      num_joints: Number of joints.
      left: Joints on the person's left.
      right: Their counterparts on the right, in the same order.
    """

    name: str
    num_joints: int
    left: tuple[int, ...]
    right: tuple[int, ...]

    def mirror(self) -> Int[np.ndarray, " joints"]:
        """Returns `order`; `keypoints[..., order, :]` has left and right exchanged."""
        order = np.arange(self.num_joints)
        order[list(self.left)], order[list(self.right)] = self.right, self.left
        return order


def _layout_of(name: str, skeleton: Skeleton) -> KeypointLayout:
    left, right = zip(*skeleton.left_right, strict=True)
    return KeypointLayout(name, skeleton.num_joints, tuple(left), tuple(right))


LAYOUT_SKELETONS = {
    "h36m": H36M_17,
    "h36m_16": H36M_16,
    "coco": COCO_17,
    "mpii": MPII_16,
    "humaneva15": HUMANEVA_15,
    "humaneva20": HUMANEVA_20,
}
LAYOUTS = {key: _layout_of(key, joints) for key, joints in LAYOUT_SKELETONS.items()}
LAYOUT_OF_SKELETON = {joints.name: key for key, joints in LAYOUT_SKELETONS.items()}
