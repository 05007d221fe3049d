"""Calls of the command line from tests: `posejax` runs one, `refused` must fail."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parent.parent
ENVIRONMENT = {
    "JAX_PLATFORMS": "cpu",
    "PYTHONPATH": str(ROOT),
    "JAX_NUM_CPU_DEVICES": "1",
    "JAX_COMPILATION_CACHE_DIR": str(ROOT / ".cache" / "jax"),
}


def posejax(*arguments, before: str = "", **environment):
    """Runs `python -m posejax.main`; `before` is code to run in it first."""
    program = ["-m", "posejax.main"]
    if before:
        start = "import runpy; runpy.run_module('posejax.main', run_name='__main__')"
        program = ["-c", f"{before}\n{start}"]
    return subprocess.run(
        [sys.executable, *program, *map(str, arguments)], cwd=ROOT, timeout=300,
        env=os.environ | ENVIRONMENT | environment, capture_output=True, text=True,
    )  # fmt: skip


def refused(*arguments, **options):
    """Runs a call that must fail; returns its one line."""
    result = posejax(*arguments, **options)
    assert result.returncode == 2, result.stdout + result.stderr
    assert "Traceback" not in result.stderr, result.stderr
    lines = [line for line in result.stderr.splitlines() if line.startswith("posejax:")]
    assert len(lines) == 1, result.stderr
    return lines[0]
