import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import geometry

rotation_of = jax.jit(geometry.best_rotation)
ALIGNMENTS = {
    "rigid": jax.jit(geometry.rigid_alignment),
    "similarity": jax.jit(geometry.similarity_alignment),
}


def turns(rng, *batch):
    q, _ = np.linalg.qr(rng.normal(size=(*batch, 3, 3)))
    return q * np.sign(np.linalg.det(q))[..., None, None]


def decomposed(covariance):
    """The same rotation and trace by a singular value decomposition in float64."""
    v, s, ut = np.linalg.svd(np.asarray(covariance, np.float64))
    sign = np.sign(np.linalg.det(v @ ut))
    v[..., 2] *= sign[..., None]
    return v @ ut, s[..., 0] + s[..., 1] + sign * s[..., 2]


def covariances(kind, rng, n=400):
    """C = V S U^T of random frames with given singular values."""
    values = {
        "random": np.abs(rng.normal(size=(n, 1, 3))),
        "near planar": [1.0, 0.3, 1e-4],
        "planar": [1.0, 0.3, 0.0],
        "graded": [1.0, 1e-2, 1e-3],
        "equal": [1.0, 1.0, 1.0],
        "nearly equal": [1.0, 0.999, 0.998],
        "equal but for rounding": [1.0, 1 - 3e-7, 1 - 8e-6],
        "mirrored": [1.0, 0.5, -0.2],
        "mirrored, two equal": [1.0, 1.0, -0.2],
    }[kind]
    return turns(rng, n) * values @ turns(rng, n)


KINDS = (
    "random", "near planar", "planar", "graded", "equal", "equal but for rounding",
    "nearly equal", "mirrored", "mirrored, two equal",
)  # fmt: skip


