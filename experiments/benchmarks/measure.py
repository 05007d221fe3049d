"""Clock, memory and machine: what every benchmark needs, with no import of a framework.

The process that starts the measured ones stays small this way, and the same code serves
interpreters that have only PyTorch or only JAX.
"""

import os
import pathlib
import platform
import statistics
import subprocess
import time
from collections.abc import Callable
from typing import Any


def timed_calls(call: Callable[[], Any], *, warmup: int, repeats: int) -> list[float]:
    """Returns the seconds of each of `repeats` calls after `warmup` unmeasured ones.

    `call` must return only when its work is done.
    """
    for _ in range(warmup):
        call()
    seconds = []
    for _ in range(repeats):
        start = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - start)
    return seconds


def peak_memory_mb() -> float:
    """Returns the largest resident set of this process so far, in 10^6 bytes.

    Linux's own high-water mark of the process image; `getrusage` would also remember
    the image that started this one.
    """
    status = pathlib.Path("/proc/self/status")
    if status.is_file():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / 1e6
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if platform.system() == "Darwin" else peak * 1024 / 1e6


def num_cores() -> int:
    """Returns how many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def machine() -> dict[str, Any]:
    """Returns processor, number of usable cores and memory of this machine."""
    name = platform.processor() or platform.machine()
    cpuinfo = pathlib.Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    return {"processor": name, "cores": num_cores(), "memory_gb": round(memory, 1)}


def commit_of(folder: pathlib.Path) -> str:
    """Returns the short commit of a checkout, with '+' if tracked files differ."""

    def git(*words: str) -> str:
        found = subprocess.run(
            ["git", "-C", str(folder), *words],
            capture_output=True,
            text=True,
            check=False,
        )
        return found.stdout.strip() if found.returncode == 0 else ""

    commit = git("rev-parse", "--short=12", "HEAD")
    changed = git("status", "--porcelain", "--untracked-files=no")
    return (commit or "unknown") + ("+" if changed else "")


def spread(seconds: list[float]) -> dict[str, float]:
    """Returns median, smallest and largest of the measured times."""
    return {
        "median": statistics.median(seconds),
        "min": min(seconds),
        "max": max(seconds),
    }
