import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import losses
from tests.fill import golden


def flows_of(seed, *shape, scale=3.0):
    drawn = scale * np.random.default_rng(seed).normal(size=(*shape, 2))
    return jnp.asarray(drawn, jnp.float32)


def test_later_iterations_weigh_more_by_hand_with_gradient():
    target = jnp.zeros((1, 2, 2))
    predictions = jnp.stack([target + 4.0, target - 2.0, target + 1.0])
    # gamma^2 * 4 + gamma * 2 + 1 with gamma = 1/2.
    loss = losses.sequence_loss(predictions, target, gamma=0.5)
    assert float(loss) == 3.0
    slopes = jax.jit(jax.grad(lambda p: losses.sequence_loss(p, target, gamma=0.5)))(
        predictions
    )
    np.testing.assert_allclose(slopes[0], 0.25 / 4)
    np.testing.assert_allclose(slopes[1], -0.5 / 4)
    np.testing.assert_allclose(slopes[2], 1.0 / 4)


def test_pixels_that_do_not_count_are_left_out_but_divide():
    target = jnp.zeros((2, 2, 2)).at[0, 0].set(jnp.nan).at[0, 1].set(1e10)
    mask = jnp.array([[True, True], [False, True]])
    predictions = jnp.ones((1, 2, 2, 2))

    def loss(predictions):
        return losses.sequence_loss(predictions, target, mask=mask)

    value, slopes = jax.jit(jax.value_and_grad(loss))(predictions)
    assert float(value) == 0.25  # one of four pixels
    assert slopes[0, 0].tolist() == [[0.0, 0.0], [0.0, 0.0]]
    assert slopes[0, 1].tolist() == [[0.0, 0.0], [0.125, 0.125]]


def test_a_true_flow_of_exactly_the_largest_length_does_not_count():
    target = jnp.array([[[400.0, 0.0], [399.0, 0.0]]])
    assert float(losses.sequence_loss(target[None] + 1, target)) == 0.5
    assert float(losses.sequence_loss(target[None] + 1, target, max_flow=401.0)) == 1.0


def test_equal_flows_have_no_loss_and_no_gradient():
    target = flows_of(0, 2, 3, 4)
    for loss in (
        lambda p: losses.sequence_loss(p[None], target).sum(),
        lambda p: losses.smooth_flow_loss(p, target).sum(),
    ):
        value, slopes = jax.jit(jax.value_and_grad(loss))(target)
        assert float(value) == 0
        assert float(jnp.abs(slopes).max()) == 0


def test_turning_both_flows_around_changes_no_loss():
    predicted, target = flows_of(1, 3, 4), flows_of(2, 3, 4)
    for loss in (
        lambda p, t: losses.sequence_loss(p[None], t),
        losses.smooth_flow_loss,
    ):
        np.testing.assert_allclose(
            loss(predicted, target), loss(-predicted, -target), rtol=1e-6
        )


def test_the_smooth_loss_is_a_parabola_below_a_pixel_and_a_line_above():
    sizes = np.array([0.0, 0.5, 1.0, 3.0, -3.0], np.float32)
    predicted = jnp.stack([jnp.asarray(sizes)] * 2, axis=-1)[None]
    target = jnp.zeros_like(predicted)
    each = losses.smooth_flow_loss_per_pixel(predicted, target)
    np.testing.assert_allclose(each[0], [0.0, 0.125, 0.5, 2.5, 2.5])
    assert float(losses.smooth_flow_loss(predicted, target)) == np.mean(each)
    slopes = jax.jit(
        jax.grad(lambda p: losses.smooth_flow_loss_per_pixel(p, target).sum())
    )
    np.testing.assert_allclose(slopes(predicted)[0, :, 0], [0, 0.25, 0.5, 0.5, -0.5])


@pytest.mark.usefixtures("float64")
def test_gradients_of_flow_losses_are_their_derivatives():
    predicted = flows_of(3, 2, 3, 4).astype(jnp.float64)
    target = flows_of(4, 3, 4).astype(jnp.float64)
    mask = jnp.arange(12).reshape(3, 4) % 3 > 0
    check_grads(
        jax.jit(lambda p: losses.sequence_loss(p, target, mask=mask)),
        (predicted,),
        order=1,
        modes=("rev",),
        eps=1e-6,
    )
    check_grads(
        jax.jit(lambda p: losses.smooth_flow_loss(p, target)),
        (predicted[0],),
        order=1,
        modes=("rev",),
        eps=1e-6,
    )


