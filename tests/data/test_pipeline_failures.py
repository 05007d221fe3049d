"""Streams that end early: damaged records, workers that die, closing."""

import itertools
import os
import pathlib
import subprocess
import sys
import threading
import time

import pytest

from posejax.data import loaders, pipeline, source

ROOT = pathlib.Path(__file__).parent.parent.parent


def stream(data_dir, **reading):
    return pipeline.train_batches(
        source.open_source(str(data_dir), "drawn", split="train"),
        pairing="all",
        image_size=32,
        batch_size=4,
        seed=0,
        reading=pipeline.Reading(**reading),
    )


def take(count, batches):
    return list(itertools.islice(batches, count))


def damage(directory):
    """Changes bytes of every record of one shard."""
    shard = sorted(directory.glob("*-train.array_record*"))[1]
    with shard.open("r+b") as file:
        file.seek(40)
        file.write(b"\xa5" * 3000)
    return shard


def undecodable(index, encoded):
    return encoded[:200] if index == 2 else encoded


@pytest.mark.parametrize("num_threads", [0, 1, 4])
def test_a_damaged_record_ends_the_stream_of_threads(damaged, num_threads):
    data_dir, directory = damaged
    shard = damage(directory)
    batches = stream(data_dir, num_threads=num_threads)
    started = time.monotonic()
    with pytest.raises(source.DataError, match=r"record . of shard") as error:
        take(10, batches)
    assert time.monotonic() - started < 60
    assert str(shard) in str(error.value)
    assert "\n" not in str(error.value)


WORKERS = """
import multiprocessing, sys
from posejax.console import one_line
from posejax.data import pipeline, source
def read(batches):
    if "kill" in sys.argv:
        next(batches)
        multiprocessing.active_children()[0].kill()
    for _ in zip(range(50), batches):
        pass
if __name__ == "__main__":
    frames = source.open_source(sys.argv[1], "drawn", split="train")
    batches = pipeline.train_batches(
        frames, pairing="all", image_size=32, batch_size=4, seed=0,
        reading=pipeline.Reading(num_workers=2),
    )
    one_line(read, ValueError, OSError)(batches)  # what main lets through
"""


def run_workers(tmp_path, *arguments):
    program = tmp_path / "program.py"
    program.write_text(WORKERS)
    done = subprocess.run(
        [sys.executable, str(program), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=100,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 2, done.stderr
    told = [line for line in done.stderr.splitlines() if line.startswith("posejax: ")]
    (line,) = told
    return line.removeprefix("posejax: ")


@pytest.mark.slow
def test_a_damaged_record_ends_the_stream_of_worker_processes(damaged, tmp_path):
    data_dir, directory = damaged
    shard = damage(directory)
    line = run_workers(tmp_path, data_dir)
    assert line.startswith("prepared data are damaged: record")
    assert str(shard) in line
    assert line.endswith("prepare the data set again.")


@pytest.mark.slow
def test_a_worker_process_that_dies_ends_the_stream(drawn_dir, tmp_path):
    line = run_workers(tmp_path, drawn_dir, "kill")
    assert "exit code -9" in line
    assert "lower num_workers (now 2)" in line


def test_a_picture_that_cannot_be_decoded_names_its_record(drawn_dir, monkeypatch):
    whole = source.Source.image
    monkeypatch.setattr(
        source.Source, "image", lambda frames, i: undecodable(i, whole(frames, i))
    )
    with pytest.raises(
        source.DataError, match=r"record . of shard .*\(train index 2\) holds .* cut sh"
    ):
        take(4, stream(drawn_dir, num_threads=0))


def test_a_size_that_cannot_be_is_not_blamed_on_the_data(drawn_dir):
    frames = source.open_source(str(drawn_dir), "drawn", split="train")
    with pytest.raises(Exception) as error:  # noqa: PT011 - whatever OpenCV says
        loaders.load_image(frames, frames.image(0), 0, size=0)
    assert not isinstance(error.value, source.DataError)


def test_closing_a_stream_ends_its_threads(drawn_dir):
    before = threading.active_count()
    batches = stream(drawn_dir, num_threads=4)
    next(batches)
    assert threading.active_count() > before
    batches.close()
    deadline = time.monotonic() + 10
    while threading.active_count() > before and time.monotonic() < deadline:
        time.sleep(0.01)
    assert threading.active_count() == before
