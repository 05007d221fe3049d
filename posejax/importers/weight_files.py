"""Weights of a network as one npz without pickle, with a description in JSON inside.

The arrays are named by their place: `params/fnet/stem/kernel`. A file may hold float16
to be small; what is read is float32.
"""

import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from posejax.checks import require_choice

PARTS = ("params", "model_state")
PACKAGED = pathlib.Path(__file__).parent.parent / "weights"
STORED = ("float16", "float32")
Tree = Any


def save_weights(
    path: str | os.PathLike[str],
    variables: tuple[Tree, Tree],
    *,
    description: Mapping[str, Any],
    dtype: str = "float32",
) -> pathlib.Path:
    """Writes weights, whole or not at all.

    Args:
      path: File to write, ending in .npz.
      variables: `(params, model_state)`, nested dictionaries of arrays.
      description: What to say of them, in values that JSON knows: what they were
        trained on, steps, command.
      dtype: 'float32', or 'float16' for a file half as large.

    Returns:
      The path of the file.

    Raises:
      ValueError: If `path` does not end in .npz, or a value does not fit float16.
    """
    path = pathlib.Path(path)
    require_choice("dtype", dtype, STORED)
    if path.suffix != ".npz":
        raise ValueError(f"path is {str(path)!r}; files of weights end in .npz.")
    arrays = {}
    for name, value in _named(variables).items():
        with np.errstate(over="ignore"):  # said below, by name
            arrays[name] = np.asarray(value).astype(dtype)
        if not np.all(np.isfinite(arrays[name])):
            raise ValueError(f"{name} has values that {dtype} cannot hold.")
    text = json.dumps({**description, "stored_as": dtype}, sort_keys=True)
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.part")
    with part.open("wb") as file:
        np.savez_compressed(file, description=np.array(text), **arrays)
    os.replace(part, path)
    return path


def read_weights(
    path: str | os.PathLike[str], *, like: tuple[Tree, Tree]
) -> tuple[Tree, Tree]:
    """Reads weights into the shapes of a network.

    Args:
      path: File of `save_weights`, or the name of weights that come with posejax.
      like: `(params, model_state)` of the network, arrays or their shapes.

    Returns:
      `(params, model_state)`, float32.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: If it is none of weights, or of another network; names every array
        that is missing, unused or of another shape.
    """
    path = weights_path(path)
    arrays = _arrays(path)
    wanted = {name: tuple(value.shape) for name, value in _named(like).items()}
    faults = [f"{name} is missing" for name in wanted if name not in arrays]
    faults += [f"{name} is unused" for name in arrays if name not in wanted]
    faults += [
        f"{name} has shape {arrays[name].shape}, not {shape}"
        for name, shape in wanted.items()
        if name in arrays and arrays[name].shape != shape
    ]
    if faults:
        raise ValueError(
            f"{path} holds weights of another network: {'; '.join(faults[:6])}"
            f"{f'; and {len(faults) - 6} more' if len(faults) > 6 else ''}."
        )
    treedef = jax.tree.structure(dict(zip(PARTS, like, strict=True)))
    read = [arrays[name].astype(np.float32) for name in wanted]
    tree = jax.tree.unflatten(treedef, read)
    return tree["params"], tree["model_state"]


def weights_description(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns what a file of weights says of them; raises as `read_weights`."""
    path = weights_path(path)
    with np.load(path, allow_pickle=False) as file:
        return json.loads(str(file["description"]))


def weights_path(path: str | os.PathLike[str]) -> pathlib.Path:
    """Returns the file of weights that a path or the name of packaged weights means.

    Raises:
      FileNotFoundError: If there is none.
    """
    packaged = PACKAGED / f"{path}.npz"
    found = packaged if packaged.is_file() else pathlib.Path(path)
    if not found.is_file():
        names = ", ".join(sorted(file.stem for file in PACKAGED.glob("*.npz")))
        raise FileNotFoundError(
            f"{str(path)!r} is no file of weights; expected an .npz, or one of those "
            f"that come with posejax: {names}."
        )
    return found


def _arrays(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Returns the arrays of a file by name."""
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:
        raise ValueError(f"{path} is no npz file ({error}).") from None
    if arrays.pop("description", None) is None:
        raise ValueError(
            f"{path} has no description; expected a file written by "
            "`posejax.importers.save_weights`."
        )
    return arrays


def _named(variables: tuple[Tree, Tree]) -> dict[str, Any]:
    """Returns the leaves of `(params, model_state)` by their place."""
    tree = dict(zip(PARTS, variables, strict=True))
    return {
        "/".join(str(key.key) for key in place): value
        for place, value in jax.tree.leaves_with_path(tree)
    }
