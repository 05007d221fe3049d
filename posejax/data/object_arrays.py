"""Arrays of npz files, also those saved as Python objects, without running code.

`numpy.save` pickles arrays of objects, and a pickle may call anything. The published
pose files are such files. Here pickles may rebuild numpy arrays, numpy numbers and
Python's containers; a file that asks for anything else is refused, and so is every
pickle unless it is asked for by name.
"""

import os
import pathlib
import pickle
import zipfile
from typing import Any

import numpy as np

# What old and new versions of numpy write into a pickle to rebuild an array.
_MULTIARRAY = ("numpy.core.multiarray", "numpy._core.multiarray")
_NUMERIC = ("numpy.core.numeric", "numpy._core.numeric")


def _text_as_bytes(text: str, encoding: str) -> bytes:
    # Pickles of protocol 2 hold bytes as text and name the function that encodes it.
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"asks for the codec {encoding!r}")
    return text.encode("latin1")


def _allowed() -> dict[tuple[str, str], Any]:
    from numpy._core import multiarray, numeric

    allowed: dict[tuple[str, str], Any] = {
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _text_as_bytes,
    }
    for module in _MULTIARRAY:
        allowed[module, "_reconstruct"] = multiarray._reconstruct  # pyright: ignore
        allowed[module, "scalar"] = multiarray.scalar  # pyright: ignore
    for module in _NUMERIC:
        allowed[module, "_frombuffer"] = numeric._frombuffer  # pyright: ignore
    return allowed


class _ArrayUnpickler(pickle.Unpickler):
    """Rebuilds numpy arrays and Python's containers, and refuses everything else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = _allowed()
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"asks for {module}.{name}")
        return allowed[module, name]


def read_arrays(
    path: str | os.PathLike[str], *, allow_pickle: bool = False
) -> dict[str, np.ndarray]:
    """Reads all arrays of an npz file.

    Args:
      path: The file.
      allow_pickle: Whether arrays of objects are read, by an unpickler that rebuilds
        numpy arrays, numbers, text, lists, tuples and dictionaries and nothing else.

    Returns:
      The arrays by name; an array of objects is returned as numpy saved it, often
      without axes around one dictionary.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no npz file, or holds objects that are not allowed.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path} is missing; expected an npz file.")
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if n.endswith(".npy")]
            return {
                name.removesuffix(".npy"): _read_array(
                    archive, name, path, allow_pickle
                )
                for name in names
            }
    except (ValueError, MemoryError):
        raise
    # A damaged archive shows itself in many ways: what matters is which file it is.
    except Exception as error:
        raise ValueError(
            f"{path} cannot be read as an npz file ({' '.join(str(error).split())}); "
            "make or download it again."
        ) from error


def _read_array(
    archive: zipfile.ZipFile, name: str, path: pathlib.Path, allow_pickle: bool
) -> np.ndarray:
    where = f"array {name.removesuffix('.npy')!r} of {path}"
    with archive.open(name) as file:
        if not _holds_objects(file):
            file.seek(0)
            return np.lib.format.read_array(file, allow_pickle=False)
        if not allow_pickle:
            raise ValueError(
                f"{where} was saved as Python objects (a pickle); pass "
                "allow_pickle=True to read it with the restricted reader, or convert "
                "the file to plain arrays first."
            )
        # The default encoding fails on arrays that Python 2 wrote.
        try:
            array = _ArrayUnpickler(file, encoding="latin1").load()
        except Exception as error:
            raise ValueError(
                f"{where} cannot be read: its pickle {' '.join(str(error).split())}; "
                "only numpy arrays, numbers, text, lists and dictionaries are rebuilt."
            ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{where} holds a {type(array).__name__}; expected an array.")
    return array


def _holds_objects(file: Any) -> bool:
    """Reads the header; what follows is the array."""
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(file)
    else:
        header = np.lib.format.read_array_header_2_0(file)
    return bool(header[2].hasobject)
