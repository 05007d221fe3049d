"""Published weights of temporal convolution models to our parameters, and back.

Such a check point holds the pose model and, after semi-supervised training, a second
model of the same widths for the trajectory or the scale. Its other entries (optimiser,
learning rate, epoch, random states) are not looked at. Importing is strict: one error
names every missing, unused and wrongly shaped tensor. Counters of batches
(`num_batches_tracked`) are accepted and dropped.
"""

import math
import os
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from posejax.importers import name_maps
from posejax.importers.torch_state_dict import read_torch_file
from posejax.models import temporal_conv

POSE_ENTRIES = ("model_pos", "model_pose")
AUXILIARY_ENTRIES = ("model_traj", "model_auxi")


class TemporalArchitecture(NamedTuple):
    """The sizes of a temporal model, by the names of `make_temporal_model`.

    Attributes:
      in_joints: Keypoints of the input.
      in_channels: Values per keypoint.
      out_joints: Joints of the output.
      out_units: Values per joint of the output.
      filter_widths: Width of the first convolution and of each block.
      channels: Features of the hidden layers.
      dense: Whether the kernels are dense.
    """

    in_joints: int
    in_channels: int
    out_joints: int
    out_units: int
    filter_widths: tuple[int, ...]
    channels: int
    dense: bool


class ImportedTemporalModel(NamedTuple):
    """The variables of one temporal model.

    Attributes:
      params: Parameters, as `TemporalModel.init` lays them out.
      model_state: Running statistics.
      architecture: The sizes; `make_temporal_model(**architecture._asdict())` takes the
        variables. Whether a model is causal is not written in its weights.
    """

    params: dict[str, Any]
    model_state: dict[str, Any]
    architecture: TemporalArchitecture


class ImportedTemporalCheckpoint(NamedTuple):
    """The models of one check point.

    Attributes:
      pose: The model of the root-relative pose.
      auxiliary: The model of the trajectory (1 joint of 3 units) or of the scale (1
        joint of 1 unit); None where the check point has none.
    """

    pose: ImportedTemporalModel
    auxiliary: ImportedTemporalModel | None


def import_temporal_model(
    state_dict: Mapping[str, Any],
    *,
    filter_widths: tuple[int, ...] | None = None,
    channels: int | None = None,
    in_channels: int = 2,
    out_units: int | None = None,
    dense: bool = False,
) -> ImportedTemporalModel:
    """Converts the state dict of one model; its shapes tell the sizes.

    Args:
      state_dict: Names to arrays; `module.` before every name is cut off.
      filter_widths: Expected widths; None takes what the state dict has.
      channels: Expected features; None takes what the state dict has.
      in_channels: Values per keypoint of the input.
      out_units: Values per joint of the output; None takes 1 for a single output (a
        scale) and else 3.
      dense: True for a model of dense kernels, whose shapes alone could also be those
        of a dilated model of other widths.

    Returns:
      Variables and sizes.

    Raises:
      ValueError: If the sizes are not the expected ones; or naming all missing, unused
        and wrongly shaped tensors.
    """
    tensors = _without_module(state_dict)
    found = _filter_widths(tensors, filter_widths, dense=dense)
    if filter_widths is not None and found != tuple(filter_widths):
        raise ValueError(
            f"state_dict holds a temporal model of filter_widths {found}, expected "
            f"{tuple(filter_widths)}: change filter_widths, or take another file."
        )
    features, joint_values, _ = _shape(tensors, "expand_conv.weight", (1024, 34, 3))
    if channels is not None and features != channels:
        raise ValueError(
            f"state_dict holds a temporal model of {features} channels, expected "
            f"{channels}: change channels, or take another file."
        )
    (outputs,) = _shape(tensors, "shrink.bias", (51,))
    units = (1 if outputs == 1 else 3) if out_units is None else out_units
    for name, length, size in (
        ("expand_conv.weight", joint_values, in_channels),
        ("shrink.bias", outputs, units),
    ):
        if length % size:
            raise ValueError(
                f"state_dict has {name} for {length} values, which are no joints of "
                f"{size}: change {'in_channels' if 'expand' in name else 'out_units'}."
            )
    architecture = TemporalArchitecture(
        joint_values // in_channels,
        in_channels,
        outputs // units,
        units,
        found,
        features,
        dense,
    )
    return _converted(tensors, architecture)


def _converted(
    tensors: Mapping[str, Any], architecture: TemporalArchitecture
) -> ImportedTemporalModel:
    model = temporal_conv.make_temporal_model(**architecture._asdict())
    widths, joints = architecture.filter_widths, architecture.in_joints
    example = jax.ShapeDtypeStruct(
        (2, math.prod(widths), joints, architecture.in_channels), np.float32
    )
    params, state = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    variables, _ = name_maps.convert(
        tensors,
        name_maps.temporal_model_entries(len(widths) - 1),
        {"params": params, "batch_stats": state},
        what=f"temporal model of filter_widths {widths} and {architecture.channels} "
        "channels",
        check="filter_widths, channels, in_channels and dense",
    )
    return ImportedTemporalModel(
        variables["params"], variables["batch_stats"], architecture
    )


