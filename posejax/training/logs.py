"""What a run writes down about itself while it trains.

* `metrics.jsonl`: one JSON object per line, `{"step": n, name: number, ...}`. No clock
  enters it: a run that was killed and resumed writes the same bytes as one that was
  not. A number that is not finite is null.
* `timings.jsonl`: the same steps with time and throughput, whatever the hooks took
  included.
* `tensorboard/`: the same numbers, and pictures, for the TensorBoard viewer.
"""

import functools
import json
import math
import os
import pathlib
import time
from collections.abc import Callable, Mapping
from typing import SupportsFloat

import jax
import numpy as np
import tensorboardX

from posejax.training.state import TrainState
from posejax.training.step import Logs, steps_in


class MetricLog:
    """The log files of a work directory; only process 0 writes. Final; a context.

    Attributes:
      workdir: Where the files lie.
      step: Steps done when the log was opened.
    """

    def __init__(
        self,
        workdir: str | os.PathLike[str],
        *,
        step: int = 0,
        tensorboard: bool = True,
    ):
        """Opens the logs for a run that goes on after `step`.

        Lines of later steps, which a killed run left behind, are removed: they will be
        written again.

        Args:
          workdir: Made if it is missing.
          step: Steps done, of the state that was restored; 0 starts afresh.
          tensorboard: Whether event files are written as well.
        """
        self.workdir = pathlib.Path(workdir)
        self.step = step
        self._active = jax.process_index() == 0
        self._events = None
        self._waiting: Callable[[], None] | None = None
        if not self._active:
            return
        self.workdir.mkdir(parents=True, exist_ok=True)
        cut_back(self.workdir / "metrics.jsonl", step)
        if tensorboard:
            self._events = tensorboardX.SummaryWriter(
                str(self.workdir / "tensorboard"), purge_step=step + 1 if step else None
            )

    def __enter__(self) -> "MetricLog":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Writes what waits and closes the event file."""
        self.flush()
        if self._events is not None:
            self._events.close()
            self._events = None

    def later(self, write: Callable[[], None]):
        """Keeps a function that writes lines until something else is written.

        Lines keep the order in which they were given, whenever they are written.
        """
        self.flush()
        self._waiting = write

    def flush(self):
        """Writes what waits."""
        waiting, self._waiting = self._waiting, None
        if waiting is not None:
            waiting()

    def write(self, step: int, values: Mapping[str, SupportsFloat]):
        """Writes one line of metrics.jsonl, and the event file."""
        self.flush()
        if not self._active:
            return
        numbers = {name: float(value) for name, value in values.items()}
        line = {
            name: value if math.isfinite(value) else None
            for name, value in numbers.items()
        }
        append_line(self.workdir / "metrics.jsonl", {"step": step, **line})
        if self._events is not None:
            for name, value in numbers.items():
                self._events.add_scalar(name, value, step)

    def write_timing(self, step: int, values: Mapping[str, SupportsFloat]):
        """Writes one line of timings.jsonl."""
        if self._active:
            append_line(
                self.workdir / "timings.jsonl",
                {
                    "step": step,
                    **{name: float(value) for name, value in values.items()},
                },
            )

    def image(self, name: str, image: np.ndarray, step: int):
        """Adds a picture `(height, width, 3)`, uint8 or 0..1, to the event file."""
        if self._events is not None:
            self._events.add_image(name, image, step, dataformats="HWC")


class LogHook:
    """Writes the terms of the loss every `every` steps, and how long steps take.

    The lines of a call wait until the next one is under way, so that the device never
    waits for the host. They are on disk before an evaluation's line, before a state
    (`CheckpointHook` is given the same log) and when the log is closed.
    """

    def __init__(
        self,
        log: MetricLog,
        *,
        every: int,
        examples_per_step: int,
        clock: Callable[[], float] = time.perf_counter,
    ):
        if every < 1:
            raise ValueError(f"every is {every}; expected 1 or more steps.")
        self._log = log
        self._every = every
        self._examples = examples_per_step
        self._clock = clock
        self._last: tuple[int, float] | None = None

    def __call__(self, step: int, state: TrainState, logs: Logs) -> None:
        """Writes the lines of the call before; those of this one wait."""
        del state
        self._log.flush()
        count = steps_in(logs)
        due = [n for n in range(step - count + 1, step + 1) if n % self._every == 0]
        if due:
            self._log.later(functools.partial(self._write, step, due, logs))
        elif self._last is None:  # the first call compiles: the clock starts after it
            jax.block_until_ready(logs)
            self._last = (step, self._clock())

    def finish(self, step: int, state: TrainState) -> None:
        """Writes the lines of the last call."""
        del step, state
        self._log.flush()

    def _write(self, step: int, due: list[int], logs: Logs):
        count = steps_in(logs)
        host = {name: np.atleast_1d(x) for name, x in jax.device_get(logs).items()}
        for n in due:
            row = {name: x[n - step + count - 1] for name, x in host.items()}
            self._log.write(n, row)
        self._write_timing(step)

    def _write_timing(self, step: int):
        now = self._clock()
        if self._last is not None and step > self._last[0]:
            seconds = (now - self._last[1]) / (step - self._last[0])
            self._log.write_timing(
                step,
                {
                    "seconds_per_step": seconds,
                    "examples_per_second": self._examples / max(seconds, 1e-9),
                },
            )
        self._last = (step, now)


def append_line(path: pathlib.Path, entry: Mapping[str, object]):
    """Appends a JSON object as one line, in a single write: there are no half lines."""
    line = (json.dumps(entry) + "\n").encode()
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, line)
    finally:
        os.close(handle)


def cut_back(path: pathlib.Path, step: int):
    """Removes the lines after a step, and what is no whole line, from a log file."""
    if not path.exists():
        return
    kept = []
    for line in path.read_bytes().splitlines(keepends=True):
        try:
            if not line.endswith(b"\n") or json.loads(line)["step"] > step:
                continue
        except (ValueError, KeyError, TypeError):
            continue
        kept.append(line)
    temporary = path.with_suffix(".tmp")
    temporary.write_bytes(b"".join(kept))
    os.replace(temporary, path)
