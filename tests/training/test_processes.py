"""Two processes with two devices each, joined by jax.distributed, equal one process."""

import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
ROOT = HERE.parent.parent


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def start(workdir, *, world, devices, num_steps=12, seconds=0.0):
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_PLATFORMS": "cpu",
        "PYTHONPATH": str(ROOT),
    }
    port = free_port()
    processes = []
    for rank in range(world):
        options = {
            "num_steps": num_steps,
            "save_every": 5,
            "seconds": seconds,
            "rank": rank,
            "world": world,
            "port": port,
        }
        command = [sys.executable, str(HERE / "toy_run.py"), str(workdir)]
        command += [f"--{name}={value}" for name, value in options.items()]
        processes.append(
            subprocess.Popen(
                command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE
            )
        )
    return processes


def finish(processes):
    output = []
    for process in processes:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            for each in processes:
                each.kill()
            raise
        assert process.returncode == 0, err.decode()[-3000:]
        output.append(out.decode())
    return output


def rows(workdir):
    return [json.loads(x) for x in (workdir / "metrics.jsonl").read_text().splitlines()]


def assert_close_runs(one, two):
    first, second = rows(one), rows(two)
    assert [r["step"] for r in first] == [r["step"] for r in second]
    for a, b in zip(first, second, strict=True):
        assert a.keys() == b.keys()
        np.testing.assert_allclose(list(a.values()), list(b.values()), rtol=1e-5)
    final, other = np.load(one / "final.npz"), np.load(two / "final.npz")
    for name in final.files:
        np.testing.assert_allclose(
            final[name], other[name], rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.fixture(scope="module")
def one_process(tmp_path_factory):
    workdir = tmp_path_factory.mktemp("one")
    finish(start(workdir, world=1, devices=1))
    return workdir


@pytest.mark.slow
def test_two_processes_of_two_devices_equal_one_process(tmp_path, one_process):
    finish(start(tmp_path, world=2, devices=2))
    assert_close_runs(tmp_path, one_process)


@pytest.mark.slow
def test_a_signal_to_one_process_stops_both_and_one_device_goes_on(
    tmp_path, one_process
):
    processes = start(tmp_path, world=2, devices=2, num_steps=300, seconds=0.05)
    deadline = time.monotonic() + 60
    log = tmp_path / "metrics.jsonl"
    while not (log.exists() and len(log.read_text().splitlines()) >= 3):
        assert time.monotonic() < deadline
        assert all(p.poll() is None for p in processes)
        time.sleep(0.01)
    processes[1].send_signal(signal.SIGTERM)
    output = finish(processes)
    assert all("as asked; saved in" in text for text in output)
    saved = max(int(p.name) for p in (tmp_path / "checkpoints").glob("[0-9]*"))
    assert saved == max(row["step"] for row in rows(tmp_path))
    finish(start(tmp_path, world=1, devices=1, num_steps=max(12, saved + 1)))
    common = [row for row in rows(tmp_path) if "first" in row][:12]
    expected = [row for row in rows(one_process) if "first" in row][:12]
    np.testing.assert_allclose(
        [row["error"] for row in common], [row["error"] for row in expected], rtol=1e-5
    )
