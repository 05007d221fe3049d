import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from posejax import optimizers
from tests.fill import golden


def adam_by_hand(gradients, learning_rate, b1, b2, eps):
    x, first, second = 0.0, 0.0, 0.0
    for n, g in enumerate(gradients, start=1):
        first = b1 * first + (1 - b1) * g
        second = b2 * second + (1 - b2) * g**2
        x -= (
            learning_rate
            * (first / (1 - b1**n))
            / (np.sqrt(second / (1 - b2**n)) + eps)
        )
    return x


@pytest.mark.parametrize(("b1", "b2", "eps"), [(0.9, 0.999, 1e-8), (0.5, 0.9, 1e-2)])
def test_adam_is_algorithm_1_of_the_paper(b1, b2, eps):
    gradients = [0.3, -2.0, 0.7, 0.01]
    transform = optimizers.adam(1e-2, b1=b1, b2=b2, eps=eps)
    x = jnp.zeros(())
    state = transform.init(x)
    for g in gradients:
        updates, state = transform.update(jnp.float32(g), state, x)
        x = optax.apply_updates(x, updates)
    expected = adam_by_hand(gradients, 1e-2, b1, b2, eps)
    np.testing.assert_allclose(x, expected, rtol=1e-4)


def test_adam_follows_a_schedule_of_the_step():
    transform = optimizers.adam(optax.piecewise_constant_schedule(1.0, {1: 0.0}))
    x = jnp.zeros(())
    state = transform.init(x)
    first, state = transform.update(jnp.float32(1.0), state, x)
    second, _ = transform.update(jnp.float32(1.0), state, x)
    np.testing.assert_allclose(first, -1.0, rtol=1e-5)
    assert float(second) == 0.0


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"learning_rate": 0.0}, "learning_rate is 0.0"),
        ({"learning_rate": 1e-3, "b1": 1.0}, "b1 is 1.0"),
        ({"learning_rate": 1e-3, "b2": -0.1}, "b2 is -0.1"),
        ({"learning_rate": 1e-3, "eps": 0.0}, "eps is 0.0"),
    ],
)
def test_adam_refuses_numbers_out_of_range(arguments, named):
    with pytest.raises(ValueError, match=named):
        optimizers.adam(arguments.pop("learning_rate"), **arguments)


def test_a_decay_ends_at_zero_and_clipping_bounds_the_gradient_not_its_direction():
    transform = optimizers.adam(0.1, decay_steps=2)
    x = jnp.zeros(())
    state = transform.init(x)
    sizes = []
    for _ in range(3):
        update, state = transform.update(jnp.float32(1.0), state, x)
        sizes.append(-float(update))
    np.testing.assert_allclose(sizes, [0.1, 0.05, 0.0], atol=1e-6)
    clipped = optimizers.adam(0.1, b1=0.0, b2=0.0, eps=1.0, clip_norm=1.0)
    gradient = jnp.array([3.0, 4.0])
    update, _ = clipped.update(gradient, clipped.init(gradient), gradient)
    np.testing.assert_allclose(update, [-0.1 * 0.6 / 1.6, -0.1 * 0.8 / 1.8], rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"decay_steps": -1}, {"clip_norm": -1.0}])
def test_negative_lengths_and_norms_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        optimizers.adam(0.1, **wrong)


def test_a_schedule_and_a_decay_exclude_each_other():
    with pytest.raises(ValueError, match="give one only"):
        optimizers.adam(optax.constant_schedule(0.1), decay_steps=3)


def amsgrad_by_hand(gradients, rates, b1, b2, eps):
    x, first, second, largest = 0.0, 0.0, 0.0, 0.0
    path = []
    for n, (g, rate) in enumerate(zip(gradients, rates, strict=True), start=1):
        first = b1 * first + (1 - b1) * g
        second = b2 * second + (1 - b2) * g**2
        largest = max(largest, second)
        root = np.sqrt(largest) / np.sqrt(1 - b2**n) + eps
        x -= rate / (1 - b1**n) * first / root
        path.append(x)
    return path


