import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import metrics

PROTOCOLS = {
    "mpjpe": (metrics.mpjpe, metrics.mpjpe_per_joint),
    "p_mpjpe": (metrics.p_mpjpe, metrics.p_mpjpe_per_joint),
    "n_mpjpe": (metrics.n_mpjpe, metrics.n_mpjpe_per_joint),
    "mpjve": (metrics.velocity_error, metrics.velocity_error_per_joint),
}
each_protocol = pytest.mark.parametrize("name", PROTOCOLS)


def poses(seed, *batch):
    rng = np.random.default_rng(seed)
    return [jnp.asarray(rng.normal(size=(*batch, 5, 3))) for _ in range(2)]


@jax.jit
def every_error(predicted, target):
    return {
        name: tuple(function(predicted, target) for function in pair)
        for name, pair in PROTOCOLS.items()
    }


def test_errors_by_hand():
    target = jnp.array([[[0.0, 0, 0], [2, 0, 0]], [[0, 0, 0], [2, 0, 0]]])
    predicted = jnp.array([[[0.0, 0, 0], [4, 0, 3]], [[0, 0, 0], [4, 0, 0]]])
    found = every_error(predicted, target)
    # Scale of n_mpjpe in the first frame 8 / 25: (1.28, 0, 0.96) - (2, 0, 0).
    by_hand = {
        "mpjpe": ([np.sqrt(13) / 2, 1], [[0, np.sqrt(13)], [0, 2]]),
        "p_mpjpe": ([0, 0], [[0, 0], [0, 0]]),
        "n_mpjpe": ([0.6, 0], [[0, 1.2], [0, 0]]),
        "mpjve": ([1.5], [[0, 3]]),
    }
    for name, expected in by_hand.items():
        for one, other in zip(found[name], expected, strict=True):
            np.testing.assert_allclose(one, other, atol=2e-6, err_msg=name)


def test_weighted_mpjpe_by_hand():
    offsets = jnp.array([[[3.0, 4.0], [1.0, 0.0]]])
    found = metrics.weighted_mpjpe(offsets, 0 * offsets, jnp.array([[0.2, 4.0]]))
    np.testing.assert_allclose(found, [2.5], rtol=1e-6)


@pytest.mark.usefixtures("float64")
def test_p_mpjpe_does_not_see_a_similarity_transform_but_a_mirror():
    predicted, target = poses(0, 3)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    turn *= np.sign(np.linalg.det(turn))
    error = jax.jit(metrics.p_mpjpe)
    moved = 1000 * predicted @ turn + np.array([[[1.0, 2.0, 3.0]]])
    np.testing.assert_allclose(error(moved, target), error(predicted, target))
    mirror = np.array([[[-1.0, 1.0, 1.0]]])
    np.testing.assert_allclose(error(target, target), 0, atol=1e-12)
    assert np.all(error(mirror * target, target) > 0.05)


@pytest.mark.usefixtures("float64")
def test_n_mpjpe_does_not_see_the_scale_but_a_shift():
    predicted, target = poses(2, 3)
    error = metrics.n_mpjpe
    np.testing.assert_allclose(error(7 * predicted, target), error(predicted, target))
    assert np.all(
        np.abs(error(predicted + 1, target) - error(predicted, target)) > 1e-3
    )


@pytest.mark.usefixtures("float64")
def test_the_velocity_error_does_not_see_a_constant_offset_but_the_order_of_frames():
    predicted, target = poses(3, 4)
    error = metrics.velocity_error
    np.testing.assert_allclose(error(predicted + 1, target), error(predicted, target))
    reverse = error(predicted[::-1], target)
    assert np.abs(reverse - error(predicted, target)).max() > 1e-3


