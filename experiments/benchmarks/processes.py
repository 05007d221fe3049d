"""What the command lines share: measurements in turn, and what is made of them.

A measurement is a process of its own that prints one JSON object. A side ('ours',
'reference') is measured in several rounds; its record holds at least `seconds`,
`compile_seconds`, `peak_rss_mb`, `peak_device_mb`, `versions` and `device`.
"""

import argparse
import datetime
import json
import os
import pathlib
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.benchmarks import measure

ROOT = pathlib.Path(__file__).resolve().parents[2]

# Both sides compute their `check` from the same numbers, in float32.
CHECK_TOLERANCE = 1e-3


def run_process(command: Sequence[str], *, timeout: float) -> dict[str, Any]:
    """Runs one measurement and returns the JSON object of its last line.

    Raises:
      RuntimeError: If it fails or says nothing, with the end of what it said.
    """
    environment = dict(os.environ)
    # One device and no stored programs, whatever the caller's shell has set.
    for name in ("JAX_NUM_CPU_DEVICES", "JAX_COMPILATION_CACHE_DIR", "XLA_FLAGS"):
        environment.pop(name, None)
    try:
        found = subprocess.run(
            list(command),
            capture_output=True,
            text=True,
            cwd=ROOT,
            env=environment,
            timeout=timeout,
            check=False,
        )
    except FileNotFoundError:
        raise RuntimeError(f"{command[0]} cannot be started; give its path.") from None
    except subprocess.TimeoutExpired:
        raise RuntimeError(
            f"a measurement took more than {timeout:.0f} s; raise --timeout or "
            "measure something smaller."
        ) from None
    lines = found.stdout.strip().splitlines()
    if found.returncode != 0 or not lines:
        end = found.stderr.strip().splitlines()[-1:] or [f"exit {found.returncode}"]
        raise RuntimeError(f"{' '.join(command[:4])} ... failed: {end[0]}")
    return json.loads(lines[-1])


def in_turn(
    name: str, commands: Mapping[str, Sequence[str]], *, rounds: int, timeout: float
) -> dict[str, list[dict[str, Any]]]:
    """Runs each side once per round, one side after the other, and says where it is.

    Args:
      name: Of the case, for the line that says so.
      commands: Command line of each side.
      rounds: Processes per side.
      timeout: Seconds that one may take.

    Returns:
      What each side printed, round by round.

    Raises:
      RuntimeError: If one fails.
    """
    found: dict[str, list[dict[str, Any]]] = {side: [] for side in commands}
    for number in range(rounds):
        for side, command in commands.items():
            print(
                f"{name}: {side}, round {number + 1} of {rounds}",
                file=sys.stderr,
                flush=True,
            )
            found[side].append(run_process(command, timeout=timeout))
    return found


def flags(options: argparse.Namespace, names: Sequence[str]) -> list[str]:
    """Returns options of these names as words for the command line of a process."""
    return [f"--{name}={getattr(options, name)}" for name in names]


def checkout(option: str, folder: str, *, holds: str, repository: str) -> pathlib.Path:
    """Returns the absolute path of a reference's checkout.

    Args:
      option: Name of the option that gave it, as `--reference_dir`.
      folder: What it gave.
      holds: A file of the checkout, which must be there.
      repository: Where it can be had.

    Raises:
      FileNotFoundError: If it is not a checkout.
    """
    found = pathlib.Path(folder).resolve()
    if not (found / holds).is_file():
        raise FileNotFoundError(
            f"{option} {folder!r} has no {holds}; give a checkout of {repository}."
        )
    return found


def origin() -> dict[str, Any]:
    """Returns when and where a result comes into being: date, commit, machine."""
    return {
        "date": datetime.date.today().isoformat(),
        "commit": measure.commit_of(ROOT),
        "machine": measure.machine(),
    }


def summary(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns one row from the rounds of a side: medians, and the largest memory."""
    seconds = [second for one in rounds for second in one["seconds"]]
    device = [one["peak_device_mb"] for one in rounds if one["peak_device_mb"]]
    return {
        "seconds": measure.spread(seconds),
        "compile_seconds": statistics.median(one["compile_seconds"] for one in rounds),
        "peak_rss_mb": max(one["peak_rss_mb"] for one in rounds),
        "peak_device_mb": max(device) if device else None,
        "versions": rounds[0]["versions"],
        "device": rounds[0]["device"],
        "rounds": [one["seconds"] for one in rounds],
    }


def item_summary(rounds: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns the row of a side whose records also count the `items` of a call.

    They hold a `check`, too: a number on which the sides must agree, or None.
    """
    row, first = summary(rounds), rounds[0]
    return row | {
        "items": first["items"],
        "items_per_second": first["items"] / row["seconds"]["median"],
        "steps_per_call": first.get("steps_per_call"),
        "check": first["check"],
    }


def ratios(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> dict[str, float]:
    """Returns theirs / ours in time and ours / theirs in memory, of two rows."""
    return {
        "speed_ratio": theirs["seconds"]["median"] / ours["seconds"]["median"],
        "memory_ratio": ours["peak_rss_mb"] / theirs["peak_rss_mb"],
    }


def compared(case: dict[str, Any]) -> dict[str, Any]:
    """Returns a case with the ratios of its sides, which are rows of `item_summary`.

    Raises:
      RuntimeError: If the sides did not compute the same.
    """
    ours, theirs = case["ours"], case["reference"]
    both = ours["check"], theirs["check"]
    if None not in both and abs(both[0] - both[1]) > CHECK_TOLERANCE * abs(both[1]):
        raise RuntimeError(
            f"{case['name']}: ours computes {both[0]:.6g}, the reference {both[1]:.6g};"
            " their times cannot be compared."
        )
    if ours["items"] != theirs["items"]:
        raise RuntimeError(
            f"{case['name']}: a call of ours has {ours['items']} items, one of the "
            f"reference {theirs['items']}; their times cannot be compared."
        )
    by_round = [
        statistics.median(other) / statistics.median(one)
        for one, other in zip(ours["rounds"], theirs["rounds"], strict=True)
    ]
    return case | ratios(ours, theirs) | {"ratio_of_rounds": by_round}
