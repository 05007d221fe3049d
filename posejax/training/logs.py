"""What a run writes down about itself while it trains.

* `metrics.jsonl`: one JSON object per line, `{"step": n, name: number, ...}`. No clock
  enters it: a run that was killed and resumed writes the same bytes as one that was
  not. A number that is not finite is null.
* `timings.jsonl`: the same steps with time and throughput, whatever the hooks took
  included.
* `tensorboard/`: the same numbers, and pictures, for the TensorBoard viewer.
"""

import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import TextIO

import jax
import numpy as np
import tensorboardX
import tqdm
from absl import logging

from posejax.training.state import TrainState
from posejax.training.step import Logs


class MetricLog:
    """The log files of a work directory; only process 0 writes. Final; a context."""

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
        self._active = jax.process_index() == 0
        self._events = None
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
        """Closes the event file."""
        if self._events is not None:
            self._events.close()
            self._events = None

    def write(self, step: int, values: Mapping[str, float]):
        """Writes one line of metrics.jsonl, and the event file."""
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

    def write_timing(self, step: int, values: Mapping[str, float]):
        """Writes one line of timings.jsonl."""
        if self._active:
            append_line(self.workdir / "timings.jsonl", {"step": step, **values})

    def show(self, step: int, name: str, images: np.ndarray):
        """Adds pictures `(batch, height, width, 3)` in 0..1 to the event file."""
        if self._events is not None:
            self._events.add_images(name, images, step, dataformats="NHWC")


class LogHook:
    """Writes the terms of the loss every `every` steps, and how long steps take."""

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
        """Writes the lines that fall into this call."""
        del state
        count = steps_in(logs)
        due = [n for n in range(step - count + 1, step + 1) if n % self._every == 0]
        if not due:
            if self._last is None:  # the first call compiles: the clock starts after it
                jax.block_until_ready(logs)
                self._last = (step, self._clock())
            return
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


class ProgressHook:
    """Shows how far training is: a bar on a terminal, plain log lines elsewhere."""

    def __init__(
        self,
        num_steps: int,
        *,
        step: int = 0,
        every: int = 50,
        stream: TextIO | None = None,
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
        shown_on: TextIO = sys.stderr if stream is None else stream
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
            self._bar.set_postfix(loss=f"{last(logs, 'total'):.4g}")
        if self._bar is None and (due or step == self._num_steps):
            loss = last(logs, "total")
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


def steps_in(logs: Logs) -> int:
    """Returns how many steps the logs of a call cover."""
    total = logs["total"]
    return total.shape[0] if total.ndim else 1


def last(logs: Logs, name: str) -> float:
    """Returns the value of the last step of a call; waits for the device."""
    return float(np.atleast_1d(jax.device_get(logs[name]))[-1])


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
