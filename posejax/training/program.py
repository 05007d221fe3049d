"""A compiled function that starts to run with the compiler's memory given back."""

import contextlib
import ctypes
import sys
from collections.abc import Callable
from typing import Any

import jax
from jax.core import Tracer


class Program:
    """A jitted function that is compiled in full before its first call runs.

    XLA's CPU compiler leaves its working memory on the heap, where the C library keeps
    it: some 600 MB for a training step on images, which would be held while the step
    allocates its own. Calls with arrays of other shapes go to the jitted function.
    """

    def __init__(self, jitted: Any) -> None:
        """Wraps what `jax.jit` returned."""
        self._jitted = jitted
        self._compiled: Callable[..., Any] | None = None

    def __call__(self, *args: Any) -> Any:
        """Calls the function."""
        if any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(args)):
            return self._jitted(*args)
        compiled = self._compiled
        if compiled is None:
            compiled = self._compiled = self._jitted.lower(*args).compile()
            give_back_free_memory()
        try:
            return compiled(*args)
        except TypeError:  # raised before anything runs: other shapes or dtypes
            return self._jitted(*args)

    @property
    def num_compilations(self) -> int:
        """How many programs there are: one for each set of shapes."""
        return (self._compiled is not None) + self._jitted._cache_size()


def give_back_free_memory() -> None:
    """Returns freed heap memory to the system, where the C library can (glibc)."""
    if sys.platform == "linux":
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL("libc.so.6").malloc_trim(0)