def test_a_batch_of_losses_equals_a_loop_and_jit_equals_no_jit():
    predictions, target = flows_of(5, 4, 3, 5, 6), flows_of(6, 3, 5, 6)
    mask = flows_of(7, 3, 5, 6)[..., 0] > 0
    compiled = jax.jit(lambda p, t, m: losses.sequence_loss(p, t, mask=m))
    alone = [compiled(predictions[:, i], target[i], mask[i]) for i in range(3)]
    eager = losses.sequence_loss(predictions, target, mask=mask)
    np.testing.assert_allclose(eager, alone, rtol=1e-5)
    np.testing.assert_allclose(compiled(predictions, target, mask), alone, rtol=1e-5)
    smooth, first = jax.jit(losses.smooth_flow_loss), predictions[0]
    alone = [smooth(*pair) for pair in zip(first, target, strict=True)]
    np.testing.assert_allclose(smooth(first, target), alone, rtol=1e-5)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.bfloat16])
def test_flow_losses_keep_the_dtype(dtype):
    flow = flows_of(8, 3, 4).astype(dtype)
    assert losses.sequence_loss(flow[None], flow).dtype == dtype
    assert losses.smooth_flow_loss(flow, flow).dtype == dtype


@pytest.mark.golden
@pytest.mark.parametrize(("name", "gamma"), [("g80", 0.8), ("g85", 0.85)])
def test_sequence_loss_and_gradient_equal_the_stored_ones(name, gamma):
    arrays, _ = golden(f"sequence_loss_{name}", system="flow_pose")
    predictions = jnp.asarray(np.moveaxis(arrays["in/preds"], 2, -1), jnp.float32)
    target = jnp.asarray(np.moveaxis(arrays["in/flow_gt"], 1, -1), jnp.float32)
    mask = jnp.asarray(arrays["in/valid"] >= 0.5)

    def loss(predictions):
        # The stored loss is the mean over the batch.
        return losses.sequence_loss(predictions, target, mask=mask, gamma=gamma).mean()

    value, slopes = jax.jit(jax.value_and_grad(loss))(predictions)
    np.testing.assert_allclose(value, arrays["out/loss"], rtol=1e-5)
    expected = np.moveaxis(arrays["grad/preds"], 2, -1)
    np.testing.assert_allclose(slopes, expected, atol=1e-4 * abs(expected).max())


@pytest.mark.golden
@pytest.mark.parametrize("name", ["nb3", "nb15"])
def test_fine_tuning_loss_and_gradient_equal_the_stored_ones(name):
    arrays, _ = golden(f"flow_target_{name}", system="flow_pose")
    predicted = jnp.asarray(arrays["in/flow_up"], jnp.float32)
    target = jnp.asarray(arrays["out/target_reference"], jnp.float32)
    loss = losses.smooth_flow_loss(predicted, target)
    np.testing.assert_allclose(loss, arrays["out/loss"], rtol=1e-5)
    slopes = jax.jit(jax.grad(lambda p: losses.smooth_flow_loss(p, target).sum()))(
        predicted
    )
    expected = arrays["grad/flow_up_sub"]
    np.testing.assert_allclose(
        slopes[:, ::3, ::3], expected, atol=1e-4 * abs(expected).max()
    )


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"gamma": 0.0}, "gamma is 0.0"),
        ({"gamma": 1.5}, "gamma is 1.5"),
        ({"max_flow": 0.0}, "max_flow is 0.0"),
    ],
)
def test_sequence_loss_refuses_numbers_out_of_range(options, named):
    flow = jnp.zeros((2, 2, 2))
    with pytest.raises(ValueError, match=named):
        losses.sequence_loss(flow[None], flow, **options)


def test_a_sequence_without_an_iteration_is_refused():
    with pytest.raises(ValueError, match="number of iterations is 0"):
        losses.sequence_loss(jnp.zeros((0, 2, 2, 2)), jnp.zeros((2, 2, 2)))
