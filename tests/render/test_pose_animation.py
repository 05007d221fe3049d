"""Animations of poses: what is where, in which colour, and how many frames."""

import dataclasses

import numpy as np
import pytest

from posejax import render
from posejax.data import video
from posejax.render import AnimationOptions
from posejax.skeletons import COCO_17, H36M_17, MPII_16

SIZE = (320, 240)
SMALL = AnimationOptions(size_inches=2.0, dots_per_inch=50)
# Joint 0 of H36M_17 in the middle; a person of 1.5 m whose right is at x > 0.
STANDING = np.array(
    [
        [0, 0, 0.85], [0.13, 0, 0.85], [0.13, 0, 0.45], [0.13, 0, 0.05],
        [-0.13, 0, 0.85], [-0.13, 0, 0.45], [-0.13, 0, 0.05], [0, 0, 1.1],
        [0, 0, 1.3], [0, 0, 1.4], [0, 0, 1.5], [-0.15, 0, 1.3], [-0.15, 0, 1.0],
        [-0.15, 0, 0.8], [0.15, 0, 1.3], [0.15, 0, 1.0], [0.15, 0, 0.8],
    ],
    np.float32,
)  # fmt: skip


def person(frames=3):
    """Keypoints and poses of somebody who goes along the world's x axis."""
    poses = np.repeat(STANDING[None], frames, axis=0)
    poses[..., 0] += np.arange(frames, dtype=np.float32)[:, None]
    keypoints = np.stack([160 + 80 * STANDING[:, 0], 220 - 130 * STANDING[:, 2]], -1)
    return np.repeat(keypoints[None], frames, axis=0), poses


def drawn(keypoints, poses, *, options=SMALL, joint_set=H36M_17, **changes):
    asked = {"resolution": SIZE, "azimuth_deg": -90.0, "keypoint_skeleton": joint_set}
    frames = render.pose_frames(keypoints, poses, options=options, **(asked | changes))
    return list(frames)


def test_a_panel_for_the_input_and_one_for_each_pose():
    keypoints, poses = person()
    alone = drawn(keypoints, {"Reconstruction": poses})
    both = drawn(keypoints, {"Reconstruction": poses, "Ground truth": poses})
    assert [frame.shape for frame in alone] == [(100, 200, 3)] * 3
    assert [frame.shape for frame in both] == [(100, 300, 3)] * 3


def red(picture):
    return (picture[..., 0] > 180) & (picture[..., 1:] < 90).all(axis=-1)


def dark(picture):
    return (picture < 60).all(axis=-1)


def test_the_right_side_is_red_on_the_right_of_a_person_seen_from_behind():
    keypoints, poses = person(1)
    options = dataclasses.replace(SMALL, size_inches=4.0)
    (frame,) = drawn(keypoints, {"Reconstruction": poses}, options=options)
    body = frame[20:, 200:]
    left, right = np.nonzero(dark(body))[1].mean(), np.nonzero(red(body))[1].mean()
    assert red(body).sum() > 50
    assert right > left + 5


def test_the_box_follows_the_root_and_stands_on_the_ground():
    keypoints, poses = person(3)
    frames = drawn(keypoints, {"Reconstruction": poses})
    # The body stays in the middle of its panel although it moves by a metre a frame.
    np.testing.assert_array_equal(red(frames[0][:, 100:]), red(frames[2][:, 100:]))
    poses[1, :, 2] += 0.4
    higher = drawn(keypoints, {"Reconstruction": poses})
    rows = [np.nonzero(red(frame[:, 100:]))[0].mean() for frame in higher]
    assert rows[1] < rows[0] - 5


def test_bones_of_the_picture_are_pink_unless_the_joints_are_those_of_coco():
    keypoints, poses = person(1)

    def shins(joint_set, points):
        (frame,) = drawn(points, {"Reconstruction": poses}, joint_set=joint_set)
        half_way = frame[74, 10:90].astype(int)  # from the ankles up to the knees
        return half_way[half_way.sum(axis=-1).argmax()]

    np.testing.assert_allclose(shins(H36M_17, keypoints), (255, 192, 203), atol=30)
    assert not shins(COCO_17, keypoints).any()
    assert not shins(MPII_16, keypoints[:, :16]).any()


