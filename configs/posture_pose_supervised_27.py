r"""PosturePose, labelled poses only, 27 frames (Amadi and Agam 2023).

  python -m posejax.main --config configs/posture_pose_supervised_27.py

Labelled S1, nothing else: what the others are compared with. Published (S9, S11):
P1 49.7 mm. Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    posture_pose.semi_supervised(config)
    for term in posture_pose.UNLABELLED_TERMS:
        config.weights[term] = 0.0
    return config
