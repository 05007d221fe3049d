import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax.geometry.bones import (
    BONE_PARENTS,
    BONES,
    FREE_BONE_LENGTH_ORDER,
    FREE_BONE_TABLE,
    bone_lengths,
)
from posejax.losses.posture import POSTURE_KINDS, posture_loss
from tests.fill import golden

CASES = [
    (kind, order)
    for kind in POSTURE_KINDS
    for order in ((1, 2) if kind.endswith("norm") else (1,))
]


def poses(seed, *batch):
    draw = np.random.default_rng(seed).normal(scale=0.3, size=(*batch, 17, 3))
    return jnp.asarray(draw)


def bent_ankle():
    """A pose, and one in which only the right shin has turned, by a right angle."""
    target = poses(0)
    hip, knee = target[1], target[2]
    axis = (hip - knee) / jnp.linalg.norm(hip - knee)
    across = jnp.cross(axis, jnp.array([0.0, 0.0, 1.0]))
    across = across / jnp.linalg.norm(across)
    return (target.at[3].set(knee + 0.5 * axis), target.at[3].set(knee + 0.5 * across))


@pytest.mark.usefixtures("float64")
def test_a_shin_turned_by_a_right_angle_costs_what_the_formulas_say():
    target, predicted = bent_ankle()
    # Unit vectors at a right angle, length 0.5, mean over 16 bones. Turned from the
    # axis row into the other two, so that the sum of coordinates depends on them.
    expected = {
        "uvec-norm": np.sqrt(2),
        "bs-uvec-norm": 0.5 * np.sqrt(2),
        "vec-norm": 0.5 * np.sqrt(2),
        "uvec-cosi": 1.0,
        "bs-uvec-cosi": 2.5,
    }
    for kind, value in expected.items():
        found = posture_loss(predicted, target, kind=kind, order=2)
        np.testing.assert_allclose(found, value / 16, rtol=1e-10)
    first = posture_loss(predicted, target, kind="uvec-norm", order=1)
    assert np.sqrt(2) / 16 < first <= (1 + np.sqrt(2)) / 16


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "order"), CASES)
def test_turning_moving_and_for_unit_vectors_scaling_a_pose_costs_nothing(kind, order):
    target = poses(1)
    q, _ = np.linalg.qr(np.random.default_rng(2).normal(size=(3, 3)))
    turned = target @ (q * np.sign(np.linalg.det(q))) + jnp.array([[0.5, 1.0, 4.0]])
    options = {"kind": kind, "order": order}
    assert abs(posture_loss(turned, target, **options)) < 1e-13
    scaled = posture_loss(2.0 * target, target, **options)
    if kind == "vec-norm":
        assert scaled > 0.1
    else:
        assert abs(scaled) < 1e-13


@pytest.mark.usefixtures("float64")
def test_bones_count_in_proportion_to_their_true_length():
    target, predicted = bent_ankle()
    longer = predicted.at[3].set(target[2] + 3 * (predicted[3] - target[2]))
    for kind in ("bs-uvec-norm", "bs-uvec-cosi"):
        np.testing.assert_allclose(
            posture_loss(longer, target, kind=kind),
            posture_loss(predicted, target, kind=kind),
            rtol=1e-10,
        )
    lengths = bone_lengths(target)[np.array(FREE_BONE_LENGTH_ORDER)]
    assert lengths[8] == pytest.approx(0.5)  # RLeg


def seen_from_its_neighbours(pose, bone):
    """One free bone in its frame, step by step."""
    pivot = pose[bone.pivot]
    axis, plane = pose[bone.axis] - pivot, pose[bone.plane] - pivot
    if bone.plane != bone.plane_pair:
        along = pose[bone.plane_pair] - pose[bone.plane]
        along = along / np.linalg.norm(along)
        plane = -np.dot(pivot - pose[bone.plane], along) * along
    normal = np.cross(axis, plane)
    in_plane = np.cross(normal, axis)
    rows = np.zeros((3, 3))
    rows[bone.axis_row] = bone.axis_sign * axis / np.linalg.norm(axis)
    rows[1 - bone.axis_row] = bone.plane_sign * in_plane / np.linalg.norm(in_plane)
    rows[2] = bone.normal_sign * normal / np.linalg.norm(normal)
    return rows @ (pose[bone.free] - pivot)


