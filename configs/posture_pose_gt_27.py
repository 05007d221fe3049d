r"""PosturePose, ground-truth 2-D, 27 frames (Amadi and Agam 2023).

  python -m posejax.main --config configs/posture_pose_gt_27.py

Labelled S1, unlabelled S5 to S8, all losses. Published (S9, S11): P1 42.2 mm,
P2 31.8 mm, J-MPBOE 36.7 mm. Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    posture_pose.semi_supervised(config)
    return config
