"""The training loop. There is no other."""

import contextlib
from collections.abc import Iterator, Sequence
from typing import Protocol, runtime_checkable

import jax
from jax.sharding import Mesh

from posejax.training.mesh import device_batches, replicate
from posejax.training.state import TrainState
from posejax.training.step import Logs, TrainStep, make_train_step
from posejax.typing import Batch, Task


@runtime_checkable
class Hook(Protocol):
    """Something that is done beside training: log, evaluate, save, stop.

    Called after every call of the step with the number of steps done. `logs` are
    scalars, or, if the call took `n` steps, arrays of shape `(n,)` for the steps
    `step - n + 1 ... step`. A hook decides by `step` whether it fetches anything from
    the device, returns nothing, and keeps no reference to `state`: its memory is given
    to the next step. It stops the run by raising.
    """

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Looks at one call of the step."""
        ...


@runtime_checkable
class StateHook(Protocol):
    """A hook that needs the state of certain steps; calls end at multiples of it."""

    state_every: int


@runtime_checkable
class FinishingHook(Protocol):
    """A hook with something left to do after the last step of a completed `fit`."""

    def finish(self, step: int, state: TrainState) -> None:
        """Does what is left, with the last state."""
        ...


def fit(
    task: Task,
    state: TrainState,
    batches: Iterator[Batch],
    *,
    num_steps: int,
    hooks: Sequence[Hook] = (),
    mesh: Mesh | None = None,
    resident: Batch | None = None,
    steps_per_call: int = 1,
    unroll: int | bool = 1,
    prefetch: int = 2,
    train_step: TrainStep | None = None,
) -> TrainState:
    """Trains until `num_steps` steps are done, counted from the first step ever taken.

    Args:
      task: The system.
      state: Where to start; its memory is given away, use only the result.
      batches: The host's share of the batches of steps `state.step + 1, ...`.
      num_steps: Steps done at the end. Nothing happens if they are done already.
      hooks: Called in order after each call of the step.
      mesh: Where to run; None is one device (or all of a run of several processes).
      resident: Arrays merged into every batch, put on the devices once.
      steps_per_call: Steps in one call; it is cut short where a hook needs the state.
      unroll: How many steps of a call are unrolled.
      prefetch: How many calls' batches are put on the devices ahead.
      train_step: The step, if `make_train_step` made it before (many short trainings
        of one task compile it once); `mesh` and `steps_per_call` are then its own.

    Returns:
      The state after `num_steps` steps.

    Raises:
      ValueError: If the batches end early or do not divide over the devices.
    """
    if train_step is None:
        train_step = make_train_step(
            task, mesh=mesh, steps_per_call=steps_per_call, unroll=unroll
        )
    mesh = train_step.mesh
    state = replicate(state, mesh)
    resident = replicate(dict(resident or {}), mesh)
    step = int(jax.device_get(state.step))
    every = [hook.state_every for hook in hooks if isinstance(hook, StateHook)]
    lengths = call_lengths(step, num_steps, train_step.steps_per_call, every)
    calls = device_batches(batches, mesh, lengths=lengths, size=prefetch)
    with contextlib.closing(calls):
        for length, batch in zip(lengths, calls, strict=True):
            state, logs = train_step.take(length, state, batch, resident)
            step += length
            for hook in hooks:
                hook(step, state, logs)
    for hook in hooks:
        if isinstance(hook, FinishingHook):
            hook.finish(step, state)
    return state


def call_lengths(
    step: int, num_steps: int, steps_per_call: int, every: Sequence[int]
) -> list[int]:
    """Returns how many steps each call takes: `steps_per_call` or one.

    A call never passes `num_steps` nor a multiple of an entry of `every`. Where it
    would, single steps fill the gap, so that no third program is compiled. The plan
    after a multiple does not depend on where the run started: resuming there repeats
    it.

    >>> call_lengths(0, 10, 4, [5])
    [4, 1, 4, 1]
    """
    lengths = []
    while step < num_steps:
        stops = [num_steps, *(step - step % n + n for n in every if n > 0)]
        length = steps_per_call if step + steps_per_call <= min(stops) else 1
        lengths.append(length)
        step += length
    return lengths
