r"""VideoPose3D, semi-supervised (Pavllo et al. 2019).

  python -m posejax.main --config configs/videopose3d_semi.py

Labelled 10 % of S1, unlabelled S5 to S8, ground-truth 2-D, 27 frames. Published
(S9, S11): P1 65.2 mm, against 80.7 mm supervised alone. Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    config.data.labelled.subjects = ("S1",)
    config.data.labelled.fraction = 0.1
    config.data.unlabelled.subjects = ("S5", "S6", "S7", "S8")
    config.data.unlabelled.target_2d = "input"
    config.auxiliary = "trajectory"
    config.projection = "perspective"
    config.views.num_groups = 64
    config.batch_size = 64
    config.num_epochs = 200
    config.warmup_epochs = 5
    config.optimizer.decay = 0.98
    config.weights.reprojection = 1.0
    config.weights.bone_length = 1.0
    return config
