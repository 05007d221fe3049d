import io
import itertools

import jax.numpy as jnp
import pytest
from absl import logging

from posejax.training import ProgressHook, TrainState, progress


class Terminal(io.StringIO):
    def isatty(self):
        return True


@pytest.fixture
def lines(monkeypatch):
    found = []
    monkeypatch.setattr(logging, "info", lambda text, *a: found.append(text % a))
    return found


def run(hook, steps):
    state = TrainState(jnp.int32(0), {}, {}, {}, jnp.zeros(2))
    for step in steps:
        hook(step, state, {"total": jnp.float32(0.25)})
    hook.finish(steps[-1], state)


def test_a_terminal_shows_a_bar_with_the_loss():
    stream = Terminal()
    run(ProgressHook(4, every=2, stream=stream), [1, 2, 3, 4])
    assert "4/4" in stream.getvalue()
    assert "loss=0.25" in stream.getvalue()


def test_elsewhere_there_are_plain_lines_with_the_time_left(lines):
    clock = itertools.count(0, 10)
    hook = ProgressHook(6, every=2, stream=io.StringIO(), clock=lambda: next(clock))
    run(hook, [1, 2, 3, 4, 5, 6])
    assert len(lines) == 3
    assert lines[0] == "step 2/6  loss 0.25  10 s/step  0:00:40 left"
    assert lines[-1].startswith("step 6/6  loss 0.25")


def test_progress_passes_the_items_on(lines):
    clock = itertools.count(0, 4)
    shown = progress(
        range(5), total=5, unit="frame", stream=io.StringIO(), clock=lambda: next(clock)
    )
    assert list(shown) == [0, 1, 2, 3, 4]
    assert lines[-1] == "5/5 frames, done"
    assert len(lines) > 1


def test_batches_are_not_called_batchs(lines):
    assert list(progress([7, 8], unit="test batch", stream=io.StringIO())) == [7, 8]
    assert lines == ["2 test batches, done"]


def test_progress_draws_a_bar_on_a_terminal():
    stream = Terminal()
    assert list(progress([7], total=1, unit="frame", stream=stream)) == [7]
    assert "1/1" in stream.getvalue()
