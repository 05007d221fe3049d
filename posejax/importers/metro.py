"""METRO's published estimates to plain arrays, without PyTorch or running code.

A published file is an npz whose array `results` is a pickle: frames, in each persons,
in each a dictionary of tensors. Its tensors were pickled one by one: the bytes of each
storage are a whole file of torch.save. Only tensors, arrays, numbers, text and plain
containers are rebuilt; a pickle that asks for anything else is refused by name.
"""

import os
import pathlib
import pickle
import zipfile
from collections.abc import Mapping
from typing import Any

import numpy as np

from posejax.importers.torch_state_dict import read_legacy, tensor_globals

_ARRAYS = ("joints3d", "camera", "scale", "start_pt", "img_size")
_REMEDY = "use a file <video>_results.npz of METRO's estimates"


def convert_metro_estimates(
    source: str | os.PathLike[str], target: str | os.PathLike[str]
) -> None:
    """Writes METRO's published estimates of a video as plain arrays.

    The target is what `data.read_metro` reads: `joints3d` (T, 14, 3), `camera` (T, 3),
    `scale` (T, 2), `start_pt` (T, 2), `img_size`. It is written whole or not at all.

    Args:
      source: The published npz file.
      target: The plain file, ending in `.npz`.

    Raises:
      FileNotFoundError: If `source` is missing.
      ValueError: If it is no such file, or asks for code; if `target` does not end in
        `.npz`.
    """
    target = pathlib.Path(target)
    if target.suffix != ".npz":
        raise ValueError(f"target is {str(target)!r}; expected a name ending in .npz.")
    arrays = read_metro_results(source)
    part = target.with_name(f"{target.name}.part")
    try:
        with open(part, "wb") as file:
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def read_metro_results(source: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads METRO's published estimates; of each frame the first person.

    Args:
      source: The published npz file.

    Returns:
      The arrays of `convert_metro_estimates` by name, float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file, or asks for code.
    """
    source = pathlib.Path(source)
    if not source.is_file():
        raise FileNotFoundError(f"{source} is missing; expected METRO's estimates.")
    try:
        with zipfile.ZipFile(source) as archive, archive.open("results.npy") as file:
            results = _unpickled(file)
    except Exception as error:  # a damaged file can raise nearly anything
        raise ValueError(
            f"{source} cannot be read as METRO's estimates "
            f"({' '.join(str(error).split())}); {_REMEDY}."
        ) from None
    frames = _entries(results.item() if isinstance(results, np.ndarray) else results)
    rows = [_frame(frame, f"frame {t} of {source}") for t, frame in enumerate(frames)]
    if not rows:
        raise ValueError(f"{source} holds no frames; {_REMEDY}.")
    sizes = {float(row["img_size"]) for row in rows}
    if len(sizes) > 1:
        raise ValueError(
            f"{source} has crops of {sorted(sizes)} pixels; expected one size."
        )
    stacked = {name: np.stack([row[name] for row in rows]) for name in _ARRAYS[:-1]}
    return {**stacked, "img_size": np.array(sizes.pop(), np.float32)}


def _unpickled(file: Any) -> Any:
    version = np.lib.format.read_magic(file)
    if version == (1, 0):
        header = np.lib.format.read_array_header_1_0(file)
    else:
        header = np.lib.format.read_array_header_2_0(file)
    if not header[2].hasobject:
        raise pickle.UnpicklingError("results holds plain numbers")
    return _Unpickler(file, encoding="latin1").load()


class _Unpickler(pickle.Unpickler):
    """Rebuilds arrays, tensors and Python's containers, and refuses all else."""

    def find_class(self, module: str, name: str) -> Any:
        allowed = _allowed()
        if (module, name) not in allowed:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}")
        return allowed[module, name]


def _allowed() -> dict[tuple[str, str], Any]:
    from numpy._core import multiarray, numeric

    allowed = {
        **tensor_globals(),
        ("torch.storage", "_load_from_bytes"): read_legacy,
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
        ("_codecs", "encode"): _text_as_bytes,
    }
    for package in ("numpy.core", "numpy._core"):
        rebuild, scalar = multiarray._reconstruct, multiarray.scalar  # pyright: ignore
        allowed[f"{package}.multiarray", "_reconstruct"] = rebuild
        allowed[f"{package}.multiarray", "scalar"] = scalar
        allowed[f"{package}.numeric", "_frombuffer"] = numeric._frombuffer  # pyright: ignore
    return allowed


def _text_as_bytes(text: str, encoding: str) -> bytes:
    # Pickles of protocol 2 hold bytes as text and name the function that encodes it.
    if encoding not in ("latin1", "latin-1"):
        raise pickle.UnpicklingError(f"it asks for the codec {encoding!r}")
    return text.encode("latin1")


def _entries(results: Any) -> list[Any]:
    """The entries of a list, or of a dictionary by number, in their order."""
    if isinstance(results, Mapping):
        return [results[key] for key in sorted(results)]
    return list(results) if isinstance(results, list | tuple) else []


def _frame(frame: Any, where: str) -> dict[str, np.ndarray]:
    persons = _entries(frame)
    try:
        person = persons[0]
        crop = person["proc_param"]
        scale = np.asarray(crop["scale"], np.float32).reshape(-1)
        return {
            "joints3d": _array(person["pred_3d_joints_from_smpl"], (14, 3)),
            "camera": _array(person["pred_camera"], (3,)),
            "scale": _array(np.resize(scale, 2) if scale.size == 1 else scale, (2,)),
            "start_pt": _array(crop["start_pt"], (2,)),
            "img_size": _array(crop["img_size"], ()),
        }
    except (LookupError, TypeError, ValueError) as error:
        raise ValueError(
            f"{where} has no person as METRO writes one ({type(error).__name__}: "
            f"{' '.join(str(error).split())}); {_REMEDY}."
        ) from None


def _array(value: Any, shape: tuple[int, ...]) -> np.ndarray:
    return np.asarray(value, np.float32).reshape(shape)
