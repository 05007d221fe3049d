"""Clips: what shrinks them moves frames, projections, detections and labels alike."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from posejax import geometry
from posejax.data import degraded_estimates
from posejax.data.clips import Clip, ClipTruth, cropped, first_frames, resized
from posejax.data.degraded_estimates import Faults
from posejax.skeletons import LSP_14

HEIGHT, WIDTH, FRAMES = 96, 128, 5


def made_clip(**changes):
    """A clip with a camera that sees the true joints where they are."""
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(FRAMES, 14, 3)).astype(np.float32) * 0.4
    joints = np.stack([60 + 30 * pose[..., 0], 48 + 30 * pose[..., 1]], -1)
    made = degraded_estimates.degraded_estimates(
        pose,
        joints,
        height=HEIGHT,
        faults=Faults(*[0.0] * 7),
        rng=np.random.default_rng(1),
    )
    images = np.zeros((FRAMES, HEIGHT, WIDTH, 3), np.uint8)
    flow = np.broadcast_to(np.float32([2.0, -4.0]), (FRAMES - 1, HEIGHT, WIDTH, 2))
    truth = ClipTruth(pose, joints, np.ones((FRAMES, 14), bool), np.array(flow))
    clip = Clip("S9/Walking 1.cam", images, 25.0, *made, truth=truth)
    return dataclasses.replace(clip, **changes)


def projections(clip):
    parts = clip.pose, clip.camera, clip.scale, clip.origin
    arrays = (jnp.asarray(part, jnp.float32) for part in parts)
    return np.asarray(geometry.project_weak_perspective(*arrays))


def assert_consistent(clip):
    assert clip.truth is not None
    np.testing.assert_allclose(projections(clip), clip.truth.joints, atol=2e-3)
    seen = clip.confidence > 0
    np.testing.assert_allclose(
        clip.detections[seen], clip.truth.joints[seen], atol=1e-3
    )


def test_estimates_without_faults_project_to_the_true_joints():
    clip = made_clip()
    assert_consistent(clip)
    undetected = [LSP_14.index(n) for n in ("right_hip", "left_hip", "neck")]
    assert not clip.confidence[:, undetected].any()


@pytest.mark.parametrize("factor", [0.5, 1.5])
def test_a_resized_clip_has_its_joints_where_the_frames_have_them(factor):
    clip = made_clip()
    images = clip.images.copy()
    images[:, 40:44, 60:64] = 255  # a square whose middle is (61.5, 41.5)
    clip = dataclasses.replace(clip, images=images)
    small = resized(clip, factor)
    assert small.size == (round(HEIGHT * factor), round(WIDTH * factor))
    assert_consistent(small)
    y, x = np.mgrid[: small.size[0], : small.size[1]]
    weight = small.images[0, ..., 0] / small.images[0, ..., 0].sum(dtype=float)
    middle = [(x * weight).sum(), (y * weight).sum()]
    np.testing.assert_allclose(middle, (np.array([61.5, 41.5]) + 0.5) * factor - 0.5)
    assert small.truth is not None
    np.testing.assert_allclose(small.truth.flow[0, 3, 3], [2 * factor, -4 * factor])


def test_a_cropped_clip_shows_the_same_pixels_at_the_same_joints():
    clip = made_clip()
    images = clip.images.copy()
    x, y = np.rint(clip.truth.joints[2, 5]).astype(int)
    images[2, y, x] = 255
    clip = dataclasses.replace(clip, images=images)
    cut = cropped(clip, clip.truth.joints, 0.05, multiple=16)
    assert cut.size < clip.size
    assert cut.size[0] % 16 == 0 or cut.size[0] == HEIGHT
    assert_consistent(cut)
    x, y = np.rint(cut.truth.joints[2, 5]).astype(int)
    assert cut.images[2, y, x].tolist() == [255, 255, 255]
    assert cut.truth.flow.shape == (FRAMES - 1, *cut.size, 2)


def test_the_first_frames_are_cut_everywhere():
    cut = first_frames(made_clip(), 3)
    assert cut.num_frames == 3
    assert len(cut.truth.joints) == 3
    assert len(cut.truth.flow) == 2
    assert first_frames(cut, 0) is cut
    with pytest.raises(ValueError, match="expected at least 2"):
        first_frames(cut, 1)


def test_a_person_outside_all_frames_is_refused():
    clip = made_clip()
    with pytest.raises(ValueError, match=r"outside its frames of 128 x 96"):
        cropped(clip, clip.truth.joints + 1000, 0.1)


@pytest.mark.parametrize("name", ["pose", "detections", "scale"])
def test_parts_of_different_lengths_are_refused_by_name(name):
    clip = made_clip()
    with pytest.raises(ValueError, match=rf"{name} {FRAMES - 1}"):
        dataclasses.replace(clip, **{name: getattr(clip, name)[1:]})


def test_a_clip_of_one_frame_is_refused():
    clip = made_clip()
    parts = ("images", "pose", "camera", "scale", "origin", "detections", "confidence")
    one = {name: getattr(clip, name)[:1] for name in parts}
    with pytest.raises(ValueError, match=r"has 1 frame\(s\); expected at least 2"):
        dataclasses.replace(clip, truth=None, **one)


def test_a_clip_is_not_made_too_small():
    with pytest.raises(ValueError, match="expected sides of at least 8"):
        resized(made_clip(), 0.05)


def test_faults_have_the_sizes_that_were_asked_for():
    rng = np.random.default_rng(0)
    pose = rng.normal(size=(400, 14, 3)) * 0.4
    joints = 128 + 40 * pose[..., :2]
    faults = Faults(drift_m=0.03, jitter_m=0.02, memory=0.5, lengths=0.0, missed=0.25)
    made = degraded_estimates.degraded_estimates(
        pose, joints, height=256, faults=faults, rng=np.random.default_rng(1)
    )
    wrong = made.pose - pose
    np.testing.assert_allclose(wrong.std(), np.hypot(0.03, 0.02), rtol=0.05)
    # What is slow stays, what jitters does not: covariance of neighbouring frames.
    np.testing.assert_allclose((wrong[1:] * wrong[:-1]).mean(), 0.5 * 0.03**2, rtol=0.2)
    detectable = [n for n in range(14) if n not in degraded_estimates.UNDETECTED]
    np.testing.assert_allclose(made.confidence[:, detectable].mean(), 0.75, atol=0.03)
    assert not made.confidence[:, degraded_estimates.UNDETECTED].any()
    seen = made.confidence > 0
    np.testing.assert_allclose((made.detections - joints)[seen].std(), 1.5, rtol=0.1)
