"""Files that appear whole or not at all: written beside the target, then renamed."""

import contextlib
import os
import pathlib
import shutil
import uuid
from collections.abc import Iterator

import cv2
import numpy as np
from jaxtyping import UInt8


@contextlib.contextmanager
def replaced_whole(path: str | os.PathLike[str]) -> Iterator[pathlib.Path]:
    """Yields a path to write to, which becomes `path` only if the block succeeds.

    Works for a file and for a folder (the block creates it). The folder that holds
    `path` is created. After an error nothing is left behind, and an older file of that
    name is untouched.

    Args:
      path: The final place.

    Yields:
      A path in the same folder with the same suffix.
    """
    target = pathlib.Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}{target.suffix}")
    try:
        yield draft
        if target.is_dir() and draft.is_dir():
            shutil.rmtree(target)  # a folder cannot be renamed onto a full one
        os.replace(draft, target)
    finally:
        if draft.is_dir():
            shutil.rmtree(draft, ignore_errors=True)
        else:
            draft.unlink(missing_ok=True)


def write_text(path: str | os.PathLike[str], text: str) -> None:
    """Writes a UTF-8 text file whole or not at all.

    Args:
      path: File to write.
      text: Its content.
    """
    with replaced_whole(path) as draft:
        draft.write_text(text, encoding="utf-8")


def write_png(
    path: str | os.PathLike[str], image: UInt8[np.ndarray, "height width 3"]
) -> None:
    """Writes an RGB picture as PNG, whole or not at all.

    Args:
      path: File to write; must end in `.png`.
      image: RGB, 0 to 255.

    Raises:
      ValueError: If the name does not end in `.png` or the picture has no pixels.
    """
    if pathlib.Path(path).suffix.lower() != ".png":
        raise ValueError(
            f"path is {str(path)!r}; write_png needs a name ending in .png."
        )
    if image.size == 0:
        raise ValueError(f"image has shape {image.shape}; it needs at least one pixel.")
    encoded = cv2.imencode(".png", np.ascontiguousarray(image[..., ::-1]))[1]
    with replaced_whole(path) as draft:
        draft.write_bytes(encoded.tobytes())
