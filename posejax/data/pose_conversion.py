"""Published files of poses and keypoints, made into plain arrays without pickle."""

import os
import pathlib

from posejax.data.detectron_keypoints import detectron_keypoints, is_detectron_output
from posejax.data.object_arrays import read_arrays
from posejax.data.pose_files import (
    holds_keypoints,
    read_keypoints,
    read_poses_3d,
    write_keypoints,
    write_poses_3d,
)


def convert_pose_file(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    *,
    allow_pickle: bool = False,
    overwrite: bool = False,
) -> None:
    """Writes a published pose file as plain arrays, which load without pickle.

    The target appears whole or not at all.

    Args:
      source: A file of poses, of detections, or of what Detectron found in a video.
      target: The plain file, ending in `.npz`. Poses of 32 joints are reduced to 17;
        of what Detectron found, the best person of each frame is kept.
      allow_pickle: Whether `source` may be a pickle; see `read_arrays`.
      overwrite: Whether a file that is there already is replaced.

    Raises:
      FileNotFoundError: If the source, or the folder of the target, is missing.
      FileExistsError: If the target is there and `overwrite` is False.
      ValueError: If it is none of these, or something in it is not what it should be,
        or source and target are one file.
    """
    _check_target(pathlib.Path(source), pathlib.Path(target), overwrite)
    arrays = read_arrays(source, allow_pickle=allow_pickle)
    if is_detectron_output(arrays):
        write_keypoints(target, detectron_keypoints(arrays, source))
    elif holds_keypoints(arrays, source):
        write_keypoints(target, read_keypoints(source, allow_pickle=allow_pickle))
    else:
        counts = (15, 17, 20, 32)
        poses = read_poses_3d(source, num_joints=counts, allow_pickle=allow_pickle)
        write_poses_3d(target, poses)


def _check_target(source: pathlib.Path, target: pathlib.Path, overwrite: bool) -> None:
    if target.suffix != ".npz":
        raise ValueError(f"target is {str(target)!r}; expected a name ending in .npz.")
    if not target.parent.is_dir():
        raise FileNotFoundError(
            f"folder {target.parent} of the target is missing; make it, or name "
            "another."
        )
    if not target.exists():
        return
    if source.exists() and target.samefile(source):
        raise ValueError(
            f"target is {str(target)!r}, which is the source; name another file."
        )
    if not overwrite:
        raise FileExistsError(
            f"target {str(target)!r} is there already; name another file, or pass "
            "overwrite=True to replace it."
        )
