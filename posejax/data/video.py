"""Frames out of videos, folders of pictures and single pictures.

Every frame is a uint8 RGB array of shape `(height, width, 3)`, upright: a rotation that
the file asks for (phones write one instead of turning the pixels) has been applied.
Files are read as a stream, so memory does not grow with their length. Whatever is wrong
with a file is said in one line that names it.
"""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm")
VIDEO_SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".m4v", ".webm", ".mpg", ".gif")

# Containers round the number of frames they declare; a file is only called truncated
# when more than this many frames (or this share of them) are missing at its end.
MISSING_FRAMES_ALLOWED = 2
MISSING_SHARE_ALLOWED = 0.01


class VideoError(ValueError):
    """A video or picture that exists but cannot be used, explained in one line."""


@dataclasses.dataclass(frozen=True)
class Video:
    """What is known of a source of frames before it is read.

    Attributes:
      path: The file or folder.
      kind: `video`, `folder` (of pictures) or `image`.
      size: `(width, height)` of the first frame in pixels, upright.
      fps: Frames per second; None where the source does not say.
      num_frames: Number of frames the source declares; None where it does not.
      rotation: Degrees by which stored frames are turned counter-clockwise.
    """

    path: Path
    kind: str
    size: tuple[int, int]
    fps: float | None
    num_frames: int | None
    rotation: int = 0

    def frames(self) -> Iterator[np.ndarray]:
        """Returns an iterator over all frames, from the first."""
        return read_frames(self.path)


def is_video(path: str | Path) -> bool:
    """Returns whether the name of `path` is that of a video."""
    return Path(path).suffix.lower() in VIDEO_SUFFIXES


def is_image(path: str | Path) -> bool:
    """Returns whether the name of `path` is that of a picture."""
    return Path(path).suffix.lower() in IMAGE_SUFFIXES


def image_files(folder: str | Path) -> list[Path]:
    """Returns the pictures of a folder; `frame_2.png` comes before `frame_10.png`."""
    found = [p for p in Path(folder).iterdir() if is_image(p) and p.name[0] != "."]
    return sorted(found, key=_natural_order)


def _natural_order(path: Path) -> tuple[list[tuple[int, int | str]], str]:
    parts = re.split(r"(\d+)", path.name)
    return [(0, int(p)) if p.isdigit() else (1, p) for p in parts], path.name


def open_video(path: str | Path) -> Video:
    """Opens a source of frames and decodes its first frame.

    Args:
      path: A video, a folder of pictures or one picture.

    Returns:
      The description of the source; its `frames()` reads it.

    Raises:
      FileNotFoundError: Nothing is there.
      VideoError: It is empty, of unknown kind, unreadable or without a frame.
    """
    path = _checked(path)
    if path.is_dir():
        files = _checked_images(path)
        return Video(path, "folder", _size(read_image(files[0])), None, len(files))
    if is_image(path):
        return Video(path, "image", _size(read_image(path)), None, 1)
    return _open_av(path) if _has_av() else _open_cv2(path)


def read_frames(path: str | Path, *, start: int = 0) -> Iterator[np.ndarray]:
    """Reads the frames of a source one after the other.

    Args:
      path: A video, a folder of pictures or one picture.
      start: Number of frames to leave out at the beginning.

    Yields:
      uint8 RGB frames `(height, width, 3)`, upright. Those of a folder may differ in
      size.

    Raises:
      FileNotFoundError: Nothing is there.
      VideoError: It is empty, unreadable, truncated or has no frame.
    """
    path = _checked(path)
    if path.is_dir():
        yield from (read_image(p) for p in _checked_images(path)[start:])
    elif is_image(path):
        yield from [read_image(path)][start:]
    else:
        yield from (_read_av if _has_av() else _read_cv2)(path, start)


def read_image(path: str | Path) -> np.ndarray:
    """Reads one picture as uint8 RGB `(height, width, 3)`, upright, without alpha.

    Raises:
      FileNotFoundError: Nothing is there.
      VideoError: The file is empty or no picture, or it is cut short.
    """
    path = _checked(path)
    with open(path, "rb") as file:
        data = file.read()
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR_RGB)
    except cv2.error:
        image = None
    if image is None:
        raise VideoError(
            f"{path} cannot be read as a picture (damaged, cut short or of another "
            "format); replace or remove it."
        )
    return np.ascontiguousarray(image)


