"""Work spread over processes; the results do not depend on how many there are."""

import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from typing import TypeVar

Job = TypeVar("Job")
Result = TypeVar("Result")


def num_processors() -> int:
    """Returns the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processed(
    function: Callable[[Job], Result], jobs: Sequence[Job], *, num_workers: int
) -> Iterator[Result]:
    """Applies a function to jobs, in their order.

    Args:
      function: A function of a module, so that other processes can find it.
      jobs: What it is applied to.
      num_workers: Number of processes; 1 stays in this one.

    Yields:
      One result per job.
    """
    if num_workers < 2 or len(jobs) < 2:
        yield from map(function, jobs)
        return
    # A forked child of a process that runs JAX may hang: start afresh.
    context = multiprocessing.get_context("spawn")
    with futures.ProcessPoolExecutor(
        min(num_workers, len(jobs)), mp_context=context
    ) as pool:
        yield from pool.map(function, jobs)
