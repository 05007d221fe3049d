"""Moving pictures: mp4, gif or a folder of numbered PNG files.

Frames are taken one at a time from an iterator, so memory does not limit the length of
a video (only a gif is put together in memory, as palette pictures). A file appears
under its name only when it is complete.
"""

import functools
import itertools
import os
import pathlib
from collections.abc import Iterable, Iterator

import cv2
import numpy as np
from absl import logging

from posejax.checks import require_at_least
from posejax.render.files import replaced_whole, write_png

SUFFIXES = (".mp4", ".gif")


def write_video(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    fps: float | int,
    *,
    bitrate_kbps: int | None = None,
) -> int:
    """Writes RGB frames as a video; the suffix of the name decides the format.

    `.mp4` is H.264 in yuv420p, which browsers play (by PyAV, or MPEG-4 by OpenCV where
    PyAV is missing); the last row or column is repeated where a side is odd. `.gif`
    repeats for ever. A name without a suffix becomes a folder of `00000.png`,
    `00001.png`, ...

    Args:
      path: File or folder to write.
      frames: `(height, width, 3)` uint8 RGB, all of one size.
      fps: Frames per second, above 0. A gif counts in hundredths of a second and is
        never faster than 50.
      bitrate_kbps: Mean bitrate of an mp4, kbit/s, at least 1; None means constant
        quality. Gifs and folders have none, and OpenCV chooses its own.

    Returns:
      The number of frames written.

    Raises:
      ValueError: If the suffix is unknown, `fps` or the bitrate is not positive, there
        is no frame, or a frame has another size than the first; no file is left then.
    """
    target = pathlib.Path(path)
    suffix = target.suffix.lower()
    if suffix not in (*SUFFIXES, ""):
        raise ValueError(
            f"path is {str(path)!r}; use a name ending in .mp4 or .gif, or no "
            "suffix for a folder of PNG files."
        )
    if not fps > 0:
        raise ValueError(f"fps is {fps}; it must be above 0.")
    require_at_least("bitrate_kbps", 1 if bitrate_kbps is None else bitrate_kbps, 1)
    checked = _of_one_size(iter(frames))
    first = next(checked, None)
    if first is None:
        raise ValueError(f"frames is empty; {target.name} needs at least one frame.")
    with_rate = functools.partial(_write_mp4, bitrate_kbps=bitrate_kbps)
    writers = {".mp4": with_rate, ".gif": _write_gif, "": _write_folder}
    with replaced_whole(target) as draft:
        return writers[suffix](draft, itertools.chain([first], checked), float(fps))


def _of_one_size(frames: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    shape = None
    for index, frame in enumerate(frames):
        if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
            raise ValueError(
                f"frame {index} is {frame.dtype} of shape {frame.shape}; give uint8 of "
                "shape (height, width, 3)."
            )
        shape = frame.shape if shape is None else shape
        if frame.shape != shape:
            raise ValueError(
                f"frame {index} has shape {frame.shape} but the first has {shape}; all "
                "frames of a video must have one size."
            )
        yield frame


def _even(frame: np.ndarray) -> np.ndarray:
    # Colour is stored at half the resolution, which needs even sides.
    edges = ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0))
    return np.ascontiguousarray(np.pad(frame, edges, mode="edge"))


def _write_mp4(
    path: pathlib.Path,
    frames: Iterator[np.ndarray],
    fps: float,
    *,
    bitrate_kbps: int | None,
) -> int:
    try:
        import av
    except ImportError:
        logging.warning(
            "PyAV is missing: %s is written as MPEG-4 by OpenCV.", path.name
        )
        return _write_mp4_with_opencv(path, frames, fps)
    import fractions

    count = 0
    with av.open(
        str(path), "w", format="mp4", options={"movflags": "faststart"}
    ) as file:
        rate = fractions.Fraction(fps).limit_denominator(1001)
        stream = file.add_stream("libx264", rate=rate)
        stream.pix_fmt = "yuv420p"
        stream.options = {"preset": "medium"}
        if bitrate_kbps is None:
            stream.options = {"crf": "18", "preset": "medium"}
        else:
            stream.bit_rate = 1000 * bitrate_kbps
        for frame in map(_even, frames):
            if count == 0:
                stream.height, stream.width = frame.shape[:2]
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
            file.mux(stream.encode(picture))
            count += 1
        file.mux(stream.encode())
    return count


def _write_mp4_with_opencv(
    path: pathlib.Path, frames: Iterator[np.ndarray], fps: float
) -> int:
    writer, count = None, 0
    try:
        for frame in map(_even, frames):
            if writer is None:
                code = cv2.VideoWriter.fourcc(*"mp4v")
                size = (frame.shape[1], frame.shape[0])
                writer = cv2.VideoWriter(str(path), code, fps, size)
                if not writer.isOpened():
                    raise OSError(
                        f"OpenCV cannot write {path.suffix} files here; install PyAV "
                        "('pip install av') or write a .gif."
                    )
            writer.write(np.ascontiguousarray(frame[..., ::-1]))
            count += 1
    finally:
        if writer is not None:
            writer.release()
    return count


def _write_gif(path: pathlib.Path, frames: Iterator[np.ndarray], fps: float) -> int:
    from PIL import Image

    pages = [
        Image.fromarray(frame).quantize(dither=Image.Dither.NONE) for frame in frames
    ]
    # Hundredths of a second; most viewers slow down anything shorter than two of them.
    # Rounding the running sum, not each page, keeps the whole at the right length.
    edges = np.round(100 * np.arange(len(pages) + 1) / min(fps, 50.0)).astype(int)
    durations = [10 * int(step) for step in np.diff(edges)]
    pages[0].save(
        path,
        save_all=True,
        append_images=pages[1:],
        duration=durations,
        loop=0,
        optimize=False,
        disposal=1,
    )
    return len(pages)


def _write_folder(path: pathlib.Path, frames: Iterator[np.ndarray], fps: float) -> int:
    del fps  # pictures carry no rate
    path.mkdir()
    count = 0
    for frame in frames:
        write_png(path / f"{count:05d}.png", frame)
        count += 1
    return count
