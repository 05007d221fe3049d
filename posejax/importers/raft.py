"""Published weights of RAFT to our parameters, and back.

The names tell whether a state dict is that of the large or of the small network.
Importing is strict: one error names every missing, unused and wrongly shaped tensor.
Counters of batches (`num_batches_tracked`) are accepted and dropped. The norm of a
strided block of the large context encoder stands under two names, `norm3` and
`downsample.1`; where they differ, `downsample.1` counts, which is what PyTorch loads
last; where only one is there, it is both.
"""

import os
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from posejax.checks import require_choice
from posejax.importers.name_maps import (
    Entry,
    conv_entries,
    convert,
    export,
    norm_entries,
)
from posejax.importers.torch_state_dict import read_torch_file
from posejax.models.raft import raft_network

VARIANTS = ("large", "small")


class ImportedRaft(NamedTuple):
    """The variables of a RAFT network.

    Attributes:
      params: Parameters, as `RaftNetwork.init` lays them out.
      model_state: Running statistics; empty for the small network.
      variant: 'large' or 'small'; `raft_network(variant)` takes the variables.
    """

    params: dict[str, Any]
    model_state: dict[str, Any]
    variant: str


def raft_entries(variant: str) -> tuple[Entry, ...]:
    """Returns the map of a RAFT network, in the order of the published state dict.

    Args:
      variant: 'large' or 'small'.

    Raises:
      ValueError: For another variant.
    """
    is_large = require_choice("variant", variant, VARIANTS) == "large"
    entries = _encoder_entries("fnet", is_large, has_norm=False)
    entries += _encoder_entries("cnet", is_large, has_norm=is_large)
    names = {
        "encoder.convc1": ("motion", "correlation_0"),
        "encoder.convf1": ("motion", "flow_0"),
        "encoder.convf2": ("motion", "flow_1"),
        "encoder.conv": ("motion", "both"),
    }
    passes = ("",)
    if is_large:
        names["encoder.convc2"] = ("motion", "correlation_1")
        names |= {"mask.0": ("mask", "hidden"), "mask.2": ("mask", "output")}
        passes = ("1", "2")
    for suffix in passes:
        names |= {f"gru.conv{k}{suffix}": ("gru", k + suffix) for k in "zrq"}
    names["flow_head.conv1"] = ("flow_head", "hidden")
    names["flow_head.conv2"] = ("flow_head", "output")
    for name, path in names.items():
        entries += conv_entries(f"update_block.{name}", "update", *path)
    return entries


def _encoder_entries(
    encoder: str, is_large: bool, *, has_norm: bool
) -> tuple[Entry, ...]:
    units = 2 if is_large else 3
    entries = conv_entries(f"{encoder}.conv1", encoder, "stem")
    if has_norm:
        entries += norm_entries(f"{encoder}.norm1", encoder, "stem", "norm")
    for block in ("1.0", "1.1", "2.0", "2.1", "3.0", "3.1"):
        name = f"{encoder}.layer{block}"
        path = (encoder, f"layer_{block.replace('.', '_')}")
        for k in range(units):
            unit = (*path, f"unit_{k}")
            entries += conv_entries(f"{name}.conv{k + 1}", *unit)
            if has_norm:
                entries += norm_entries(f"{name}.norm{k + 1}", *unit, "norm")
        if block in ("2.0", "3.0"):
            unit = (*path, "projection")
            entries += conv_entries(f"{name}.downsample.0", *unit)
            if has_norm:  # one tensor under two names; the later entry counts
                norm = (*unit, "norm")
                entries += norm_entries(f"{name}.norm{units + 1}", *norm)
                entries += norm_entries(f"{name}.downsample.1", *norm)
    return (*entries, *conv_entries(f"{encoder}.conv2", encoder, "output"))


def import_raft(
    state_dict: Mapping[str, Any], *, variant: str | None = None
) -> ImportedRaft:
    """Converts a state dict.

    Args:
      state_dict: Names to arrays; `module.` before every name is cut off.
      variant: Expected network; None takes the one whose names the state dict has.

    Returns:
      Variables and variant.

    Raises:
      ValueError: If the names are those of neither network or not of the expected one;
        or naming all missing, unused and wrongly shaped tensors.
    """
    tensors = dict(state_dict)
    if all(name.startswith("module.") for name in state_dict):
        tensors = {name.removeprefix("module."): x for name, x in state_dict.items()}
    found = _variant(tensors)
    if variant is not None and require_choice("variant", variant, VARIANTS) != found:
        raise ValueError(
            f"state_dict holds the {found} RAFT network, expected the {variant}: "
            "change variant, or take another file."
        )
    entries = raft_entries(found)
    _share_norms(tensors, entries)
    network = raft_network(found)
    params, state = jax.eval_shape(lambda: network.init(jax.random.key(0)))
    variables, _ = convert(
        tensors,
        entries,
        {"params": params, "batch_stats": state},
        what=f"{found} RAFT network",
        check="variant and the file",
    )
    return ImportedRaft(variables["params"], variables["batch_stats"], found)


def _variant(tensors: Mapping[str, Any]) -> str:
    """Returns the network that shares most names that the other does not have."""
    names = {v: {entry.name for entry in raft_entries(v)} for v in VARIANTS}
    large = len((names["large"] - names["small"]) & tensors.keys())
    small = len((names["small"] - names["large"]) & tensors.keys())
    if large == small:
        found = ", ".join(str(name) for name in list(tensors)[:8]) or "nothing"
        raise ValueError(
            f"state_dict holds {found}; expected the tensors of a RAFT network, of "
            "which update_block.gru.convz1.weight (large) or "
            "update_block.gru.convz.weight (small) is one: take another file."
        )
    return "large" if large > small else "small"


def _share_norms(tensors: dict[str, Any], entries: tuple[Entry, ...]) -> None:
    """Gives a norm of which one name is missing both names."""
    names: dict[Any, list[str]] = {}
    for entry in entries:
        names.setdefault((entry.collection, entry.path), []).append(entry.name)
    for group in names.values():
        there = [name for name in group if name in tensors]
        for name in set(group) - set(there):
            if there:
                tensors[name] = tensors[there[0]]


def export_raft(
    params: Mapping[str, Any], model_state: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Returns the state dict of a RAFT network.

    Args:
      params: Parameters.
      model_state: Running statistics.

    Returns:
      Names to arrays; a shared norm under both of its names, counters of batches zero.
    """
    variant = "large" if "mask" in params["update"] else "small"
    variables = {"params": params, "batch_stats": model_state}
    return export(variables, raft_entries(variant))


def load_raft_checkpoint(
    path: str | os.PathLike[str], *, variant: str | None = None
) -> ImportedRaft:
    """Reads a published check point (`.pth`).

    Args:
      path: A file of torch.save.
      variant: Expected network; None takes the one whose names the file has.

    Returns:
      Variables and variant.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: For an unreadable file, and as `import_raft`.
    """
    content = read_torch_file(path)
    try:
        return import_raft(content, variant=variant)
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
