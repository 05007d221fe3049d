"""The small RAFT on drawn pairs: the weights that come with posejax.

  python -m posejax.main --config configs/raft_small_drawn.py

Nothing is downloaded: layers with textures and people, drawn by posejax. The packaged
`raft_small_drawn` is a run of this config; its figures are in
experiments/flow_pose/README.md.
"""

from ml_collections import ConfigDict

from configs.bases import raft


def get_config(variant: str = "") -> ConfigDict:
    """Returns the run's config; it has no variants."""
    config = raft.get_config(variant)
    config.update(config.sample)
    config.num_steps = 8000
    config.train_updates = 6
    config.batch_size = 2
    config.optimizer.learning_rate = 4e-4
    config.optimizer.weight_decay = 1e-5
    config.evaluation.every = 1000
    config.log.every = 10
    config.log.checkpoint_every = 500
    return config
