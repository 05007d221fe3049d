"""A real training process, killed and started again, ends where it would have ended."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent
STEPS = 36
SAVE_EVERY = 3


def start(workdir, *, seconds=0.02):
    """Starts a run that takes at least `seconds` a step."""
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": "1",
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    options = {"num_steps": STEPS, "save_every": SAVE_EVERY, "seconds": seconds}
    command = [sys.executable, str(HERE / "toy_run.py"), str(workdir)]
    command += [f"--{name}={value}" for name, value in options.items()]
    return subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def finish(process):
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err.decode()[-3000:]
    return out.decode()


def last_step(workdir):
    path = workdir / "metrics.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return max((json.loads(x)["step"] for x in lines if x.endswith("}")), default=0)


def wait_until(process, condition):
    """Waits for a condition; returns whether it held before the process ended."""
    deadline = time.monotonic() + 60
    while process.poll() is None and time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.002)
    return False


def is_saving(workdir):
    """Whether a folder of a checkpoint exists that is not complete."""
    for path in (workdir / "checkpoints").glob("*"):
        if "tmp" in path.name or not (path / "_CHECKPOINT_METADATA").exists():
            return True
    return False


def kill(process):
    process.send_signal(signal.SIGKILL)
    process.communicate()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("uninterrupted")
    finish(start(workdir, seconds=0.0))
    return workdir


def assert_same_run(workdir, expected):
    one, two = np.load(workdir / "final.npz"), np.load(expected / "final.npz")
    assert one.files == two.files
    for name in one.files:
        np.testing.assert_array_equal(one[name], two[name], err_msg=name)
    found = (workdir / "metrics.jsonl").read_bytes()
    assert found == (expected / "metrics.jsonl").read_bytes()


@pytest.mark.slow
def test_a_run_killed_at_random_moments_equals_one_that_was_not(
    tmp_path, uninterrupted
):
    rng = random.Random(os.environ.get("POSEJAX_TEST_SEED", "11"))
    kills = during_save = 0
    for attempt in range(6):
        process = start(tmp_path)
        if attempt % 3 == 2:  # these die while a checkpoint is written
            before = last_step(tmp_path)
            hit = wait_until(
                process,
                lambda before=before: (
                    last_step(tmp_path) > before and is_saving(tmp_path)
                ),
            )
            during_save += hit
        else:
            resumed = wait_until(process, lambda: is_moving(tmp_path))
            target = last_step(tmp_path) + rng.randrange(1, 8)
            hit = resumed and wait_until(
                process, lambda target=target: last_step(tmp_path) >= target
            )
            time.sleep(rng.uniform(0, 0.02))
        kill(process)
        kills += hit
        age(tmp_path)
    assert kills >= 5
    assert during_save >= 1
    finish(start(tmp_path, seconds=0.0))
    assert_same_run(tmp_path, uninterrupted)
    order = [
        json.loads(x) for x in (tmp_path / "metrics.jsonl").read_text().splitlines()
    ]
    firsts = [row["first"] for row in order if "first" in row]
    assert firsts == [8.0 * n for n in range(STEPS)]  # no batch twice, none left out


def age(workdir):
    """Marks what a killed run left behind, so that the next one can be seen to move."""
    path = workdir / "metrics.jsonl"
    if path.exists():
        os.utime(path, (0, 0))


def is_moving(workdir):
    path = workdir / "metrics.jsonl"
    return path.exists() and path.stat().st_mtime > 1


@pytest.mark.slow
def test_sigterm_saves_exits_with_0_and_loses_no_step(tmp_path, uninterrupted):
    process = start(tmp_path)
    assert wait_until(process, lambda: last_step(tmp_path) >= 7)
    process.send_signal(signal.SIGTERM)
    assert "as asked; saved in" in finish(process)
    saved = [int(p.name) for p in (tmp_path / "checkpoints").glob("[0-9]*")]
    assert max(saved) == last_step(tmp_path)
    assert not (tmp_path / "final.npz").exists()
    finish(start(tmp_path, seconds=0.0))
    assert_same_run(tmp_path, uninterrupted)
