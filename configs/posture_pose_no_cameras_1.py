r"""PosturePose, no camera parameters, 1 frame (Amadi and Agam 2023).

  python -m posejax.main --config configs/posture_pose_no_cameras_1.py

Labelled S1, unlabelled S5 to S8, orthographic camera, scale network. Published
(S9, S11): P1 54.2 mm. Not run here on Human3.6M.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; see the base for its variants."""
    config = posture_pose.get_config(variant)
    posture_pose.semi_supervised(config)
    config.model.filter_widths = (1, 1, 1)
    config.auxiliary = "scale"
    config.projection = "root_added"
    config.views.group_size = 3
    config.views.num_groups = 510
    config.batch_size = 512
    config.num_epochs = 160
    config.warmup_epochs = 4
    config.optimizer.decay = 0.975
    config.weights.reprojection = 0.125
    config.weights.root = 0.025
    config.weights.symmetry = 0.0125
    config.weights.bone_proportion = 0.0125
    config.weights.joint_mobility = 0.0125
    config.weights.view_pose = 0.0
    config.weights.view_posture = 0.03
    return config
