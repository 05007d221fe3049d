import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax.training.program import Program


def doubled_sum(x):
    return 2 * jnp.sum(x)


def test_a_program_is_compiled_once_for_calls_of_one_shape():
    program = Program(jax.jit(doubled_sum))
    assert program.num_compilations == 0
    for value in (1.0, 2.0):
        assert program(jnp.full(3, value)) == 6 * value
    assert program.num_compilations == 1


def test_another_shape_is_another_program_with_the_right_result():
    program = Program(jax.jit(doubled_sum))
    assert program(jnp.ones(3)) == 6
    assert program(jnp.ones((2, 4))) == 16
    assert program(np.ones(3, np.float32)) == 6
    assert program.num_compilations == 2


def test_a_program_can_be_traced_and_differentiated():
    program = Program(jax.jit(doubled_sum))
    np.testing.assert_array_equal(jax.grad(program)(jnp.ones(3)), np.full(3, 2.0))
    assert jax.make_jaxpr(program)(jnp.ones(3)).out_avals[0].shape == ()


def test_an_error_of_the_function_itself_is_not_swallowed():
    def wrong(x):
        raise TypeError("joints are missing")

    program = Program(jax.jit(wrong))
    for _ in range(2):
        with pytest.raises(TypeError, match="joints are missing"):
            program(jnp.ones(3))
