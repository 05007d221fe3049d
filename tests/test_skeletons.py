import numpy as np
import pytest

from posejax import skeletons
from posejax.skeletons import H36M_32, TEMPLATE_15


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
def test_a_skeleton_is_a_tree_over_its_own_joints(skeleton):
    assert len(set(skeleton.joints)) == skeleton.num_joints == len(skeleton.parents)
    assert skeleton.parents.count(-1) == 1
    assert all(parent < child for parent, child in skeleton.bones)
    assert len(skeleton.bones) == skeleton.num_joints - 1


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
def test_mirroring_twice_changes_nothing_and_keeps_the_tree(skeleton):
    order = skeleton.mirror()
    np.testing.assert_array_equal(order[order], np.arange(skeleton.num_joints))
    mirrored = {frozenset((int(order[a]), int(order[b]))) for a, b in skeleton.bones}
    assert mirrored == {frozenset(bone) for bone in skeleton.bones}


def test_mirrored_joints_are_named_for_opposite_sides():
    for left, right in H36M_32.left_right:
        assert H36M_32.joints[left] == H36M_32.joints[right].replace("right", "left")
    for left, right in TEMPLATE_15.left_right:
        assert TEMPLATE_15.joints[left][:-1] == TEMPLATE_15.joints[right][:-1]
        assert TEMPLATE_15.joints[left][-1] + TEMPLATE_15.joints[right][-1] == "LR"
    assert len(H36M_32.left_right) == 13
    assert len(TEMPLATE_15.left_right) == 6


def test_picture_right_of_the_template_is_the_anatomical_left():
    index = skeletons.remap(H36M_32, TEMPLATE_15)
    assert index.tolist() == [0, 6, 7, 8, 1, 2, 3, 13, 14, 17, 18, 19, 25, 26, 27]
    names = [H36M_32.joints[i] for i in index]
    assert names[TEMPLATE_15.index("wristR")] == "left_wrist"
    assert names[TEMPLATE_15.index("kneeL")] == "right_knee"


def test_remap_by_name_selects_equal_names():
    arm = skeletons.Skeleton(
        "arm", ("left_wrist", "left_elbow"), parents=(1, -1), left_right=()
    )
    assert skeletons.remap(H36M_32, arm).tolist() == [19, 18]
    assert skeletons.remap(H36M_32, H36M_32).tolist() == list(range(32))


def test_remap_names_the_joints_that_are_missing():
    with pytest.raises(ValueError, match=r"'template_15'.*'h36m_32'.*pelvis"):
        skeletons.remap(TEMPLATE_15, H36M_32)


def test_an_unknown_joint_is_refused_by_name():
    with pytest.raises(ValueError, match="'tail' is not in skeleton 'h36m_32'"):
        H36M_32.index("tail")
