"""Calls whose arguments have a wrong shape, and the check that each is refused."""

import jax.numpy as jnp
import jaxtyping
import pytest


def ones(*shape):
    return jnp.ones(shape)


def refused(function, *arguments, match, **options):
    name = f"{function.__name__}: {match}"
    return pytest.param(function, arguments, options, match, id=name)


def check_refused_in_one_line(function, arguments, options, match, monkeypatch):
    """Calls without jaxtyping, which in this suite would refuse the shapes first."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        function(*arguments, **options)
    assert match in str(caught.value)
    assert "\n" not in str(caught.value)
