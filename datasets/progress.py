"""Progress of long work: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

import tqdm

SECONDS_BETWEEN_LINES = 10.0

Item = TypeVar("Item")


def track(
    items: Iterable[Item],
    *,
    total: int | None,
    description: str,
    unit: str,
    progress: str = "auto",
) -> Iterator[Item]:
    """Passes items on and shows how far they have come, on the error stream.

    Args:
      items: What is worked on.
      total: Number of items, if known.
      description: What is done, as in "decoding".
      unit: What is counted, as in "videos".
      progress: "bar", "lines", "none", or "auto": a bar on a terminal, else lines.

    Yields:
      The items.

    Raises:
      ValueError: If `progress` is none of these.
    """
    if progress not in ("auto", "bar", "lines", "none"):
        raise ValueError(
            f"progress is {progress!r}; expected 'auto', 'bar', 'lines' or 'none'."
        )
    if progress == "auto":
        progress = "bar" if sys.stderr.isatty() else "lines"
    if progress == "none":
        yield from items
    elif progress == "bar":
        yield from tqdm.tqdm(items, desc=description, total=total, unit=f" {unit}")
    else:
        yield from _lines(items, total, description, unit)


def _lines(
    items: Iterable[Item], total: int | None, description: str, unit: str
) -> Iterator[Item]:
    of_total = "" if total is None else f" of {total}"
    count, shown = 0, time.monotonic()
    for item in items:
        yield item
        count += 1
        if time.monotonic() - shown >= SECONDS_BETWEEN_LINES:
            shown = time.monotonic()
            sys.stderr.write(f"{description}: {count}{of_total} {unit}\n")
    sys.stderr.write(f"{description}: {count}{of_total} {unit}, done\n")