def looped_loss(predicted, target, *, kind, order, left_out):
    """The formulas of the docstring, bone by bone."""
    found = []
    for bone in FREE_BONE_TABLE:
        if bone.name in left_out:
            continue
        ours, theirs = (seen_from_its_neighbours(p, bone) for p in (predicted, target))
        if kind != "vec-norm":
            ours, theirs = (v / np.linalg.norm(v) for v in (ours, theirs))
        end = 1 + BONES.index(bone.name)
        length = np.linalg.norm(target[end] - target[BONE_PARENTS[end - 1]])
        if kind.endswith("cosi"):
            value = 1 - np.dot(ours, theirs)
            factor = 10 * length / 2
        else:
            value = np.linalg.norm(ours - theirs, ord=order)
            factor = length
        found.append(factor * value if kind.startswith("bs-") else value)
    return np.mean(found)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "order"), CASES)
@pytest.mark.parametrize("left_out", [(), ("UFace",)], ids=["nose", "no_nose"])
def test_the_loss_is_a_loop_over_the_bones_that_count(kind, order, left_out):
    predicted, target = poses(7, 2)
    found = posture_loss(
        predicted, target, kind=kind, order=order, has_nose=not left_out
    )
    expected = looped_loss(
        *map(np.asarray, (predicted, target)), kind=kind, order=order, left_out=left_out
    )
    np.testing.assert_allclose(found, expected, rtol=1e-10)


@pytest.mark.parametrize("kind", POSTURE_KINDS)
def test_without_a_nose_no_value_and_no_gradient_depends_on_it(kind):
    predicted, target = poses(8, 2).astype(jnp.float32)

    @jax.jit
    def loss(predicted, target):
        both = jax.value_and_grad(posture_loss, argnums=(0, 1))
        return both(predicted, target, kind=kind, has_nose=False)

    value, gradients = loss(predicted, target)
    moved, _ = loss(predicted.at[9].add(0.3), target.at[9].add(5.0))
    assert value == moved
    for gradient in gradients:
        np.testing.assert_array_equal(gradient[9], np.zeros(3))
        assert np.abs(gradient).max() > 0
    _, (collapsed, _) = loss(jnp.zeros((17, 3)), target)
    np.testing.assert_array_equal(collapsed, np.zeros((17, 3)))


@pytest.mark.parametrize("kind", POSTURE_KINDS)
def test_collapsed_poses_have_a_finite_gradient(kind):
    target = poses(3).astype(jnp.float32)
    predicted = jnp.stack([jnp.zeros((17, 3)), target, target * jnp.array([[0, 1, 0]])])
    targets = jnp.broadcast_to(target, predicted.shape)

    @jax.jit
    def loss(predicted):
        return posture_loss(predicted, targets, kind=kind, order=2).sum()

    value, gradient = jax.value_and_grad(loss)(predicted)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(gradient[0], np.zeros((17, 3)))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "order"), [CASES[2], CASES[-1]])
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(kind, order):
    target, predicted = poses(4, 2), poses(5, 2)

    @jax.jit
    def loss(predicted, target):
        return posture_loss(predicted, target, kind=kind, order=order)

    check_grads(loss, (predicted, target), order=1, modes=("rev",), eps=1e-6)
    loop = jnp.stack(
        [
            posture_loss(p, t, kind=kind, order=order)
            for p, t in zip(predicted, target, strict=True)
        ]
    )
    np.testing.assert_allclose(loss(predicted, target), loop, rtol=1e-12)


def test_the_dtype_is_that_of_the_poses():
    pose = poses(6, 2).astype(jnp.float32)
    for kind in POSTURE_KINDS:
        assert posture_loss(pose[0], pose[1], kind=kind).dtype == jnp.float32


def test_unknown_kinds_and_orders_are_refused_by_name():
    pose = jnp.zeros((17, 3))
    with pytest.raises(ValueError, match="kind is 'uvec_norm'; expected one of"):
        posture_loss(pose, pose, kind="uvec_norm")
    with pytest.raises(ValueError, match="order is 3; expected 1 or 2"):
        posture_loss(pose, pose, order=3)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize(("kind", "order"), CASES)
def test_posture_losses_equal_the_stored_ones(kind, order):
    arrays, _ = golden("posture_losses", system="posture_pose")
    predicted, target = (
        jnp.asarray(arrays[f"in/{k}"]) for k in ("predicted", "target")
    )
    name = f"{kind}_l{order}" if kind.endswith("norm") else kind

    @jax.jit
    @jax.value_and_grad
    def loss(predicted):
        return posture_loss(predicted, target, kind=kind, order=order).mean()

    value, gradient = loss(predicted)
    np.testing.assert_allclose(value, arrays[f"out/{name}"], rtol=1e-12)
    np.testing.assert_allclose(gradient, arrays[f"grad/{name}"], atol=1e-13)
