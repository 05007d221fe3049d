"""Animations of lifted poses: the picture with its keypoints, and 3-D panels beside it.

World axes are metres with z up. The right side of the person is red, all else black. A
3-D panel shows a box of side 1.7 m that follows the root in x and y and stands on the
ground.
"""

import dataclasses
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

from posejax.checks import require_at_least
from posejax.render.video import write_video
from posejax.skeletons import H36M_17, Skeleton

SIDE_M = 1.7
ELEVATION_DEG = 15.0
_GRID_M = 0.5  # the lines stay where they are while the box follows the person
_RIGHT, _OTHER, _PICTURE_BONE = "red", "black", "pink"


@dataclasses.dataclass(frozen=True)
class AnimationOptions:
    """Which frames an animation shows, how large, and how finely stored.

    Attributes:
      skip: Frames left out at the beginning, of all that is shown.
      limit: Most frames of the animation; None means all.
      downsample: So many frames are averaged to one; a rest is left out.
      size_inches: Side of a panel.
      dots_per_inch: Pixels per inch.
      bitrate_kbps: Mean bitrate of an mp4, kbit/s; None means constant quality.
    """

    skip: int = 0
    limit: int | None = None
    downsample: int = 1
    size_inches: float = 5.0
    dots_per_inch: int = 80
    bitrate_kbps: int | None = 3000


def write_pose_animation(
    path: str | os.PathLike[str],
    keypoints: Float[np.ndarray, "frames joints 2"],
    poses: Mapping[str, Float[np.ndarray, "_ _ 3"]],
    *,
    keypoint_skeleton: Skeleton,
    resolution: tuple[int, int],
    fps: float,
    images: Iterable[np.ndarray] | None = None,
    skeleton: Skeleton = H36M_17,
    azimuth_deg: float = 70.0,
    options: AnimationOptions = AnimationOptions(),
    watch: Callable[[Iterator[np.ndarray]], Iterator[np.ndarray]] = iter,
) -> int:
    """Writes keypoints and poses as mp4 or gif; the suffix of the name decides.

    Args:
      path: File to write, `.mp4` or `.gif`.
      keypoints: Joints (x, y) in source pixels.
      poses: Heading of a panel to its joints in the world, metres: 'Reconstruction', or
        that and 'Ground truth'.
      keypoint_skeleton: Joint set of `keypoints`.
      resolution: Width and height of the pictures, pixels.
      fps: Frames per second of the keypoints. The animation is as fast as the person,
        also where frames are averaged.
      images: RGB frames (height, width, 3), uint8, one per frame of `keypoints`; black
        where there is none.
      skeleton: Joint set of the poses; joint 0 is the root.
      azimuth_deg: From where the 3-D panels are seen, about the vertical axis.
      options: Which frames, how large, and how finely stored.
      watch: Wraps the iterator of drawn frames, for instance to show progress.

    Returns:
      The number of frames written.

    Raises:
      ValueError: If numbers of frames or joints differ, an option is out of its range,
        or no frame is left; no file is left then.
    """
    frames = pose_frames(
        keypoints,
        poses,
        keypoint_skeleton=keypoint_skeleton,
        resolution=resolution,
        images=images,
        skeleton=skeleton,
        azimuth_deg=azimuth_deg,
        options=options,
    )
    rate = options.bitrate_kbps
    return write_video(path, watch(frames), fps / options.downsample, bitrate_kbps=rate)


def num_shown_frames(count: int, options: AnimationOptions) -> int:
    """Returns how many frames the animation of `count` frames has.

    Args:
      count: Number of frames of the keypoints.
      options: Which of them are shown.

    Raises:
      ValueError: If an option is out of its range, or no frame is left.

    >>> num_shown_frames(11, AnimationOptions(skip=2, downsample=3, limit=2))
    2
    """
    require_at_least("skip", options.skip, 0)
    require_at_least("limit", 1 if options.limit is None else options.limit, 1)
    require_at_least("downsample", options.downsample, 1)
    left = max(0, count - options.skip) // options.downsample
    if not left:
        raise ValueError(
            f"keypoints has {count} frames, of which skip {options.skip} and "
            f"downsample {options.downsample} leave none; use smaller numbers."
        )
    return left if options.limit is None else min(left, options.limit)