def followed(transform, gradients, x):
    """The parameters after each step."""
    state, path, update = transform.init(x), [], jax.jit(transform.update)
    for g in gradients:
        updates, state = update(g, state, x)
        x = optax.apply_updates(x, updates)
        path.append(x)
    return path


@pytest.mark.parametrize(("b1", "b2"), [(0.9, 0.999), (0.5, 0.3), (0.0, 0.0)])
def test_amsgrad_keeps_the_largest_raw_second_moment(b1, b2):
    gradients = np.float32([0.3, -2.0, 0.7, 0.01, 0.02])
    transform = optimizers.torch_amsgrad(1e-2, b1=b1, b2=b2, eps=1e-8)
    found = followed(transform, gradients, jnp.zeros(()))
    expected = amsgrad_by_hand(gradients, [1e-2] * 5, b1, b2, 1e-8)
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-8)


def test_amsgrad_takes_other_steps_than_the_one_that_corrects_first():
    gradients = np.float32([2.0, 0.1, 0.1])
    ours = followed(optimizers.torch_amsgrad(0.1), gradients, jnp.zeros(()))
    other = followed(optax.amsgrad(0.1), gradients, jnp.zeros(()))
    np.testing.assert_allclose(ours[0], other[0], rtol=1e-5)
    assert abs(float(ours[2] - other[2])) > 1e-3


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_amsgrad_follows_the_published_trajectory():
    arrays, _ = golden("optimizer", system="posture_pose")
    schedule = optimizers.epoch_decay(1e-3, decay=0.95, steps_per_epoch=4)
    transform = optimizers.torch_amsgrad(schedule, b1=0.9, b2=0.999, eps=1e-8)
    start = jnp.asarray(arrays["in/w0"])
    found = followed(transform, jnp.asarray(arrays["in/grads"]), start)
    assert found[0].dtype == jnp.float64
    np.testing.assert_allclose(found, arrays["out/w"], rtol=0, atol=1e-10)


@pytest.mark.golden
def test_amsgrad_follows_the_published_trajectory_in_float32():
    arrays, _ = golden("optimizer", system="posture_pose")
    schedule = optimizers.epoch_decay(1e-3, decay=0.95, steps_per_epoch=4)
    start = jnp.asarray(arrays["in/w0"], jnp.float32)
    gradients = jnp.asarray(arrays["in/grads"], jnp.float32)
    found = followed(optimizers.torch_amsgrad(schedule), gradients, start)
    assert found[0].dtype == jnp.float32
    # Seven roundings of parameters around 1.
    np.testing.assert_allclose(found, arrays["out/w"], rtol=0, atol=7 * 6e-8)


def test_amsgrad_keeps_the_shape_and_dtype_of_every_parameter():
    params = {"a": jnp.ones((2, 3)), "b": {"c": jnp.ones(4, jnp.bfloat16)}}
    transform = optimizers.torch_amsgrad(1e-3)
    updates, state = transform.update(params, transform.init(params), params)
    for leaf, update in zip(
        jax.tree.leaves(params), jax.tree.leaves(updates), strict=True
    ):
        assert (update.shape, update.dtype) == (leaf.shape, leaf.dtype)
    assert int(optax.tree.get(state, "nu_max")["b"]["c"].size) == 4
    zero = jax.tree.map(jnp.zeros_like, params)
    still, _ = transform.update(zero, transform.init(params), params)
    jax.tree.map(lambda leaf: np.testing.assert_array_equal(leaf, 0), still)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"learning_rate": -1.0}, "learning_rate is -1.0"),
        ({"learning_rate": 1e-3, "b1": 1.0}, "b1 is 1.0"),
        ({"learning_rate": 1e-3, "b2": 2.0}, "b2 is 2.0"),
        ({"learning_rate": 1e-3, "eps": -1.0}, "eps is -1.0"),
    ],
)
def test_amsgrad_refuses_numbers_out_of_range(arguments, named):
    with pytest.raises(ValueError, match=named):
        optimizers.torch_amsgrad(arguments.pop("learning_rate"), **arguments)


