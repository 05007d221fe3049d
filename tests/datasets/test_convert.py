"""The convert command: plain arrays of published files, whole or not at all."""

import os
import subprocess
import sys

import numpy as np
import pytest

from datasets import convert
from posejax.data import pose_conversion, pose_files

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def write_published(path):
    poses = {"S1": {"Walking 1": np.ones((2, 17, 3), np.float32)}}
    np.savez(path, positions_3d=np.array(poses))
    return str(path)


def test_a_published_file_becomes_plain_arrays(tmp_path, capsys):
    source, target = write_published(tmp_path / "a.npz"), str(tmp_path / "b.npz")
    assert convert.main([source, target, "--allow_pickle"]) == 0
    assert capsys.readouterr().out == f"{target}\n"
    found = pose_files.read_poses_3d(target)
    assert found["S1", "Walking 1"].shape == (2, 17, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "b.npz"}


def test_a_file_that_is_there_is_replaced_only_when_it_is_asked_for(tmp_path, capsys):
    source, target = write_published(tmp_path / "a.npz"), tmp_path / "b.npz"
    target.write_bytes(b"mine")
    assert convert.main([source, str(target), "--allow_pickle"]) == 2
    line = capsys.readouterr().err
    assert "is there already; name another file, or pass --overwrite" in line
    assert target.read_bytes() == b"mine"
    assert convert.main([source, str(target), "--allow_pickle", "--overwrite"]) == 0
    assert len(pose_files.read_poses_3d(target)) == 1


def line_of(arguments, capsys):
    assert convert.main([str(a) for a in arguments]) == 2
    text = capsys.readouterr().err
    assert text.startswith("error: ")
    assert text.count("\n") == 1
    return text


def test_calls_that_cannot_be_done_end_in_a_line_and_write_nothing(tmp_path, capsys):
    source, target = write_published(tmp_path / "a.npz"), tmp_path / "b.npz"
    before = (tmp_path / "a.npz").read_bytes()
    assert "pass --allow_pickle to read it" in line_of((source, target), capsys)
    missing = tmp_path / "none.npz"
    assert "none.npz is missing" in line_of((missing, target), capsys)
    folder = tmp_path / "none" / "b.npz"
    assert "none of the target is missing" in line_of((source, folder), capsys)
    assert "ending in .npz" in line_of((source, tmp_path / "b.txt"), capsys)
    same = (source, source, "--allow_pickle", "--overwrite")
    assert "which is the source; name another" in line_of(same, capsys)
    (tmp_path / "text.npz").write_text("no archive")
    line = line_of((tmp_path / "text.npz", target), capsys)
    assert "text.npz cannot be read as an npz file" in line
    np.savez(tmp_path / "other.npz", prices=np.zeros(3))
    line = line_of((tmp_path / "other.npz", target), capsys)
    assert "has arrays ['prices']; expected positions_3d" in line
    assert not target.exists()
    assert (tmp_path / "a.npz").read_bytes() == before


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), OSError()])
def test_an_interrupted_write_leaves_nothing_and_the_older_file(
    tmp_path, monkeypatch, error
):
    source, target = write_published(tmp_path / "a.npz"), tmp_path / "b.npz"
    target.write_bytes(b"older")

    def fail(path, **arrays):
        path.write_bytes(b"half")
        raise error

    monkeypatch.setattr(pose_files.np, "savez_compressed", fail)
    with pytest.raises(OSError):  # noqa: PT011  the second has no text
        pose_conversion.convert_pose_file(
            source, target, allow_pickle=True, overwrite=True
        )
    assert target.read_bytes() == b"older"
    assert {path.name for path in tmp_path.iterdir()} == {"a.npz", "b.npz"}


def test_help_does_not_wait_for_the_libraries():
    code = (
        "import sys, datasets.convert as c\n"
        "try: c.main(['--help'])\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'jax', 'posejax'} & set(sys.modules), sys.modules\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT
    )
    assert found.returncode == 0, found.stderr
    assert "IN.npz OUT.npz" in found.stdout
