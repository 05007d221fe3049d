r"""The joint optimisation of flow and joints in the frames on MPI Sintel, final pass.

  python -m posejax.main --config configs/flow_pose_sintel.py --config.data.root=DIR \
      --config.flow.weights=raft_things.npz

The variant of Arko et al. 2022 without bodies: four scenes, DCPose's detections, flow
judged in all pixels. DIR is as `posejax.data.sintel_clips` says. The paper's figures
could not be obtained; not run here.
"""

from ml_collections import ConfigDict

from configs.bases import flow_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; there are no variants."""
    if variant:
        raise ValueError(f"config variant is {variant!r}; expected nothing.")
    config = flow_pose.get_config()
    config.data.name = "sintel_clips"
    config.data.clips = ("alley_2", "bamboo_2", "cave_2", "cave_4")
    config.pose.kind = "2d"
    config.pose.learning_rate = 0.1
    config.flow.epochs = 50
    config.flow.radius = 3
    return config
