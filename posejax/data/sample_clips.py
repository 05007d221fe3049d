"""Clips of the drawn people, with faulty estimates of poses that are known exactly."""

import numpy as np

from posejax.data.clips import Clip, ClipTruth
from posejax.data.degraded_estimates import Faults, degraded_estimates
from posejax.data.h36m_lsp import centred_on_hips, lsp_joints
from posejax.data.source import Folder, Source, open_source
from posejax.data.transforms import decode_image


def sample_clip_names(data_dir: str, *, config: str, split: str) -> tuple[str, ...]:
    """Returns the names of the clips of the people sample.

    Args:
      data_dir: Directory that holds prepared data sets.
      config: `frames` or `tiny_frames`.
      split: `train` or `test`.

    Raises:
      FileNotFoundError: If the sample is not prepared.
      ValueError: If there is no such split.
    """
    frames = open_source(data_dir, "people_sample", config=config, split=split)
    return tuple(folder.name for folder in frames.folders)


def sample_clip(
    data_dir: str,
    name: str,
    *,
    config: str,
    split: str,
    every: int,
    faults: Faults,
    seed: int,
) -> Clip:
    """Returns a clip of the people sample.

    Args:
      data_dir: Directory that holds prepared data sets.
      name: One of `sample_clip_names`.
      config: `frames` or `tiny_frames`.
      split: `train` or `test`.
      every: Every how manieth frame is used. With 1, the true flow is known.
      faults: How wrong the estimates are.
      seed: Of the faults; each clip has its own.

    Raises:
      FileNotFoundError: If the sample is not prepared.
      ValueError: If there is no such split.
    """
    frames = open_source(data_dir, "people_sample", config=config, split=split)
    names = [folder.name for folder in frames.folders]
    number = names.index(name)
    rng = np.random.default_rng([seed, number])
    return _clip(frames, frames.folders[number], every=every, faults=faults, rng=rng)


def _clip(
    frames: Source,
    folder: Folder,
    *,
    every: int,
    faults: Faults,
    rng: np.random.Generator,
) -> Clip:
    records = [
        frames[index]
        for index in range(folder.start, folder.start + folder.count, every)
    ]
    images = np.stack([decode_image(record["image"]) for record in records])
    joints = lsp_joints(np.stack([record["pose_2d"] for record in records]))
    space = lsp_joints(np.stack([record["pose_3d_camera"] for record in records]))
    pose = centred_on_hips(space)
    height = images.shape[1]
    estimates = degraded_estimates(pose, joints, height=height, faults=faults, rng=rng)
    flow = np.stack([record["flow"] for record in records[:-1]]) if every == 1 else None
    truth = ClipTruth(
        pose.astype(np.float32),
        joints.astype(np.float32),
        np.ones(joints.shape[:2], bool),
        flow,
    )
    fps = float(records[0]["fps"]) / every
    return Clip(folder.name, images, fps, *estimates, truth=truth)
