r"""VideoPose3D on HumanEva-I, Mask R-CNN keypoints, 27 frames (Pavllo et al. 2019).

  python -m posejax.main --config configs/videopose3d_humaneva.py

Fully supervised on Train/S1 to Train/S3, one model of three actions. Published
(Validate/S1 to Validate/S3): P1 33.0 mm. Not run here on HumanEva.
"""

from ml_collections import ConfigDict

from configs.bases import posture_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; it has no variants."""
    if variant:
        raise ValueError(f"config variant is {variant!r}; expected nothing.")
    config = posture_pose.get_config()
    config.data.name = "humaneva_poses"
    config.data.actions = ("Walking", "Jog", "Box")
    config.data.labelled.subjects = ("Train/S1", "Train/S2", "Train/S3")
    config.data.labelled.input_2d = "detectron_pt_coco"
    config.data.test.subjects = ("Validate/S1", "Validate/S2", "Validate/S3")
    config.data.test.input_2d = "detectron_pt_coco"
    config.batch_size = 128
    config.num_epochs = 1000
    config.optimizer.decay = 0.996
    with config.sample.unlocked():  # whose people have other names and actions
        config.sample.data.actions = ()
        config.sample.data.labelled.subjects = ("S1", "S5", "S6", "S7", "S8")
        config.sample.data.test.subjects = ("S9", "S11")
    return config
