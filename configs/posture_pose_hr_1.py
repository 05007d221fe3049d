r"""PosturePose, HRNet keypoints, 1 frame (Amadi and Agam 2023).

  python -m posejax.main --config configs/posture_pose_hr_1.py

Labelled S1, unlabelled S5 to S8, all losses. Published (S9, S11): P1 54.0 mm,
P2 41.5 mm, J-MPBOE 49.1 mm. Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    posture_pose.semi_supervised(config)
    config.model.filter_widths = (1, 1, 1)
    for branch in ("labelled", "unlabelled", "test"):
        config.data[branch].input_2d = "hr"
    config.ignore_nose = True
    return config
