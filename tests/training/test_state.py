import jax
import jax.numpy as jnp
import numpy as np
import toy_task

from posejax import training
from posejax.training import state as states


def first_batch():
    return next(toy_task.train_batches(0))


def test_two_initial_states_have_one_structure_and_the_same_values():
    task, other = toy_task.make_toy_task(), toy_task.make_toy_task()
    one = training.init_state(jax.random.key(0), task, first_batch())
    two = training.init_state(jax.random.key(0), other, first_batch())
    assert jax.tree.structure(one) == jax.tree.structure(two)
    jax.tree.map(np.testing.assert_array_equal, one, two)
    assert one.step.dtype == jnp.int32


def test_raw_and_typed_keys_draw_the_same_state():
    task = toy_task.make_toy_task()
    typed = training.init_state(jax.random.key(5), task, first_batch())
    raw = training.init_state(jax.random.PRNGKey(5), task, first_batch())
    jax.tree.map(np.testing.assert_array_equal, typed, raw)


def test_an_array_that_is_returned_twice_gets_memory_of_its_own():
    def init(key, batch):
        del key, batch
        shared = jnp.zeros(3)
        return {"a": shared, "b": shared}, {"c": shared}

    task = toy_task.make_toy_task(init=init)
    state = training.init_state(jax.random.key(0), task, first_batch())
    leaves = [state.params["a"], state.params["b"], state.model_state["c"]]
    assert len({x.unsafe_buffer_pointer() for x in leaves}) == 3


def test_paths_name_dictionaries_records_and_tuples():
    tree = {"a": {"b": jnp.zeros((2, 3))}, "c": (jnp.zeros((), jnp.int32), None)}
    assert states.leaf_paths(tree) == {
        "a/b": ((2, 3), "float32"),
        "c/0": ((), "int32"),
    }


def test_differences_name_missing_superfluous_and_misshapen_arrays():
    expected = {"head/kernel": ((2,), "float32"), "norm/scale": ((4,), "float32")}
    found = {"heads/kernel": ((2,), "float32"), "norm/scale": ((8,), "float32")}
    assert states.describe_differences(expected, found) == [
        "head/kernel: expected float32[2], missing (nearest: heads/kernel float32[2])",
        "norm/scale: expected float32[4], found float32[8]",
        "heads/kernel: found float32[2], not expected",
    ]
    assert states.describe_differences(expected, expected) == []
