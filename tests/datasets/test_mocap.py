"""Motion capture: BVH files, skeletons, bodies, places, and the builder."""

import json

import numpy as np
import pytest

from datasets import prepare
from datasets.mocap import body, bvh, clips, staging
from posejax.data.h36m_cameras import H36M_SUBJECTS, h36m_cameras
from posejax.data.pose_cameras import projected_pixels, world_to_camera
from posejax.data.pose_files import write_poses_3d
from posejax.data.pose_sequences import pose_sequences
from posejax.data.pose_source import read_pose_set
from posejax.skeletons import H36M_17

ARM = """HIERARCHY
ROOT hip
{
  OFFSET 0 0 0
  CHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation
  JOINT arm
  {
    OFFSET 1 0 0
    CHANNELS 3 Zrotation Xrotation Yrotation
    End Site
    {
      OFFSET 0 2 0
    }
  }
}
MOTION
Frames: 2
Frame Time: 0.02
"""

# A standing person in centimetres, y up: name, parent, offset.
BONES = (
    ("Hips", None, (0, 90, 0)),
    ("RightUpLeg", "Hips", (-10, 0, 0)),
    ("RightLeg", "RightUpLeg", (0, -40, 0)),
    ("RightFoot", "RightLeg", (0, -40, 0)),
    ("LeftUpLeg", "Hips", (10, 0, 0)),
    ("LeftLeg", "LeftUpLeg", (0, -40, 0)),
    ("LeftFoot", "LeftLeg", (0, -40, 0)),
    ("Spine", "Hips", (0, 10, 0)),
    ("Spine1", "Spine", (0, 12, 0)),
    ("Neck", "Spine1", (0, 25, 0)),
    ("Head", "Neck", (0, 8, 0)),
    ("LeftShoulder", "Spine1", (4, 20, 0)),
    ("LeftArm", "LeftShoulder", (14, 0, 0)),
    ("LeftForeArm", "LeftArm", (28, 0, 0)),
    ("LeftHand", "LeftForeArm", (25, 0, 0)),
    ("RightShoulder", "Spine1", (-4, 20, 0)),
    ("RightArm", "RightShoulder", (-14, 0, 0)),
    ("RightForeArm", "RightArm", (-28, 0, 0)),
    ("RightHand", "RightForeArm", (-25, 0, 0)),
)


def person_bvh(frames, *, unit=1.0, prefix="", swing=0.0):
    """A person who stands, or swings the left arm to `swing` degrees and back."""
    lines, rows = ["HIERARCHY"], []
    channels = "Zrotation Xrotation Yrotation"

    def write(name, depth):
        _, parent, offset = next(bone for bone in BONES if bone[0] == name)
        pad = "  " * depth
        first = "ROOT" if parent is None else "JOINT"
        lines.append(f"{pad}{first} {prefix}{name}\n{pad}{{")
        place = [value / unit for value in offset]
        lines.append(f"{pad} OFFSET {place[0]} {place[1]} {place[2]}")
        if parent is None:
            lines.append(f"{pad} CHANNELS 6 Xposition Yposition Zposition {channels}")
            rows.extend([[value] * frames for value in place])
        else:
            lines.append(f"{pad} CHANNELS 3 {channels}")
        turn = np.zeros(frames)
        if name == "LeftArm":
            turn = swing * np.sin(np.linspace(0, 2 * np.pi, frames))
        rows.extend([turn, np.zeros(frames), np.zeros(frames)])
        children = [bone[0] for bone in BONES if bone[1] == name]
        for child in children:
            write(child, depth + 1)
        if not children:
            end = (0, 18 / unit, 0) if name == "Head" else (0, 0, 0)
            lines.append(f"{pad} End Site\n{pad} {{ OFFSET {end[0]} {end[1]} 0 }}")
        lines.append(f"{pad}}}")

    write("Hips", 0)
    numbers = "\n".join(" ".join(f"{v:.6f}" for v in row) for row in np.array(rows).T)
    head = "\n".join(lines)
    return f"{head}\nMOTION\nFrames: {frames}\nFrame Time: 0.0333333\n{numbers}\n"


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def standing(tmp_path, **options):
    path = write(tmp_path / "A" / "stand.bvh", person_bvh(3, **options))
    return body.human_joints(bvh.read_bvh(path), "stand.bvh")


