"""Pictures that predict reads, and where what it writes goes."""

import json
import pathlib

import cv2
import numpy as np
import pytest

from posejax.data import video
from posejax.procedures import predict_images
from tests.procedures.test_run_directory import call


def write_picture(path, height=40, width=50):
    cv2.imwrite(str(path), np.zeros((height, width, 3), np.uint8))
    return path


def test_a_small_picture_in_a_folder_is_named_before_anything_is_read(tmp_path):
    write_picture(tmp_path / "1.png")
    write_picture(tmp_path / "2.png", height=1, width=1)
    asked = call(None, tmp_path, input=str(tmp_path), workdir=str(tmp_path / "none"))
    with pytest.raises(ValueError, match=r"2\.png' is 1x1 pixels; expected at least"):
        predict_images.predict_images(asked)


def test_pictures_that_differ_in_their_suffix_have_overlays_of_their_own():
    plain = [pathlib.Path("1.png"), pathlib.Path("2.jpg")]
    assert predict_images.overlay_names(plain) == ["1_overlay.png", "2_overlay.png"]
    alike = [pathlib.Path("1.png"), pathlib.Path("1.jpg")]
    names = predict_images.overlay_names(alike)
    assert names == ["1.png_overlay.png", "1.jpg_overlay.png"]


def test_inputs_share_no_folder(tmp_path):
    def folder(source, **changes):
        asked = call(None, tmp_path, input=str(tmp_path / source), **changes)
        return predict_images.output_folder(asked, tmp_path / "work")

    video = folder("a/walk.mp4")
    assert video == tmp_path / "work/predictions/walk.mp4"
    assert folder("a/walk.png") != video
    video.mkdir(parents=True)
    about = {"path": str((tmp_path / "a/walk.mp4").resolve())}
    (video / "joints.json").write_text(json.dumps(about))
    assert folder("a/walk.mp4") == video
    with pytest.raises(ValueError, match=r"predictions for '.*a/walk\.mp4'; name anot"):
        folder("b/walk.mp4")
    assert folder("b/walk.mp4", output=str(tmp_path / "out")) == tmp_path / "out"


def test_joints_that_cannot_be_written_leave_the_older_file_whole(
    tmp_path, monkeypatch
):
    (tmp_path / "joints.npz").write_bytes(b"older")

    def full(path, **arrays):
        pathlib.Path(path).write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(predict_images.np, "savez", full)
    source = video.Video(tmp_path / "a.png", "image", (50, 40), None, 1)
    found = predict_images._Found(None, 64, None)
    asked = call(None, tmp_path, input="a.png")
    with pytest.raises(OSError, match="No space left"):
        predict_images._write_joints(tmp_path, asked, source, found, 1, "template_15")
    assert [path.name for path in tmp_path.iterdir()] == ["joints.npz"]
    assert (tmp_path / "joints.npz").read_bytes() == b"older"
