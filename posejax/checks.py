"""One-line errors for values that come from a user: configs, flags, files."""

import difflib
from collections.abc import Iterable
from typing import Any


def nearest(found: str, allowed: Iterable[str]) -> str:
    """Returns `allowed` as text, the names nearest to `found` first."""
    names = sorted(allowed)
    close = difflib.get_close_matches(str(found), names, n=3, cutoff=0.5)
    rest = [name for name in names if name not in close]
    return ", ".join(repr(name) for name in close + rest)


def unknown(argument: str, found: Any, allowed: Iterable[str]) -> ValueError:
    """Returns the error for a value that is none of the legal names."""
    return ValueError(
        f"{argument} is {found!r}; expected one of {nearest(found, allowed)}."
    )


def require_choice(argument: str, found: Any, allowed: Iterable[str]) -> str:
    """Returns `found` if it is one of the `allowed` names.

    Raises:
      ValueError: naming the argument, what was found and the nearest legal values.
    """
    allowed = tuple(allowed)
    if found not in allowed:
        raise unknown(argument, found, allowed)
    return found


def require_at_least(
    argument: str, found: int | float, least: int | float
) -> int | float:
    """Returns `found` if it is a number of at least `least`.

    Raises:
      ValueError: naming the argument, what was found and the bound.
    """
    if not found >= least:
        raise ValueError(f"{argument} is {found!r}; expected at least {least}.")
    return found


def require_shape(
    argument: str, array: Any, last: tuple[int | str, ...], remedy: str
) -> None:
    """Checks the last axes of an array; a name in `last` allows any length.

    Raises:
      ValueError: naming the argument, its shape, the shape it should have, the remedy.
    """
    shape = tuple(array.shape)
    fits = len(shape) >= len(last) and all(
        isinstance(wanted, str) or found == wanted
        for found, wanted in zip(shape[len(shape) - len(last) :], last, strict=True)
    )
    if not fits:
        wanted = ", ".join(str(length) for length in ("...", *last))
        raise ValueError(f"{argument} has shape {shape}; expected ({wanted}): {remedy}")


def require_equal_shapes(remedy: str, **shapes: tuple[int, ...]) -> None:
    """Checks that arguments have one shape, so that none is broadcast unseen.

    Args:
      remedy: What to do.
      **shapes: Argument to the shape, or the part of it, that must agree.

    Raises:
      ValueError: naming the arguments, their shapes and the remedy.
    """
    found = {name: tuple(shape) for name, shape in shapes.items()}
    if len(set(found.values())) > 1:
        listed = ", ".join(f"{name} {shape}" for name, shape in found.items())
        raise ValueError(f"shapes differ: {listed}; {remedy}")
