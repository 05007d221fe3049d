"""Which tensor of a published state dict is which of our parameters.

A map is a tuple of `Entry`. PyTorch keeps convolutions as (out, in, rows, columns),
those over time as (out, in, taps) and linear layers as (out, in); here they are
(rows, columns, in, out), (taps, in, out) and (in, out). A linear layer behind a
flattened image also needs its inputs in another order: PyTorch flattens channels first,
we flatten channels last.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from flax import traverse_util

Path = tuple[str, ...]


class Entry(NamedTuple):
    """One tensor.

    Attributes:
      name: Its name in the state dict.
      collection: "params" or "batch_stats".
      path: Where it lives in our tree.
      layout: "same", "conv", "linear", "flat" (linear behind a flattened image), "taps"
        (convolution over time), or "pointwise" (one of a single tap that is a linear
        layer here).
      channels: Channels of the flattened image, for "flat".
    """

    name: str
    collection: str
    path: Path
    layout: str
    channels: int = 1


def conv_entries(name: str, *path: str) -> tuple[Entry, ...]:
    """Returns the entries of a convolution called `name`."""
    return (
        Entry(f"{name}.weight", "params", (*path, "kernel"), "conv"),
        Entry(f"{name}.bias", "params", (*path, "bias"), "same"),
    )


def linear_entries(name: str, *path: str, channels: int = 0) -> tuple[Entry, ...]:
    """Returns the entries of a linear layer; `channels` of the image it flattens."""
    layout = "flat" if channels else "linear"
    return (
        Entry(f"{name}.weight", "params", (*path, "kernel"), layout, channels),
        Entry(f"{name}.bias", "params", (*path, "bias"), "same"),
    )


def norm_entries(name: str, *path: str) -> tuple[Entry, ...]:
    """Returns the entries of a batch norm."""
    return (
        Entry(f"{name}.weight", "params", (*path, "scale"), "same"),
        Entry(f"{name}.bias", "params", (*path, "bias"), "same"),
        Entry(f"{name}.running_mean", "batch_stats", (*path, "mean"), "same"),
        Entry(f"{name}.running_var", "batch_stats", (*path, "var"), "same"),
    )


def template_regressor_entries(
    num_features: int, head_features: int
) -> tuple[Entry, ...]:
    """Returns the map of the template regressor with `num_features` widths."""
    entries: tuple[Entry, ...] = ()
    for k in range(2 * num_features - 1):
        entries += conv_entries(f"layers.{k}.0", f"layers_{k}", "conv")
        entries += norm_entries(f"layers.{k}.1", f"layers_{k}", "norm")
    head = f"layers.{2 * num_features - 1}"
    return (
        *entries,
        *conv_entries(f"{head}.0", "head_conv"),
        *norm_entries(f"{head}.1", "head_norm"),
        *linear_entries(f"{head}.4", "hidden", "linear", channels=head_features),
        *norm_entries(f"{head}.5", "hidden", "norm"),
        *linear_entries(f"{head}.7", "output"),
    )


def reconstructor_entries(num_features: int) -> tuple[Entry, ...]:
    """Returns the map of the translator with `num_features` widths."""
    entries: tuple[Entry, ...] = ()
    last = 4 * num_features - 3
    for k in range(last):
        # In a block that doubles the image, the doubling is the first of its layers.
        first = 1 if k >= 2 * num_features and k % 2 == 0 else 0
        entries += conv_entries(f"layers.{k}.{first}", f"layers_{k}", "conv")
        entries += norm_entries(f"layers.{k}.{first + 1}", f"layers_{k}", "norm")
    return (*entries, *conv_entries(f"layers.{last}", f"layers_{last}"))


def shape_template_regressor_entries(
    num_layers: int, channels: int
) -> tuple[Entry, ...]:
    """Returns the map of the older regressor; `channels` enter its linear layer."""
    entries: tuple[Entry, ...] = ()
    for k in range(num_layers):
        entries += conv_entries(f"main.{3 * k}", f"main_{k}", "conv")
        entries += norm_entries(f"main.{3 * k + 1}", f"main_{k}", "norm")
    for k in range(2):
        entries += conv_entries(f"depth_branch.{3 * k}", f"depth_{k}", "conv")
        entries += norm_entries(f"depth_branch.{3 * k + 1}", f"depth_{k}", "norm")
    return (
        *entries,
        *conv_entries("depth_branch.6", "depth_output"),
        *linear_entries("param_branch.1", "hidden", "linear", channels=channels),
        *norm_entries("param_branch.2", "hidden", "norm"),
        *linear_entries("param_branch.4", "output"),
    )


def temporal_model_entries(num_blocks: int) -> tuple[Entry, ...]:
    """Returns the map of the temporal model with `num_blocks` residual blocks."""
    kernel = Entry("expand_conv.weight", "params", ("expand_conv", "kernel"), "taps")
    entries = (kernel, *norm_entries("expand_bn", "expand_bn"))
    for k in range(2 * num_blocks):
        name, path = f"layers_conv.{k}.weight", (f"layers_conv_{k}", "kernel")
        entries += (Entry(name, "params", path, "taps"),)
        entries += norm_entries(f"layers_bn.{k}", f"layers_bn_{k}")
    return (
        *entries,
        Entry("shrink.weight", "params", ("shrink", "kernel"), "pointwise"),
        Entry("shrink.bias", "params", ("shrink", "bias"), "same"),
    )


def vgg_entries(layers: tuple[str, ...]) -> tuple[Entry, ...]:
    """Returns the map of the first layers of torchvision's VGG-19."""
    entries: tuple[Entry, ...] = ()
    for index, name in zip((0, 2, 5, 7, 10, 12), layers, strict=True):
        entries += conv_entries(f"features.{index}", name)
    return entries


