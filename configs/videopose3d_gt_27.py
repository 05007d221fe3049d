r"""VideoPose3D, ground-truth 2-D, 27 frames (Pavllo et al. 2019).

  python -m posejax.main --config configs/videopose3d_gt_27.py

Fully supervised on S1, S5 to S8. The paper gives no figure for this row.
Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    return posture_pose.get_config(variant)
