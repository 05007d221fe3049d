r"""The joint optimisation of flow and pose on Human3.6M (Arko et al. 2022): S9 and S11.

  python -m posejax.main --config configs/flow_pose_h36m.py --config.data.root=DIR \
      --config.flow.weights=raft_things.npz

DIR has videos, METRO's and DCPose's estimates and labels as `posejax.data.h36m_clips`
says. The paper's figures could not be obtained; not run here. One clip from files:
`--mode predict --input VIDEO --config.files.poses=NPZ --config.files.detections=JSON`.
"""

from ml_collections import ConfigDict

from configs.bases import flow_pose


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; `variant` is '' or 'published' (batch norm trained)."""
    config = flow_pose.get_config()
    config.evaluation.per_32 = True
    if variant == "published":
        config.flow.bn_mode = "train"
    elif variant:
        raise ValueError(
            f"config variant is {variant!r}; expected nothing or 'published'."
        )
    return config