def to_ours(values: np.ndarray, entry: Entry) -> np.ndarray:
    """Returns a tensor of a state dict in our layout."""
    match entry.layout:
        case "conv":
            return values.transpose(2, 3, 1, 0)
        case "linear" | "taps":
            return values.T
        case "pointwise":
            return values[:, :, 0].T
        case "flat":
            side = math.isqrt(values.shape[1] // entry.channels)
            cells = values.reshape(-1, entry.channels, side, side)
            return cells.transpose(2, 3, 1, 0).reshape(values.shape[1], -1)
        case _:
            return values


def to_torch(values: np.ndarray, entry: Entry) -> np.ndarray:
    """Returns one of our arrays in PyTorch's layout."""
    match entry.layout:
        case "conv":
            return values.transpose(3, 2, 0, 1)
        case "linear" | "taps":
            return values.T
        case "pointwise":
            return values.T[:, :, None]
        case "flat":
            side = math.isqrt(values.shape[0] // entry.channels)
            cells = values.reshape(side, side, entry.channels, -1)
            return cells.transpose(3, 2, 0, 1).reshape(-1, values.shape[0])
        case _:
            return values


def torch_shape(shape: tuple[int, ...], entry: Entry) -> tuple[int, ...]:
    """Returns the shape in PyTorch's layout of our array of shape `shape`."""
    if entry.layout == "conv":
        return (shape[3], shape[2], shape[0], shape[1])
    if entry.layout == "pointwise":
        return (*shape[::-1], 1)
    return shape[::-1] if entry.layout in ("linear", "flat", "taps") else shape


def convert(
    state_dict: Mapping[str, Any],
    entries: tuple[Entry, ...],
    shapes: Mapping[str, Any],
    *,
    what: str,
    check: str = "the scheme, the image size and the features",
    ignore_unused: bool = False,
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Converts a state dict, strictly.

    Args:
      state_dict: Names to arrays.
      entries: The map of the network.
      shapes: `{"params": tree, "batch_stats": tree}` of anything with a `shape`.
      what: Name of the network, for the error.
      check: What the user is to check, for the error.
      ignore_unused: True accepts tensors that the network has no place for.

    Returns:
      `{"params": tree, "batch_stats": tree}` of float arrays (float64 stays, everything
      else becomes float32), and the names of the unused tensors.

    Raises:
      ValueError: Naming all missing, unused and wrongly shaped tensors.
    """
    trees: dict[str, dict[Path, np.ndarray]] = {"params": {}, "batch_stats": {}}
    flat: dict[str, Any] = {
        kind: traverse_util.flatten_dict(shapes.get(kind, {})) for kind in trees
    }
    faults = []
    for entry in entries:
        wanted = torch_shape(tuple(flat[entry.collection][entry.path].shape), entry)
        if entry.name not in state_dict:
            faults.append(f"{entry.name} is missing")
            continue
        values = np.asarray(state_dict[entry.name])
        if values.shape != wanted:
            faults.append(f"{entry.name} has shape {values.shape}, not {wanted}")
            continue
        if values.dtype != np.float64:
            values = values.astype(np.float32)
        ours = np.ascontiguousarray(to_ours(values, entry))
        trees[entry.collection][entry.path] = ours
    known = {entry.name for entry in entries}
    unused = tuple(
        name
        for name in state_dict
        if name not in known and not name.endswith(".num_batches_tracked")
    )
    if not ignore_unused:
        faults += [f"{name} is unused" for name in unused]
    if faults:
        raise ValueError(
            f"state_dict does not fit the {what} ({len(faults)} tensors): "
            f"{'; '.join(faults)}. Check {check}."
        )
    nested = {k: traverse_util.unflatten_dict(tree) for k, tree in trees.items()}
    return nested, unused


def export(
    variables: Mapping[str, Any], entries: tuple[Entry, ...]
) -> dict[str, np.ndarray]:
    """Returns the state dict of `{"params": tree, "batch_stats": tree}`."""
    flat = {kind: traverse_util.flatten_dict(tree) for kind, tree in variables.items()}
    state_dict = {}
    for entry in entries:
        values = np.asarray(flat[entry.collection][entry.path])
        state_dict[entry.name] = np.ascontiguousarray(to_torch(values, entry))
        if entry.name.endswith(".running_var"):
            counter = entry.name.replace("running_var", "num_batches_tracked")
            state_dict[counter] = np.zeros((), np.int64)
    return state_dict