def test_the_rate_falls_after_each_epoch_and_at_no_other_step():
    rate = optimizers.epoch_decay(1e-3, decay=0.95, steps_per_epoch=500)
    steps = [0, 499, 500, 999, 1000, 40000]
    expected = [1e-3 * 0.95 ** (step // 500) for step in steps]
    np.testing.assert_allclose([rate(s) for s in steps], expected, rtol=1e-5)
    np.testing.assert_allclose(jax.jit(rate)(jnp.int32(1000)), expected[4], rtol=1e-6)


@pytest.mark.golden
def test_the_momentum_of_batch_norm_falls_as_published_in_both_forms():
    arrays, _ = golden("optimizer", system="posture_pose")
    momentum = optimizers.bn_momentum_schedule
    for key, epochs in (("epoch", 60), ("iter", 40)):
        # After every epoch of 7 steps; the other form counts steps without epochs.
        length = 7 if key == "epoch" else 1
        done = range(length, length * epochs + 1, length)
        found = [
            momentum(n, total_steps=length * epochs, update_every=length) for n in done
        ]
        expected = arrays[f"out/bn_momentum_{key}"]
        np.testing.assert_allclose(found, expected, rtol=2e-6)


def test_the_momentum_of_batch_norm_stays_between_its_renewals():
    momentum = jax.jit(
        lambda n: optimizers.bn_momentum_schedule(
            n, total_steps=1250, update_every=500, start=0.2, end=0.02
        )
    )
    for step, renewed in ((0, 0), (499, 0), (500, 500), (999, 500), (1249, 1000)):
        expected = 0.2 * 0.1 ** (renewed / 1250)
        np.testing.assert_allclose(momentum(step), expected, rtol=1e-5)
    np.testing.assert_allclose(momentum(9999), 0.02, rtol=1e-5)
    assert momentum(0).dtype == jnp.float32


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: optimizers.epoch_decay(0.0, decay=0.9, steps_per_epoch=1), "learning"),
        (lambda: optimizers.epoch_decay(1.0, decay=1.1, steps_per_epoch=1), "decay is"),
        (lambda: optimizers.epoch_decay(1.0, decay=0.0, steps_per_epoch=1), "decay is"),
        (
            lambda: optimizers.epoch_decay(1.0, decay=0.9, steps_per_epoch=0),
            "steps_per",
        ),
        (
            lambda: optimizers.bn_momentum_schedule(0, total_steps=0, update_every=1),
            "total_steps is 0",
        ),
        (
            lambda: optimizers.bn_momentum_schedule(0, total_steps=1, update_every=0),
            "update_every is 0",
        ),
        (
            lambda: optimizers.bn_momentum_schedule(
                0, total_steps=1, update_every=1, start=0.1, end=0.2
            ),
            "start is 0.1 and end is 0.2",
        ),
    ],
)
def test_schedules_refuse_numbers_out_of_range(call, named):
    with pytest.raises(ValueError, match=named) as caught:
        call()
    assert "\n" not in str(caught.value)


@pytest.mark.golden
@pytest.mark.parametrize(
    ("name", "largest", "total"), [("things", 1.25e-4, 100_100), ("short", 4e-4, 400)]
)
def test_one_cycle_has_the_stored_rates(name, largest, total):
    arrays, _ = golden("onecycle", system="flow_pose")
    rate = jax.jit(optimizers.one_cycle(largest, total))
    found = [rate(jnp.int32(step)) for step in arrays[f"out/{name}_step"]]
    np.testing.assert_allclose(found, arrays[f"out/{name}_lr"], rtol=1e-5)


