import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax.geometry.bones import FREE_BONE_LENGTH_ORDER, bone_lengths
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
