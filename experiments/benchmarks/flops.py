"""Counts the arithmetic of convolutions and matrix products in a traced function.

Two operations per multiply-add, nothing else counted, as PyTorch's counter does: the
figure by which implementations of one network can be compared.
"""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
from jax.interpreters import partial_eval


def matrix_flops(function: Callable[..., Any], *arguments: Any) -> float:
    """Returns the operations of one call; nothing is computed, only traced.

    What does not reach a result is left out, as the compiler leaves it out: the rule of
    a custom gradient writes down the gradient of frozen weights, too.
    """
    jaxpr = jax.make_jaxpr(function)(*arguments).jaxpr
    needed, _ = partial_eval.dce_jaxpr(jaxpr, [True] * len(jaxpr.outvars))
    return _count(needed)


def _count(jaxpr: Any) -> float:
    total = 0.0
    for equation in jaxpr.eqns:
        match equation.primitive.name:
            case "dot_general":
                total += _dot(equation)
            case "conv_general_dilated":
                total += _convolution(equation)
            case "scan":
                total += equation.params["length"] * sum(map(_count, _inner(equation)))
            case "cond":
                total += max(map(_count, _inner(equation)))
            case _:
                total += sum(map(_count, _inner(equation)))
    return total


def _inner(equation: Any) -> Iterator[Any]:
    for value in equation.params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            inner = getattr(item, "jaxpr", item)  # closed ones hold an open one
            if hasattr(inner, "eqns"):
                yield inner


def _dot(equation: Any) -> float:
    (contracted, _), _ = equation.params["dimension_numbers"]
    left = equation.invars[0].aval.shape
    depth = math.prod(left[axis] for axis in contracted)
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * depth


def _convolution(equation: Any) -> float:
    """Taps that fall on zeros inserted by a dilation of the input do not count."""
    parameters = equation.params
    kernel = equation.invars[1].aval.shape
    order = parameters["dimension_numbers"].rhs_spec  # (out, in, *spatial) axes
    taps = math.prod(kernel[axis] for axis in order[1:])
    inserted = math.prod(parameters["lhs_dilation"])
    return 2.0 * math.prod(equation.outvars[0].aval.shape) * taps / inserted
