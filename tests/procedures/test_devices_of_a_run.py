"""A whole run of template_warp on one device, on eight, and in two processes.

In float64: the order of sums differs, and Adam's first update divides a gradient by its
own size, so that rounding in float32 would grow past what is asked here.
"""

import json
import os
import pathlib
import socket
import subprocess
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).parent.parent.parent
SMALL = [
    "--config", "configs/mse_natural_flipaugment_twostepwarp.py",
    "--config.sample.data.config=tiny", "--config.sample.batch_size=8",
    "--config.sample.num_steps=2", "--config.sample.evaluation.every=2",
    "--config.sample.log.checkpoint_every=2", "--config.sample.log.pictures_every=2",
    "--config.sample.regressor_features=(4,4,4,4,4,8)",
    "--config.sample.translator_features=(4,4)",
    "--config.sample.vgg.widths=(4,4,8)", "--data=sample",
    "--config.compute_dtype=float64",
]  # fmt: skip


def start(directory, workdir, *, devices, rank=0, world=1, port=0):
    environment = os.environ | {
        "JAX_NUM_CPU_DEVICES": str(devices),
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "1",
        "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",  # six compilations, six steps
        "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
    }
    arguments = [*SMALL, f"--data_dir={directory}/data", f"--workdir={workdir}"]
    if world > 1:
        environment |= {
            "JAX_COORDINATOR_ADDRESS": f"localhost:{port}",
            "JAX_NUM_PROCESSES": str(world),
            "JAX_PROCESS_ID": str(rank),
        }
        arguments.append("--distributed")
    return subprocess.Popen(
        [sys.executable, "-m", "posejax.main", *arguments], cwd=ROOT, env=environment,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip


def finish(*processes):
    for process in processes:
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 0, output[-3000:]


def free_port():
    with socket.socket() as s:
        s.bind(("localhost", 0))
        return s.getsockname()[1]


def rows(workdir):
    lines = (pathlib.Path(workdir) / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def figures(workdir):
    result = (pathlib.Path(workdir) / "evaluation" / "test.json").read_text()
    return json.loads(result)["figures"]


def assert_equal_numbers(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-5, err_msg=name)


def assert_same_run(one, other):
    for first, second in zip(rows(one), rows(other), strict=True):
        assert_equal_numbers(first, second)
    assert {"pdj", "normalized_l2", "consistency"} <= set(figures(one))
    assert_equal_numbers(figures(one), figures(other))


@pytest.mark.slow
def test_eight_devices_and_two_processes_equal_one_device(tmp_path):
    finish(start(tmp_path, tmp_path / "one", devices=1))
    finish(start(tmp_path, tmp_path / "eight", devices=8))
    assert_same_run(tmp_path / "one", tmp_path / "eight")
    port = free_port()
    finish(
        *(
            start(tmp_path, tmp_path / "two", devices=2, rank=rank, world=2, port=port)
            for rank in range(2)
        )
    )
    assert_same_run(tmp_path / "one", tmp_path / "two")
