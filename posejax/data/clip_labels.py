"""Labels of a clip's joints in the order of another joint set.

Labels are those of Human3.6M (17 joints) or of LSP (14); estimates in space are of
LSP's joints, detections in the frames of PoseTrack's.
"""

import numpy as np
from jaxtyping import Float

from posejax.skeletons import H36M_17, LSP_14, Skeleton

_LABELLED = {skeleton.num_joints: skeleton for skeleton in (H36M_17, LSP_14)}
# One place under the names that the joint sets have for it.
_NECKS = {"thorax": "neck", "head_bottom": "neck"}


def labels_as(
    joints: Float[np.ndarray, "*batch joints axes"], skeleton: Skeleton
) -> Float[np.ndarray, "*batch _ axes"]:
    """Labels in the order of a joint set.

    Args:
      joints: Labelled joints of `skeletons.H36M_17` or `skeletons.LSP_14`.
      skeleton: The joint set that is wanted. Its neck, head bottom or thorax are one
        joint here.

    Returns:
      Its joints; NaN for those that are not labelled.

    Raises:
      ValueError: If there are neither 17 nor 14 joints.

    >>> found = labels_as(np.arange(14.0).reshape(14, 1), H36M_17)[:, 0]
    >>> found[[1, 2, 3, 8]].tolist(), np.isnan(found[0]).item()
    ([2.0, 1.0, 0.0, 12.0], True)
    """
    count = joints.shape[-2] if joints.ndim > 1 else 0
    if count not in _LABELLED:
        raise ValueError(
            f"joints has shape {joints.shape}; expected the "
            f"{' or '.join(map(str, _LABELLED))} joints of labels."
        )
    numbers = {_place(name): n for n, name in enumerate(_LABELLED[count].joints)}
    found = np.full(
        (*joints.shape[:-2], skeleton.num_joints, joints.shape[-1]),
        np.nan,
        joints.dtype,
    )
    for number, name in enumerate(skeleton.joints):
        if _place(name) in numbers:
            found[..., number, :] = joints[..., numbers[_place(name)], :]
    return found


def _place(name: str) -> str:
    return _NECKS.get(name, name)