@pytest.mark.parametrize("unit", [1.0, 1e-9, 1e9])
@pytest.mark.parametrize("kind", KINDS)
def test_best_rotation_equals_that_of_a_decomposition_in_float32(kind, unit):
    covariance = covariances(kind, np.random.default_rng(0))
    expected, trace = decomposed(covariance)
    found, total = rotation_of(jnp.asarray(covariance * unit, jnp.float32))
    assert found.dtype == total.dtype == jnp.float32
    np.testing.assert_allclose(total, trace * unit, rtol=2e-6)
    # An error of the rotation is one of the matrix over the least sum of two values.
    values = np.linalg.svd(covariance, compute_uv=False)
    values[..., 2] *= np.sign(np.linalg.det(covariance))
    gap = (values[..., 1] + values[..., 2]) / values[..., 0]
    error = np.abs(found - expected).max(axis=(-2, -1))
    np.testing.assert_array_less(error * np.minimum(gap, 1), 3e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", KINDS)
def test_best_rotation_equals_that_of_a_decomposition_in_float64(kind):
    covariance = covariances(kind, np.random.default_rng(1))
    expected, trace = decomposed(covariance)
    found, total = rotation_of(jnp.asarray(covariance))
    np.testing.assert_allclose(total, trace, atol=1e-14)
    np.testing.assert_allclose(found, expected, atol=1e-10)


@pytest.mark.parametrize("level", [0, 3])
@pytest.mark.parametrize("kind", ["equal", "equal but for rounding"])
def test_a_compiler_that_rounds_otherwise_finds_the_same_rotation(kind, level):
    covariance = jnp.asarray(covariances(kind, np.random.default_rng(0)), jnp.float32)
    expected, _ = decomposed(covariance)
    found, _ = rotation_of.lower(covariance).compile(
        {"xla_backend_optimization_level": level}
    )(covariance)
    np.testing.assert_allclose(found, expected, atol=3e-6)


@pytest.mark.parametrize("values", [(1.0, 0.0, 0.0), (0.0, 0.0, 0.0), (1, 1e-9, -1e-9)])
def test_where_many_rotations_are_best_one_of_them_is_found(values):
    rng = np.random.default_rng(2)
    covariance = turns(rng, 50) * np.array(values) @ turns(rng, 50)
    covariance = jnp.asarray(covariance, jnp.float32)
    found, total = rotation_of(covariance)
    np.testing.assert_allclose(
        np.swapaxes(found, -1, -2) @ found, np.broadcast_to(np.eye(3), (50, 3, 3)),
        atol=2e-6,
    )  # fmt: skip
    np.testing.assert_allclose(np.linalg.det(found), 1, atol=1e-5)
    np.testing.assert_allclose(total, sum(values), atol=1e-6)
    np.testing.assert_allclose(np.sum(found * covariance, (-2, -1)), total, atol=1e-6)
    gradient = jax.jit(jax.grad(lambda c: jnp.sum(rotation_of(c)[0] ** 3)))(covariance)
    np.testing.assert_array_equal(gradient, np.zeros((50, 3, 3)))


def test_a_reflection_is_never_returned():
    found, total = rotation_of(jnp.diag(jnp.array([3.0, 2.0, -1.0])))
    np.testing.assert_allclose(found, np.eye(3), atol=1e-6)
    np.testing.assert_allclose(total, 4.0, rtol=1e-6)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("kind", ["random", "equal", "mirrored", "mirrored, two equal"])
def test_the_derivative_of_the_rotation_exists_even_for_equal_singular_values(kind):
    covariance = jnp.asarray(covariances(kind, np.random.default_rng(3), 2))
    check_grads(rotation_of, (covariance,), order=1)


@pytest.mark.usefixtures("float64")
def test_alignment_undoes_a_similarity_transform():
    rng = np.random.default_rng(4)
    pose = rng.normal(size=(6, 17, 3))
    moved = pose @ turns(rng, 6) + rng.normal(size=(6, 1, 3))
    np.testing.assert_allclose(ALIGNMENTS["rigid"](moved, pose), pose, atol=1e-12)
    similar = ALIGNMENTS["similarity"](0.001 * moved, pose)
    np.testing.assert_allclose(similar, pose, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_no_other_transform_is_nearer():
    rng = np.random.default_rng(5)
    source, target = rng.normal(size=(2, 17, 3))

    def cost(aligned):
        return np.sum((aligned - target) ** 2)

    for name, change in (("rigid", 1.0), ("similarity", 1.01), ("similarity", 0.99)):
        best = np.asarray(ALIGNMENTS[name](source, target))
        centre = best.mean(axis=0)
        for axis in range(3):
            angle = 0.01
            c, s, turn = np.cos(angle), np.sin(angle), np.eye(3)
            i, j = (axis + 1) % 3, (axis + 2) % 3
            turn[[i, i, j, j], [i, j, i, j]] = c, s, -s, c
            assert cost(change * (best - centre) @ turn + centre) > cost(best)
            assert cost(best + 0.01 * np.eye(3)[axis]) > cost(best)


@pytest.mark.usefixtures("float64")
def test_rigid_transform_moves_points_as_rigid_alignment_does():
    rng = np.random.default_rng(6)
    source, target = rng.normal(size=(2, 4, 17, 3))
    rotation, translation = jax.jit(geometry.rigid_transform)(source, target)
    np.testing.assert_allclose(
        source @ rotation + translation[:, None],
        ALIGNMENTS["rigid"](source, target),
        atol=1e-12,
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("align", ALIGNMENTS.values(), ids=ALIGNMENTS)
def test_alignments_have_derivatives_and_a_batch_equals_a_loop(align):
    rng = np.random.default_rng(7)
    source, target = (jnp.asarray(x) for x in rng.normal(size=(2, 2, 3, 5, 3)))
    check_grads(align, (source, target), order=1, modes=["rev"])
    loop = [align(*one) for one in zip(source[0], target[0], strict=True)]
    np.testing.assert_allclose(align(source, target)[0], loop, atol=1e-13)


DEGENERATE = {
    "coincident": np.zeros((17, 3)),
    "coincident elsewhere": np.ones((17, 3)),
    "collinear": np.arange(17.0)[:, None] * [[1.0, 2.0, 3.0]],
    "planar": np.cos(np.arange(51.0)).reshape(17, 3) * [1, 1, 0],
}


@pytest.mark.parametrize("align", ALIGNMENTS.values(), ids=ALIGNMENTS)
@pytest.mark.parametrize("source", DEGENERATE.values(), ids=DEGENERATE)
def test_degenerate_poses_align_with_finite_gradients(source, align):
    pose = np.sin(np.arange(51.0)).reshape(17, 3)
    for pair in ((source, pose), (pose, source), (source, source)):
        arrays = tuple(jnp.asarray(x, jnp.float32) for x in pair)
        gradients = jax.grad(lambda s, t: jnp.sum(align(s, t) ** 2), (0, 1))(*arrays)
        assert np.isfinite(align(*arrays)).all()
        assert all(np.isfinite(g).all() for g in gradients)
    np.testing.assert_allclose(align(*arrays), source, atol=1e-4)


def test_coincident_joints_are_put_at_the_target_s_centroid():
    pose = jnp.arange(6.0).reshape(2, 3)
    aligned = geometry.similarity_alignment(jnp.full((2, 3), 9.0), pose)
    np.testing.assert_allclose(aligned, [[1.5, 2.5, 3.5]] * 2, rtol=1e-6)


def test_least_squares_scale_by_hand_and_of_nothing():
    source, target = jnp.array([[1.0, 0.0], [0.0, 2.0]]), jnp.array([[3.0, 1], [1, 1]])
    scale = geometry.least_squares_scale
    np.testing.assert_allclose(scale(source, target), 1.0)  # (3 + 2) / (1 + 4)
    gradient = jax.grad(scale)(jnp.zeros((2, 2)), target)
    np.testing.assert_array_equal(gradient, np.zeros((2, 2)))
    np.testing.assert_allclose(
        jax.jit(scale)(jnp.stack([source, 0 * source]), jnp.stack([target, target])),
        [1.0, 0.0],
    )


@pytest.mark.usefixtures("float64")
def test_the_derivative_of_the_scale():
    source, target = (
        jnp.asarray(x) for x in np.random.default_rng(8).normal(size=(2, 3, 4, 2))
    )
    check_grads(jax.jit(geometry.least_squares_scale), (source, target), order=1)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_rigid_alignment_equals_the_stored_one_but_for_its_translation():
    # The stored one moves by mean_t - s mean_p R without scaling the pose by s.
    arrays, _ = golden("metrics", system="posture_pose")
    source, target = (jnp.asarray(arrays[f"in/{k}"]) for k in ("predicted", "target"))
    centre = source.mean(axis=-2, keepdims=True)
    offset = target - target.mean(axis=-2, keepdims=True)
    covariance = jnp.swapaxes(source - centre, -1, -2) @ offset
    rotation, total = rotation_of(covariance)
    scale = total / jnp.sum((source - centre) ** 2, axis=(-2, -1))
    excess = (1 - scale[..., None, None]) * (centre @ rotation)

    def distances(source):
        turned = geometry.rigid_alignment(jax.lax.stop_gradient(source), target)
        constant = turned - jax.lax.stop_gradient(source) @ rotation
        return jnp.linalg.norm(source @ rotation + constant + excess - target, axis=-1)

    stored = arrays["out/rigid_no_scale_per_joint"]
    np.testing.assert_allclose(jax.jit(distances)(source)[0], stored, atol=1e-8)
    gradient = jax.jit(jax.grad(lambda s: distances(s).mean()))(source)
    np.testing.assert_allclose(gradient, arrays["grad/rigid_no_scale"], atol=1e-8)
