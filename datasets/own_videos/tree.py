"""The folder of videos that a person provides, and what lies beside each video."""

import dataclasses
import json
import pathlib

import numpy as np

from posejax.data import background, people, video
from posejax.skeletons import H36M_32, SKELETONS, TEMPLATE_15, remap

JOINT_KEYS = frozenset({"joints", "valid", "skeleton"})
BOX_FROM = ("joints", "background")


@dataclasses.dataclass(frozen=True)
class Take:
    """One video.

    Attributes:
      name: File name without its ending.
      path: The video, or a folder of pictures.
    """

    name: str
    path: pathlib.Path

    def beside(self, ending: str) -> pathlib.Path:
        """Returns the path of a file that belongs to the video."""
        return self.path.parent / f"{self.name}{ending}"


def find_takes(folder: pathlib.Path) -> list[Take]:
    """Finds the videos of a folder, in the order of their names.

    Args:
      folder: Holds videos, and folders of pictures, one per video.

    Returns:
      The videos.

    Raises:
      FileNotFoundError: There is none.
      ValueError: Two have the same name.
    """
    takes: dict[str, Take] = {}
    for path in sorted(folder.iterdir()):
        if path.name.startswith("."):
            continue
        pictures = path.is_dir() and bool(video.image_files(path))
        if not pictures and not (path.is_file() and video.is_video(path)):
            continue
        name = path.name if path.is_dir() else path.stem
        if name in takes:
            raise ValueError(
                f"{folder} has {takes[name].path.name} and {path.name}; give each "
                "video a name of its own."
            )
        takes[name] = Take(name, path)
    if not takes:
        raise FileNotFoundError(
            f"{folder} holds no video; expected files ending in "
            f"{', '.join(video.VIDEO_SUFFIXES)} or folders of pictures "
            "(datasets/own_videos/README.md shows the tree)."
        )
    return list(takes.values())


def count_frames(take: Take) -> tuple[int, tuple[int, int]]:
    """Decodes a video once to know what it really holds.

    Returns:
      Number of frames, and their `(width, height)`.

    Raises:
      ValueError: The video is unreadable or truncated, or its frames differ in size.
    """
    count, size = 0, (0, 0)
    for frame in video.read_frames(take.path):
        found = (frame.shape[1], frame.shape[0])
        if count and found != size:
            raise ValueError(
                f"{take.path}: frame {count} is {found[0]} x {found[1]}, frame 0 is "
                f"{size[0]} x {size[1]}; pictures of one video must have one size."
            )
        count, size = count + 1, found
    return count, size


def find_boxes(
    take: Take, *, num_frames: int, image_size: tuple[int, int]
) -> tuple[people.Boxes, str]:
    """Boxes of the person from the file beside the video, or from the motion.

    Looked for in this order: `<name>.boxes.jsonl`, `<name>.mot.txt`,
    `<name>.box.json`; without any the person is found by background subtraction.
    `<name>.box.json` holds `{"box": [x0, y0, x1, y1]}`, or `{"from": "joints"}` (boxes
    around `<name>.joints.npz`, optionally `"margin"`), or `{"from": "background"}`.

    Args:
      take: The video.
      num_frames: Number of its frames.
      image_size: `(width, height)` of its frames.

    Returns:
      The boxes, and where they come from.

    Raises:
      ValueError: A file is not what it should be, or nobody is found.
    """
    size = {"num_frames": num_frames, "image_size": image_size}
    for ending in (".boxes.jsonl", ".mot.txt"):
        if take.beside(ending).exists():
            path = take.beside(ending)
            found = people.read_boxes(path, **size, video=take.name)
            return people.fill_gaps(found, longest=background.LONGEST_GAP), ending[1:]
    path = take.beside(".box.json")
    if not path.exists():
        return background.background_boxes(take.path), "background"
    entry = _read_box_file(path)
    if "box" in entry:
        box = np.array(entry["box"], np.float64).reshape(2, 2)
        try:
            return people.fixed_box(box, **size), "fixed"
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from error
    if entry["from"] == "background":
        return background.background_boxes(take.path), "background"
    pose, valid = read_joints(take, num_frames=num_frames)
    if not valid.any():
        raise ValueError(
            f"{path} takes boxes from joints; {take.beside('.joints.npz')} is missing "
            "or has no valid joint."
        )
    margin = float(entry.get("margin", 0.1))
    found = people.boxes_from_joints(pose, valid, image_size=image_size, margin=margin)
    return people.fill_gaps(found, longest=background.LONGEST_GAP), "joints"


