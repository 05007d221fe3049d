"""RAFT, first stage: FlyingChairs (Teed and Deng 2020).

  python -m posejax.main --config configs/raft_chairs.py

Published on two GPUs: 100 000 steps. Its weights alone have no published figure; the
next stage's have. Not run here on FlyingChairs (24 GB to download).
"""

from ml_collections import ConfigDict

from configs.bases import raft


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; it has no variants."""
    return raft.get_config(variant)