def test_one_cycle_stays_at_its_last_rate_and_a_short_one_begins_at_its_peak():
    rate = optimizers.one_cycle(1.0, 400)
    assert float(rate(399)) == float(rate(5000)) == pytest.approx(1 / 25 / 1e4)
    short = optimizers.one_cycle(1.0, 11)
    np.testing.assert_allclose([short(0), short(5)], [1.0, 0.5], atol=1e-4)
    single = optimizers.one_cycle(1.0, 1)
    np.testing.assert_allclose([single(0), single(1)], [1.0, 4e-6], rtol=1e-5)


def adamw_by_hand(gradients, rate, decay, clip=np.inf):
    """Weight 1 at the start; b1 0.9, b2 0.999, eps 1e-8."""
    x, first, second = 1.0, 0.0, 0.0
    for n, g in enumerate(gradients, start=1):
        g = g * min(1.0, clip / abs(g))
        x *= 1 - rate * decay
        first, second = 0.9 * first + 0.1 * g, 0.999 * second + 0.001 * g**2
        root = np.sqrt(second / (1 - 0.999**n)) + 1e-8
        x -= rate * first / (1 - 0.9**n) / root
    return x


@pytest.mark.parametrize(("decay", "clip"), [(0.0, 0.0), (0.5, 0.0), (0.5, 1.0)])
def test_adamw_is_algorithm_2_of_the_paper(decay, clip):
    gradients = np.float32([0.3, -2.0, 0.7, 0.01])
    transform = optimizers.adamw(1e-2, weight_decay=decay, clip_norm=clip)
    found = followed(transform, gradients, jnp.ones(()))
    expected = adamw_by_hand(gradients.astype(float), 1e-2, decay, clip or np.inf)
    np.testing.assert_allclose(found[-1], expected, rtol=1e-5)


def test_frozen_parameters_neither_move_nor_decay_nor_count_in_the_norm():
    params = {"a": jnp.ones(2), "b": {"scale": jnp.ones(3), "bias": jnp.ones(1)}}
    frozen = {"a": False, "b": {"scale": True, "bias": True}}
    gradients = {
        "a": jnp.array([3.0, 4.0]),
        "b": {"scale": jnp.full(3, 1e4), "bias": jnp.ones(1)},
    }
    # Of b1 = b2 = 0 and a large eps the update is proportional to the clipped gradient.
    options = {"b1": 0.0, "b2": 0.0, "eps": 1e3, "clip_norm": 1.0, "weight_decay": 0.1}
    alone = optimizers.adamw(1.0, **options)
    expected, _ = alone.update(gradients["a"], alone.init(params["a"]), params["a"])
    for mask in (frozen, lambda _: frozen, {"a": False, "b": True}):
        transform = optimizers.adamw(1.0, frozen=mask, **options)
        updates, _ = transform.update(gradients, transform.init(params), params)
        np.testing.assert_allclose(updates["a"], expected, rtol=1e-6)
        for leaf in jax.tree.leaves(updates["b"]):
            np.testing.assert_array_equal(leaf, 0)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: optimizers.adamw(0.0, weight_decay=0.0), "learning_rate is 0.0"),
        (lambda: optimizers.adamw(0.1, weight_decay=-1.0), "weight_decay is -1.0"),
        (
            lambda: optimizers.adamw(0.1, weight_decay=0.0, clip_norm=-1.0),
            "clip_norm is -1.0",
        ),
        (lambda: optimizers.adamw(0.1, weight_decay=0.0, b1=1.0), "b1 is 1.0"),
        (lambda: optimizers.one_cycle(0.0, 10), "max_learning_rate is 0.0"),
        (lambda: optimizers.one_cycle(0.1, 0), "total_steps is 0"),
        (lambda: optimizers.one_cycle(0.1, 10, warmup_share=1.0), "warmup_share is 1"),
        (lambda: optimizers.one_cycle(0.1, 9, start_divisor=0.0), "start_divisor"),
        (lambda: optimizers.one_cycle(0.1, 9, end_divisor=0.5), "end_divisor is 0.5"),
    ],
)
def test_adamw_and_one_cycle_refuse_numbers_out_of_range(call, named):
    with pytest.raises(ValueError, match=named) as caught:
        call()
    assert "\n" not in str(caught.value)
