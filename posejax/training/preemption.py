"""Being asked to stop: SIGTERM, from a person or from a cluster's scheduler."""

import pathlib
import signal
import threading

import jax
from jax.experimental import multihost_utils


class Preempted(Exception):
    """Training was asked to stop; its state is saved: the program ends with status 0.

    Attributes:
      step: Steps done.
      checkpoint: Folder of the state.
    """

    def __init__(self, step: int, checkpoint: pathlib.Path):
        super().__init__(
            f"stopped at step {step} as asked; saved in {checkpoint}. The same command "
            "goes on from there."
        )
        self.step = step
        self.checkpoint = checkpoint


class Preemption:
    """Notices SIGTERM while its context is open, instead of dying of it.

    In a run of several processes JAX's own notice is used, by which all processes agree
    on the call after which they stop, whichever of them was signalled.
    """

    def __init__(self):
        self._noticed = False
        self._calls = 0
        self._previous = None

    def __enter__(self) -> "Preemption":
        # JAX has a handler of its own once jax.distributed is initialised.
        single = jax.process_count() == 1
        if single and threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGTERM, self._notice)
        return self

    def __exit__(self, *_):
        if self._previous is not None:
            signal.signal(signal.SIGTERM, self._previous)
            self._previous = None

    def requested(self) -> bool:
        """Returns whether to stop now; asked once after each call of the step."""
        self._calls += 1
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(self._calls)
        return self._noticed

    def _notice(self, *_):
        self._noticed = True
