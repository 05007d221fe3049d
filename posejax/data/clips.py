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
        axes, metres; NaN in frames without a label; None if unknown.
      joints: True joints in the frames, pixels: where flow is judged; those of
        `skeletons.H36M_17` or `skeletons.LSP_14`, None if unknown.
      joint_valid: Which of them are known; None beside no joints.
      flow: True flow from each frame to the next, pixels; None if unknown.
    """

    pose: Float[np.ndarray, "frames 14 3"] | None
    joints: Float[np.ndarray, "frames joints 2"] | None
    joint_valid: Bool[np.ndarray, "frames joints"] | None
    flow: Float[np.ndarray, "pairs height width 2"] | None = None


_OF_BODIES = ("pose", "camera", "scale", "origin")


@dataclasses.dataclass(frozen=True)
class Clip:
    """Frames of one person, and what was estimated in them; one entry per frame.

    A clip without bodies has None for `pose`, `camera`, `scale` and `origin`: only its
    joints in the frames are refined.

    Attributes:
      name: Subject and video: `S9/Walking 1.60457274`.
      images: RGB frames.
      fps: Frames per second.
      pose: Estimated joints of `skeletons.LSP_14`, camera axes, metres.
      camera: (s, tx, ty) of `geometry.project_weak_perspective`.
      scale: As there.
      origin: As there.
      detections: Detected joints, pixels: of `skeletons.LSP_14`; of
        `skeletons.POSETRACK_17` without bodies.
      confidence: 0 where a joint was not detected.
      truth: What is known for evaluation, or None.
    """

    name: str
    images: UInt8[np.ndarray, "_ height width 3"]
    fps: float
    pose: Float[np.ndarray, "_ 14 3"] | None
    camera: Float[np.ndarray, "_ 3"] | None
    scale: Float[np.ndarray, "_ 2"] | None
    origin: Float[np.ndarray, "_ 2"] | None
    detections: Float[np.ndarray, "_ joints 2"]
    confidence: Float[np.ndarray, "_ joints"]
    truth: ClipTruth | None = None

    def __post_init__(self) -> None:
        known = [name for name in _OF_BODIES if getattr(self, name) is not None]
        if known and len(known) < len(_OF_BODIES):
            raise ValueError(
                f"clip {self.name!r} has {', '.join(known)}, but not all of "
                f"{', '.join(_OF_BODIES)}; give all of them, or none."
            )
        counts = {
            name: len(getattr(self, name))
            for name in ("images", *known, "detections", "confidence")
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
        flow = None if self.truth is None else self.truth.flow
        wanted = (len(self.images) - 1, *self.size, 2)
        if flow is not None and flow.shape != wanted:
            raise ValueError(
                f"clip {self.name!r} has true flow of shape {flow.shape}; expected "
                f"{wanted}: of each pair of frames, in their size."
            )

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the frames, pixels."""
        return self.images.shape[1], self.images.shape[2]

    @property
    def has_bodies(self) -> bool:
        """Whether there are estimates in space, not only detections in the frames."""
        return self.pose is not None

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
    names = ("images", *_OF_BODIES, "detections", "confidence")
    parts = {name: getattr(clip, name) for name in names}
    return dataclasses.replace(
        clip,
        truth=None if clip.truth is None else first_labels(clip.truth, count),
        **{name: x if x is None else x[:count] for name, x in parts.items()},
    )


def first_labels(truth: ClipTruth, count: int) -> ClipTruth:
    """Returns what is known of the first frames.

    Args:
      truth: What is known of all.
      count: How many frames to keep, at least 1.
    """
    lengths = {"pose": count, "joints": count, "joint_valid": count, "flow": count - 1}
    parts = {name: getattr(truth, name) for name in lengths}
    return ClipTruth(
        **{n: x if x is None else x[: lengths[n]] for n, x in parts.items()}
    )


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
        return ((points + 0.5) * exact - 0.5).astype(points.dtype)

    truth = clip.truth
    if truth is not None:
        flow = truth.flow
        if flow is not None:
            flow = np.stack(
                [exact * cv2.resize(field, (width, height)) for field in flow]
            ).astype(np.float32)
        joints = None if truth.joints is None else moved(truth.joints)
        truth = dataclasses.replace(truth, joints=joints, flow=flow)
    scale, origin = clip.scale, clip.origin
    if scale is not None and origin is not None:
        # p' = (p + 1/2) f - 1/2 with p = (crop + origin) / scale.
        scale = (scale / exact).astype(np.float32)
        origin = (origin + (0.5 * exact - 0.5) * scale).astype(np.float32)
    return dataclasses.replace(
        clip,
        images=np.stack(images),
        scale=scale,
        origin=origin,
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
      joints: Where the person is in each frame, pixels; NaN where that is unknown.
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
        flow, labels = truth.flow, truth.joints
        truth = dataclasses.replace(
            truth,
            joints=None if labels is None else _shifted(labels, corner),
            flow=None if flow is None else flow[:, top:bottom, left:right],
        )
    origin = clip.origin
    if origin is not None and clip.scale is not None:
        origin = (origin - corner * clip.scale).astype(np.float32)
    return dataclasses.replace(
        clip,
        images=clip.images[:, top:bottom, left:right],
        origin=origin,
        detections=_shifted(clip.detections, corner),
        truth=truth,
    )


def _shifted(points: np.ndarray, corner: np.ndarray) -> np.ndarray:
    return (points - corner).astype(points.dtype)
