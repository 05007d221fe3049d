"""Where the raw files of Human3.6M lie, and which videos are used."""

import dataclasses
import pathlib
import re

TRAIN_SUBJECTS = ("S1", "S5", "S6", "S7", "S8")
TEST_SUBJECTS = ("S9", "S11")
SUBJECTS = {"train": TRAIN_SUBJECTS, "test": TEST_SUBJECTS}

ACTIVITIES = (
    "Waiting",
    "Posing",
    "Greeting",
    "Directions",
    "Discussion",
    "Walking",
    "Photo",
    "Purchases",
    "WalkTogether",
    "WalkDog",
)
SPELLINGS_OF_S1 = {"TakingPhoto": "Photo", "WalkingDog": "WalkDog"}
TAKE_FILTERS = ("reference", "all")

# The owners' archives first, then the layout that the reference's scripts expect.
VIDEO_FOLDERS = ("Videos", "videos")
MASK_FOLDERS = ("MySegmentsMat/ground_truth_bb", "ground_truth_bb", "bboxes")
POSE_FOLDERS = ("MyPoseFeatures/D2_Positions", "Poses_D2_Positions", "D2_Positions")


@dataclasses.dataclass(frozen=True)
class Take:
    """One video with its annotations.

    Attributes:
      subject: Name of the person, "S1".
      name: Name of the video without ending, "Walking 1.54138969".
      action: Activity, in the spelling of `ACTIVITIES`.
      camera: Number of the camera as text, "54138969".
      video: The video.
      masks: The mask file.
      poses: The file of 2-D joints; None where there is none.
    """

    subject: str
    name: str
    action: str
    camera: str
    video: pathlib.Path
    masks: pathlib.Path
    poses: pathlib.Path | None


def activity(name: str, *, take_filter: str) -> str | None:
    """Activity of a video by its name; None if the filter leaves it out.

    `reference` compares the name, without digits and dots, with the activities as they
    are written. So `Walking 1.54138969` is left out: a trailing blank remains. Only
    the unnumbered take of each activity stays, and the two activities that the files of
    S1 spell otherwise do not. `all` keeps every take of the same activities.

    Args:
      name: Name of the video without ending.
      take_filter: "reference" or "all".

    Returns:
      The activity, or None.

    Raises:
      ValueError: If the filter is unknown.
    """
    if take_filter not in TAKE_FILTERS:
        raise ValueError(
            f"take_filter is {take_filter!r}; expected one of {TAKE_FILTERS}."
        )
    plain = re.sub(r"[0-9.]", "", name)
    if take_filter == "all":
        plain = plain.strip()
        plain = SPELLINGS_OF_S1.get(plain, plain)
    return plain if plain in ACTIVITIES else None


def find_takes(
    root: pathlib.Path, subject: str, *, take_filter: str, needs_poses: bool
) -> list[Take]:
    """Finds the videos of a subject and their annotations.

    Args:
      root: Folder of the raw tree.
      subject: Name of the subject's folder.
      take_filter: "reference" or "all".
      needs_poses: Whether a missing pose file is an error.

    Returns:
      The takes that the filter keeps, sorted by name.

    Raises:
      FileNotFoundError: If a folder or an annotation is missing, or no video is kept.
      ValueError: If the name of a video has no camera.
    """
    home = root / subject
    videos = _folder(home, VIDEO_FOLDERS, f"Videos_{subject}")
    masks = _folder(home, MASK_FOLDERS, f"Segments_mat_gt_bb_{subject}")
    poses = _pose_folder(root, subject, needs_poses)
    takes = []
    for video in sorted(videos.glob("*.mp4")):
        name = video.stem
        action = activity(name, take_filter=take_filter)
        if action is None:
            continue
        if "." not in name:
            raise ValueError(
                f"video {video} names no camera; expected '<activity>.<camera>.mp4'."
            )
        take = Take(
            subject=subject,
            name=name,
            action=action,
            camera=name.split(".")[1],
            video=video,
            masks=_required(masks / f"{name}.mat", f"Segments_mat_gt_bb_{subject}"),
            poses=_pose_file(poses, name, subject, needs_poses),
        )
        takes.append(take)
    if not takes:
        raise FileNotFoundError(
            f"{videos} holds no video of the activities {', '.join(ACTIVITIES)}; "
            f"unpack Videos_{subject} at {root}."
        )
    return takes


def _folder(home: pathlib.Path, names: tuple[str, ...], archive: str) -> pathlib.Path:
    for name in names:
        if (home / name).is_dir():
            return home / name
    raise FileNotFoundError(
        f"{home / names[0]} is missing; unpack {archive} at {home.parent}."
    )


def _pose_folder(root: pathlib.Path, subject: str, needed: bool) -> pathlib.Path | None:
    # The reference keeps the poses beside the subjects.
    if (root / "poses" / subject).is_dir():
        return root / "poses" / subject
    try:
        return _folder(root / subject, POSE_FOLDERS, f"Poses_D2_Positions_{subject}")
    except FileNotFoundError:
        if needed:
            raise
        return None


def _pose_file(
    folder: pathlib.Path | None, name: str, subject: str, needed: bool
) -> pathlib.Path | None:
    if folder is None:
        return None
    path = folder / f"{name}.cdf"
    if needed:
        return _required(path, f"Poses_D2_Positions_{subject}")
    return path if path.is_file() else None


def _required(path: pathlib.Path, archive: str) -> pathlib.Path:
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing; unpack {archive} again, or take the video of that "
            "name away to leave it out."
        )
    return path
