r"""RAFT, second stage: FlyingThings3D, after FlyingChairs (Teed and Deng 2020).

  python -m posejax.main --config configs/raft_things.py \
    --config.initial_weights=WEIGHTS.npz   # `--mode export_weights` of stage chairs

Published (Sintel training split): EPE clean 1.43, final 2.71 px; KITTI 5.04 px, F1-all
17.4 %. Not run here.
"""

from ml_collections import ConfigDict

from configs.bases import raft


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; it has no variants."""
    config = raft.get_config(variant)
    raft.stage(
        config,
        mix=("things_clean", "things_final"),
        evaluated=("sintel_clean", "sintel_final", "kitti"),
        crop=(400, 720),
        num_steps=100_000,
        batch_size=6,
        learning_rate=1.25e-4,
        weight_decay=1e-4,
        gamma=0.8,
    )
    return config
