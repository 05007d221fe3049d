"""Clips of the drawn people, with faulty estimates of poses that are known exactly."""

import dataclasses

import numpy as np

from posejax.data.clip_labels import labels_as
from posejax.data.clips import Clip, ClipTruth
from posejax.data.degraded_estimates import (
    Faults,
    degraded_detections,
    degraded_estimates,
)
from posejax.data.h36m_lsp import centred_on_hips, lsp_joints
from posejax.data.source import Folder, Source, open_source
from posejax.data.transforms import decode_image
from posejax.skeletons import H36M_17, H36M_32, POSETRACK_17, remap


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
    has_bodies: bool = True,
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
      has_bodies: False for a clip that is only known by its detections.

    Raises:
      FileNotFoundError: If the sample is not prepared.
      ValueError: If there is no such split.
    """
    frames = open_source(data_dir, "people_sample", config=config, split=split)
    names = [folder.name for folder in frames.folders]
    number = names.index(name)
    clip = _clip(
        frames,
        frames.folders[number],
        every=every,
        faults=faults,
        rng=np.random.default_rng([seed, number]),
    )
    if has_bodies:
        return clip
    labels = None if clip.truth is None else clip.truth.joints
    assert labels is not None
    detections, confidence = degraded_detections(
        labels_as(labels, POSETRACK_17),
        height=clip.size[0],
        faults=faults,
        rng=np.random.default_rng([seed, number]),
    )
    unknown = dict.fromkeys(("pose", "camera", "scale", "origin"))
    found = {"detections": detections, "confidence": confidence}
    return dataclasses.replace(clip, **unknown, **found)


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
    labels = np.stack([record["pose_2d"] for record in records])
    labels = labels[:, remap(H36M_32, H36M_17)]
    joints = lsp_joints(labels)
    space = lsp_joints(np.stack([record["pose_3d_camera"] for record in records]))
    pose = centred_on_hips(space)
    height = images.shape[1]
    estimates = degraded_estimates(pose, joints, height=height, faults=faults, rng=rng)
    flow = np.stack([record["flow"] for record in records[:-1]]) if every == 1 else None
    truth = ClipTruth(
        pose.astype(np.float32),
        labels.astype(np.float32),
        np.ones(labels.shape[:2], bool),
        flow,
    )
    fps = float(records[0]["fps"]) / every
    return Clip(folder.name, images, fps, *estimates, truth=truth)
