"""The joint optimisation of flow and pose on the drawn people.

  python -m posejax.main --config configs/flow_pose_sample.py

Poses start from the true ones with an estimator's faults; flow from the packaged small
RAFT. Figures: experiments/flow_pose/README.md. `:priors` adds the priors of bodies.
"""

from ml_collections import ConfigDict

from configs.bases import flow_pose

# Both people of the test split, two actions each, two of the four cameras.
CLIPS = (
    "S9/Directions.54138969", "S9/Directions.58860488",
    "S9/Posing.54138969", "S9/Posing.58860488",
    "S11/Greeting.55011271", "S11/Greeting.60457274",
    "S11/Waiting.55011271", "S11/Waiting.60457274",
)  # fmt: skip


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; `variant` is '' or 'priors'."""
    config = flow_pose.get_config()
    config.sample.data.clips = CLIPS
    config.update(config.sample)
    if variant == "priors":
        config.pose.weights.bone_proportion = 100.0
        config.pose.weights.joint_mobility = 100.0
    elif variant:
        raise ValueError(
            f"config variant is {variant!r}; expected nothing or 'priors'."
        )
    return config
