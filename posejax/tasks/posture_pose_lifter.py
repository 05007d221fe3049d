"""The networks of posture_pose, and how they lift whole sequences.

Reference: Pavllo et al., CVPR 2019 (arXiv 1811.11742); Amadi and Agam, PosturePose,
Sensors 2023, 23(24), 9749.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from posejax import models
from posejax.checks import require_choice
from posejax.skeletons import H36M_17, Skeleton
from posejax.tasks.posture_pose_terms import Predicted
from posejax.tasks.posture_pose_windows import Sight, mirrored, pose_skeleton
from posejax.typing import Config, Tree

AUXILIARY_UNITS = {"none": 0, "trajectory": 3, "scale": 1}
FLIPS = ("none", "average", "right")


@dataclasses.dataclass(frozen=True)
class Lifter:
    """The networks of a configuration.

    Attributes:
      networks: 'pose', and 'auxiliary' where there is one.
      sight: What a training window sees.
      strided: Whether training uses the strided one-frame form.
      skeleton: Joint set of the poses.
    """

    networks: Mapping[str, models.TemporalModel]
    sight: Sight
    strided: bool
    skeleton: Skeleton = H36M_17

    def apply(
        self,
        params: Tree,
        stats: Tree,
        inputs: jax.Array,
        *,
        train: bool,
        key: jax.Array | None = None,
        momentum: Any = 0.1,
        weights: jax.Array | None = None,
    ) -> tuple[Predicted, Tree]:
        """Runs the networks: `(what they say, moved statistics)`."""
        keys = jax.random.split(key, 2) if key is not None else (None, None)
        outputs, moved = {}, {}
        for (name, network), one in zip(self.networks.items(), keys, strict=False):
            run = network.apply_strided if train and self.strided else network.apply
            outputs[name], moved[name] = run(
                params[name],
                stats[name],
                inputs,
                train=train,
                key=one,
                momentum=momentum,
                weights=weights,
            )
        pose = outputs["pose"]
        nothing = jnp.zeros((*pose.shape[:2], 1, 0), pose.dtype)
        return Predicted(pose, outputs.get("auxiliary", nothing)), moved


def make_lifter(config: Config) -> Lifter:
    """Returns the networks that `config` names.

    Raises:
      ValueError: naming the field, what was found and the legal values.
    """
    kind = require_choice("config.auxiliary", config.auxiliary, AUXILIARY_UNITS)
    skeleton = pose_skeleton(config)
    outputs = {"pose": (skeleton.num_joints, 3)}
    if AUXILIARY_UNITS[kind]:
        outputs["auxiliary"] = (1, AUXILIARY_UNITS[kind])
    numbers = config.model
    networks = {
        name: models.make_temporal_model(
            in_joints=numbers.in_joints,
            out_joints=joints,
            out_units=units,
            filter_widths=tuple(numbers.filter_widths),
            channels=numbers.channels,
            dropout=numbers.dropout,
            causal=numbers.causal,
            dense=numbers.dense,
            dtype=models.compute_dtype(config.compute_dtype),
        )
        for name, (joints, units) in outputs.items()
    }
    field = models.receptive_field(tuple(numbers.filter_widths))
    shift = models.causal_shift(tuple(numbers.filter_widths)) if numbers.causal else 0
    frames = config.data.chunk_length
    strided = frames == 1 and not numbers.dense
    return Lifter(networks, Sight(frames, field, shift), strided, skeleton)


def lift(
    lifter: Lifter,
    params: Tree,
    model_state: Tree,
    inputs: jax.Array,
    *,
    mirror: jax.Array | np.ndarray,
    flip: str = "average",
) -> Predicted:
    """Lifts whole sequences, with the mirror image as a second opinion.

    Args:
      lifter: The networks.
      params: Their parameters.
      model_state: Their running statistics.
      inputs: `(batch, frames + receptive field - 1, joints, 2)` normalised keypoints,
        end frames repeated.
      mirror: Keypoint that takes each place in a mirror.
      flip: 'none'; 'average' of both; or 'right': the right side of the mirror image
        serves as the left side, whose own prediction is dropped.

    Returns:
      Poses and roots (or scales) of `frames` frames.

    Reference:
      Pavllo et al. 2019, section 5 (average); Amadi and Agam 2023 (right).
    """

    def run(inputs: jax.Array) -> Predicted:
        stats = model_state["batch_stats"]
        return lifter.apply(params, stats, inputs, train=False)[0]

    plain = run(inputs)
    if flip == "none":
        return plain
    other = run(mirrored(inputs, jnp.asarray(mirror)))
    swapped = mirrored(other.pose, jnp.asarray(lifter.skeleton.mirror()))
    average = (plain.pose + swapped) / 2
    # A place has no left and right, only an x; a scale has neither.
    place = other.auxiliary
    if place.shape[-1] == 3:
        place = place * jnp.array([[[[-1.0, 1.0, 1.0]]]], place.dtype)
    auxiliary = (plain.auxiliary + place) / 2
    if flip == "average":
        return Predicted(average, auxiliary)
    left, right = (
        np.array(side) for side in zip(*lifter.skeleton.left_right, strict=True)
    )
    centre = np.setdiff1d(np.arange(lifter.skeleton.num_joints), [*left, *right])
    pose = swapped.at[..., centre, :].set(average[..., centre, :])
    pose = pose.at[..., right, :].set(plain.pose[..., right, :])
    return Predicted(pose, auxiliary)
