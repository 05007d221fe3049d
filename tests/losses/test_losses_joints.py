import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import losses

LOSSES = {
    "joint_distance_loss": (losses.joint_distance_loss, (4, 5, 3)),
    "n_mpjpe_loss": (losses.n_mpjpe_loss, (4, 5, 3)),
    "velocity_loss": (losses.velocity_loss, (4, 3, 5, 3)),
    "trajectory_loss": (losses.trajectory_loss, (4, 3)),
}
each_loss = pytest.mark.parametrize(("loss", "shape"), LOSSES.values(), ids=LOSSES)


def pair(seed, shape):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=shape)) for _ in range(2)]


def test_the_joint_distance_and_its_gradient_by_hand():
    predicted = jnp.array([[3.0, 4.0], [1.0, 1.0]])
    target = jnp.array([[0.0, 0.0], [1.0, 1.0]])
    value, gradient = jax.value_and_grad(losses.joint_distance_loss)(predicted, target)
    np.testing.assert_allclose(value, 2.5)
    np.testing.assert_allclose(gradient, [[0.3, 0.4], [0.0, 0.0]], rtol=1e-6)


def test_a_joint_that_does_not_count_may_be_anything():
    predicted = jnp.array([[[3.0, 4.0], [jnp.nan, 1.0]], [[jnp.inf, 0.0], [0.0, 0.0]]])
    mask = jnp.array([[True, False], [False, False]])
    value, gradient = jax.value_and_grad(
        lambda p: losses.joint_distance_loss(p, jnp.zeros((2, 2, 2)), mask=mask).sum()
    )(predicted)
    np.testing.assert_allclose(value, 5.0)
    np.testing.assert_allclose(gradient[0], [[0.6, 0.8], [0.0, 0.0]], rtol=1e-6)
    np.testing.assert_array_equal(gradient[1], np.zeros((2, 2)))


def test_n_mpjpe_loss_by_hand():
    predicted = jnp.array([[4.0, 0.0, 3.0]])
    target = jnp.array([[2.0, 0.0, 0.0]])  # scale 8 / 25
    found = losses.n_mpjpe_loss(predicted, target)
    np.testing.assert_allclose(found, 1.2, rtol=1e-6)


@pytest.mark.usefixtures("float64")
def test_n_mpjpe_loss_has_no_gradient_along_the_scale_of_the_pose():
    predicted, target = pair(0, (5, 3))
    gradient = jax.grad(losses.n_mpjpe_loss)(predicted, target)
    assert np.abs(gradient).max() > 1e-2
    np.testing.assert_allclose(np.sum(gradient * predicted), 0, atol=1e-14)


def test_velocity_loss_by_hand():
    # Steps of 3 and 4 against steps of 1.
    predicted = jnp.array([0.0, 3.0, 7.0]).reshape(3, 1, 1)
    target = jnp.array([5.0, 6.0, 7.0]).reshape(3, 1, 1)
    np.testing.assert_allclose(losses.velocity_loss(predicted, target), 2.5)


def test_trajectory_loss_by_hand():
    predicted = jnp.array([[3.0, 4.0, 10.0], [1.0, 0.0, -2.0], [1.0, 2.0, 3.0]])
    target = jnp.array([[0.0, 0.0, 10.0], [0.0, 0.0, -2.0], [0.0, 0.0, 0.0]])
    found = losses.trajectory_loss(predicted, target)
    np.testing.assert_allclose(found, [0.5, 0.5, 0.0], rtol=1e-6)


@each_loss
def test_a_perfect_or_collapsed_prediction_has_a_finite_gradient(loss, shape):
    pose = jnp.ones(shape)
    gradient = jax.jit(jax.value_and_grad(lambda p, t: loss(p, t).sum(), (0, 1)))
    for arrays in ((pose, pose), (0 * pose, pose), (pose, 0 * pose), (0 * pose,) * 2):
        value, slopes = gradient(*arrays)
        assert np.isfinite(value)
        assert all(np.isfinite(s).all() for s in slopes)
    assert value == 0
    np.testing.assert_array_equal(slopes[0], np.zeros(shape))


@each_loss
@pytest.mark.usefixtures("float64")
def test_gradients_of_joint_losses_are_derivatives_and_a_batch_equals_a_loop(
    loss, shape
):
    predicted, target = pair(1, shape)
    target = target + 4.0  # depths away from zero
    check_grads(jax.jit(loss), (predicted, target), order=1, modes=["rev"])
    loop = [loss(*one) for one in zip(predicted, target, strict=True)]
    batched = jax.jit(loss)(predicted, target)
    assert batched.shape == (4,)
    np.testing.assert_allclose(batched, loop, rtol=1e-12)


@each_loss
def test_joint_losses_keep_float32(loss, shape):
    arrays = [jnp.asarray(x, jnp.float32) for x in pair(2, shape)]
    assert loss(*arrays).dtype == jnp.float32


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", ["mpjpe", "n_mpjpe", "mpjve"])
def test_joint_losses_equal_the_stored_errors(loss):
    arrays, _ = golden("metrics", system="posture_pose")
    function = {
        "mpjpe": losses.joint_distance_loss,
        "n_mpjpe": losses.n_mpjpe_loss,
        "mpjve": losses.velocity_loss,
    }[loss]
    found = function(
        jnp.asarray(arrays["in/predicted"]), jnp.asarray(arrays["in/target"])
    )
    np.testing.assert_allclose(found.mean(), arrays[f"out/{loss}"], atol=1e-8)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("step", ["semi_posturepose_cameras", "semi_videopose3d"])
def test_the_supervised_terms_of_a_stored_step_are_equal(step):
    arrays, _ = golden(step, system="posture_pose")
    pose = jnp.asarray(arrays["in/pose3d"])
    root, pose = pose[..., 0, :], pose.at[..., 0, :].set(0.0)
    labelled = slice(0, pose.shape[0])
    predicted = jnp.asarray(arrays["out/predicted_pose"])[labelled]
    trajectory = jnp.asarray(arrays["out/predicted_auxiliary"])[labelled, :, 0]
    found = losses.joint_distance_loss(predicted, pose).mean()
    np.testing.assert_allclose(found, arrays["out/term/mpjpe"], atol=1e-8)
    found = losses.trajectory_loss(trajectory, root).mean()
    np.testing.assert_allclose(found, arrays["out/term/auxiliary"], atol=1e-8)
