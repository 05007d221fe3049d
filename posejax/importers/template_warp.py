"""Published weights of the template_warp networks to our parameters, and back.

A state dict is what `read_torch_file` returns: names to arrays. Importing is strict:
one error names every missing, unused and wrongly shaped tensor. Counters of batches
(`num_batches_tracked`) are accepted and dropped.
"""

import math
import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from posejax.importers import name_maps
from posejax.importers.torch_state_dict import TorchFileError, read_torch_file
from posejax.models import reconstructor as reconstructor_module
from posejax.models import shape_template_regressor as old
from posejax.models import template_regressor as regressor_module
from posejax.models.network import Network


class Imported(NamedTuple):
    """The variables of one network.

    Attributes:
      params: Parameters, as `Network.init` lays them out.
      model_state: Running statistics.
      unused: Names of tensors that were left aside.
    """

    params: dict[str, Any]
    model_state: dict[str, Any]
    unused: tuple[str, ...] = ()


def _shapes(network: Network, *example: int) -> dict[str, Any]:
    image = jax.ShapeDtypeStruct(example, np.float32)
    params, state = jax.eval_shape(lambda: network.init(jax.random.key(0), image))
    return {"params": params, "batch_stats": state}


def _below(state_dict: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """Returns the entries whose name starts with `prefix`, without it."""
    return {
        name.removeprefix(prefix): values
        for name, values in state_dict.items()
        if name.startswith(prefix)
    }


def _axis(state_dict: Mapping[str, Any], name: str, axis: int, default: int) -> int:
    """Returns a length that the state dict itself tells, or the published one."""
    shape = np.shape(state_dict[name]) if name in state_dict else ()
    return shape[axis] if len(shape) > axis else default


def import_template_regressor(
    state_dict: Mapping[str, Any],
    *,
    prefix: str = "",
    num_outputs: int | None = None,
    image_size: int | None = None,
    features: tuple[int, ...] = regressor_module.FEATURES,
) -> Imported:
    """Converts the published regressor.

    Args:
      state_dict: Names to arrays.
      prefix: Only names that start so are looked at; it is cut off.
      num_outputs: Expected outputs (108 affine, 120 two_step, 62 constrained); None
        takes what the state dict has.
      image_size: Expected image side in pixels; None takes what the state dict has.
      features: Channels of the network.

    Returns:
      The variables.

    Raises:
      ValueError: Naming all missing, unused and wrongly shaped tensors.
    """
    tensors = _below(state_dict, prefix)
    head = f"layers.{2 * len(features) - 1}"
    channels = _axis(tensors, f"{head}.0.weight", 0, 256)
    hidden = _axis(tensors, f"{head}.4.weight", 0, 512)
    cells = _axis(tensors, f"{head}.4.weight", 1, 36 * channels) // channels
    found = 2 ** (len(features) - 1) * max(math.isqrt(cells) - 2, 1)
    side = found if image_size is None else image_size
    if num_outputs is None:
        num_outputs = _axis(tensors, f"{head}.7.bias", 0, 108)
    network = regressor_module.make_template_regressor(
        num_outputs=num_outputs,
        features=features,
        head_features=channels,
        hidden_features=hidden,
    )
    variables, unused = name_maps.convert(
        tensors,
        name_maps.template_regressor_entries(len(features), channels),
        _shapes(network, 2, side, side, 3),
        what=f"template regressor for {side} pixels and {num_outputs} outputs",
    )
    return Imported(variables["params"], variables["batch_stats"], unused)


def import_reconstructor(
    state_dict: Mapping[str, Any],
    *,
    prefix: str = "",
    in_channels: int = 21,
    features: tuple[int, ...] = reconstructor_module.FEATURES,
) -> Imported:
    """Converts the published translator.

    Args:
      state_dict: Names to arrays.
      prefix: Only names that start so are looked at; it is cut off.
      in_channels: Channels of the input.
      features: Channels of the network.

    Returns:
      The variables.

    Raises:
      ValueError: Naming all missing, unused and wrongly shaped tensors.
    """
    network = reconstructor_module.make_reconstructor(
        in_channels=in_channels, features=features
    )
    side = 2 ** len(features)
    variables, unused = name_maps.convert(
        _below(state_dict, prefix),
        name_maps.reconstructor_entries(len(features)),
        _shapes(network, 2, side, side, in_channels),
        what="reconstructor",
    )
    return Imported(variables["params"], variables["batch_stats"], unused)


def import_shape_template_regressor(
    state_dict: Mapping[str, Any], *, prefix: str = ""
) -> Imported:
    """Converts the older regressor; tensors of its other parts are left aside.

    Args:
      state_dict: Names to arrays.
      prefix: Only names that start so are looked at; it is cut off.

    Returns:
      The variables and the names of the tensors that were not used; they are logged.

    Raises:
      ValueError: Naming all missing and wrongly shaped tensors.
    """
    network = old.make_shape_template_regressor()
    variables, unused = name_maps.convert(
        _below(state_dict, prefix),
        name_maps.shape_template_regressor_entries(len(old.LAYERS), 256),
        _shapes(network, 2, old.SIDE, old.SIDE, 3 + old.NUM_PARTS),
        what="shape template regressor",
        ignore_unused=True,
    )
    if unused:
        logging.warning("Left aside from the state dict: %s", ", ".join(unused))
    return Imported(variables["params"], variables["batch_stats"], unused)


def export_template_regressor(params: Any, model_state: Any) -> dict[str, np.ndarray]:
    """Returns the state dict of a regressor, with the published names."""
    blocks = sum(name.startswith("layers_") for name in params)
    channels = np.shape(params["head_conv"]["bias"])[0]
    entries = name_maps.template_regressor_entries((blocks + 1) // 2, channels)
    return name_maps.export({"params": params, "batch_stats": model_state}, entries)


def export_reconstructor(params: Any, model_state: Any) -> dict[str, np.ndarray]:
    """Returns the state dict of a translator, with the published names."""
    entries = name_maps.reconstructor_entries((len(params) + 2) // 4)
    return name_maps.export({"params": params, "batch_stats": model_state}, entries)


def export_shape_template_regressor(
    params: Any, model_state: Any
) -> dict[str, np.ndarray]:
    """Returns the state dict of the older regressor, with the published names."""
    channels = np.shape(params["main_12"]["conv"]["bias"])[0]
    entries = name_maps.shape_template_regressor_entries(len(old.LAYERS), channels)
    return name_maps.export({"params": params, "batch_stats": model_state}, entries)


def import_template_warp(
    content: Mapping[str, Any],
    *,
    num_outputs: int | None = None,
    image_size: int | None = None,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Converts a published check point with both networks.

    Args:
      content: State dicts under `regressor` and `translator`; other entries (the
        optimiser) are left aside.
      num_outputs: Expected outputs of the regressor; None takes what is there.
      image_size: Expected image side; None takes what is there.

    Returns:
      `(params, batch_stats)`, each `{"regressor": tree, "translator": tree}`.

    Raises:
      ValueError: For a missing entry, or naming all tensors that do not fit.
    """
    _require_entries(content, ("regressor", "translator"))
    networks, faults = {}, []
    for name in ("regressor", "translator"):
        try:
            if name == "regressor":
                networks[name] = import_template_regressor(
                    content[name], num_outputs=num_outputs, image_size=image_size
                )
            else:
                networks[name] = import_reconstructor(content[name])
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise ValueError(" ".join(faults))
    params = {name: network.params for name, network in networks.items()}
    return params, {name: network.model_state for name, network in networks.items()}


def load_published_checkpoint(
    path: str | os.PathLike[str],
    *,
    num_outputs: int | None = None,
    image_size: int | None = None,
) -> dict[str, Any]:
    """Reads a published `.tar` with both networks.

    Args:
      path: A file of torch.save with the entries `regressor` and `translator`; its
        optimiser state is left aside.
      num_outputs: Expected outputs of the regressor; None takes what the file has.
      image_size: Expected image side; None takes what the file has.

    Returns:
      `{"params": {"regressor", "translator"}, "batch_stats": {the same}}`.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: For an unreadable file, a missing entry, or tensors that do not fit.
    """
    try:
        params, batch_stats = import_template_warp(
            read_torch_file(path), num_outputs=num_outputs, image_size=image_size
        )
    except TorchFileError:
        raise
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
    return {"params": params, "batch_stats": batch_stats}


def load_shape_template_checkpoint(path: str | os.PathLike[str]) -> Imported:
    """Reads the older published check point, entry `regressor_network`.

    Args:
      path: A file of torch.save.

    Returns:
      The variables of the older regressor.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: For an unreadable file, a missing entry, or tensors that do not fit.
    """
    content = read_torch_file(path)
    try:
        _require_entries(content, ("regressor_network",))
        return import_shape_template_regressor(content["regressor_network"])
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None


def _require_entries(content: Mapping[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if not isinstance(content.get(name), dict)]
    if missing:
        found = ", ".join(str(name) for name in list(content)[:8])
        raise ValueError(
            f"the check point has no state dict named {' and '.join(missing)}; it "
            f"holds {found or 'nothing'}. Expected a check point of this system."
        )
