"""A clip whose flow and poses are refined together: frames, estimates, detections.

All arrays are numpy; pixel coordinates are (x, y) with pixel centres at integers. The
functions that shrink a clip (`first_frames`, `resized`, `cropped`) change frames,
projection, detections and labels alike.
"""

import dataclasses

import cv2
import numpy as np
from jaxtyping import Bool, Float, UInt8

from posejax.checks import require_at_least


@dataclasses.dataclass(frozen=True)
class ClipTruth:
    """What is known of a clip for evaluation.

    Attributes:
      pose: Joints of `skeletons.LSP_14` relative to the midpoint of the hips, camera
        axes, metres; None if unknown.
      joints: True joints in the frames, pixels: where flow is judged.
      joint_valid: Which of them are known.
      flow: True flow from each frame to the next, pixels; None if unknown.
    """

    pose: Float[np.ndarray, "frames 14 3"] | None
    joints: Float[np.ndarray, "frames joints 2"]
    joint_valid: Bool[np.ndarray, "frames joints"]
    flow: Float[np.ndarray, "pairs height width 2"] | None = None


@dataclasses.dataclass(frozen=True)
class Clip:
    """Frames of one person, and what was estimated in them; one entry per frame.

    Attributes:
      name: Subject and video: `S9/Walking 1.60457274`.
      images: RGB frames.
      fps: Frames per second.
      pose: Estimated joints of `skeletons.LSP_14`, camera axes, metres.
      camera: (s, tx, ty) of `geometry.project_weak_perspective`.
      scale: As there.
      origin: As there.
      detections: Detected joints of `skeletons.LSP_14`, pixels.
      confidence: 0 where a joint was not detected.
      truth: What is known for evaluation, or None.
    """

    name: str
    images: UInt8[np.ndarray, "_ height width 3"]
    fps: float
    pose: Float[np.ndarray, "_ 14 3"]
    camera: Float[np.ndarray, "_ 3"]
    scale: Float[np.ndarray, "_ 2"]
    origin: Float[np.ndarray, "_ 2"]
    detections: Float[np.ndarray, "_ 14 2"]
    confidence: Float[np.ndarray, "_ 14"]
    truth: ClipTruth | None = None

    def __post_init__(self) -> None:
        counts = {
            "images": len(self.images),
            "pose": len(self.pose),
            "camera": len(self.camera),
            "scale": len(self.scale),
            "origin": len(self.origin),
            "detections": len(self.detections),
            "confidence": len(self.confidence),
        }
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{name} {count}" for name, count in counts.items())
            raise ValueError(
                f"clip {self.name!r} has different numbers of frames: {found}; give "
                "each frame one pose, camera, crop and row of detections."
            )
        if len(self.images) < 2:
            raise ValueError(
                f"clip {self.name!r} has {len(self.images)} frame(s); expected at "
                "least 2: flow is between two frames."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames, pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def num_frames(self) -> int:
        """Number of frames."""
        return len(self.images)


def first_frames(clip: Clip, count: int) -> Clip:
    """Returns the first frames of a clip.

    Args:
      clip: The clip.
      count: How many frames to keep at most; 0 keeps all.

    Raises:
      ValueError: If `count` is 1 or negative.
    """
    if count == 0 or count >= clip.num_frames:
        return clip
    require_at_least("count", count, 2)
    truth = clip.truth
    if truth is not None:
        truth = ClipTruth(
            None if truth.pose is None else truth.pose[:count],
            truth.joints[:count],
            truth.joint_valid[:count],
            None if truth.flow is None else truth.flow[: count - 1],
        )
    return dataclasses.replace(
        clip,
        images=clip.images[:count],
        truth=truth,
        **{name: getattr(clip, name)[:count] for name in _PER_FRAME},
    )


_PER_FRAME = ("pose", "camera", "scale", "origin", "detections", "confidence")


def resized(clip: Clip, factor: float) -> Clip:
    """Returns a clip whose frames are smaller or larger.

    Args:
      clip: The clip.
      factor: New size by old; sides are rounded.

    Raises:
      ValueError: If `factor` is not positive, or leaves no pixels.
    """
    if factor == 1:
        return clip
    height, width = (round(side * factor) for side in clip.size)
    if not factor > 0 or min(height, width) < 8:
        raise ValueError(
            f"factor is {factor!r}, which makes frames of {height} x {width} pixels; "
            "expected sides of at least 8."
        )
    exact = np.array([width / clip.size[1], height / clip.size[0]])
    how = cv2.INTER_AREA if factor < 1 else cv2.INTER_LINEAR
    images = [
        cv2.resize(image, (width, height), None, 0, 0, how) for image in clip.images
    ]

    def moved(points: np.ndarray) -> np.ndarray:
        return (points + 0.5) * exact - 0.5

    truth = clip.truth
    if truth is not None:
        flow = truth.flow
        if flow is not None:
            flow = np.stack(
                [exact * cv2.resize(field, (width, height)) for field in flow]
            ).astype(np.float32)
        truth = dataclasses.replace(truth, joints=moved(truth.joints), flow=flow)
    # p' = (p + 1/2) f - 1/2 with p = (crop + origin) / scale.
    return dataclasses.replace(
        clip,
        images=np.stack(images),
        scale=clip.scale / exact,
        origin=clip.origin + (0.5 * exact - 0.5) * clip.scale / exact,
        detections=moved(clip.detections),
        truth=truth,
    )


def cropped(
    clip: Clip,
    joints: Float[np.ndarray, "frames n 2"],
    margin: float,
    *,
    multiple: int = 64,
) -> Clip:
    """Returns a clip cut to one window around the person.

    Args:
      clip: The clip.
      joints: Where the person is in each frame, pixels.
      margin: Added on every side, in heights of the person.
      multiple: The window is enlarged to multiples of so many pixels where the frames
        allow it, so that clips share sizes (and programs are compiled once for all).

    Raises:
      ValueError: If all joints are outside the frames.
    """
    size = np.array([clip.size[1], clip.size[0]])
    known = joints[np.isfinite(joints).all(axis=-1)]
    if not np.any(np.all((known >= 0) & (known <= size - 1), axis=-1)):
        raise ValueError(
            f"the joints of clip {clip.name!r} are outside its frames of {size[0]} x "
            f"{size[1]} pixels in all of them; check that poses and frames are of one "
            "video."
        )
    low, high = np.clip(known.min(axis=0), 0, size), np.clip(known.max(axis=0), 0, size)
    extra = margin * (high[1] - low[1])
    low, high = np.maximum(low - extra, 0), np.minimum(high + extra, size)
    window = np.minimum(multiple * np.ceil((high - low) / multiple), size).astype(int)
    corner = np.clip(np.rint((low + high - window) / 2), 0, size - window).astype(int)
    (left, top), (right, bottom) = corner, corner + window
    truth = clip.truth
    if truth is not None:
        flow = truth.flow
        truth = dataclasses.replace(
            truth,
            joints=truth.joints - corner,
            flow=None if flow is None else flow[:, top:bottom, left:right],
        )
    return dataclasses.replace(
        clip,
        images=clip.images[:, top:bottom, left:right],
        origin=clip.origin - corner * clip.scale,
        detections=clip.detections - corner,
        truth=truth,
    )