def test_rotations_are_applied_down_the_tree_in_the_order_of_the_channels(tmp_path):
    rows = "0 0 5 0 0 0 0 0 0\n0 0 0 90 90 0 90 0 0\n"
    motion = bvh.read_bvh(write(tmp_path / "a.bvh", ARM + rows))
    assert motion.names == ("hip", "arm", f"arm{bvh.END}")
    assert motion.parents == (-1, 0, 1)
    assert motion.fps == 50
    np.testing.assert_allclose(
        motion.positions[0], [[0, 0, 5], [1, 0, 5], [1, 2, 5]], atol=1e-9
    )
    # Root: Rz(90) Rx(90) sends x to y and y to z; the arm's Rz(90) sends y to -x.
    np.testing.assert_allclose(
        motion.positions[1], [[0, 0, 0], [0, 1, 0], [0, -1, 0]], atol=1e-9
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("nothing", "no HIERARCHY and MOTION"),
        (ARM.replace("OFFSET 0 2 0", "OFFSET 0 x 0"), "after joint arm#end"),
        (ARM.replace("JOINT arm", "BONE arm"), "unknown word 'BONE'"),
        (ARM.replace("Xposition", "Wposition"), "unknown channel 'Wposition'"),
        (ARM.replace("  }\n}\nMOTION", "  }\nMOTION"), "ends early"),
        (ARM + "1 2 3", "has 3 numbers for 2 frames of 9 channels"),
        (ARM.replace("Frames: 2", "Frames: many"), "MOTION of .* cannot be read"),
    ],
)
def test_a_bvh_file_that_cannot_be_read_is_named(tmp_path, text, words):
    with pytest.raises(ValueError, match=words) as error:
        bvh.read_bvh(write(tmp_path / "a.bvh", text))
    assert "a.bvh" in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("unit", "prefix"), [(1.0, ""), (100.0, "mixamorig:"), (2.54, ""), (5.6444, "")]
)
def test_a_person_stands_upright_in_metres_whatever_the_unit(tmp_path, unit, prefix):
    joints = standing(tmp_path, unit=unit, prefix=prefix)
    expected = {
        "pelvis": (0, 0, 0.90),
        "left_hip": (0.10, 0, 0.90),
        "right_knee": (-0.10, 0, 0.50),
        "spine": (0, 0, 1.12),
        "thorax": (0, 0, 1.37),
        "nose": (0, 0, 1.45),
        "head_top": (0, 0, 1.63),
        "left_wrist": (0.71, 0, 1.32),
        "right_shoulder": (-0.18, 0, 1.32),
    }
    for name, place in expected.items():
        np.testing.assert_allclose(
            joints[0, H36M_17.index(name)], place, atol=1e-4, err_msg=name
        )


def test_a_skeleton_without_a_joint_or_of_no_plausible_size_is_refused(tmp_path):
    text = person_bvh(2).replace("LeftForeArm", "Tentacle")
    motion = bvh.read_bvh(write(tmp_path / "a.bvh", text))
    with pytest.raises(ValueError, match=r"no joint for left_elbow .* Tentacle"):
        body.human_joints(motion, "a.bvh")
    with pytest.raises(ValueError, match=r"legs of stand\.bvh are 2\.67 units"):
        standing(tmp_path, unit=30.0)


def test_activities_are_names_without_the_numbers_of_takes():
    names = {
        "walk_12": "walk",
        "walk_1_part2": "walk",
        "walk-back_03": "walk-back",
        "basketball_signal_4": "basketball_signal",
        "01_02": "01_02",
    }
    for name, family in names.items():
        assert clips.Clip("A", name, np.zeros((1, 17, 3)), 30.0).family == family


def still(frames=40):
    joints = np.zeros((frames, 17, 3))
    joints[:, :, 2] = np.linspace(0.1, 1.6, 17)
    joints[:, :, 0] = np.linspace(-0.3, 0.3, 17)
    joints[:, [3, 6], 2] = 0.1
    return joints


def made_clips(count, frames=40):
    return [
        clips.Clip(f"actor{k}", "walk_1", still(frames + k), 30.0) for k in range(count)
    ]


def test_with_seven_sources_each_is_played_by_one_subject(tmp_path):
    many = made_clips(9) + made_clips(9)
    players = clips.cast(many, tmp_path)
    assert players[:9] == players[9:]
    assert set(players) == set(H36M_SUBJECTS)


def test_with_few_sources_activities_are_dealt_out(tmp_path):
    acts = [
        clips.Clip("A", f"act{chr(97 + k // 2)}_{k}", still(), 30.0) for k in range(14)
    ]
    players = clips.cast(acts, tmp_path)
    assert players[::2] == players[1::2]
    assert set(players) == set(H36M_SUBJECTS)
    with pytest.raises(ValueError, match=r"has 6 activities .* at least 7"):
        clips.cast(acts[:12], tmp_path)


def test_a_file_says_who_plays_what(tmp_path):
    path = tmp_path / clips.SUBJECTS_FILE
    acts = [clips.Clip("A", name, still(), 30.0) for name in ("walk_1", "run_1")]
    path.write_text(json.dumps({"A": "S1", "A/walk*": "S9"}))
    assert clips.cast(acts, tmp_path) == ["S9", "S1"]
    path.write_text(json.dumps({"A/walk*": "S9"}))
    with pytest.raises(ValueError, match="no subject for A/run_1"):
        clips.cast(acts, tmp_path)
    path.write_text(json.dumps({"A": "S2"}))
    with pytest.raises(ValueError, match="expected pairs of a source subject"):
        clips.cast(acts, tmp_path)


def bone_lengths(joints):
    parents = np.array(H36M_17.parents[1:])
    return np.linalg.norm(joints[:, 1:] - joints[:, parents], axis=-1)


