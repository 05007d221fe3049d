"""Progress of long work: a bar on a terminal, plain log lines elsewhere."""

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar, runtime_checkable

import jax
import tqdm
from absl import logging

from posejax.training.state import TrainState
from posejax.training.step import Logs, last_value, steps_in

Item = TypeVar("Item")


@runtime_checkable
class Stream(Protocol):
    """What a bar is drawn on, such as `sys.stderr`."""

    def write(self, text: Any, /) -> Any:
        """Writes characters."""
        ...

    def flush(self) -> Any:
        """Shows them."""
        ...

    def isatty(self) -> bool:
        """Returns whether a person is looking."""
        ...


def progress(
    items: Iterable[Item],
    *,
    total: int | None = None,
    unit: str = "item",
    stream: Stream | None = None,
    clock: Callable[[], float] = time.perf_counter,
    seconds: float = 10.0,
) -> Iterator[Item]:
    """Iterates over items and shows how far it is; in process 0 only.

    Args:
      items: What is iterated over.
      total: How many there are, if known.
      unit: What one of them is called.
      stream: Where the bar goes; None is standard error.
      clock: Seconds.
      seconds: Time between two lines where there is no terminal.

    Yields:
      The items.
    """
    shown_on: Stream = sys.stderr if stream is None else stream
    if jax.process_index() != 0:
        yield from items
        return
    if shown_on.isatty():
        # Inside the bar of a training it goes when it is done.
        bar = tqdm.tqdm(items, total=total, unit=unit, file=shown_on, leave=None)  # pyright: ignore
        yield from bar
        return
    of = "" if total is None else f"/{total}"
    units = f"{unit}es" if unit.endswith("ch") else f"{unit}s"
    shown = clock()
    done = 0
    for item in items:
        yield item
        done += 1
        if clock() - shown >= seconds:
            shown = clock()
            logging.info("%d%s %s", done, of, units)
    logging.info("%d%s %s, done", done, of, units)


class ProgressHook:
    """Shows how far training is: a bar on a terminal, plain log lines elsewhere."""

    def __init__(
        self,
        num_steps: int,
        *,
        step: int = 0,
        every: int = 50,
        stream: Stream | None = None,
        clock: Callable[[], float] = time.perf_counter,
    ):
        """Prepares the display.

        Args:
          num_steps: Steps done at the end.
          step: Steps done already.
          every: How many steps lie between two lines, or two updates of the loss.
          stream: Where the bar goes; None is standard error.
          clock: Seconds.
        """
        shown_on: Stream = sys.stderr if stream is None else stream
        self._num_steps = num_steps
        self._start = step
        self._every = max(every, 1)
        self._clock = clock
        self._began: tuple[int, float] | None = None
        self._active = jax.process_index() == 0
        self._bar = None
        if self._active and shown_on.isatty():
            self._bar = tqdm.tqdm(
                total=num_steps, initial=step, unit="step", file=shown_on
            )

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Moves the bar, or writes a line."""
        del state
        if not self._active:
            return
        count = steps_in(logs)
        due = step // self._every > (step - count) // self._every
        if self._bar is not None:
            self._bar.update(count)
        if self._bar is not None and due:
            self._bar.set_postfix(loss=f"{last_value(logs, 'total'):.4g}")
        if self._bar is None and (due or step == self._num_steps):
            loss = last_value(logs, "total")
            logging.info(
                "step %d/%d  loss %.4g%s", step, self._num_steps, loss, self._left(step)
            )
        if self._began is None:
            self._began = (step, self._clock())

    def finish(self, step: int, state: TrainState) -> None:
        """Closes the bar."""
        del step, state
        if self._bar is not None:
            self._bar.close()
            self._bar = None

    def _left(self, step: int) -> str:
        if self._began is None or step <= self._began[0]:
            return ""
        seconds = (self._clock() - self._began[1]) / (step - self._began[0])
        left = round(seconds * (self._num_steps - step))
        clock = f"{left // 3600}:{left // 60 % 60:02}:{left % 60:02}"
        return f"  {seconds:.3g} s/step  {clock} left"
