import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax.geometry.bones import (
    FREE_BONE_LENGTH_ORDER,
    FREE_BONE_TABLE,
    FREE_BONES,
    bone_lengths,
    free_bone_vectors,
)
from posejax.metrics.orientation import (
    bone_orientation_errors,
    j_mpboe,
    joint_orientation_errors,
    mpboe,
)
from tests.fill import golden

METRICS = {
    "bones": bone_orientation_errors,
    "joints": joint_orientation_errors,
    "mpboe": mpboe,
    "j_mpboe": j_mpboe,
}


def poses(seed, *batch):
    draw = np.random.default_rng(seed).normal(scale=0.3, size=(*batch, 17, 3))
    return jnp.asarray(draw)


@pytest.mark.usefixtures("float64")
def test_the_error_of_a_bone_is_its_true_length_times_the_chord():
    predicted, target = poses(0), poses(1)
    errors = bone_orientation_errors(predicted, target)
    u, v = (
        np.asarray(free_bone_vectors(p, grouped=False, plane="pair"))
        for p in (predicted, target)
    )
    lengths = bone_lengths(target)
    for b in range(16):
        chord = np.linalg.norm(u[b] - v[b])
        expected = lengths[FREE_BONE_LENGTH_ORDER[b]] * chord
        np.testing.assert_allclose(errors[b], expected, rtol=1e-12)
    np.testing.assert_allclose(mpboe(predicted, target), errors.mean(), rtol=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_bones_error_is_shared_by_the_five_joints_that_it_depends_on():
    predicted, target = poses(2), poses(3)
    errors = np.asarray(bone_orientation_errors(predicted, target))
    expected = np.zeros(17)
    for bone, error in zip(FREE_BONE_TABLE, errors, strict=True):
        expected[bone.pivot] += 0.03 * error
        expected[bone.axis] += 0.01 * error
        expected[bone.plane] += 0.005 * error
        expected[bone.plane_pair] += 0.005 * error
        expected[bone.free] += 0.95 * error
    np.testing.assert_allclose(
        joint_orientation_errors(predicted, target), expected, rtol=1e-12
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("has_nose", [True, False])
def test_the_mean_over_joints_says_nothing_that_the_mean_over_bones_does_not(has_nose):
    predicted, target = poses(4, 2), poses(5, 2)
    ratio = 16 / 17 if has_nose else 15 / 16
    np.testing.assert_allclose(
        j_mpboe(predicted, target, has_nose=has_nose),
        ratio * mpboe(predicted, target, has_nose=has_nose),
        rtol=1e-12,
    )


@pytest.mark.usefixtures("float64")
def test_without_a_nose_neither_the_nose_nor_its_bone_counts():
    predicted, target = poses(6), poses(7)
    moved = predicted.at[9].add(1.0)
    assert FREE_BONES[0] == "UFace"
    assert mpboe(moved, target) != mpboe(predicted, target)
    for name, metric in METRICS.items():
        here = metric(predicted, target, has_nose=False)
        np.testing.assert_array_equal(here, metric(moved, target, has_nose=False), name)
    np.testing.assert_array_equal(
        bone_orientation_errors(predicted, target, has_nose=False),
        bone_orientation_errors(predicted, target)[1:],
    )


@pytest.mark.usefixtures("float64")
def test_where_the_body_is_and_how_large_does_not_count():
    target = poses(8)
    q, _ = np.linalg.qr(np.random.default_rng(9).normal(size=(3, 3)))
    turned = 1.5 * target @ (q * np.sign(np.linalg.det(q))) + 3.0
    assert mpboe(turned, target) < 1e-13


def test_errors_of_collapsed_predictions_are_finite_with_finite_gradients():
    target = poses(10).astype(jnp.float32)
    flat = target * jnp.array([[0.0, 1.0, 0.0]])
    predicted = jnp.stack([jnp.zeros((17, 3)), target, flat])
    targets = jnp.broadcast_to(target, predicted.shape)
    value, gradient = jax.jit(
        jax.value_and_grad(lambda p: j_mpboe(p, targets).sum())
    )(predicted)  # fmt: skip
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    # Unit vectors are 1 away from the zero vectors of a body in one point.
    np.testing.assert_allclose(
        mpboe(predicted[0], target), jnp.mean(bone_lengths(target)), rtol=1e-5
    )


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("metric", METRICS.values(), ids=METRICS)
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(metric):
    predicted, target = poses(11, 2), poses(12, 2)
    if metric is j_mpboe:
        check_grads(
            jax.jit(metric), (predicted, target), order=1, modes=("rev",), eps=1e-6
        )
    loop = [metric(p, t) for p, t in zip(predicted, target, strict=True)]
    np.testing.assert_allclose(
        jax.jit(metric)(predicted, target), jnp.stack(loop), rtol=1e-12
    )


def test_the_dtype_is_that_of_the_poses():
    pose = poses(13, 2).astype(jnp.float32)
    for metric in METRICS.values():
        assert metric(pose[0], pose[1]).dtype == jnp.float32


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("has_nose", [True, False])
def test_orientation_errors_equal_the_stored_ones(has_nose):
    arrays, meta = golden("metrics", system="posture_pose")
    assert meta["bone_order"] == list(FREE_BONES)
    predicted, target = (
        jnp.asarray(arrays[f"in/{k}"]) for k in ("predicted", "target")
    )
    suffix = "" if has_nose else "_no_nose"
    for metric, key in (
        (mpboe, f"mpboe{suffix}"),
        (j_mpboe, f"j_mpboe{suffix}"),
        (bone_orientation_errors, f"mpboe{suffix}_per_bone"),
        (joint_orientation_errors, f"j_mpboe{suffix}_per_joint"),
    ):
        found = metric(predicted, target, has_nose=has_nose).mean(axis=(0, 1))
        np.testing.assert_allclose(found, arrays[f"out/{key}"], rtol=1e-12)