def _without_module(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """Cuts off what a data-parallel wrapper puts before every name."""
    if all(name.startswith("module.") for name in state_dict):
        return {
            name.removeprefix("module."): values for name, values in state_dict.items()
        }
    return dict(state_dict)


def _shape(
    tensors: Mapping[str, Any], name: str, default: tuple[int, ...]
) -> tuple[int, ...]:
    """Returns the shape of a tensor, or the published one if it is missing or wrong."""
    shape = np.shape(tensors[name]) if name in tensors else ()
    fits = len(shape) == len(default) and 0 not in shape
    return shape if fits else default


def _filter_widths(
    tensors: Mapping[str, Any], expected: tuple[int, ...] | None, *, dense: bool
) -> tuple[int, ...]:
    """Returns the widths that the kernels tell; a missing one is the expected one."""
    counts = [
        sum(re.fullmatch(pattern, name) is not None for name in tensors)
        for pattern in (r"layers_conv\.\d+\.weight", r"layers_bn\.\d+\.weight")
    ]
    blocks = (max(counts) + 1) // 2
    expected = ((expected or ()) + (3,) * (blocks + 1))[: blocks + 1]
    names = ["expand_conv.weight"]
    names += [f"layers_conv.{2 * i}.weight" for i in range(blocks)]
    widths: list[int] = []
    for name, width in zip(names, expected, strict=True):
        field = math.prod(widths) if dense else 1
        *_, taps = _shape(tensors, name, (1, 1, (width - 1) * field + 1))
        if taps % 2 == 0 or (taps - 1) % field:
            kind = f"dense kernel behind widths {tuple(widths)}" if dense else "kernel"
            raise ValueError(
                f"state_dict has {name} with {taps} taps, which is no {kind} of an odd "
                "width: change dense, or take another file."
            )
        widths.append((taps - 1) // field + 1)
    return tuple(widths)


def export_temporal_model(
    params: Mapping[str, Any], model_state: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """Returns the state dict of a temporal model.

    Args:
      params: Parameters.
      model_state: Running statistics.

    Returns:
      Names to arrays, counters of batches zero.
    """
    layers = sum(name.startswith("layers_conv_") for name in params)
    entries = name_maps.temporal_model_entries(layers // 2)
    variables = {"params": params, "batch_stats": model_state}
    return name_maps.export(variables, entries)


def import_temporal_checkpoint(
    content: Mapping[str, Any],
    *,
    filter_widths: tuple[int, ...] | None = None,
    channels: int | None = None,
    in_channels: int = 2,
    dense: bool = False,
) -> ImportedTemporalCheckpoint:
    """Converts the models of a check point; its other entries are not looked at.

    Args:
      content: The check point: the pose model under `model_pos` or `model_pose`; the
        model of trajectory or scale, if there is one, under `model_traj` or
        `model_auxi`.
      filter_widths: Expected widths of both; None takes what the check point has.
      channels: Expected features of both; None takes what the check point has.
      in_channels: Values per keypoint of the input.
      dense: True for models of dense kernels.

    Returns:
      The models.

    Raises:
      ValueError: If there is no pose model; if the sizes are not the expected ones; or
        naming all missing, unused and wrongly shaped tensors of both models.
    """
    pose = [name for name in POSE_ENTRIES if isinstance(content.get(name), Mapping)]
    other = [n for n in AUXILIARY_ENTRIES if isinstance(content.get(n), Mapping)]
    if len(pose) != 1 or len(other) > 1:
        found = ", ".join(str(name) for name in list(content)[:8]) or "nothing"
        raise ValueError(
            f"the check point holds {found}; expected one state dict named "
            f"{' or '.join(POSE_ENTRIES)} and at most one named "
            f"{' or '.join(AUXILIARY_ENTRIES)}."
        )
    models, faults = [], []
    for name in pose + other:
        try:
            model = import_temporal_model(
                content[name],
                filter_widths=filter_widths,
                channels=channels,
                in_channels=in_channels,
                dense=dense,
            )
            if name in other and model.architecture.out_joints != 1:
                joints = model.architecture.out_joints
                raise ValueError(
                    f"it has {joints} joints; expected 1, of a trajectory or a scale."
                )
            models.append(model)
        except ValueError as error:
            faults.append(f"{name}: {error}")
    if faults:
        raise ValueError(" ".join(faults))
    return ImportedTemporalCheckpoint(models[0], models[1] if other else None)


def load_temporal_checkpoint(
    path: str | os.PathLike[str],
    *,
    filter_widths: tuple[int, ...] | None = None,
    channels: int | None = None,
    in_channels: int = 2,
    dense: bool = False,
) -> ImportedTemporalCheckpoint:
    """Reads a published check point (`.bin`).

    Args:
      path: A file of torch.save.
      filter_widths: Expected widths; None takes what the check point has.
      channels: Expected features; None takes what the check point has.
      in_channels: Values per keypoint of the input.
      dense: True for models of dense kernels.

    Returns:
      The models.

    Raises:
      FileNotFoundError: If there is no such file.
      ValueError: For an unreadable file, and as `import_temporal_checkpoint`.
    """
    content = read_torch_file(path)
    try:
        return import_temporal_checkpoint(
            content,
            filter_widths=filter_widths,
            channels=channels,
            in_channels=in_channels,
            dense=dense,
        )
    except ValueError as error:
        raise ValueError(f"{os.fspath(path)}: {error}") from None