def test_the_pictures_of_the_video_lie_behind_the_keypoints():
    keypoints, poses = person(4)
    images = [np.full((240, 320, 3), 60 * n, np.uint8) for n in range(3)]
    body = {"Reconstruction": poses}
    plain = drawn(keypoints, body, images=images)
    corner = [int(frame[50, 4].mean()) for frame in plain]
    assert corner == [0, 60, 120, 0]  # black where the video has ended
    options = dataclasses.replace(SMALL, skip=1, downsample=2)
    (halved,) = drawn(keypoints, body, images=images, options=options)
    assert int(halved[50, 4].mean()) == 90


def test_what_is_skipped_averaged_and_cut_is_so_in_all_panels():
    keypoints, poses = person(11)
    options = dataclasses.replace(SMALL, skip=2, downsample=3, limit=2)
    frames = drawn(keypoints, {"Reconstruction": poses}, options=options)
    asked = render.averaged_blocks(keypoints[2:8], factor=3)
    body = render.averaged_blocks(poses[2:8], factor=3)
    assert len(frames) == 2
    np.testing.assert_array_equal(frames, drawn(asked, {"Reconstruction": body}))


def test_an_animation_is_as_fast_as_the_person_also_when_frames_are_averaged(tmp_path):
    keypoints, poses = person(6)
    seen = []
    count = render.write_pose_animation(
        tmp_path / "a.mp4", keypoints, {"Reconstruction": poses},
        keypoint_skeleton=H36M_17, resolution=SIZE, fps=30.0,
        options=dataclasses.replace(SMALL, downsample=2),
        watch=lambda frames: (seen.append(1) or frame for frame in frames),
    )  # fmt: skip
    assert (count, len(seen)) == (3, 3)
    assert video.open_video(tmp_path / "a.mp4").fps == 15.0


def test_an_animation_is_stored_at_the_bitrate_of_its_options(tmp_path):
    keypoints, poses = person(8)
    sizes = []
    for kbps in (20, 3000):
        path = tmp_path / f"{kbps}.mp4"
        render.write_pose_animation(
            path, keypoints, {"Reconstruction": poses}, keypoint_skeleton=H36M_17,
            resolution=SIZE, fps=25.0,
            options=dataclasses.replace(SMALL, bitrate_kbps=kbps),
        )  # fmt: skip
        sizes.append(path.stat().st_size)
    assert sizes[1] > 2 * sizes[0]


def test_a_gif_holds_every_frame(tmp_path):
    from PIL import Image

    keypoints, poses = person(3)
    keypoints[:, :, 0] += np.arange(3)[:, None] * 20
    render.write_pose_animation(
        tmp_path / "a.gif", keypoints, {"Reconstruction": poses},
        keypoint_skeleton=H36M_17, resolution=SIZE, fps=20.0, options=SMALL,
    )  # fmt: skip
    with Image.open(tmp_path / "a.gif") as found:
        assert (found.n_frames, found.size) == (3, (200, 100))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"skip": 3}, "keypoints has 3 frames, of which skip 3 and downsample 1"),
        ({"downsample": 4}, "downsample 4 leave none"),
        ({"downsample": 0}, "downsample is 0; expected at least 1"),
        ({"skip": -1}, "skip is -1"),
        ({"limit": 0}, "limit is 0"),
    ],
)
def test_options_that_leave_no_frame_are_refused_before_a_file_is_made(
    tmp_path, options, message
):
    keypoints, poses = person(3)
    with pytest.raises(ValueError, match=message):
        render.write_pose_animation(
            tmp_path / "a.mp4", keypoints, {"Reconstruction": poses},
            keypoint_skeleton=H36M_17, resolution=SIZE, fps=25.0,
            options=dataclasses.replace(SMALL, **options),
        )  # fmt: skip
    assert not list(tmp_path.iterdir())


def test_joints_that_do_not_fit_are_refused():
    keypoints, poses = person(3)
    with pytest.raises(ValueError, match=r"keypoints has shape \(3, 17, 2\).* mpii_16"):
        drawn(keypoints, {"Reconstruction": poses}, joint_set=MPII_16)
    with pytest.raises(ValueError, match=r"poses\['Reconstruction'\] has shape \(2,"):
        drawn(keypoints, {"Reconstruction": poses[:2]})
    poses[1, 4] = np.nan
    with pytest.raises(ValueError, match=r"poses\['Reconstruction'\] is not finite"):
        drawn(keypoints, {"Reconstruction": poses})
