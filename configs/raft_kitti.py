r"""RAFT, fourth stage: KITTI 2015, after Sintel (Teed and Deng 2020).

  python -m posejax.main --config configs/raft_kitti.py \
    --config.initial_weights=WEIGHTS.npz   # `--mode export_weights` of stage sintel

Published (KITTI test server): F1-all 5.10 %. Not run here.
"""

from ml_collections import ConfigDict

from configs.bases import raft


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; it has no variants."""
    config = raft.get_config(variant)
    raft.stage(
        config,
        mix=("kitti",),
        evaluated=("kitti",),
        crop=(288, 960),
        num_steps=50_000,
        batch_size=6,
        learning_rate=1e-4,
        weight_decay=1e-5,
        gamma=0.85,
    )
    return config
