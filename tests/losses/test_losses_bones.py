import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax.geometry.bones import BONES, VIDEOPOSE_PARENTS, bone_lengths
from posejax.losses.bones import (
    bone_length_difference_over_batch,
    bone_symmetry_loss,
    root_to_origin_loss,
)
from posejax.skeletons import H36M_17
from tests.fill import golden

PER_POSE = {"symmetry": bone_symmetry_loss, "root": root_to_origin_loss}


def poses(seed, *batch):
    return jnp.asarray(np.random.default_rng(seed).normal(size=(*batch, 17, 3)))


def test_symmetry_is_the_mean_over_six_pairs_of_the_difference_in_length():
    # The right forearm is 0.6 longer than the left: 0.6 / 6; the head does not count.
    pose = jnp.zeros((17, 3)).at[16, 1].set(-0.8).at[13, 2].set(0.2).at[10, 0].set(9.0)
    loss, gradient = jax.value_and_grad(bone_symmetry_loss)(pose)
    np.testing.assert_allclose(loss, 0.1, rtol=1e-6)
    np.testing.assert_allclose(gradient[16], [0, -1 / 6, 0], rtol=1e-6)
    np.testing.assert_allclose(gradient[13], [0, 0, -1 / 6], rtol=1e-6)
    np.testing.assert_array_equal(gradient[10], np.zeros(3))


@pytest.mark.usefixtures("float64")
def test_symmetry_does_not_change_in_the_mirror_and_is_zero_for_a_symmetric_body():
    pose = poses(0)
    mirrored = pose[H36M_17.mirror()] * jnp.array([[-1.0, 1.0, 1.0]])
    np.testing.assert_allclose(
        bone_symmetry_loss(mirrored), bone_symmetry_loss(pose), rtol=1e-12
    )
    symmetric = (pose + mirrored) / 2
    assert bone_symmetry_loss(symmetric) < 1e-15


def test_the_root_costs_its_distance_from_the_origin():
    pose = jnp.ones((17, 3)).at[0].set(jnp.array([0.3, 0.0, 0.4]))
    loss, gradient = jax.value_and_grad(root_to_origin_loss)(pose)
    np.testing.assert_allclose(loss, 0.5, rtol=1e-6)
    np.testing.assert_allclose(gradient[0], [0.6, 0.0, 0.8], rtol=1e-6)
    np.testing.assert_array_equal(gradient[1:], np.zeros((16, 3)))


@pytest.mark.usefixtures("float64")
def test_the_difference_over_a_batch_compares_mean_lengths_bone_by_bone():
    labelled, unlabelled = poses(1, 3), poses(2, 2, 2)
    means = [
        np.mean(bone_lengths(p, parents=VIDEOPOSE_PARENTS).reshape(-1, 16), axis=0)
        for p in (labelled, unlabelled)
    ]
    expected = np.mean(np.abs(means[0] - means[1]))
    found = bone_length_difference_over_batch(labelled, unlabelled)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert found.shape == ()
    np.testing.assert_allclose(
        bone_length_difference_over_batch(unlabelled, labelled), expected, rtol=1e-12
    )


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_poses_that_do_not_count_change_neither_difference_nor_gradient():
    labelled, unlabelled = poses(3, 3), poses(4, 4)
    padded = jnp.concatenate([unlabelled, jnp.full((2, 17, 3), jnp.nan)])
    mask = jnp.arange(6) < 4

    def difference(unlabelled, mask=None):
        return bone_length_difference_over_batch(
            labelled, unlabelled, unlabelled_mask=mask
        )

    plain, gradient = jax.value_and_grad(difference)(unlabelled)
    masked = difference(padded, mask)
    np.testing.assert_allclose(masked, plain, rtol=1e-12)
    zeros = jnp.concatenate([unlabelled, jnp.zeros((2, 17, 3))])
    np.testing.assert_allclose(
        jax.grad(difference)(zeros, mask)[:4], gradient, rtol=1e-10, atol=1e-14
    )


@pytest.mark.slow
def test_coincident_joints_pull_nowhere():
    zeros = jnp.zeros((2, 17, 3))
    for loss in PER_POSE.values():
        value, gradient = jax.value_and_grad(lambda p, loss=loss: loss(p).sum())(zeros)
        assert value == 0
        np.testing.assert_array_equal(gradient, zeros)
    gradient = jax.grad(bone_length_difference_over_batch)(zeros, zeros)
    np.testing.assert_array_equal(gradient, zeros)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", PER_POSE.values(), ids=PER_POSE)
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(loss):
    pose = poses(5, 3)
    check_grads(jax.jit(loss), (pose,), order=1, modes=("rev",))
    loop = jnp.stack([loss(one) for one in pose])
    assert loop.shape == (3,)
    np.testing.assert_allclose(jax.jit(loss)(pose), loop, rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_the_difference_over_a_batch_has_the_gradient_of_a_derivative():
    check_grads(
        jax.jit(bone_length_difference_over_batch),
        (poses(6, 2), poses(7, 3)),
        order=1,
        modes=("rev",),
    )


def test_the_dtype_is_that_of_the_pose():
    pose = poses(8, 2).astype(jnp.float32)
    for loss in PER_POSE.values():
        assert loss(pose).dtype == jnp.float32
    assert bone_length_difference_over_batch(pose, pose).dtype == jnp.float32


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["clean", "noisy", "rank1"])
def test_symmetry_and_lengths_equal_the_stored_ones(name):
    arrays, _ = golden(f"regularizers_{name}", system="posture_pose")
    pose = jnp.asarray(arrays["in/pose"])
    np.testing.assert_allclose(
        bone_lengths(pose), arrays["out/bone_lengths"], rtol=1e-12
    )
    assert len(BONES) == arrays["out/bone_lengths"].shape[-1]
    mean = jax.jit(jax.value_and_grad(lambda p: bone_symmetry_loss(p).mean()))
    value, gradient = mean(pose)
    np.testing.assert_allclose(value, arrays["out/bse_loss"], rtol=1e-12)
    np.testing.assert_allclose(gradient, arrays["grad/bse_loss"], atol=1e-14)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_the_difference_over_a_batch_equals_the_stored_one():
    arrays, _ = golden("semi_videopose3d", system="posture_pose")
    pose, labelled = jnp.asarray(arrays["out/predicted_pose"]), len(arrays["in/pose3d"])
    found = bone_length_difference_over_batch(pose[:labelled], pose[labelled:])
    np.testing.assert_allclose(found, arrays["out/term/mble"], rtol=1e-12)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(
    "name", ["semi_posturepose_cameras", "semi_posturepose_no_cameras"]
)
def test_root_and_symmetry_terms_of_a_step_equal_the_stored_ones(name):
    arrays, _ = golden(name, system="posture_pose")
    pose = jnp.asarray(arrays["out/predicted_pose"])[len(arrays["in/pose3d"]) :]
    root = root_to_origin_loss(pose).mean()
    np.testing.assert_allclose(root, arrays["out/term/pto"], rtol=1e-12)
    symmetry = bone_symmetry_loss(pose.at[..., 0, :].set(0.0)).mean()
    np.testing.assert_allclose(symmetry, arrays["out/term/bse"], rtol=1e-12)
