"""Boxes out of Human3.6M's mask files, 2-D joints out of its pose files."""

import pathlib

import cdflib
import h5py
import numpy as np

NUM_JOINTS = 32


class MaskError(ValueError):
    """A mask file that HDF5 can read but that does not hold the masks it should."""


def read_boxes(path: pathlib.Path) -> np.ndarray:
    """Reads the person boxes of a video from its mask file.

    The file is a MATLAB 7.3 file, that is HDF5: `Masks` holds one reference per frame
    to an array that HDF5 shows transposed, as (columns, rows). The box goes from the
    first to the last set pixel, row by row.

    Args:
      path: `ground_truth_bb/<video>.mat`.

    Returns:
      Boxes `[[x0, y0], [x1, y1]]` in source pixels, (frames, 2, 2), int64.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no such file or a mask is empty or no rectangle.
    """
    if not path.is_file():
        raise FileNotFoundError(
            f"mask file {path} is missing; unpack Segments_mat_gt_bb of its subject."
        )
    try:
        with h5py.File(path, "r") as file:
            if "Masks" not in file:
                raise MaskError(
                    f"mask file {path} has no variable Masks (found: "
                    f"{', '.join(file) or 'nothing'}); unpack Segments_mat_gt_bb of "
                    "its subject again."
                )
            references = np.ravel(file["Masks"][()])
            if len(references) == 0:
                raise MaskError(f"mask file {path} has no frames; unpack it again.")
            return np.stack([_box(file[r], path, i) for i, r in enumerate(references)])
    except MaskError:
        raise
    # A damaged file shows itself in many ways: what matters is which file it is.
    except Exception as error:
        raise ValueError(
            f"mask file {path} cannot be read as a MATLAB 7.3 (HDF5) file ({error}); "
            "unpack Segments_mat_gt_bb of its subject again."
        ) from error


def _box(mask: h5py.Dataset, path: pathlib.Path, frame: int) -> np.ndarray:
    columns_first = np.asarray(mask) != 0
    if columns_first.ndim != 2 or not columns_first.any():
        raise MaskError(
            f"mask {frame} of {path} is empty; unpack Segments_mat_gt_bb of its "
            "subject again, or take the video away to leave it out."
        )
    rows = np.flatnonzero(columns_first.any(axis=0))
    y0, y1 = rows[0], rows[-1]
    x0 = np.flatnonzero(columns_first[:, y0])[0]
    x1 = np.flatnonzero(columns_first[:, y1])[-1]
    if x0 > x1:
        raise MaskError(
            f"mask {frame} of {path} is no rectangle; the boxes are those of "
            "Segments_mat_gt_bb, not the silhouettes of Segments_mat_gt_bs."
        )
    return np.array([[x0, y0], [x1, y1]], np.int64)


def read_poses(path: pathlib.Path) -> np.ndarray:
    """Reads the 2-D joints of a video.

    Args:
      path: `D2_Positions/<video>.cdf`.

    Returns:
      Joints in source pixels, order `H36M_32`, (frames, 32, 2), float32.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no CDF file, has no `Pose` or one of another width.
    """
    return read_joints(path, axes=2, archive="Poses_D2_Positions").astype(np.float32)


def read_joints(path: pathlib.Path, *, axes: int, archive: str) -> np.ndarray:
    """Reads the joints of one of the owners' pose files, as they are stored.

    Args:
      path: The CDF file.
      axes: 2 for joints in pixels, 3 for joints in millimetres.
      archive: Name of the archive it comes from, without the subject.

    Returns:
      Joints (frames, 32, axes), order `H36M_32`.

    Raises:
      FileNotFoundError: If the file is missing.
      ValueError: If it is no CDF file, has no `Pose` or one of another width.
    """
    remedy = f"unpack {archive} of its subject again."
    if not path.is_file():
        raise FileNotFoundError(f"pose file {path} is missing; {remedy[:-7]}.")
    try:
        file = cdflib.CDF(path)
        names = [*file.cdf_info().zVariables, *file.cdf_info().rVariables]
        pose = np.asarray(file.varget("Pose")) if "Pose" in names else None
    # A damaged file shows itself in many ways: what matters is which file it is.
    except Exception as error:
        raise ValueError(
            f"pose file {path} cannot be read as CDF ({error}); {remedy}"
        ) from error
    if pose is None:
        raise ValueError(
            f"pose file {path} has no variable Pose (found: "
            f"{', '.join(names) or 'nothing'}); {remedy}"
        )
    if pose.ndim == 3 and pose.shape[0] == 1:
        pose = pose[0]
    if pose.ndim != 2 or pose.shape[1] != axes * NUM_JOINTS:
        raise ValueError(
            f"pose file {path} has a Pose of {pose.shape}; expected (frames, "
            f"{axes * NUM_JOINTS}), 32 joints in {axes}-D (D2_Positions are 64 wide, "
            f"D3_Positions 96); {remedy}"
        )
    return pose.reshape(len(pose), NUM_JOINTS, axes)
