import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import geometry, losses
from posejax.templates import JOINTED, NATURAL, SCHEMES, T_POSE, TEMPLATES

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/template_warp"
LOSSES = {"anchor_loss": losses.anchor_loss, "boundary_loss": losses.boundary_loss}


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as golden:
        return {key: golden[key] for key in golden.files}


def points(seed, *batch, spread=60.0):
    rng = np.random.default_rng(seed)
    return jnp.asarray(50 + spread * rng.normal(size=(*batch, 32, 2)))


def test_one_open_joint_costs_two_thirds_of_the_mean_over_its_coordinates():
    # 3 and 4 pixels of 100: (0.03^2 + 0.04^2) / 3.
    anchors = jnp.full((32, 2), 50.0).at[31].add(jnp.array([3.0, 4.0]))
    loss, gradient = jax.value_and_grad(losses.anchor_loss)(anchors, image_size=100)
    np.testing.assert_allclose(loss, 0.0025 / 3, rtol=1e-5)
    np.testing.assert_allclose(gradient[31], [2e-4, 8e-4 / 3], rtol=1e-5)
    np.testing.assert_allclose(gradient[2], -gradient[31])


def test_only_joined_anchors_attract_each_other():
    anchors = points(0)
    gradient = jax.grad(losses.anchor_loss)(anchors, image_size=100)
    pairs = np.zeros((32, 2))
    for first, second in JOINTED:
        offset = (anchors[first] - anchors[second]) * 2 / 3 / 100**2
        pairs[first] += offset
        pairs[second] -= offset
    np.testing.assert_allclose(gradient, pairs, rtol=1e-4, atol=1e-8)


def test_boundary_loss_jumps_at_the_border_and_is_flat_inside():
    def at(x):
        anchors = jnp.full((32, 2), 50.0).at[0, 0].set(x)
        return jax.value_and_grad(losses.boundary_loss)(anchors, image_size=100)

    for x, expected, slope in (
        (100.0, 0.0, 0.0),  # |u| = 1 is still inside
        (0.0, 0.0, 0.0),
        (150.0, 2 / 3, 2 / 300),
        (-25.0, 1.5 / 3, -2 / 300),
    ):
        loss, gradient = at(x)
        np.testing.assert_allclose(loss, expected, rtol=1e-6)
        np.testing.assert_allclose(gradient[0, 0], slope, rtol=1e-6)
    just_outside, _ = at(100.001)
    assert just_outside > 1 / 3


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.parametrize("template", TEMPLATES.values(), ids=TEMPLATES)
def test_a_template_at_rest_costs_nothing_and_pulls_nowhere(loss, template):
    anchors = geometry.template_anchors(template, size=64)
    with jax.debug_nans(True):
        value, gradient = jax.value_and_grad(loss)(anchors, image_size=64)
    assert value == 0
    np.testing.assert_array_equal(gradient, np.zeros((32, 2)))


@pytest.mark.usefixtures("float64")
def test_losses_do_not_depend_on_the_unit_of_the_picture():
    for loss in LOSSES.values():
        anchors = points(1)
        np.testing.assert_allclose(
            loss(anchors, image_size=100), loss(7 * anchors, image_size=700), rtol=1e-12
        )


@pytest.mark.usefixtures("float64")
def test_moving_or_mirroring_a_whole_body_does_not_change_the_anchor_loss():
    anchors = points(2)
    moved = anchors * jnp.array([[-1.0, 1.0]]) + jnp.array([[20.0, -3.0]])
    np.testing.assert_allclose(
        losses.anchor_loss(anchors, image_size=100),
        losses.anchor_loss(moved, image_size=100),
        rtol=1e-12,
    )


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
@pytest.mark.usefixtures("float64")
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(loss):
    anchors = points(3, 4)
    check_grads(jax.jit(lambda a: loss(a, image_size=100)), (anchors,), order=1)
    loop = jnp.stack([loss(one, image_size=100) for one in anchors])
    assert loss(anchors, image_size=100).shape == (4,)
    batched = jax.jit(lambda a: loss(a, image_size=100))(anchors)
    np.testing.assert_allclose(batched, loop, rtol=1e-12)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", LOSSES)
def test_losses_of_moved_anchors_equal_the_stored_ones(name):
    golden = load("anchors")
    rest = geometry.template_anchors(NATURAL, size=256)

    @jax.jit
    @jax.value_and_grad
    def loss(params):
        maps = params.at[..., 2].multiply(256)
        anchors = geometry.transform_anchors(rest, (maps,))
        return LOSSES[name](anchors, image_size=256).mean()

    value, gradient = loss(jnp.asarray(golden["in/params"]))
    np.testing.assert_allclose(value, golden[f"out/{name}"], rtol=1e-9)
    np.testing.assert_allclose(gradient, golden[f"grad/{name}"], rtol=1e-9, atol=1e-12)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize(
    ("model", "scheme"),
    [
        ("baseline", "affine"),
        ("mse", "affine"),
        ("twostep", "two_step"),
        ("constrained", "constrained"),
    ],
)
def test_losses_of_each_model_equal_the_stored_ones(model, scheme, name):
    golden = load(f"losses_{model}")
    template = NATURAL if '"natural"' in str(golden["meta"]) else T_POSE
    rest = geometry.template_anchors(template, size=64)
    raw = jnp.asarray(golden["in/raw"])

    @jax.jit
    @jax.value_and_grad
    def loss(raw):
        maps = geometry.expand_parameters(
            raw.reshape(2, -1), scheme=SCHEMES[scheme], image_size=64
        )
        steps = [
            geometry.transform_anchors(rest, maps[:n]) for n in range(1, 1 + len(maps))
        ]
        return sum(LOSSES[name](anchors, image_size=64).mean() for anchors in steps)

    value, gradient = loss(raw)
    np.testing.assert_allclose(value, golden[f"out/{name}"], rtol=1e-6)
    np.testing.assert_allclose(gradient, golden[f"grad/{name}"], rtol=1e-6, atol=1e-9)
