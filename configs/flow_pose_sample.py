"""The joint optimisation of flow and pose on the drawn people.

  python -m posejax.main --config configs/flow_pose_sample.py

Poses start from the true ones with an estimator's faults; flow from the packaged small
RAFT. Figures: experiments/flow_pose/README.md. `:priors` adds the priors of bodies.
"""

from ml_collections import ConfigDict

from configs.bases import flow_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; `variant` is '' or 'priors'."""
    config = flow_pose.get_config()
    config.update(config.sample)
    if variant == "priors":
        config.pose.weights.bone_proportion = 1.0
        config.pose.weights.joint_mobility = 1.0
    elif variant:
        raise ValueError(
            f"config variant is {variant!r}; expected nothing or 'priors'."
        )
    return config