@each_protocol
def test_errors_are_zero_with_finite_gradients_at_degenerate_poses(name):
    _, per_joint = PROTOCOLS[name]
    pose = jnp.sin(jnp.arange(30.0)).reshape(2, 5, 3)
    line = pose[..., :1] * jnp.array([1.0, 2.0, 3.0]).reshape(1, 1, 3)
    both = jax.jit(jax.value_and_grad(lambda p, t: per_joint(p, t).sum(), (0, 1)))
    zero = 0 * pose
    pairs = ((pose, pose), (zero, pose), (pose, zero), (zero, zero))
    for first, second in (*pairs, (line, pose), (line, line)):
        value, gradients = both(first, second)
        assert np.isfinite(value)
        assert all(np.isfinite(g).all() for g in gradients)
        if first is second:
            np.testing.assert_allclose(value, 0, atol=1e-4)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_gradients_of_errors_are_derivatives_and_a_batch_equals_a_loop():
    predicted, target = poses(4, 3, 4)

    def means(predicted, target):
        return [mean for mean, _ in every_error(predicted, target).values()]

    check_grads(jax.jit(means), (predicted, target), order=1, modes=["rev"])
    batched = every_error(predicted, target)
    singles = [every_error(*one) for one in zip(predicted, target, strict=True)]
    for name, pair in batched.items():
        loop = [np.stack([one[name][i] for one in singles]) for i in range(2)]
        for one, other in zip(pair, loop, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-10, err_msg=name)
        np.testing.assert_allclose(pair[0], pair[1].mean(axis=-1), rtol=1e-12)
    unjitted = [function(predicted, target) for function, _ in PROTOCOLS.values()]
    np.testing.assert_allclose(unjitted[1], batched["p_mpjpe"][0], rtol=1e-10)


def procrustes(predicted, target):
    """P-MPJPE by a singular value decomposition in float64, one pose at a time."""
    errors = []
    for x, y in zip(np.float64(predicted), np.float64(target), strict=True):
        x, centre = x - x.mean(axis=0), y.mean(axis=0)
        v, s, ut = np.linalg.svd(x.T @ (y - centre))
        flip = np.array([1, 1, np.sign(np.linalg.det(v @ ut))])
        aligned = (s * flip).sum() / (x**2).sum() * x @ (v * flip) @ ut + centre
        errors.append(np.linalg.norm(aligned - y, axis=-1).mean())
    return np.array(errors)


@pytest.mark.parametrize(
    "shape", [(1, 1, 1), (1, 1, 1e-3), (1, 0.01, 0.01), (1, 1, -1)]
)
@pytest.mark.parametrize("noise", [0.0, 1e-3, 0.3])
def test_p_mpjpe_equals_a_decomposition_in_float32(shape, noise):
    rng = np.random.default_rng(5)
    target = rng.normal(size=(200, 5, 3)) * np.abs(shape)
    predicted = target * np.sign(shape) + noise * rng.normal(
        size=target.shape
    ) * np.abs(shape)
    found = every_error(
        jnp.asarray(predicted, jnp.float32), jnp.asarray(target, jnp.float32)
    )
    np.testing.assert_allclose(
        found["p_mpjpe"][0], procrustes(predicted, target), atol=2e-5
    )


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_errors_equal_the_stored_ones(dtype):
    arrays, _ = golden("metrics", system="posture_pose")
    with jax.enable_x64(dtype == jnp.float64):
        pair = [jnp.asarray(arrays[f"in/{k}"], dtype) for k in ("predicted", "target")]
        found = jax.device_get(every_error(*pair))
        roots = [pair[0][..., :1, :], pair[1][..., :1, :] + 0.1]
        weight = jnp.asarray(arrays["in/weight"], dtype)
        weighted = np.asarray(metrics.weighted_mpjpe(*roots, weight))
    tolerance = 1e-5 if dtype == jnp.float32 else 1e-8
    for name, (mean, per_joint) in found.items():
        assert mean.dtype == per_joint.dtype == dtype
        stored = arrays[f"out/{name}"]
        np.testing.assert_allclose(np.mean(mean), stored, atol=tolerance)
        np.testing.assert_allclose(
            np.mean(per_joint, axis=(0, 1)),
            arrays[f"out/{name}_per_joint"],
            atol=tolerance,
            err_msg=name,
        )
    np.testing.assert_allclose(
        np.mean(weighted), arrays["out/weighted_mpjpe"], atol=tolerance
    )
