"""Reading frames, and what is said of files that hold none."""

import struct

import av
import cv2
import numpy as np
import pytest

from posejax.data import video
from tests.data import moving_figure


def _ramp(count=12):
    """Frames that differ in brightness, with a red left and a blue right half."""
    frames = np.zeros((count, 48, 64, 3), np.uint8)
    for t in range(count):
        frames[t, :, :32, 0] = 40 + 15 * t
        frames[t, :, 32:, 2] = 40 + 15 * t
    return frames


@pytest.fixture(name="clip")
def _clip(tmp_path):
    return moving_figure.write_video(tmp_path / "clip.mp4", _ramp())


def test_frames_come_in_order_as_rgb(clip):
    frames = np.stack(list(video.read_frames(clip)))
    assert frames.dtype == np.uint8
    np.testing.assert_allclose(frames.astype(int), _ramp(), atol=12)


def test_the_description_says_size_rate_and_count(clip):
    info = video.open_video(clip)
    assert (info.kind, info.size, info.fps) == ("video", (64, 48), 25.0)
    assert (info.num_frames, info.rotation) == (12, 0)
    assert len(list(info.frames())) == 12


def test_start_leaves_frames_out(clip):
    everything = list(video.read_frames(clip))
    later = list(video.read_frames(clip, start=9))
    np.testing.assert_array_equal(np.stack(later), np.stack(everything[9:]))


def test_without_pyav_opencv_reads_the_same(clip, monkeypatch):
    expected = np.stack(list(video.read_frames(clip)))
    monkeypatch.setattr(video, "_has_av", lambda: False)
    info = video.open_video(clip)
    assert (info.size, info.num_frames, info.fps) == ((64, 48), 12, 25.0)
    found = np.stack(list(video.read_frames(clip)))
    np.testing.assert_allclose(found.astype(int), expected, atol=12)


def _ask_for_a_quarter_turn(path):
    """Writes "turn by 90 degrees clockwise" into the track header of an mp4."""
    data = bytearray(path.read_bytes())
    matrix = data.index(b"tkhd") + 4 + 40
    one = 1 << 16
    turn = struct.pack(">9i", 0, one, 0, -one, 0, 0, 48 * one, 0, 1 << 30)
    data[matrix : matrix + 36] = turn
    path.write_bytes(data)


def test_a_rotation_in_the_file_is_applied(clip):
    _ask_for_a_quarter_turn(clip)
    info = video.open_video(clip)
    assert info.size == (48, 64)
    assert info.rotation % 360 == 270
    frame = next(video.read_frames(clip))
    assert frame.shape == (64, 48, 3)
    # Clockwise: what was on the left is on top.
    assert frame[:30, :, 0].mean() > 25 > frame[:30, :, 2].mean()


def test_opencv_applies_the_rotation_too(clip, monkeypatch):
    _ask_for_a_quarter_turn(clip)
    expected = next(video.read_frames(clip))
    monkeypatch.setattr(video, "_has_av", lambda: False)
    assert video.open_video(clip).size == (48, 64)
    found = next(video.read_frames(clip))
    np.testing.assert_allclose(found.astype(int), expected, atol=12)


def test_pictures_of_a_folder_come_in_natural_order(tmp_path):
    for number in (10, 2, 1):
        picture = np.full((8, 6, 3), number, np.uint8)
        cv2.imwrite(str(tmp_path / f"frame_{number}.png"), picture)
    (tmp_path / "notes.txt").write_text("no picture")
    info = video.open_video(tmp_path)
    assert (info.kind, info.size, info.num_frames) == ("folder", (6, 8), 3)
    assert [int(f[0, 0, 0]) for f in video.read_frames(tmp_path)] == [1, 2, 10]


def test_a_single_picture_is_a_source_of_one_frame(tmp_path):
    path = tmp_path / "one.png"
    cv2.imwrite(str(path), np.array([[[1, 2, 3]]], np.uint8))
    info = video.open_video(path)
    assert (info.kind, info.size, info.num_frames) == ("image", (1, 1), 1)
    assert next(video.read_frames(path)).tolist() == [[[3, 2, 1]]]


def _expect_one_line(error, *words):
    text = str(error.value)
    assert "\n" not in text
    for word in words:
        assert word in text


@pytest.mark.parametrize("name", ["gone.mp4", "gone.png", "gone"])
def test_a_missing_source_is_named(tmp_path, name):
    for read in (video.open_video, lambda p: next(video.read_frames(p))):
        with pytest.raises(FileNotFoundError) as error:
            read(tmp_path / name)
        _expect_one_line(error, str(tmp_path / name), "does not exist")


@pytest.mark.parametrize("name", ["empty.mp4", "empty.jpg"])
def test_an_empty_file_is_named(tmp_path, name):
    (tmp_path / name).touch()
    for read in (video.open_video, lambda p: next(video.read_frames(p))):
        with pytest.raises(video.VideoError) as error:
            read(tmp_path / name)
        _expect_one_line(error, name, "empty")


@pytest.mark.parametrize("has_av", [True, False])
def test_a_file_that_is_no_video_is_named(tmp_path, monkeypatch, has_av):
    monkeypatch.setattr(video, "_has_av", lambda: has_av)
    path = tmp_path / "noise.mp4"
    path.write_bytes(np.random.default_rng(0).bytes(5000))
    for read in (video.open_video, lambda p: next(video.read_frames(p))):
        with pytest.raises(video.VideoError) as error:
            read(path)
        _expect_one_line(error, "noise.mp4", "cannot be read")


def test_a_picture_cut_short_is_named(tmp_path):
    path = tmp_path / "cut.png"
    cv2.imwrite(str(path), moving_figure.wall())
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(video.VideoError) as error:
        video.read_image(path)
    _expect_one_line(error, "cut.png", "cannot be read")


def test_a_folder_without_pictures_is_named(tmp_path):
    with pytest.raises(video.VideoError) as error:
        video.open_video(tmp_path)
    _expect_one_line(error, str(tmp_path), "no picture", ".png")


def test_a_video_cut_before_its_index_is_unreadable(clip):
    data = clip.read_bytes()
    clip.write_bytes(data[: len(data) // 2])
    with pytest.raises(video.VideoError) as error:
        list(video.read_frames(clip))
    _expect_one_line(error, "clip.mp4", "truncated")


def test_a_video_whose_end_is_missing_is_truncated(tmp_path):
    path = tmp_path / "front.mp4"
    frames, _ = moving_figure.walk(40)
    with av.open(str(path), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("mpeg4", rate=25)
        stream.width, stream.height, stream.pix_fmt = 160, 120, "yuv420p"
        for frame in frames:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, "rgb24")))
        container.mux(stream.encode())
    data = path.read_bytes()
    assert data.index(b"moov") < data.index(b"mdat")
    path.write_bytes(data[: len(data) // 2])
    read = []
    with pytest.raises(video.VideoError) as error:
        read.extend(video.read_frames(path))
    _expect_one_line(error, "front.mp4", "of 40 frames", "truncated")


def test_a_file_with_sound_only_is_named(tmp_path):
    path = tmp_path / "sound.mp4"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=8000)
        silence = np.zeros((1, 1024), np.float32)
        frame = av.AudioFrame.from_ndarray(silence, format="fltp", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(video.VideoError) as error:
        video.open_video(path)
    _expect_one_line(error, "sound.mp4", "no video track")
