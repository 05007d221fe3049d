"""Proportions of the people of the sample: 32 joints in rest, in metres.

Body frame: x to the person's right, y forward, z up. In rest the arms and the legs hang
straight down. Joints are in the order of Human3.6M's position files.
"""

import dataclasses

import numpy as np

from posejax.skeletons import H36M_32

RIGHT_LEG, LEFT_LEG = (1, 2, 3, 4, 5), (6, 7, 8, 9, 10)
RIGHT_ARM = (24, 25, 26, 27, 28, 29, 30, 31)
LEFT_ARM = (16, 17, 18, 19, 20, 21, 22, 23)
ANKLE_HEIGHT_M = 0.085


@dataclasses.dataclass(frozen=True)
class Build:
    """Proportions of one person, relative to a person of 1.75 m.

    Attributes:
      size: All lengths.
      legs: Thighs and shins.
      torso: Spine.
      arms: Upper arms and forearms.
      shoulders: Width of the shoulders.
      hips: Width of the hips.
      girth: Thickness of trunk and limbs.
    """

    size: float = 1.0
    legs: float = 1.0
    torso: float = 1.0
    arms: float = 1.0
    shoulders: float = 1.0
    hips: float = 1.0
    girth: float = 1.0


def bone_offsets(build: Build) -> np.ndarray:
    """Returns the offset of every joint from its parent in rest, (32, 3) metres."""
    offsets = np.zeros((32, 3))
    for side, leg, arm in ((1.0, RIGHT_LEG, RIGHT_ARM), (-1.0, LEFT_LEG, LEFT_ARM)):
        offsets[leg[0]] = (side * 0.118 * build.hips, 0.0, -0.02)
        offsets[leg[1]] = (0.0, 0.0, -0.435 * build.legs)
        offsets[leg[2]] = (0.0, 0.0, -0.435 * build.legs)
        offsets[leg[3]] = (side * 0.012, 0.135, -0.055)
        offsets[leg[4]] = (0.0, 0.07, -0.005)
        offsets[arm[0]] = (0.0, 0.0, 0.252 * build.torso)
        offsets[arm[1]] = (side * 0.168 * build.shoulders, 0.0, -0.012)
        offsets[arm[2]] = (0.0, 0.0, -0.282 * build.arms)
        offsets[arm[3]] = (0.0, 0.0, -0.252 * build.arms)
        offsets[arm[5]] = (side * -0.025, 0.045, -0.05)
        offsets[arm[6]] = (0.0, 0.0, -0.08)
        offsets[arm[7]] = (0.0, 0.0, -0.085)
    offsets[12] = (0.0, 0.0, 0.235 * build.torso)
    offsets[13] = (0.0, 0.0, 0.252 * build.torso)
    offsets[14] = (0.0, 0.05, 0.118)
    offsets[15] = (0.0, -0.045, 0.112)
    return offsets * build.size


def rest_joints(build: Build) -> np.ndarray:
    """Returns the joints in rest, (32, 3) metres, hip centre at the origin."""
    offsets = bone_offsets(build)
    joints = np.zeros((32, 3))
    for joint, parent in enumerate(H36M_32.parents[1:], start=1):
        joints[joint] = joints[parent] + offsets[joint]
    return joints
