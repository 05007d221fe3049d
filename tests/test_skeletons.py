import numpy as np
import pytest

from posejax import skeletons
from posejax.skeletons import (
    COCO_17,
    H36M_16,
    H36M_17,
    H36M_32,
    HUMANEVA_15,
    HUMANEVA_20,
    LSP_14,
    MPII_16,
    POSETRACK_17,
    TEMPLATE_15,
)


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
def test_a_skeleton_is_a_tree_over_its_own_joints(skeleton):
    assert len(set(skeleton.joints)) == skeleton.num_joints == len(skeleton.parents)
    assert skeleton.parents.count(-1) == 1
    assert len(skeleton.bones) == skeleton.num_joints - 1
    root = skeleton.parents.index(-1)
    for joint in range(skeleton.num_joints):
        for _ in range(skeleton.num_joints):
            joint = skeleton.parents[joint] if joint != root else root
        assert joint == root


@pytest.mark.parametrize("skeleton", skeletons.SKELETONS.values(), ids=lambda s: s.name)
def test_mirroring_twice_changes_nothing_and_keeps_the_tree(skeleton):
    order = skeleton.mirror()
    np.testing.assert_array_equal(order[order], np.arange(skeleton.num_joints))
    mirrored = {frozenset((int(order[a]), int(order[b]))) for a, b in skeleton.bones}
    assert mirrored == {frozenset(bone) for bone in skeleton.bones}


def test_mirrored_joints_are_named_for_opposite_sides():
    for skeleton in skeletons.SKELETONS.values():
        sided = [joint for joint in skeleton.joints if "left" in joint]
        for left, right in skeleton.left_right if sided else ():
            assert skeleton.joints[left].startswith("left_")
            opposite = skeleton.joints[left].replace("left", "right")
            assert skeleton.joints[right] == opposite
        assert skeleton == TEMPLATE_15 or len(skeleton.left_right) == len(sided) > 0
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


def test_remap_keeps_the_17_joints_of_human36m_that_are_estimated():
    kept = [0, 1, 2, 3, 6, 7, 8, 12, 13, 14, 15, 17, 18, 19, 25, 26, 27]
    assert skeletons.remap(H36M_32, H36M_17).tolist() == kept
    assert skeletons.remap(H36M_17, H36M_16).tolist() == [*range(9), *range(10, 17)]
    assert skeletons.remap(H36M_32, H36M_16).tolist() == kept[:9] + kept[10:]


def test_the_17_joints_keep_the_tree_of_the_32_except_for_the_shoulders():
    kept = skeletons.remap(H36M_32, H36M_17).tolist()
    for child, parent in enumerate(H36M_17.parents):
        above = H36M_32.parents[kept[child]]
        while above >= 0 and above not in kept:
            above = H36M_32.parents[above]
        if H36M_17.joints[child].endswith("shoulder"):
            assert H36M_17.joints[parent] == "thorax"
        else:
            assert parent == (kept.index(above) if above >= 0 else -1)


def test_without_the_nose_the_head_hangs_on_the_thorax_and_all_else_is_equal():
    for child, joint in enumerate(H36M_16.joints):
        parents = []
        for skeleton, index in ((H36M_16, child), (H36M_17, H36M_17.index(joint))):
            parent = skeleton.parents[index]
            parents.append(skeleton.joints[parent] if parent >= 0 else None)
        assert parents == (
            ["thorax", "nose"] if joint == "head_top" else [parents[1]] * 2
        )


@pytest.mark.parametrize(
    ("skeleton", "left", "right"),
    [
        (H36M_17, [4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]),
        (COCO_17, list(range(1, 17, 2)), list(range(2, 17, 2))),
        (MPII_16, [3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]),
        (HUMANEVA_15, [2, 3, 4, 8, 9, 10], [5, 6, 7, 11, 12, 13]),
        (LSP_14, [3, 4, 5, 9, 10, 11], [2, 1, 0, 8, 7, 6]),
        (POSETRACK_17, list(range(3, 17, 2)), list(range(4, 17, 2))),
        (HUMANEVA_20, [3, 4, 5, 6, 11, 12, 13, 14], [7, 8, 9, 10, 15, 16, 17, 18]),
    ],
    ids=lambda value: getattr(value, "name", ""),
)
def test_the_sides_are_those_of_the_published_keypoint_files(skeleton, left, right):
    assert sorted(pair[0] for pair in skeleton.left_right) == left
    assert sorted(pair[1] for pair in skeleton.left_right) == sorted(right)


def test_the_joints_of_lsp_are_those_of_human36m_with_the_thorax_as_neck():
    for source in (H36M_32, H36M_17):
        index = skeletons.remap(source, LSP_14).tolist()
        names = [source.joints[i].replace("thorax", "neck") for i in index]
        assert names == list(LSP_14.joints)
    assert skeletons.remap(H36M_32, LSP_14).tolist()[:4] == [3, 2, 1, 6]
    with pytest.raises(ValueError, match=r"'posetrack_17'.*'lsp_14'.*neck"):
        skeletons.remap(POSETRACK_17, LSP_14)


def test_the_joints_of_humaneva_hang_as_published():
    published = [-1, 0, 1, 2, 3, 1, 5, 6, 0, 8, 9, 0, 11, 12, 1]
    assert list(HUMANEVA_15.parents) == published
    # The longer set contains the shorter: follow it up to the next joint of that.
    shared = set(HUMANEVA_15.joints) & set(HUMANEVA_20.joints)
    assert {"pelvis", "head", "left_wrist", "right_hip"} <= shared
    chain, joint = [], HUMANEVA_20.index("left_wrist")
    while joint >= 0:
        chain.append(HUMANEVA_20.joints[joint])
        joint = HUMANEVA_20.parents[joint]
    assert [name for name in chain if name in shared] == [
        "left_wrist",
        "left_shoulder",
        "pelvis",
    ]
    assert HUMANEVA_20.joints[HUMANEVA_20.parents[HUMANEVA_20.index("head")]] == (
        "head_bottom"
    )
