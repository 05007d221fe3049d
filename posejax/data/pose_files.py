"""Files of poses: those of VideoPose3D, and plain arrays that need no pickle.

Published files hold one array of Python objects: `{subject: {action: poses}}`, or
`{subject: {action: [poses of camera 0, 1, ...]}}` for detections. A plain file holds
one array per key, `S1/Walking 1` or `S1/Walking 1/0`, and `metadata`, JSON text.
Readers take either; `pose_conversion` makes the second out of the first.

Reference:
  Pavllo, Feichtenhofer, Grangier, Auli, 3D human pose estimation in video with temporal
  convolutions and semi-supervised training, CVPR 2019 (the files' layout).
"""

import dataclasses
import json
import os
import pathlib
import uuid
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from jaxtyping import Float

from posejax.data.keypoint_layouts import LAYOUTS, KeypointLayout
from posejax.data.object_arrays import read_arrays
from posejax.skeletons import H36M_16, H36M_17, H36M_32, remap

Key = tuple[str, str]


@dataclasses.dataclass(frozen=True)
class Keypoints:
    """What a detector found in all videos.

    Attributes:
      layout: Which joints.
      positions: By (subject, action): per camera the joints (frames, joints, 2), source
        pixels, float32.
      resolutions: Width and height of the pictures by subject, where the file says so.
    """

    layout: KeypointLayout
    positions: Mapping[Key, tuple[np.ndarray, ...]]
    resolutions: Mapping[str, tuple[int, int]] = dataclasses.field(default_factory=dict)


def read_poses_3d(
    path: str | os.PathLike[str],
    *,
    num_joints: Sequence[int] = (17, 32),
    allow_pickle: bool = False,
) -> dict[Key, Float[np.ndarray, "frames joints 3"]]:
    """Reads the joints of `data_3d_h36m.npz` or `data_3d_humaneva15.npz`.

    Args:
      path: The file, published or plain.
      num_joints: Joint counts that are expected. 32 joints are those of Human3.6M and
        are reduced to the 17 in use.
      allow_pickle: Whether a published file, a pickle, may be read; see `read_arrays`.

    Returns:
      By (subject, action), in the order of the file, joints in metres, float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file, or a pose is not finite.
    """
    arrays = read_arrays(path, allow_pickle=allow_pickle)
    if "positions_3d" in arrays:
        nested = _nested(arrays["positions_3d"], f"positions_3d of {path}")
    else:
        arrays.pop("metadata", None)
        nested = _split_keys(arrays, path)
    poses = {}
    for key, value in nested.items():
        where = f"{'/'.join(key)} of {path}"
        found = _finite_poses(value, where, axes=3, joints=num_joints)
        if found.shape[1] == H36M_32.num_joints:
            found = found[:, remap(H36M_32, H36M_17)]
        poses[key] = found
    return poses


def read_keypoints(
    path: str | os.PathLike[str],
    *,
    subjects: Collection[str] | None = None,
    allow_pickle: bool = False,
) -> Keypoints:
    """Reads detections: `data_2d_h36m_<detector>.npz` or `data_2d_custom_<name>.npz`.

    Args:
      path: The file, published or plain.
      subjects: Whose detections are read; those of others are not looked at. None means
        all.
      allow_pickle: Whether a published file, a pickle, may be read; see `read_arrays`.

    Returns:
      The detections. Further columns (confidences) are left away. A file that does not
      name its layout has that of Human3.6M.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file, or a joint is not finite.
    """
    arrays = read_arrays(path, allow_pickle=allow_pickle)
    metadata = _metadata(arrays.pop("metadata", None), path)
    layout = _layout(metadata, path)
    if "positions_2d" in arrays:
        nested = _nested(arrays["positions_2d"], f"positions_2d of {path}")
    else:
        nested = _gathered_views(_split_keys(arrays, path), path)
    positions = {
        key: tuple(
            _finite_poses(
                view,
                f"{'/'.join(key)}, camera {number}, of {path}",
                axes=2,
                joints=(layout.num_joints,),
            )
            for number, view in enumerate(views)
        )
        for key, views in nested.items()
        if subjects is None or key[0] in subjects
    }
    sizes = metadata.get("video_metadata", {})
    return Keypoints(
        layout=layout,
        positions=positions,
        resolutions={name: (int(s["w"]), int(s["h"])) for name, s in sizes.items()},
    )


