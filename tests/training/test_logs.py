import json

import jax.numpy as jnp
import numpy as np
import pytest
import toy_task

from posejax.training import LogHook, MetricLog, TrainState, logs


def rows(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def fresh(step):
    return TrainState(jnp.int32(step), {}, {}, {}, jnp.zeros(2))


def call(hook, step, totals):
    hook(step, fresh(step), {"total": jnp.asarray(totals, jnp.float32)})


def test_the_terms_of_each_due_step_are_written(tmp_path):
    with MetricLog(tmp_path, tensorboard=False) as log:
        hook = LogHook(log, every=2, examples_per_step=4)
        call(hook, 3, [1.0, 2.0, 3.0])  # steps 1, 2, 3
        call(hook, 4, 4.0)
        call(hook, 5, 5.0)
    assert rows(tmp_path / "metrics.jsonl") == [
        {"step": 2, "total": 2.0},
        {"step": 4, "total": 4.0},
    ]


def test_timings_count_steps_and_examples_by_the_clock_that_is_given(tmp_path):
    times = iter([10.0, 16.0, 26.0])
    with MetricLog(tmp_path, tensorboard=False) as log:
        hook = LogHook(log, every=2, examples_per_step=4, clock=lambda: next(times))
        for step in range(1, 5):
            call(hook, step, 1.0)
        hook.finish(4, fresh(4))
    assert rows(tmp_path / "timings.jsonl") == [
        {"step": 2, "seconds_per_step": 6.0, "examples_per_second": 4 / 6},
        {"step": 4, "seconds_per_step": 5.0, "examples_per_second": 0.8},
    ]


def test_the_lines_of_a_call_wait_until_the_next_one_is_under_way(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricLog(tmp_path, tensorboard=False) as log:
        hook = LogHook(log, every=1, examples_per_step=4)
        call(hook, 1, 1.0)
        assert not path.exists()  # the device may still be computing it
        call(hook, 2, 2.0)
        assert rows(path) == [{"step": 1, "total": 1.0}]
        hook.finish(2, fresh(2))
        assert rows(path)[1:] == [{"step": 2, "total": 2.0}]


def test_other_lines_come_after_those_that_wait(tmp_path):
    with MetricLog(tmp_path, tensorboard=False) as log:
        hook = LogHook(log, every=1, examples_per_step=4)
        call(hook, 1, 1.0)
        log.write(1, {"test/figure": 0.5})
        call(hook, 2, 2.0)
    assert rows(tmp_path / "metrics.jsonl") == [
        {"step": 1, "total": 1.0},
        {"step": 1, "test/figure": 0.5},
        {"step": 2, "total": 2.0},  # written when the log was closed
    ]


def test_a_number_that_is_not_finite_is_null(tmp_path):
    with MetricLog(tmp_path, tensorboard=False) as log:
        log.write(1, {"a": float("nan"), "b": float("inf"), "c": 0.5})
    assert rows(tmp_path / "metrics.jsonl") == [
        {"step": 1, "a": None, "b": None, "c": 0.5}
    ]


def test_resuming_cuts_the_log_back_to_the_step_of_the_state(tmp_path):
    path = tmp_path / "metrics.jsonl"
    with MetricLog(tmp_path, tensorboard=False) as log:
        for step in range(1, 6):
            log.write(step, {"total": step})
    whole = path.read_bytes()
    with path.open("ab") as file:
        file.write(b'{"step": 6, "tot')  # a process killed while it wrote
    with MetricLog(tmp_path, step=3, tensorboard=False) as log:
        assert [row["step"] for row in rows(path)] == [1, 2, 3]
        for step in (4, 5):
            log.write(step, {"total": step})
    assert path.read_bytes() == whole


def test_a_log_that_starts_afresh_is_empty(tmp_path):
    logs.append_line(tmp_path / "metrics.jsonl", {"step": 1})
    MetricLog(tmp_path, tensorboard=False).close()
    assert (tmp_path / "metrics.jsonl").read_bytes() == b""


def test_tensorboard_gets_scalars_and_pictures(tmp_path):
    with MetricLog(tmp_path) as log:
        log.write(1, {"total": 0.5})
        log.image("grid", np.zeros((4, 6, 3), np.uint8), 1)
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"total" in content
    assert b"grid" in content


def test_a_log_of_no_steps_is_refused(tmp_path):
    log = MetricLog(tmp_path, tensorboard=False)
    with pytest.raises(ValueError, match="every is 0"):
        LogHook(log, every=0, examples_per_step=1)


def test_the_toy_data_is_a_function_of_the_step():
    first = [next(toy_task.train_batches(n))["index"][0] for n in range(3)]
    assert first == [0, 8, 16]
