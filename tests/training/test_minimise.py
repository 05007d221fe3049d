import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fill import golden

from posejax import training
from posejax.training import PrintedStop, make_minimise, minimise


def parabola(variables, data):
    terms = {
        "x": jnp.sum((variables["x"] - data["x"]) ** 2),
        "y": jnp.sum(variables["y"] ** 2),
    }
    return terms["x"] + terms["y"], terms


def start(*batch):
    return {"x": jnp.ones((*batch, 2)), "y": jnp.full((*batch,), 3.0)}


def replayed(losses):
    """An energy that has the given values, one per step, whatever the variables."""

    def energy(variables, data):
        return data[variables["step"].astype(jnp.int32)] + 0 * variables["x"], {}

    def update(gradients, state, params=None):
        del gradients, params
        return {"step": jnp.ones(()), "x": jnp.zeros(())}, state

    counting = optax.GradientTransformation(lambda params: (), update)
    program = make_minimise(energy, counting, num_steps=len(losses), stop=PrintedStop())
    variables = {"step": jnp.zeros(()), "x": jnp.zeros(())}
    return program(variables, jnp.asarray(losses))


def printed_stop(losses):
    """The rule on text, as it was published: the last step, or -1."""
    previous, repeats = -1.0, 0
    for step, loss in enumerate(losses):
        repeats = repeats + 1 if f"{loss:.4f}" == f"{previous:.4f}" else 0
        if repeats == 10:
            return step
        previous = loss
    return -1


def test_a_parabola_is_minimised_and_every_step_recorded():
    program = make_minimise(parabola, optax.sgd(0.25), num_steps=40)
    found = program(start(), {"x": jnp.array([2.0, -1.0])})
    np.testing.assert_allclose(found.variables["x"], [2, -1], atol=1e-6)
    assert int(found.num_steps) == 40
    assert bool(found.is_finite)
    np.testing.assert_allclose(found.losses[:2], [1 + 4 + 9, 14 / 4], rtol=1e-6)
    np.testing.assert_allclose(found.losses, found.terms["x"] + found.terms["y"])


def test_it_stops_when_the_printed_energy_repeats_and_not_before():
    options = {"num_steps": 200, "stop": PrintedStop()}
    found = make_minimise(parabola, optax.sgd(0.25), **options)(
        start(), {"x": jnp.zeros(2)}
    )
    taken = int(found.num_steps)
    # 11 / 4^n is below 0.00005 from n = 9 on: one step, and ten that repeat it.
    assert taken == 20
    assert not np.isfinite(found.losses[taken:]).any()
    assert np.isfinite(found.losses[:taken]).all()


@pytest.mark.golden
@pytest.mark.parametrize("name", ["const", "tail", "reset"])
def test_it_stops_at_the_stored_step(name):
    arrays, _ = golden("early_stop", system="flow_pose")
    with jax.enable_x64(True):
        losses, last = arrays[f"in/{name}"], int(arrays[f"out/{name}"])
        taken = int(replayed(losses).num_steps)
    assert taken - 1 == (len(losses) - 1 if last == -1 else last)


@pytest.mark.parametrize("scale", [1.0, 1e3, 1e7])
def test_the_rule_is_that_of_printed_text_in_float32(scale):
    rng = np.random.default_rng(0)
    with jax.enable_x64(False):
        for trial in range(4):
            losses = scale * (1 + rng.random(40) * 10.0 ** -(trial + 3))
            losses = np.float32(np.sort(losses)[::-1].repeat(2))
            losses[30:45] = losses[30] + np.float32(scale * 1e-9)
            expected = printed_stop(losses.astype(float))
            found = int(replayed(losses).num_steps) - 1
            assert found == (expected if expected >= 0 else len(losses) - 1)


def test_it_stops_before_an_energy_that_is_not_finite():
    def falling(x, data):
        return jnp.sum(jnp.log(x - data)), {}

    found = make_minimise(falling, optax.sgd(0.5), num_steps=20)(
        jnp.array([2.0]), jnp.array([0.0])
    )
    assert not bool(found.is_finite)
    taken = int(found.num_steps)
    assert 0 < taken < 20
    assert np.isfinite(found.variables).all()
    assert np.isfinite(found.losses[:taken]).all()


def test_no_step_at_all_changes_nothing():
    program = make_minimise(parabola, optax.adam(0.1), num_steps=0)
    found = program(start(), {"x": jnp.zeros(2)})
    np.testing.assert_array_equal(found.variables["x"], start()["x"])
    assert int(found.num_steps) == 0
    assert found.losses.shape == (0,)


def test_one_program_serves_all_clips_of_a_shape():
    program = make_minimise(parabola, optax.adam(0.1), num_steps=7)
    for value in range(4):
        program(start(), {"x": jnp.full(2, float(value))})
    assert program.num_compilations == 1


def test_clips_of_a_batch_stop_by_themselves_as_they_do_alone():
    targets = jnp.array([[0.0, 0.0], [5.0, -900.0], [1.0, 1.0]])
    options = {"num_steps": 100, "stop": PrintedStop()}
    alone = make_minimise(parabola, optax.sgd(0.2), **options)
    together = make_minimise(parabola, optax.sgd(0.2), batched=True, **options)
    found = together(start(3), {"x": targets})
    singles = [alone(start(), {"x": target}) for target in targets]
    steps = [int(single.num_steps) for single in singles]
    assert len(set(steps)) > 1
    np.testing.assert_array_equal(found.num_steps, steps)
    for i, single in enumerate(singles):
        np.testing.assert_allclose(
            found.variables["x"][i], single.variables["x"], rtol=1e-6
        )
        np.testing.assert_allclose(found.losses[i], single.losses, rtol=1e-5, atol=1e-9)


def test_numbers_that_are_too_small_are_refused():
    energy = jnp.sum
    for options, match in (
        ({"num_steps": -1}, "num_steps is -1; expected at least 0"),
        ({"num_steps": 1, "stop": PrintedStop(repeats=0)}, "stop.repeats is 0"),
        ({"num_steps": 1, "stop": PrintedStop(decimals=-1)}, "stop.decimals is -1"),
    ):
        with pytest.raises(ValueError, match=match):
            minimise(lambda x: (energy(x), {}), jnp.ones(2), optax.sgd(1.0), **options)
    assert training.minimise is minimise