def write_poses_3d(
    path: str | os.PathLike[str],
    poses: Mapping[Key, Float[np.ndarray, "frames joints 3"]],
    *,
    fps: float | None = None,
) -> None:
    """Writes a plain file of joints.

    Args:
      path: The file, ending in `.npz`.
      poses: By (subject, action), metres.
      fps: Frames per second, if the file is to say so.
    """
    arrays = {"/".join(key): np.asarray(value) for key, value in poses.items()}
    rate = {} if fps is None else {"fps": fps}
    _write(path, arrays, {"content": "poses_3d", "unit": "m", **rate})


def write_keypoints(path: str | os.PathLike[str], keypoints: Keypoints) -> None:
    """Writes a plain file of detections.

    Args:
      path: The file, ending in `.npz`.
      keypoints: The detections.
    """
    layout = keypoints.layout
    arrays = {
        f"{'/'.join(key)}/{camera}": view
        for key, views in keypoints.positions.items()
        for camera, view in enumerate(views)
    }
    metadata = {
        "content": "keypoints_2d",
        "unit": "px",
        "layout_name": layout.name,
        "num_joints": layout.num_joints,
        "keypoints_symmetry": [list(layout.left), list(layout.right)],
        "video_metadata": {
            name: {"w": width, "h": height}
            for name, (width, height) in keypoints.resolutions.items()
        },
    }
    _write(path, arrays, metadata)


def holds_keypoints(
    arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]
) -> bool:
    """Says whether arrays are those of a file of detections, published or plain.

    Args:
      arrays: What `read_arrays` returned.
      path: The file, for errors.

    Raises:
      ValueError: If its metadata is damaged.
    """
    # Both kinds of plain files may have keys of three parts; only one has a layout.
    plain_2d = "metadata" in arrays and "positions_3d" not in arrays
    plain_2d = plain_2d and "keypoints_symmetry" in _metadata(arrays["metadata"], path)
    return "positions_2d" in arrays or plain_2d


def _write(
    path: str | os.PathLike[str], arrays: dict[str, np.ndarray], metadata: dict
) -> None:
    target = pathlib.Path(path)
    if target.suffix != ".npz":
        raise ValueError(f"target is {str(path)!r}; expected a name ending in .npz.")
    # np.savez takes names as keyword arguments, so "file" would clash; no key has it,
    # as every key holds a slash.
    text = np.array(json.dumps(metadata))
    draft = target.with_name(f".{target.stem}.{uuid.uuid4().hex[:8]}.npz")
    try:
        np.savez_compressed(draft, metadata=text, **arrays)  # pyright: ignore
        os.replace(draft, target)
    finally:
        draft.unlink(missing_ok=True)


def _nested(array: np.ndarray, where: str) -> dict[Key, Any]:
    """Flattens {subject: {action: value}}, keeping the order."""
    content = array.item() if array.shape == () else None
    if not isinstance(content, dict) or not all(
        isinstance(actions, dict) for actions in content.values()
    ):
        raise ValueError(
            f"{where} is no dictionary of subjects, each a dictionary of actions; "
            "use the file of the published preparation scripts."
        )
    return {
        (str(subject), str(action)): value
        for subject, actions in content.items()
        for action, value in actions.items()
    }


def _split_keys(
    arrays: Mapping[str, np.ndarray], path: str | os.PathLike[str]
) -> dict[Key, np.ndarray]:
    """Splits keys at the last slash: names of subjects may hold some."""
    wrong = [key for key in arrays if "/" not in key.strip("/")]
    if wrong or not arrays:
        raise ValueError(
            f"{path} has arrays {sorted(arrays)[:5]}; expected positions_3d or "
            "positions_2d (published files), or keys such as 'S1/Walking 1' "
            "('S1/Walking 1/0' for detections) and metadata."
        )
    split = (key.rpartition("/") for key in arrays)
    return {
        (s, a): array for (s, _, a), array in zip(split, arrays.values(), strict=True)
    }


