"""The data of template_warp: pairs of crops of one person before one background."""

from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from posejax.checks import require_at_least
from posejax.data import pipeline, source, transforms
from posejax.tasks.contract import Overlays
from posejax.templates import SKELETON_CHAINS
from posejax.typing import Batch, Config, Show, TaskData

COLUMNS = {
    "pdj": "PDJ@0.05 [%]",
    "normalized_l2": "norm. L2 [%]",
    "pdj_either_side": "PDJ either side [%]",
    "normalized_l2_either_side": "L2 either side [%]",
    "arms_out_normalized_l2": "L2 arms out [%]",
    "arms_down_normalized_l2": "L2 arms down [%]",
    "consistency": "consistency",
}

# Prepared sets of single crops: name to builder configurations.
DATA_SETS = {
    "human36m": ("crops", "crops_all"),
    "own_videos": ("crops",),
    "people_sample": ("crops", "tiny"),
}


def make_data(config: Config, data_dir: str) -> TaskData:
    """Opens the prepared data set that `config` names, for this process.

    Args:
      config: See `configs/bases/template_warp.py`.
      data_dir: Folder of the prepared data sets.

    Returns:
      The data; whether a training batch can be formed is asked when training starts.

    Raises:
      FileNotFoundError: the data set is not prepared.
      ValueError: a size that cannot be, or an evaluation batch that the processes
        cannot share.
    """
    require_at_least("config.image_size", config.image_size, 1)
    require_at_least("config.evaluation.batch_size", config.evaluation.batch_size, 1)
    opened = pipeline.template_pairs_data(
        data_dir,
        config.data.name,
        config=config.data.config,
        pairing=config.data.pairing,
        image_size=config.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        evaluation_batch_size=config.evaluation.batch_size,
        reading=pipeline.Reading(
            num_workers=config.data.num_workers,
            process_index=jax.process_index(),
            process_count=jax.process_count(),
        ),
    )

    def train(step: int) -> Iterator[Batch]:
        _require_training(config, jax.device_count())
        return opened.train(step)

    return TaskData(
        train=train,
        splits=opened.splits,
        steps_per_epoch=opened.steps_per_epoch,
        description=opened.description,
        statistics=lambda show=iter: mean_pose(config, data_dir, show=show),
    )


def _require_training(config: Config, num_devices: int) -> None:
    """Refuses a length of zero, and a batch that is small or cannot be shared."""
    if not (config.num_steps or config.num_epochs):
        raise ValueError(
            "config.num_steps and config.num_epochs are both 0; give one of them."
        )
    require_at_least("config.batch_size", config.batch_size, 2)
    if config.batch_size % num_devices:
        split = " that config.loop.cpu_devices makes of the CPU"
        raise ValueError(
            f"config.batch_size is {config.batch_size}; expected a multiple of the "
            f"{num_devices} devices{split if config.loop.cpu_devices else ''}."
        )


def mean_pose(
    config: Config, data_dir: str, *, show: Show = iter
) -> Mapping[str, np.ndarray]:
    """Returns the mean training pose, in units of the crop's side, if labelled."""
    frames = source.open_source(
        data_dir, config.data.name, config=config.data.config, split="train"
    )
    total, count = np.zeros((15, 2)), np.zeros((15, 1))
    for i in show(range(len(frames))):
        record = frames[i]
        joints, valid = transforms.template_joints(
            record["pose_2d"], record["pose_valid"], record["crop_matrix"]
        )
        total += np.where(valid[:, None], joints, 0.0)
        count += valid[:, None]
    if not count.all():
        return {}
    return {"mean_joints": total / count / frames.metadata["crop_size"]}


def overlays(predictions: Any, batch: Batch) -> Overlays:
    """Returns predicted and true joints with the frames they belong to."""
    return Overlays(
        images=np.asarray(batch["frame_1"]),
        predicted=np.asarray(predictions.joints, np.float64),
        target=np.asarray(batch["joints"], np.float64),
        valid=np.asarray(batch["joint_valid"]),
        chains=SKELETON_CHAINS,
    )


def note(config: Config) -> str:
    """Returns what a reader of the figures must know of the configuration, or ''."""
    if config.vgg.weights == "random":
        return "perceptual loss with fixed-seed random features, not VGG-19's"
    return ""
