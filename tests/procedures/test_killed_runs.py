"""Training by the command line, killed and stopped, ends as if nothing had happened."""

import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time

import jax
import numpy as np
import pytest

from posejax import training

ROOT = pathlib.Path(__file__).parent.parent.parent
STEPS = 60
SMALL = [
    "--config", "configs/mse_natural_flipaugment_twostepwarp.py", "--data=sample",
    "--config.sample.data.config=tiny", "--config.sample.batch_size=4",
    f"--config.sample.num_steps={STEPS}", "--config.sample.evaluation.every=20",
    "--config.sample.log.checkpoint_every=5", "--config.sample.log.pictures_every=60",
    "--config.sample.regressor_features=(4,4,4,4,4,8)",
    "--config.sample.translator_features=(4,4)",
    "--config.sample.vgg.widths=(4,4,8)",
]  # fmt: skip


def start(directory, name):
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0.1",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }
    places = [f"--data_dir={directory}/data", f"--workdir={directory / name}"]
    return subprocess.Popen(
        [sys.executable, "-m", "posejax.main", *SMALL, *places], cwd=ROOT,
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(process):
    output, _ = process.communicate(timeout=600)
    assert process.returncode == 0, output[-3000:]
    return output


def lines(workdir):
    path = workdir / "metrics.jsonl"
    return path.read_text().splitlines() if path.exists() else []


def signal_after(process, workdir, count, number):
    """Sends a signal once the run has written `count` more lines of metrics."""
    seen = len(lines(workdir))
    deadline = time.monotonic() + 200
    while process.poll() is None and time.monotonic() < deadline:
        now = len(lines(workdir))
        seen = min(seen, now)  # a resumed run first cuts off what it repeats
        if now >= seen + count:
            break
        time.sleep(0.002)
    assert process.poll() is None, process.communicate()[0][-3000:]
    process.send_signal(number)


def last_model(workdir):
    with training.Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore_variables()


@pytest.mark.slow
def test_a_run_killed_and_stopped_equals_one_that_was_left_alone(tmp_path):
    alone, broken = tmp_path / "alone", tmp_path / "broken"
    finish(start(tmp_path, "alone"))
    rng = random.Random(os.environ.get("POSEJAX_TEST_SEED", "11"))
    for _ in range(2):
        process = start(tmp_path, "broken")
        signal_after(process, broken, rng.randrange(6, 14), signal.SIGKILL)
        process.communicate()
        assert process.returncode == -signal.SIGKILL
    process = start(tmp_path, "broken")
    signal_after(process, broken, 3, signal.SIGTERM)
    assert "as asked; saved in" in finish(process)
    assert len(lines(broken)) < len(lines(alone))
    finish(start(tmp_path, "broken"))

    assert lines(broken) == lines(alone)
    *found, step = last_model(broken)
    *expected, last = last_model(alone)
    assert step == last == STEPS
    jax.tree.map(np.testing.assert_array_equal, found, expected)
    results = [
        json.loads((workdir / "evaluation/test.json").read_text())["figures"]
        for workdir in (broken, alone)
    ]
    assert results[0] == results[1]