def _gathered_views(
    arrays: Mapping[Key, np.ndarray], path: str | os.PathLike[str]
) -> dict[Key, list[np.ndarray]]:
    """Gathers the cameras of each action, whose number is the last part of the key."""
    cameras: dict[Key, dict[str, np.ndarray]] = {}
    for (name, camera), array in arrays.items():
        subject, _, action = name.rpartition("/")
        cameras.setdefault((subject, action), {})[camera] = array
    for key, views in cameras.items():
        expected = [str(number) for number in range(len(views))]
        if not key[0] or sorted(views, key=lambda c: (len(c), c)) != expected:
            raise ValueError(
                f"{path} has cameras {sorted(views)} for {'/'.join(key)!r}; expected "
                "keys '<subject>/<action>/<camera>' with cameras 0, 1, 2, ..."
            )
    return {
        key: [views[str(number)] for number in range(len(views))]
        for key, views in cameras.items()
    }


def _metadata(array: np.ndarray | None, path: str | os.PathLike[str]) -> dict[str, Any]:
    if array is None:
        raise ValueError(f"{path} has no metadata; expected a file of detections.")
    content = array.item() if array.shape == () else None
    if isinstance(content, str):
        try:
            content = json.loads(content)
        except json.JSONDecodeError as error:
            raise ValueError(f"metadata of {path} is no JSON ({error}).") from error
    if not isinstance(content, dict):
        raise ValueError(f"metadata of {path} is no dictionary; make the file again.")
    return content


def _layout(
    metadata: Mapping[str, Any], path: str | os.PathLike[str]
) -> KeypointLayout:
    name = str(metadata.get("layout_name", "h36m"))
    default = LAYOUTS.get(name)
    symmetry = metadata.get("keypoints_symmetry")
    if symmetry is None:
        if default is None:
            raise ValueError(
                f"metadata of {path} has no keypoints_symmetry and the layout {name!r} "
                f"is none of {', '.join(LAYOUTS)}; make the file again."
            )
        symmetry = (default.left, default.right)
    left, right = (tuple(int(joint) for joint in side) for side in symmetry)
    if (
        metadata.get("num_joints") == H36M_16.num_joints
        and left == LAYOUTS["h36m"].left
    ):
        # Some detections of 16 joints keep the lists of the 17.
        return LAYOUTS["h36m_16"]
    highest = max((*left, *right), default=-1)
    known = highest + 1 if default is None else default.num_joints
    count = int(metadata.get("num_joints", known))
    if len(left) != len(right) or highest >= count:
        raise ValueError(
            f"metadata of {path}: keypoints_symmetry is {left}, {right} of {count} "
            "joints; expected two lists of equal length with numbers below that."
        )
    # The lists of MPII's published files pair hips with ankles and wrists with
    # shoulders; which joint mirrors which is known better here.
    sides = (set(left), set(right))
    for known in LAYOUTS.values():
        same_sides = (set(known.left), set(known.right)) == sides
        if same_sides and count == known.num_joints:
            return known
    return KeypointLayout(name, count, left, right)


def _finite_poses(
    value: Any, where: str, *, axes: int, joints: Sequence[int]
) -> np.ndarray:
    array = np.asarray(value)
    fits = array.ndim == 3 and array.shape[1] in joints and len(array) > 0
    # Detections may have confidences as further columns.
    fits &= array.ndim == 3 and (
        array.shape[2] == 3 if axes == 3 else array.shape[2] >= 2
    )
    if not fits or array.dtype.kind not in "fiu":
        counts = " or ".join(str(count) for count in joints)
        raise ValueError(
            f"{where} has shape {array.shape} ({array.dtype}); expected (frames, "
            f"{counts} joints, {axes}{'' if axes == 3 else ' or more'}) numbers."
        )
    array = array[..., :axes].astype(np.float32)
    finite = np.isfinite(array).all(axis=(1, 2))
    if not finite.all():
        raise ValueError(
            f"{where} is not finite in {(~finite).sum()} frames, first in frame "
            f"{np.argmin(finite)}; fill in or leave out these frames."
        )
    return array
