"""Estimates of poses made from true ones: an estimator's and a detector's faults.

So that the joint optimisation can be run, and judged, where the truth is known. The
faults of an estimator last for some frames, differ between joints and change the
lengths of limbs; a detector is noisy and misses joints for a while.
"""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from posejax.skeletons import LSP_14

CROP_SIZE_PX = 224
# Detectors of PoseTrack's joints give none of these.
UNDETECTED = [
    LSP_14.index(name) for name in ("right_hip", "left_hip", "neck", "head_top")
]


class Faults(NamedTuple):
    """How wrong the estimates are.

    Attributes:
      drift_m: Standard deviation of each joint's slow error, metres per axis.
      jitter_m: That of its error which is new in every frame.
      memory: Share of the slow error that the next frame keeps.
      lengths: Standard deviation of the clip's error of all lengths, as a share.
      camera: Standard deviation of the slow error of scale and place, as a share.
      detection_px: Standard deviation of detected joints, pixels of a frame 256 high.
      missed: Share of joints that are not detected.
    """

    drift_m: float = 0.035
    jitter_m: float = 0.015
    memory: float = 0.85
    lengths: float = 0.04
    camera: float = 0.01
    detection_px: float = 1.5
    missed: float = 0.1


class Estimates(NamedTuple):
    """What an estimator and a detector would give; fields as those of `Clip`."""

    pose: np.ndarray
    camera: np.ndarray
    scale: np.ndarray
    origin: np.ndarray
    detections: np.ndarray
    confidence: np.ndarray


def degraded_estimates(
    pose: Float[np.ndarray, "frames 14 3"],
    joints: Float[np.ndarray, "frames 14 2"],
    *,
    height: int,
    faults: Faults,
    rng: np.random.Generator,
) -> Estimates:
    """Returns estimates of a clip with faults.

    Args:
      pose: True joints, camera axes, metres.
      joints: The same in the frames, pixels.
      height: Of the frames, pixels.
      faults: How wrong the estimates are.
      rng: Where the faults come from.
    """
    frames = len(pose)
    scale = np.full((frames, 2), CROP_SIZE_PX / height)
    # The crop is the middle of the person, as an estimator's preparation cuts it.
    center = joints.mean(axis=1) * scale
    origin = center - CROP_SIZE_PX / 2
    camera = _fitted_camera(pose, joints * scale[:, None] - origin[:, None])
    camera *= 1 + faults.camera * _slow(rng, frames, (3,), faults.memory)
    wrong = pose * (1 + faults.lengths * rng.standard_normal())
    wrong = wrong + faults.drift_m * _slow(rng, frames, (14, 3), faults.memory)
    wrong = wrong + faults.jitter_m * rng.standard_normal((frames, 14, 3))
    seen = joints.astype(np.float64)
    seen[:, UNDETECTED] = np.nan
    detections, confidence = degraded_detections(
        seen, height=height, faults=faults, rng=rng
    )
    return Estimates(
        pose=wrong.astype(np.float32),
        camera=camera.astype(np.float32),
        scale=scale.astype(np.float32),
        origin=origin.astype(np.float32),
        detections=detections,
        confidence=confidence,
    )


def degraded_detections(
    joints: Float[np.ndarray, "frames joints 2"],
    *,
    height: int,
    faults: Faults,
    rng: np.random.Generator,
) -> tuple[Float[np.ndarray, "frames joints 2"], Float[np.ndarray, "frames joints"]]:
    """Returns detections of a clip's joints with faults, and confidences of 1 or 0.

    Args:
      joints: True joints in the frames, pixels; NaN for those that are never found.
      height: Of the frames, pixels.
      faults: How wrong the detections are.
      rng: Where the faults come from.
    """
    size = faults.detection_px * height / 256
    found = joints + size * rng.standard_normal(joints.shape)
    # A joint is missed for a while: where a slow process is high.
    threshold = _upper_quantile(faults.missed)
    is_found = _slow(rng, len(joints), joints.shape[1:2], faults.memory) < threshold
    is_found &= np.isfinite(joints).all(axis=-1)
    found = np.where(is_found[..., None], found, 0)
    return found.astype(np.float32), is_found.astype(np.float32)


def _slow(
    rng: np.random.Generator, frames: int, shape: tuple[int, ...], memory: float
) -> np.ndarray:
    """An autoregressive process of mean 0 and standard deviation 1."""
    values = np.empty((frames, *shape))
    values[0] = rng.standard_normal(shape)
    for t in range(1, frames):
        fresh = np.sqrt(1 - memory**2) * rng.standard_normal(shape)
        values[t] = memory * values[t - 1] + fresh
    return values


def _upper_quantile(share: float) -> float:
    """The value above which a standard normal variable is with this probability."""
    from statistics import NormalDist

    if share <= 0:
        return float("inf")
    return NormalDist().inv_cdf(1 - share)


def _fitted_camera(pose: np.ndarray, crop: np.ndarray) -> np.ndarray:
    """The weak-perspective cameras (s, tx, ty) nearest to given joints in the crop."""
    flat, seen = pose[..., :2], crop / CROP_SIZE_PX * 2 - 1
    mean, middle = flat.mean(axis=1), seen.mean(axis=1)
    spread = flat - mean[:, None]
    zoom = (spread * (seen - middle[:, None])).sum((1, 2)) / (spread**2).sum((1, 2))
    return np.concatenate([zoom[:, None], middle / zoom[:, None] - mean], axis=1)