def pose_frames(
    keypoints: Float[np.ndarray, "frames joints 2"],
    poses: Mapping[str, Float[np.ndarray, "_ _ 3"]],
    *,
    keypoint_skeleton: Skeleton,
    resolution: tuple[int, int],
    images: Iterable[np.ndarray] | None = None,
    skeleton: Skeleton = H36M_17,
    azimuth_deg: float = 70.0,
    options: AnimationOptions = AnimationOptions(),
) -> Iterator[UInt8[np.ndarray, "height width 3"]]:
    """Draws the frames of an animation one by one; see `write_pose_animation`.

    Returns:
      An iterator over RGB pictures of `1 + len(poses)` panels side by side.

    Raises:
      ValueError: If numbers of frames or joints differ, an option is out of its range,
        or no frame is left.
    """
    _check_joints(keypoints, poses, keypoint_skeleton, skeleton)
    skip, factor = options.skip, options.downsample
    count = num_shown_frames(len(keypoints), options)
    shown = averaged_blocks(keypoints[skip:], factor=factor)[:count]
    bodies = {
        name: averaged_blocks(pose[skip:], factor=factor)[:count]
        for name, pose in poses.items()
    }
    pictures = _pictures(images, resolution, skip, factor)
    figure = _figure(1 + len(bodies), options.size_inches, options.dots_per_inch)
    return _drawn(
        figure,
        shown,
        bodies,
        pictures,
        (keypoint_skeleton, skeleton),
        resolution,
        azimuth_deg,
    )


def averaged_blocks(
    values: Float[np.ndarray, "frames *axes"], *, factor: int
) -> Float[np.ndarray, "blocks *axes"]:
    """Averages every `factor` frames to one; a rest at the end is left out.

    Args:
      values: Frames along the first axis.
      factor: Frames of a block, at least 1.

    Raises:
      ValueError: If `factor` is below 1.

    >>> averaged_blocks(np.array([1.0, 3.0, 5.0, 7.0, 9.0]), factor=2).tolist()
    [2.0, 6.0]
    """
    require_at_least("downsample", factor, 1)
    count = len(values) // factor
    blocks = values[: count * factor].reshape(count, factor, *values.shape[1:])
    return blocks.mean(axis=1)


def _check_joints(
    keypoints: np.ndarray,
    poses: Mapping[str, np.ndarray],
    keypoint_skeleton: Skeleton,
    skeleton: Skeleton,
) -> None:
    expected = {"keypoints": (keypoints, keypoint_skeleton, 2)}
    expected |= {
        f"poses[{name!r}]": (pose, skeleton, 3) for name, pose in poses.items()
    }
    for name, (array, joints, axes) in expected.items():
        wanted = (len(keypoints), joints.num_joints, axes)
        if array.shape != wanted:
            raise ValueError(
                f"{name} has shape {array.shape}; expected {wanted}: frames, joints of "
                f"{joints.name}, axes."
            )
        if not np.isfinite(array).all():
            raise ValueError(f"{name} is not finite; only finite joints can be drawn.")


def _pictures(
    images: Iterable[np.ndarray] | None,
    resolution: tuple[int, int],
    skip: int,
    factor: int,
) -> Iterator[np.ndarray]:
    """Yields averaged pictures, and black ones for ever when there are no more."""
    block: list[np.ndarray] = []
    for index, image in enumerate(() if images is None else images):
        if index < skip:
            continue
        block.append(image)
        if len(block) == factor:
            yield block[0] if factor == 1 else np.mean(block, axis=0).astype(np.uint8)
            block = []
    black = np.zeros((resolution[1], resolution[0], 3), np.uint8)
    while True:
        yield black


def _figure(panels: int, size_inches: float, dots_per_inch: int) -> Any:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(panels * size_inches, size_inches), dpi=dots_per_inch)
    figure.subplots_adjust(left=0.01, right=0.99, bottom=0.01, top=0.92, wspace=0.02)
    FigureCanvasAgg(figure)
    return figure


