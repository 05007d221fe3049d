"""Calls whose arguments are wrong, and the check that each is refused in one line."""

import jax.numpy as jnp
import jaxtyping
import pytest


def ones(*shape):
    return jnp.ones(shape)


def refused(function, *arguments, match, **options):
    name = f"{function.__name__}: {match}"
    return pytest.param(function, arguments, options, match, id=name)


def refused_by(functions, *arguments, match, **options):
    """The same call of several functions."""
    return [refused(f, *arguments, match=match, **options) for f in functions]


def assert_refused_in_one_line(call, *words, kind=ValueError):
    """Fails unless the call raises one line that has all of the words."""
    with pytest.raises(kind) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    for word in words:
        assert word in text


def assert_shapes_are_refused(function, arguments, options, match, monkeypatch):
    """Calls without jaxtyping, which in this suite would refuse the shapes first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    assert_refused_in_one_line(lambda: function(*arguments, **options), match)
