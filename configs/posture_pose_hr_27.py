r"""PosturePose, HRNet keypoints, 27 frames (Amadi and Agam 2023).

  python -m posejax.main --config configs/posture_pose_hr_27.py

Labelled S1, unlabelled S5 to S8, all losses. Published (S9, S11): P1 52.4 mm,
P2 39.7 mm, J-MPBOE 47.5 mm. Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    posture_pose.semi_supervised(config)
    for branch in ("labelled", "unlabelled", "test"):
        config.data[branch].input_2d = "hr"
    config.ignore_nose = True
    return config
