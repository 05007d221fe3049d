"""Calls of the command line from tests: `posejax` runs one, `refused` must fail.

Each call is a process of its own, forked from one that has imported the libraries: to
import them takes longer than most of the calls. `fresh` starts Python anew.
"""

import multiprocessing
import os
import pathlib
import runpy
import subprocess
import sys
import tempfile
from unittest import mock

ROOT = pathlib.Path(__file__).parent.parent
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": str(ROOT),
    "JAX_NUM_CPU_DEVICES": "1",
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
    # Two steps of a small network: to optimise them takes longer than to take them.
    "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
}
TIMEOUT = 300  # seconds
_FORKED = multiprocessing.get_context("forkserver")
_FORKED.set_forkserver_preload(
    [
        "posejax.procedures.evaluate",
        "posejax.procedures.fit_prior",
        "posejax.procedures.import_posture_pose",
        "posejax.procedures.predict_images",
        "posejax.procedures.predict_poses",
        "posejax.procedures.train",
        "posejax.tasks.posture_pose",
        "posejax.tasks.template_warp",
    ]
)


def posejax(*arguments, before: str = "") -> subprocess.CompletedProcess:
    """Runs `python -m posejax.main`; `before` is code to run in it first."""
    command = ["posejax", *map(str, arguments)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [f"{folder}/{name}" for name in ("stdout", "stderr")]
        process = _FORKED.Process(target=_main, args=(command, before, *paths))
        with mock.patch.dict(os.environ, ENVIRONMENT):  # of the process forked from
            process.start()
        process.join(TIMEOUT)
        if process.is_alive():
            process.kill()
            raise subprocess.TimeoutExpired(command, TIMEOUT)
        texts = [pathlib.Path(path).read_text() for path in paths]
        return subprocess.CompletedProcess(command, process.exitcode, *texts)


def _main(command: list[str], before: str, stdout: str, stderr: str) -> None:
    """Is `python -m posejax.main` from here on."""
    for path, stream in ((stdout, sys.stdout), (stderr, sys.stderr)):
        with open(path, "w") as file:
            os.dup2(file.fileno(), stream.fileno())
    os.chdir(ROOT)
    sys.argv = command
    exec(before, {})
    runpy.run_module("posejax.main", run_name="__main__", alter_sys=True)


def fresh(*arguments) -> subprocess.CompletedProcess:
    """Runs `python -m posejax.main` in a Python that has imported nothing."""
    return subprocess.run(
        [sys.executable, "-m", "posejax.main", *map(str, arguments)], cwd=ROOT,
        env=os.environ | ENVIRONMENT, timeout=TIMEOUT, capture_output=True, text=True,
    )  # fmt: skip


def refused(*arguments, before: str = "") -> str:
    """Runs a call that must fail; returns its one line."""
    result = posejax(*arguments, before=before)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("posejax:")]
    assert len(lines) == 1, result.stderr
    return lines[0]
