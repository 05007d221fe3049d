import builtins
import weakref

import av
import cv2
import numpy as np
import pytest
from PIL import Image

from posejax.render.video import write_video


def _frames(count, height=32, width=48):
    """A white square that moves right by two pixels a frame over a grey ground."""
    for index in range(count):
        frame = np.full((height, width, 3), 60, np.uint8)
        frame[8:16, 2 * index : 2 * index + 8] = (250, 40, 40)
        yield frame


def _read(path):
    with av.open(str(path)) as file:
        return [frame.to_ndarray(format="rgb24") for frame in file.decode(video=0)]


def test_an_mp4_gives_back_number_size_rate_and_content(tmp_path):
    path = tmp_path / "out" / "film.mp4"
    assert write_video(path, _frames(9), fps=12.5) == 9
    frames = _read(path)
    assert len(frames) == 9
    assert frames[0].shape == (32, 48, 3)
    for read, written in zip(frames, _frames(9), strict=True):
        assert np.abs(read.astype(int) - written).mean() < 8
    with av.open(str(path)) as file:
        stream = file.streams.video[0]
        assert stream.codec_context.name == "h264"
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert float(stream.average_rate or 0) == pytest.approx(12.5)


def test_an_mp4_has_the_bitrate_that_is_asked_for(tmp_path):
    rng = np.random.default_rng(0)
    noise = rng.integers(0, 255, (50, 96, 128, 3), np.uint8)
    for kbps in (300, 1200):
        path = tmp_path / f"{kbps}.mp4"
        write_video(path, iter(noise), fps=25, bitrate_kbps=kbps)
        found = path.stat().st_size * 8 / 1000 / 2  # two seconds
        assert 0.6 * kbps < found < 1.6 * kbps
    with pytest.raises(ValueError, match="bitrate_kbps is 0; expected at least 1"):
        write_video(tmp_path / "film.mp4", _frames(1), fps=10, bitrate_kbps=0)


def test_odd_sides_are_padded_at_the_end(tmp_path):
    write_video(tmp_path / "film.mp4", _frames(3, 33, 47), fps=10)
    frame = _read(tmp_path / "film.mp4")[0]
    assert frame.shape == (34, 48, 3)
    np.testing.assert_allclose(frame[33], frame[32], atol=6)


def test_frames_are_taken_one_at_a_time(tmp_path):
    alive, most = 0, 0

    def forget():
        nonlocal alive
        alive -= 1

    def lazily():
        nonlocal alive, most
        for index in range(40):
            frame = np.full((32, 48, 3), index, np.uint8)
            weakref.finalize(frame, forget)
            alive += 1
            most = max(most, alive)
            yield frame

    write_video(tmp_path / "film.mp4", lazily(), fps=10)
    assert most < 5


@pytest.mark.parametrize("name", ["film.mp4", "film.gif", "film"])
def test_an_error_between_frames_leaves_nothing_behind(tmp_path, name):
    def breaking():
        yield from _frames(2)
        raise RuntimeError("decoder lost")

    with pytest.raises(RuntimeError, match="decoder lost"):
        write_video(tmp_path / name, breaking(), fps=10)
    assert list(tmp_path.iterdir()) == []


def test_a_gif_has_every_frame_and_the_right_length(tmp_path):
    write_video(tmp_path / "film.gif", _frames(7), fps=30)
    with Image.open(tmp_path / "film.gif") as gif:
        assert gif.n_frames == 7
        assert gif.size == (48, 32)
        assert gif.info["loop"] == 0
        total = 0
        for index in range(7):
            gif.seek(index)
            total += gif.info["duration"]
        assert total == pytest.approx(1000 * 7 / 30, abs=10)
        gif.seek(3)
        picture = np.asarray(gif.convert("RGB")).astype(int)
    expected = list(_frames(4))[3]
    assert np.abs(picture - expected).mean() < 3


def test_a_name_without_suffix_becomes_numbered_pictures(tmp_path):
    assert write_video(tmp_path / "frames", _frames(3), fps=10) == 3
    names = sorted(path.name for path in (tmp_path / "frames").iterdir())
    assert names == ["00000.png", "00001.png", "00002.png"]
    read = cv2.imread(str(tmp_path / "frames" / "00002.png"))[..., ::-1]
    np.testing.assert_array_equal(read, list(_frames(3))[2])


def test_without_pyav_an_mp4_is_still_written(tmp_path, monkeypatch):
    real = builtins.__import__

    def without_av(name, *args, **kwargs):
        if name == "av":
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without_av)
    write_video(tmp_path / "film.mp4", _frames(4, 33, 47), fps=10)
    monkeypatch.undo()
    frames = _read(tmp_path / "film.mp4")
    assert len(frames) == 4
    assert frames[0].shape == (34, 48, 3)
    assert np.abs(frames[0][:33, :47].astype(int) - next(_frames(1, 33, 47))).mean() < 9


def test_bad_input_is_refused_by_name(tmp_path):
    with pytest.raises(ValueError, match=r"film\.avi"):
        write_video(tmp_path / "film.avi", _frames(1), fps=10)
    with pytest.raises(ValueError, match="fps is 0"):
        write_video(tmp_path / "film.mp4", _frames(1), fps=0)
    with pytest.raises(ValueError, match="at least one frame"):
        write_video(tmp_path / "film.mp4", [], fps=10)
    mixed = [np.zeros((8, 8, 3), np.uint8), np.zeros((8, 10, 3), np.uint8)]
    with pytest.raises(ValueError, match=r"frame 1 has shape \(8, 10, 3\)"):
        write_video(tmp_path / "film.mp4", mixed, fps=10)
    with pytest.raises(ValueError, match="frame 0 is float64"):
        write_video(tmp_path / "film.gif", [np.zeros((8, 8, 3))], fps=10)
    assert list(tmp_path.iterdir()) == []
