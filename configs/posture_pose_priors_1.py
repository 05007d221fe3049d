r"""PosturePose, priors only, 1 frame (Amadi and Agam 2023).

  python -m posejax.main --config configs/posture_pose_priors_1.py

Labelled S1, unlabelled S5 to S8, without losses between views. Published (S9, S11):
P1 52.6 mm, P2 37.3 mm, J-MPBOE 40.6 mm.
Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    posture_pose.semi_supervised(config)
    config.model.filter_widths = (1, 1, 1)
    config.weights.view_pose = 0.0
    config.weights.view_posture = 0.0
    return config
