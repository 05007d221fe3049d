import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import toy_task

from posejax import training
from posejax.typing import LossOutput


def start(task, mesh=None):
    batch = next(toy_task.train_batches(0))
    state = training.init_state(jax.random.key(1), task, batch)
    return state, training.make_train_step(task, mesh=mesh)


def run(task, devices, steps=4):
    state, step = start(task, training.data_mesh(devices))
    batches = toy_task.train_batches(0)
    totals = []
    for _ in range(steps):
        state, logs = step(training.mesh.replicate(state, step.mesh), next(batches))
        totals.append(float(logs["total"]))
    return jax.device_get(state), totals


def test_a_step_is_gradient_descent_by_hand():
    def init(key, batch):
        del key, batch
        return {"w": jnp.float32(2.0)}, {"seen": jnp.float32(0.0)}

    def loss(params, model_state, batch, *, key, step):
        del key
        error = jnp.mean((params["w"] * batch["x"]) ** 2)
        seen = {"seen": model_state["seen"] + step + 1}
        return LossOutput(3.0 * error, seen, {"error": error})

    task = toy_task.make_toy_task(init=init, loss=loss, optimizer=optax.sgd(0.1))
    batch = {"x": np.array([1.0, 3.0], np.float32)}
    state = training.init_state(jax.random.key(0), task, batch)
    step = training.make_train_step(task)
    state, logs = step(state, batch)
    # d/dw 3 mean(w^2 x^2) = 6 w mean(x^2) = 6 * 2 * 5
    assert {k: float(v) for k, v in logs.items()} == {
        "error": 20.0,
        "total": 60.0,
        "grad_norm": 60.0,
    }
    np.testing.assert_allclose(state.params["w"], 2.0 - 0.1 * 60.0, rtol=1e-6)
    state, _ = step(state, batch)
    assert int(state.step) == 2
    assert float(state.model_state["seen"]) == 3.0


def test_the_memory_of_the_old_state_is_given_away():
    state, step = start(toy_task.make_toy_task())
    state = training.mesh.replicate(state, step.mesh)
    step(state, next(toy_task.train_batches(0)))
    assert all(x.is_deleted() for x in jax.tree.leaves(state.params))
    assert all(x.is_deleted() for x in jax.tree.leaves(state.opt_state))


def test_eight_devices_train_like_one():
    task = toy_task.make_toy_task()
    one, one_totals = run(task, 1)
    eight, eight_totals = run(task, 8)
    np.testing.assert_allclose(one_totals, eight_totals, rtol=1e-5)
    chex.assert_trees_all_close(one, eight, rtol=1e-4, atol=1e-6)


def test_statistics_are_those_of_the_global_batch():
    task = toy_task.make_toy_task(optimizer=optax.sgd(0.0))
    state, step = start(task, training.data_mesh(8))
    state, _ = step(
        training.mesh.replicate(state, step.mesh), next(toy_task.train_batches(0))
    )
    batch = next(toy_task.train_batches(0))
    x = jax.lax.conv_general_dilated(
        batch["image"],
        state.params["conv"]["kernel"].addressable_data(0),
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    np.testing.assert_allclose(
        state.model_state["norm"]["var"], 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5
    )


def test_noise_differs_between_steps_and_repeats_with_the_key():
    task = toy_task.make_toy_task(noise=1.0, optimizer=optax.sgd(0.0))
    batch = next(toy_task.train_batches(0))

    def totals():
        state, step = start(task)
        found = []
        for _ in range(3):
            state, logs = step(state, batch)
            found.append(float(logs["total"]))
        return found

    first = totals()
    assert len(set(first)) == 3
    assert totals() == first


def test_resident_arrays_are_part_of_every_batch():
    task = toy_task.make_toy_task(noise=0.0)
    state, step = start(task)
    other = jax.tree.map(jnp.copy, state)
    batch = next(toy_task.train_batches(0))
    _, plain = step(state, batch)
    _, shifted = step(other, batch, {"shift": np.float32(100.0)})
    assert float(shifted["total"]) > 5000 > float(plain["total"])


def test_a_name_that_is_both_resident_and_in_the_batch_is_refused():
    state, step = start(toy_task.make_toy_task())
    batch = next(toy_task.train_batches(0))
    with pytest.raises(ValueError, match=r"share the name\(s\) image"):
        step(state, batch, {"image": batch["image"]})


def test_a_term_may_not_take_the_name_of_the_total():
    def loss(params, model_state, batch, *, key, step):
        del batch, key, step
        total = sum(x.sum() for x in jax.tree.leaves(params))
        return LossOutput(total, model_state, {"total": total})

    state, step = start(toy_task.make_toy_task(loss=loss))
    with pytest.raises(ValueError, match="the loss logs total"):
        step(state, next(toy_task.train_batches(0)))


def test_a_model_state_that_changes_its_structure_is_refused():
    def loss(params, model_state, batch, *, key, step):
        del model_state, batch, key, step
        return LossOutput(sum(x.sum() for x in jax.tree.leaves(params)), {}, {})

    state, step = start(toy_task.make_toy_task(loss=loss))
    with pytest.raises(ValueError, match="returned a model_state of structure"):
        step(state, next(toy_task.train_batches(0)))


def test_steps_per_call_follows_the_backend():
    assert training.default_steps_per_call("cpu") == 1
    assert training.default_steps_per_call("gpu") > 1
    with pytest.raises(ValueError, match="steps_per_call is 0"):
        training.make_train_step(toy_task.make_toy_task(), steps_per_call=0)


def in_loop(step, states, batches):
    found = [
        step(*jax.tree.map(lambda x, n=n: x[n], (states, batches))) for n in range(4)
    ]
    return jax.tree.map(lambda *x: jnp.stack(x), *found)


def in_shard_map(step):
    mesh = training.data_mesh(4)
    spec = jax.sharding.PartitionSpec("data")

    def one(states, batches):
        found = step(*jax.tree.map(lambda x: x[0], (states, batches)))
        return jax.tree.map(lambda x: x[None], found)

    return jax.jit(jax.shard_map(one, mesh=mesh, in_specs=spec, out_specs=spec))


@pytest.mark.slow
@pytest.mark.parametrize(
    "mapped", [jax.vmap, jax.pmap, in_shard_map], ids=["vmap", "pmap", "shard_map"]
)
def test_four_models_trained_at_once_are_four_models(mapped):
    task = toy_task.make_toy_task()
    stream = toy_task.train_batches(0)
    batches = [next(stream) for _ in range(4)]
    states = [
        training.init_state(jax.random.key(n), task, batch)
        for n, batch in enumerate(batches)
    ]
    states = jax.tree.map(lambda *x: jnp.stack(x), *states)
    batches = jax.tree.map(lambda *x: jnp.stack(x), *batches)

    def step(state, batch):
        return training.take_step(task, state, batch)

    expected = jax.device_get(in_loop(jax.jit(step), states, batches))
    found = jax.device_get(mapped(step)(states, batches))
    chex.assert_trees_all_close(found, expected, rtol=1e-4, atol=1e-6)