def _checked(path: str | Path) -> Path:
    path = Path(path)
    if not path.exists():
        raise FileNotFoundError(
            f"{path} does not exist; give a video, folder or image."
        )
    if path.is_file() and path.stat().st_size == 0:
        raise VideoError(f"{path} is empty (0 bytes); copy it again from its source.")
    return path


def _checked_images(folder: Path) -> list[Path]:
    files = image_files(folder)
    if not files:
        raise VideoError(
            f"{folder} holds no picture; expected files ending in "
            f"{', '.join(IMAGE_SUFFIXES)}."
        )
    return files


def _size(image: np.ndarray) -> tuple[int, int]:
    return image.shape[1], image.shape[0]


def _has_av() -> bool:
    try:
        import av  # noqa: F401
    except ImportError:
        return False
    return True


def _unreadable(path: Path, why: object) -> VideoError:
    reason = str(why).split(": '")[0]
    return VideoError(
        f"{path} cannot be read as a video ({reason}); it is truncated, damaged or of "
        f"another format; expected one of {', '.join(VIDEO_SUFFIXES)} or a folder of "
        "pictures."
    )


def _open_av(path: Path) -> Video:
    import av
    import av.error

    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path} has no video track (sound only?).")
            stream = container.streams.video[0]
            first = next(container.decode(stream), None)
            if first is None:
                raise VideoError(f"{path} has zero frames; record or copy it again.")
            fps = float(stream.average_rate) if stream.average_rate else None
            return Video(
                path,
                "video",
                _size(_upright(first)),
                fps,
                stream.frames or None,
                first.rotation,
            )
    except (av.error.FFmpegError, OSError) as error:
        raise _unreadable(path, error) from error


def _read_av(path: Path, start: int) -> Iterator[np.ndarray]:
    import av
    import av.error

    count, declared = 0, 0
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise VideoError(f"{path} has no video track (sound only?).")
            stream = container.streams.video[0]
            # One decoding thread more than the reader keeps two cores busy.
            stream.thread_type = "AUTO"
            declared = stream.frames
            for frame in container.decode(stream):
                count += 1
                if count > start:
                    yield _upright(frame)
    except (av.error.FFmpegError, OSError) as error:
        if count == 0:
            raise _unreadable(path, error) from error
        raise _truncated(path, count, declared) from error
    _check_count(path, count, declared)


def _upright(frame) -> np.ndarray:
    image = frame.to_ndarray(format="rgb24")
    return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))


def _open_cv2(path: Path) -> Video:
    """Opens a video where PyAV is not installed."""
    reader = cv2.VideoCapture(str(path))
    try:
        found, image = reader.read() if reader.isOpened() else (False, None)
        if not found or image is None:
            raise _unreadable(path, "OpenCV finds no frame")
        fps = reader.get(cv2.CAP_PROP_FPS)
        count = int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
        # OpenCV turns the frames itself; it counts the angle clockwise.
        turn = -int(reader.get(cv2.CAP_PROP_ORIENTATION_META)) % 360
        return Video(
            path, "video", _size(image), fps or None, count if count > 0 else None, turn
        )
    finally:
        reader.release()


def _read_cv2(path: Path, start: int) -> Iterator[np.ndarray]:
    reader = cv2.VideoCapture(str(path))
    try:
        count, declared = 0, int(reader.get(cv2.CAP_PROP_FRAME_COUNT))
        while reader.isOpened():
            found, image = reader.read()
            if not found:
                break
            count += 1
            if count > start:
                yield cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    finally:
        reader.release()
    if count == 0:
        raise _unreadable(path, "OpenCV finds no frame")
    _check_count(path, count, declared)


def _check_count(path: Path, count: int, declared: int) -> None:
    if count == 0:
        raise VideoError(f"{path} has zero frames; record or copy it again.")
    missing = declared - count
    if missing > max(MISSING_FRAMES_ALLOWED, MISSING_SHARE_ALLOWED * declared):
        raise _truncated(path, count, declared)


def _truncated(path: Path, count: int, declared: int) -> VideoError:
    of = f" of {declared}" if declared else ""
    return VideoError(
        f"{path} ends after {count}{of} frames: it is truncated or damaged; copy it "
        "again, or re-encode it to keep the frames that can be read."
    )