def _right_joints(skeleton: Skeleton) -> set[int]:
    return {right for _, right in skeleton.left_right}


def _drawn(
    figure: Any,
    keypoints: np.ndarray,
    bodies: Mapping[str, np.ndarray],
    pictures: Iterator[np.ndarray],
    skeletons: tuple[Skeleton, Skeleton],
    resolution: tuple[int, int],
    azimuth_deg: float,
) -> Iterator[np.ndarray]:
    panels = 1 + len(bodies)
    image, dots, bones = _picture_panel(figure, panels, skeletons, resolution)
    limbs = {
        name: _body_panel(figure, (panels, 2 + column), name, skeletons[1], azimuth_deg)
        for column, name in enumerate(bodies)
    }
    for index, joints in enumerate(keypoints):
        image.set_data(next(pictures))
        dots.set_offsets(joints)
        for (parent, child), line in bones.items():
            line.set_data(joints[[parent, child], 0], joints[[parent, child], 1])
        for name, (axes, lines) in limbs.items():
            pose = bodies[name][index]
            x, y = pose[0, :2]
            axes.set_xlim(x - SIDE_M / 2, x + SIDE_M / 2)
            axes.set_ylim(y - SIDE_M / 2, y + SIDE_M / 2)
            for (parent, child), line in lines.items():
                line.set_data_3d(*pose[[parent, child]].T)
        figure.canvas.draw()
        yield np.asarray(figure.canvas.buffer_rgba())[..., :3].copy()


Bones = dict[tuple[int, int], Any]


def _picture_panel(
    figure: Any,
    panels: int,
    skeletons: tuple[Skeleton, Skeleton],
    resolution: tuple[int, int],
) -> tuple[Any, Any, Bones]:
    width, height = resolution
    keypoint_skeleton, skeleton = skeletons
    axes = figure.add_subplot(1, panels, 1)
    axes.set_axis_off()
    axes.set_title("Input")
    black = np.zeros((height, width, 3), np.uint8)
    image = axes.imshow(black, aspect="equal", interpolation="nearest")
    # Joints outside the picture must not make it smaller.
    axes.set_xlim(-0.5, width - 0.5)
    axes.set_ylim(height - 0.5, -0.5)
    bones: Bones = {}
    # COCO's limbs are no tree: its tree runs from the nose over the ears to the hips.
    is_same_size = keypoint_skeleton.num_joints == skeleton.num_joints
    if is_same_size and not keypoint_skeleton.name.startswith("coco"):
        for bone in keypoint_skeleton.bones:
            (bones[bone],) = axes.plot([], [], color=_PICTURE_BONE, linewidth=1.5)
    right = _right_joints(keypoint_skeleton)
    joints = range(keypoint_skeleton.num_joints)
    colors = [_RIGHT if joint in right else _OTHER for joint in joints]
    origin = np.zeros(len(colors))
    dots = axes.scatter(
        origin, origin, s=22, c=colors, edgecolors="white", linewidths=0.8, zorder=10
    )
    return image, dots, bones


def _body_panel(
    figure: Any,
    place: tuple[int, int],
    title: str,
    skeleton: Skeleton,
    azimuth_deg: float,
) -> tuple[Any, Bones]:
    from matplotlib.ticker import MultipleLocator, NullFormatter

    panels, column = place
    axes = figure.add_subplot(1, panels, column, projection="3d")
    axes.view_init(elev=ELEVATION_DEG, azim=azimuth_deg)
    axes.set_box_aspect((1, 1, 1), zoom=1.15)
    axes.set_zlim(0, SIDE_M)
    for axis in (axes.xaxis, axes.yaxis, axes.zaxis):
        axis.set_major_locator(MultipleLocator(_GRID_M))
        axis.set_major_formatter(NullFormatter())
    axes.set_title(title, pad=2)
    right, lines = _right_joints(skeleton), {}
    for bone in skeleton.bones:
        color = _RIGHT if bone[1] in right else _OTHER
        (lines[bone],) = axes.plot(
            [], [], [], color=color, linewidth=2.5, solid_capstyle="round"
        )
    return axes, lines
