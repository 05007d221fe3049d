import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden

from posejax import data, metrics


def pairs(seed=0, count=3):
    rng = np.random.default_rng(seed)
    joints = rng.uniform(0, 9, size=(count, 4, 2))
    moved = joints + rng.normal(size=joints.shape)
    arrays = rng.normal(size=(count, 10, 12, 2)), joints, moved
    return tuple(jnp.asarray(array, jnp.float32) for array in arrays)


def test_the_error_at_a_joint_by_hand():
    flow = jnp.zeros((4, 5, 2)).at[2, 3].set(jnp.array([4.0, 1.0]))
    joints = jnp.array([[2.5, 2.4], [3.4, 2.5], [0.0, 0.0]])
    found = metrics.joint_flow_errors(flow, joints, joints + jnp.array([[1.0, -3.0]]))
    # 2.5 rounds to 2, 3.4 to 3: only the second joint is at row 2, column 3.
    np.testing.assert_allclose(found.errors, [np.sqrt(10), 5, np.sqrt(10)], rtol=1e-6)
    assert found.counts.all()


def test_joints_outside_or_unlabelled_do_not_count_whatever_they_are():
    flow, joints, moved = pairs(0, 1)
    flow, joints, moved = flow[0], joints[0], moved[0]
    joints = joints.at[0].set(jnp.array([-0.6, 3.0])).at[1].set(jnp.nan)
    found = metrics.joint_flow_errors(
        flow, joints, moved, joint_valid=jnp.array([True, True, False, True])
    )
    np.testing.assert_array_equal(found.counts, [False, False, False, True])
    np.testing.assert_array_equal(found.errors[:3], 0)
    assert found.errors[3] > 0
    edges = jnp.array([[-0.5, 0.0], [11.5, 0.0], [11.4, 9.4], [1e20, 0.0]])
    found = metrics.joint_flow_errors(flow, edges, edges)
    np.testing.assert_array_equal(found.counts, [True, False, True, False])


def test_errors_have_finite_gradients_and_pairs_do_not_mix():
    flow, joints, moved = pairs()
    errors = jax.jit(metrics.joint_flow_errors)
    exact = flow.at[:].set(0.0), joints, joints
    gradient = jax.jit(
        jax.grad(lambda f: metrics.joint_flow_errors(f, *exact[1:]).errors.sum())
    )(exact[0])
    np.testing.assert_array_equal(gradient, 0)
    together = errors(flow, joints, moved)
    singles = [errors(*one) for one in zip(flow, joints, moved, strict=True)]
    np.testing.assert_allclose(
        together.errors, np.stack([single.errors for single in singles]), rtol=1e-6
    )


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_at_joints_equal_the_stored_ones(dtype):
    arrays, _ = golden("eval_joint_epe", system="flow_pose")
    with jax.enable_x64(dtype == np.float64):
        flow = jnp.asarray(arrays["in/flow"], dtype)
        joints = jnp.asarray(arrays["in/joints2d_gt"], dtype)
        found = jax.jit(metrics.joint_flow_errors)(flow, joints[:-1], joints[1:])
        last = jax.jit(metrics.joint_flow_distinct_pixels)(flow, joints[:-1])
    errors, counts, last = (np.asarray(array) for array in (*found, last))
    stored = arrays["out/epe_per_joint"]
    assert counts.all()
    tolerance = 1e-12 if dtype == np.float64 else 1e-5
    np.testing.assert_allclose(errors, stored, atol=tolerance * stored.max())
    np.testing.assert_allclose(
        errors.sum() / counts.sum(), arrays["out/epe_mean"], rtol=1e-6
    )
    published = np.sum(errors[last])
    np.testing.assert_allclose(published, arrays["out/reference_sum"], rtol=1e-6)
    pairs = int(arrays["out/reference_pairs"])
    np.testing.assert_allclose(
        published / (32 * pairs), arrays["out/reference_epe_div32"], rtol=1e-6
    )


def test_joints_that_share_a_pixel_are_counted_once_only_as_published():
    joints = jnp.array([[1.2, 1.0], [0.8, 1.4], [3.0, 3.0], [-3.0, 0.0]])
    last = metrics.joint_flow_distinct_pixels(jnp.zeros((5, 5, 2)), joints)
    np.testing.assert_array_equal(last, [False, True, True, False])


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_errors_of_poses_equal_the_stored_ones(dtype):
    arrays, _ = golden("eval_pose", system="flow_pose")
    poses = arrays["in/positions_3d_32"][data.used_frames(5)].astype(dtype)
    joints = data.lsp_joints(poses)
    np.testing.assert_array_equal(joints, arrays["out/gt_j14"].astype(dtype))
    labels = data.centred_on_hips(joints)
    with jax.enable_x64(dtype == np.float64):
        for name in ("optim", "orig"):
            estimate = data.centred_on_hips(arrays[f"in/X_{name}"].astype(dtype))
            found = 1000 * metrics.mpjpe(jnp.asarray(estimate), jnp.asarray(labels))
            np.testing.assert_allclose(found, arrays[f"out/mpjpe_{name}"], rtol=1e-5)
        pose, label = (
            jnp.asarray(array.astype(dtype)) for array in (arrays["in/X_optim"], joints)
        )
        aligned = 1000 * jax.jit(metrics.p_mpjpe)(pose, label)
        shaken = 1000 * jax.jit(metrics.acceleration_error)(pose, label)
    np.testing.assert_allclose(aligned, arrays["out/pa_mpjpe_optim"], rtol=1e-4)
    np.testing.assert_allclose(shaken, arrays["out/accel_error_optim"], rtol=1e-5)


def test_the_acceleration_error_sees_neither_a_shift_nor_a_drift():
    rng = np.random.default_rng(0)
    pose = jnp.asarray(rng.normal(size=(2, 6, 5, 3)), jnp.float32)
    drift = jnp.arange(6.0).reshape(1, 6, 1, 1) * jnp.ones((1, 1, 1, 3)) + 4
    error = jax.jit(metrics.acceleration_error)
    np.testing.assert_allclose(error(pose + drift, pose), 0, atol=2e-5)
    assert error(pose[:, ::-1], pose).min() > 0.1
    for frames in (1, 2):
        assert error(pose[:, :frames], pose[:, :frames]).shape == (2, 0)
