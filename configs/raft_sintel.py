r"""RAFT, third stage: Sintel, KITTI, HD1K and FlyingThings3D (Teed and Deng 2020).

  python -m posejax.main --config configs/raft_sintel.py \
    --config.initial_weights=WEIGHTS.npz   # `--mode export_weights` of stage things

Published (Sintel test server): EPE clean 1.94, final 3.18 px without warm start. Not
run here.
"""

from ml_collections import ConfigDict

from configs.bases import raft


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; it has no variants."""
    config = raft.get_config(variant)
    raft.stage(
        config,
        mix=(
            "sintel_clean",
            "sintel_final",
            "kitti_mixed",
            "hd1k",
            "things",
        ),
        evaluated=("sintel_clean", "sintel_final", "kitti"),
        crop=(368, 768),
        num_steps=100_000,
        batch_size=6,
        learning_rate=1.25e-4,
        weight_decay=1e-5,
        gamma=0.85,
    )
    return config