def _read_box_file(path: pathlib.Path) -> dict:
    try:
        entry = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is no JSON ({error}).") from error
    keys = set(entry) if isinstance(entry, dict) else set()
    if keys not in ({"box"}, {"from"}, {"from", "margin"}):
        raise ValueError(
            f"{path} has keys {sorted(keys)}; expected 'box' (four numbers), or 'from' "
            f"(one of {BOX_FROM}) with an optional 'margin'."
        )
    box = entry.get("box", [0, 0, 1, 1])
    numbers = isinstance(box, list) and all(isinstance(v, int | float) for v in box)
    if not numbers or len(box) != 4:
        raise ValueError(f"{path}: box is {box}; expected [x0, y0, x1, y1].")
    if "from" in entry and entry["from"] not in BOX_FROM:
        raise ValueError(f"{path}: from is {entry['from']!r}; expected {BOX_FROM}.")
    if not isinstance(entry.get("margin", 0.1), int | float):
        raise ValueError(f"{path}: margin is {entry['margin']!r}; expected a number.")
    return entry


def read_joints(take: Take, *, num_frames: int) -> tuple[np.ndarray, np.ndarray]:
    """Joints of a video for evaluation, from `<name>.joints.npz` if it is there.

    The file holds `joints` (frames, joints, 2) in source pixels, optionally `valid`
    (frames, joints), and optionally `skeleton`, the name of the joint set
    (`template_15` unless said otherwise). As in Human3.6M the joints of the template
    called R are the anatomical LEFT limbs.

    Args:
      take: The video.
      num_frames: Number of its frames.

    Returns:
      Pose (frames, 32, 2) float32 in the order H36M_32, zeros where unknown, and
      (frames, 32) which joints are known.

    Raises:
      ValueError: The file is damaged or its arrays do not fit.
    """
    path = take.beside(".joints.npz")
    pose = np.zeros((num_frames, H36M_32.num_joints, 2), np.float32)
    known = np.zeros(pose.shape[:2], bool)
    if not path.exists():
        return pose, known
    joints, valid, slots = _read_joint_file(path, num_frames)
    pose[:, slots] = np.where(valid[..., None], joints, 0)
    known[:, slots] = valid
    return pose, known


def _read_joint_file(
    path: pathlib.Path, num_frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except Exception as error:  # numpy raises a different error for every damage
        raise ValueError(f"{path} cannot be read as an npz file ({error}).") from error
    if "joints" not in arrays or not set(arrays) <= JOINT_KEYS:
        raise ValueError(
            f"{path} has arrays {sorted(arrays)}; expected 'joints' and optionally "
            "'valid' and 'skeleton'."
        )
    name = str(arrays.get("skeleton", TEMPLATE_15.name))
    if name not in SKELETONS:
        raise ValueError(f"{path}: skeleton is {name!r}; allowed: {list(SKELETONS)}.")
    skeleton = SKELETONS[name]
    joints, shape = arrays["joints"], (num_frames, skeleton.num_joints, 2)
    if joints.shape != shape:
        raise ValueError(
            f"{path}: joints has shape {joints.shape}; expected {shape} (frames of the "
            f"video, joints of {name}, x and y)."
        )
    valid = arrays.get("valid", np.ones(shape[:2], bool))
    if valid.shape != shape[:2]:
        raise ValueError(
            f"{path}: valid has shape {valid.shape}; expected {shape[:2]}."
        )
    joints = joints.astype(np.float32)
    valid = valid.astype(bool) & np.isfinite(joints).all(axis=-1)
    if name == H36M_32.name:
        return joints, valid, np.arange(H36M_32.num_joints)
    chosen = remap(skeleton, TEMPLATE_15)
    return joints[:, chosen], valid[:, chosen], remap(H36M_32, TEMPLATE_15)