def test_bodies_differ_by_subject_and_are_as_wide_left_as_right():
    joints = still()
    scales = [staging.bone_scales(subject) for subject in H36M_SUBJECTS]
    for one in scales:
        np.testing.assert_array_equal(one[H36M_17.mirror()], one)
        found = staging.with_body(joints, one)
        np.testing.assert_allclose(
            bone_lengths(found), bone_lengths(joints) * one[1:], atol=1e-12
        )
        assert found[:, [3, 6], 2].min() == pytest.approx(0.1)
    assert np.std([one[2] for one in scales]) > 0.01
    np.testing.assert_array_equal(scales[0], staging.bone_scales("S1"))


def test_resampling_keeps_straight_motion_straight():
    joints = np.arange(31.0)[:, None, None] * np.ones((1, 17, 3))
    found = staging.resampled(joints, 30.0, 50.0)
    assert len(found) == 51
    np.testing.assert_allclose(found[:, 0, 0], np.arange(51) * 0.6, atol=1e-12)
    np.testing.assert_array_equal(staging.resampled(joints, 30.0, 30.0), joints)
    assert len(staging.resampled(joints[:1], 30.0, 50.0)) == 1


def test_everybody_is_placed_in_the_view_of_all_cameras():
    cameras = h36m_cameras("S1")
    places = []
    for name in ("one", "two"):
        (part,) = staging.placed(still(), cameras, fps=30.0, name=name)
        places.append(part.joints[0, 0])
        np.testing.assert_allclose(
            bone_lengths(part.joints), bone_lengths(still()), atol=1e-3
        )
        for camera in cameras:
            assert world_to_camera(part.joints, camera)[..., 2].min() >= 2
            pixels = projected_pixels(part.joints, camera)
            assert 0 < pixels.min() <= pixels.max() < 1000
    assert np.linalg.norm(places[0] - places[1]) > 0.05


def test_a_long_way_is_halved_until_it_fits_and_a_race_is_left_out():
    cameras = h36m_cameras("S1")
    slow, fast = still(120), still(120)
    slow[..., 0] += np.linspace(0, 5, 120)[:, None]
    fast[..., 0] += np.linspace(0, 60, 120)[:, None]
    parts = staging.placed(slow, cameras, fps=30.0, name="walk")
    assert parts[0].part.startswith("a")
    assert len(parts) > 1
    assert sum(len(part.joints) for part in parts) == 120
    assert staging.placed(fast, cameras, fps=30.0, name="race") == []


def test_detections_err_by_some_pixels_and_now_and_then_by_many():
    cameras, joints = h36m_cameras("S1"), still(200).astype(np.float32)
    found = staging.noisy_keypoints(joints, cameras, np.random.default_rng(0))
    exact = np.stack([projected_pixels(joints, camera) for camera in cameras])
    error = np.abs(found - exact)
    assert found.shape == (4, 200, 17, 2)
    assert 1 < np.median(error) < 4
    assert 0.005 < (error > 20).mean() < 0.03


@pytest.fixture(name="raw")
def _raw(tmp_path):
    """Eight activities of one actor in an npz file, two BVH clips of two others."""
    folder = tmp_path / "raw"
    folder.mkdir()
    poses = {
        ("CMU", f"act{chr(97 + k)}_1"): still(40 + k).astype(np.float32)
        for k in range(8)
    }
    write_poses_3d(folder / "cmu.npz", poses, fps=30.0)
    write(folder / "ana" / "swing_1.bvh", person_bvh(45, swing=60))
    write(folder / "ben" / "day2" / "swing_2.bvh", person_bvh(45, swing=30))
    return folder


@pytest.mark.parametrize(
    ("config", "frames"), [("poses_noisy", 40), ("poses_50fps", 66)]
)
def test_files_become_records_of_both_splits(raw, tmp_path, config, frames):
    prepare.prepare(
        "mocap",
        config=config,
        manual_dir=raw,
        data_dir=tmp_path / "data",
        progress="none",
    )
    found = read_pose_set(str(tmp_path / "data"), "mocap", config=config)
    assert found.fps == (50 if config == "poses_50fps" else 30)
    actions = {r.action: r for r in found.recordings}
    assert set(actions) == {
        *(f"act{chr(97 + k)} CMU act{chr(97 + k)}_1" for k in range(8)),
        "swing ana swing_1",
        "swing ben swing_2 day2",
    }
    assert actions["acta CMU acta_1"].num_frames == frames
    assert {r.subject for r in found.recordings} == set(H36M_SUBJECTS)
    detector = "noisy" if config == "poses_noisy" else "gt"
    made = pose_sequences(found, subjects=H36M_SUBJECTS, detector=detector)
    assert len(made) == 40
    swing = actions["swing ana swing_1"].poses_3d
    wrist = np.linalg.norm(swing[:, 13] - swing[:, 11], axis=-1)
    assert wrist.std() < 2e-3
    assert (swing[:, 13, 2].max() - swing[:, 13, 2].min()) > 0.5


def test_a_folder_without_motion_is_refused(tmp_path):
    (tmp_path / "readme.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="holds neither <name>"):
        clips.read_clips(tmp_path)
    write(tmp_path / "swing.bvh", person_bvh(2))
    with pytest.raises(ValueError, match="lies in no folder of a subject"):
        clips.read_clips(tmp_path)
