import pathlib

import numpy as np
import pytest

from posejax import skeletons, templates
from posejax.templates import NATURAL, SCHEMES, T_POSE

GOLDEN = pathlib.Path(__file__).parent / "golden/template_warp/anchors.npz"


def anchor(part: str, point: int) -> int:
    index = templates.PARTS.index(part)
    return int(np.flatnonzero(index == templates.ANCHOR_PARTS)[point])


@pytest.mark.golden
@pytest.mark.parametrize(
    ("key", "template"), [("template", T_POSE), ("natural", NATURAL)]
)
def test_anchors_are_the_published_ones(key, template):
    with np.load(GOLDEN) as golden:
        groups = [golden[f"in/{key}_{g}"] for g in ("core", "double", "single")]
    points = np.concatenate([g.reshape(-1, 3) for g in groups])
    np.testing.assert_array_equal(template.anchors, points[:, :2])


@pytest.mark.parametrize("template", templates.TEMPLATES.values(), ids=lambda t: t.name)
def test_a_template_has_a_row_for_each_part_and_cannot_be_changed(template):
    assert template.centers.shape == template.sigmas.shape == (18, 2)
    assert template.angles.shape == (18,)
    assert template.anchors.shape == (32, 2) == (templates.NUM_ANCHORS, 2)
    with pytest.raises(ValueError, match="read-only"):
        template.anchors[0, 0] = 1.0


@pytest.mark.parametrize("template", templates.TEMPLATES.values(), ids=lambda t: t.name)
def test_left_parts_lie_left_in_the_picture(template):
    for part, (_, column) in zip(template.parts, template.centers, strict=True):
        side = {"left": -1, "right": 1}.get(part.split()[0], 0)
        assert np.sign(column - 128) == side


@pytest.mark.parametrize("template", templates.TEMPLATES.values(), ids=lambda t: t.name)
def test_joined_anchors_coincide_at_rest(template):
    first, second = np.array(templates.JOINTED).T
    np.testing.assert_array_equal(template.anchors[first], template.anchors[second])


def test_rest_poses_differ_in_arms_forearms_and_hands_only():
    changed = np.flatnonzero(np.any(T_POSE.centers != NATURAL.centers, axis=1))
    assert {templates.PARTS[i].split()[1] for i in changed} == {
        "arm",
        "forearm",
        "hand",
    }
    np.testing.assert_allclose(np.rad2deg(NATURAL.angles[[9, 10]]), [-60, 60])
    np.testing.assert_allclose(np.rad2deg(NATURAL.angles[[11, 12]]), [-80, 80])


def test_joined_anchors_are_the_ends_of_neighbouring_parts():
    expected = {(anchor("core", 2), anchor("head", 0))}
    for side in ("left", "right"):
        expected |= {
            (anchor("core", 0), anchor(f"{side} hip", 0)),
            (anchor("core", 1), anchor(f"{side} shoulder", 0)),
            (anchor(f"{side} hip", 1), anchor(f"{side} thigh", 0)),
            (anchor(f"{side} thigh", 1), anchor(f"{side} shin", 0)),
            (anchor(f"{side} shoulder", 1), anchor(f"{side} arm", 0)),
            (anchor(f"{side} arm", 1), anchor(f"{side} forearm", 0)),
            (anchor(f"{side} shin", 1), anchor(f"{side} foot", 0)),
            (anchor(f"{side} forearm", 1), anchor(f"{side} hand", 0)),
        }
    assert set(templates.JOINTED) == expected
    assert len(templates.JOINTED) == 17


def test_each_joint_is_the_mean_of_anchors_that_coincide_or_belong_to_its_place():
    # At rest a joint with two anchors is where these two parts are joined.
    for table in (templates.joint_anchors(), templates.joint_anchors(symmetric=True)):
        assert len(table) == skeletons.TEMPLATE_15.num_joints
        for indices in table:
            points = NATURAL.anchors[list(indices)]
            assert np.all(points == points[0])


def test_joint_tables_differ_where_their_options_say():
    plain = templates.joint_anchors(midpoint=False)
    assert [plain[i] for i in (0, 7, 8)] == [(0,), (1,), (2,)]
    assert templates.joint_anchors()[1] == (6,)
    assert templates.joint_anchors(symmetric=True)[1] == (6, 9)


def test_sides_of_the_tables_mirror_each_other():
    mirror = skeletons.TEMPLATE_15.mirror()
    ends = np.array(templates.BONE_ENDS)
    segments = np.array(templates.CONSISTENCY_SEGMENTS)
    np.testing.assert_array_equal(ends[mirror[segments]], mirror[ends[segments]])
    assert sorted(templates.PLOT_ORDER) == list(range(15))
    assert {j for chain in templates.SKELETON_CHAINS for j in chain} == set(range(15))


def test_schemes_use_every_predicted_map():
    assert {k: s.num_outputs for k, s in SCHEMES.items()} == {
        "affine": 108,
        "two_step": 120,
        "constrained": 62,
    }
    for scheme in SCHEMES.values():
        used = {m for step in scheme.steps for m in step if m != templates.IDENTITY}
        assert used == set(range(scheme.num_maps))
        assert all(len(step) == templates.NUM_PARTS for step in scheme.steps)


def test_a_whole_arm_moves_together_before_its_parts_move_alone():
    first, second = SCHEMES["two_step"].steps
    for side, maps in (("left", (14, 15, 16)), ("right", (17, 18, 19))):
        arm = [templates.PARTS.index(f"{side} {p}") for p in ("arm", "forearm", "hand")]
        assert len({first[part] for part in arm}) == 1
        assert tuple(second[part] for part in arm) == maps
    assert SCHEMES["two_step"].moved_parts(1).tolist() == [9, 10, 11, 12, 15, 16]
