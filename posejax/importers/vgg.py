"""torchvision's VGG-19 to the features of the perceptual loss, and their npz file."""

import os
import zipfile
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from posejax.importers import name_maps
from posejax.models import vgg

VGG_URL = "https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


def import_vgg(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Converts torchvision's VGG-19 up to conv3_2; the rest is left aside.

    Args:
      state_dict: Names (`features.0.weight`, ...) to arrays.

    Returns:
      Parameters for `models.vgg_features`.

    Raises:
      ValueError: Naming all missing and wrongly shaped tensors.
    """
    variables, _ = name_maps.convert(
        state_dict,
        name_maps.vgg_entries(vgg.LAYERS),
        {"params": jax.eval_shape(vgg.random_vgg_params)},
        what="VGG-19 features",
        ignore_unused=True,
    )
    return variables["params"]


def save_vgg_npz(path: str | os.PathLike[str], params: Mapping[str, Any]) -> None:
    """Writes VGG parameters, whole or not at all.

    Args:
      path: The npz file; an existing one is replaced.
      params: As from `import_vgg`.
    """
    arrays = {
        f"{layer}/{kind}": np.asarray(values, np.float32)
        for layer, entry in params.items()
        for kind, values in entry.items()
    }
    path = os.fspath(path)
    part = f"{path}.{os.getpid()}.part"
    with open(part, "wb") as file:
        np.savez(file, **arrays)  # pyright: ignore[reportArgumentType]  names are keys
    os.replace(part, path)


def load_vgg_npz(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Reads VGG parameters.

    Args:
      path: A file of `save_vgg_npz`.

    Returns:
      Parameters for `models.vgg_features`.

    Raises:
      FileNotFoundError: If there is no such file; the message says where to get it.
      ValueError: For a damaged file or one with other arrays.
    """
    path = os.fspath(path)
    if not os.path.isfile(path):
        raise FileNotFoundError(
            f"VGG weights {path} are not there; download {VGG_URL} and convert it: "
            f"python -m posejax.main --mode import_weights --input "
            f"{VGG_URL.rpartition('/')[2]} (with the --data_dir of the run, if any)."
        )
    try:
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in arrays.files}
    except (OSError, ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        reason = " ".join(str(error).split())
        raise ValueError(
            f"VGG weights {path} cannot be read ({reason}); convert {VGG_URL} again."
        ) from None
    wanted = jax.eval_shape(vgg.random_vgg_params)
    shapes = {
        f"{layer}/{kind}": spec.shape
        for layer, entry in wanted.items()
        for kind, spec in entry.items()
    }
    faults = [f"{name} is unused" for name in found if name not in shapes]
    for name, shape in shapes.items():
        if name not in found:
            faults.append(f"{name} is missing")
        elif found[name].shape != shape:
            faults.append(f"{name} has shape {found[name].shape}, not {shape}")
    if faults:
        raise ValueError(
            f"VGG weights {path} do not fit VGG-19 ({'; '.join(faults)}); convert "
            f"{VGG_URL} again."
        )
    return {
        layer: {kind: found[f"{layer}/{kind}"] for kind in entry}
        for layer, entry in wanted.items()
    }
