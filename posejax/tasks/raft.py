"""RAFT as a task: optical flow learnt from pairs of frames whose flow is known.

Teed and Deng, RAFT: recurrent all-pairs field transforms for optical flow, ECCV 2020.
"""

from collections.abc import Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from posejax import importers, losses, metrics, models, optimizers
from posejax.checks import require_at_least
from posejax.typing import Batch, Config, LossFn, LossOutput, Task, Tree

# The published run lets the learning rate fall a little longer than it trains.
EXTRA_STEPS = 100
THRESHOLDS_PX = (1, 3, 5)


class FlowPrediction(NamedTuple):
    """Predictions for a batch.

    Attributes:
      flow: `(batch, height, width, 2)`, pixels, x before y.
    """

    flow: jax.Array


def make_network(config: Config) -> models.RaftNetwork:
    """Returns the network that a config names.

    Raises:
      ValueError: an unknown choice, or a number out of its range.
    """
    return models.raft_network(
        config.model.variant,
        bn_mode=config.model.bn_mode,
        dropout=config.model.dropout,
        corr=config.model.corr,
        remat=config.model.remat,
        dtype=models.compute_dtype(config.compute_dtype),
    )


def make_task(config: Config, data_dir: str = "data") -> Task:
    """Returns the task.

    Args:
      config: See `configs/bases/raft.py`.
      data_dir: Where `config.initial_weights` is looked for if it is no path.

    Raises:
      FileNotFoundError: the initial weights are not there.
      ValueError: a value that is not legal, or initial weights of another network.
    """
    require_at_least("config.evaluation.updates", config.evaluation.updates, 1)
    network = make_network(config)

    def init(key: jax.Array, batch: Batch) -> tuple[Tree, Tree]:
        del batch  # the parameters fit frames of any size
        drawn = network.init(key)
        if not config.initial_weights:
            return drawn
        return importers.read_weights(config.initial_weights, like=drawn)

    def predict(params: Tree, model_state: Tree, batch: Batch) -> FlowPrediction:
        output, _ = network.apply(
            params,
            model_state,
            batch["image_1"],
            batch["image_2"],
            num_updates=config.evaluation.updates,
        )
        return FlowPrediction(output.flow)

    return Task(
        init=init,
        loss=make_loss(config, network),
        predict=predict,
        metrics={"sums": flow_sums, "pair_epe": pair_error},
        optimizer=optimizers.adamw(
            optimizers.one_cycle(
                config.optimizer.learning_rate, config.num_steps + EXTRA_STEPS
            ),
            eps=config.optimizer.eps,
            weight_decay=config.optimizer.weight_decay,
            clip_norm=config.optimizer.clip_norm,
        ),
        summarize=flow_figures,
        selection=("epe", "min"),
        baselines=lambda statistics: {"zero flow": zero_flow},
    )


def make_loss(config: Config, network: models.RaftNetwork) -> LossFn:
    """Returns the training loss: the flow after every update, later ones counting more.

    Args:
      config: See `configs/bases/raft.py`.
      network: The network that it names.

    Raises:
      ValueError: a number that is out of its range.
    """
    require_at_least("config.train_updates", config.train_updates, 1)

    def loss(
        params: Tree,
        model_state: Tree,
        batch: Batch,
        *,
        key: jax.Array,
        step: jax.Array,
    ) -> LossOutput:
        del step
        drop_key, noise_key = jax.random.split(key)
        output, state = network.apply(
            params,
            model_state,
            *noisy_frames(noise_key, batch, largest=config.noise),
            num_updates=config.train_updates,
            train=True,
            all_flows=True,
            key=drop_key,
        )
        per_pair = losses.sequence_loss(
            jnp.asarray(output.flows),
            batch["flow"],
            mask=batch["mask"],
            gamma=config.weights.gamma,
            max_flow=config.weights.max_flow,
        )
        error = metrics.mean_endpoint_error(
            jax.lax.stop_gradient(output.flow), batch["flow"], mask=batch["mask"]
        )
        logs = {"sequence": jnp.mean(per_pair), "epe": jnp.mean(error)}
        return LossOutput(logs["sequence"], state, logs)

    return loss


def noisy_frames(
    key: jax.Array, batch: Batch, *, largest: float
) -> tuple[jax.Array, jax.Array]:
    """Returns both frames, with Gaussian noise of one random deviation for the batch.

    Args:
      key: Random key.
      batch: `image_1` and `image_2`, values in 0..255.
      largest: Largest deviation; 0 leaves the frames as they are.
    """
    frames = batch["image_1"], batch["image_2"]
    if not largest:
        return frames
    size_key, *keys = jax.random.split(key, 3)
    size = jax.random.uniform(size_key, maxval=largest)
    first, second = (
        jnp.clip(frame + size * jax.random.normal(k, frame.shape), 0, 255)
        for k, frame in zip(keys, frames, strict=True)
    )
    return first, second


def flow_sums(predictions: FlowPrediction, batch: Batch) -> jax.Array:
    """Sums over the pixels of each pair, `(batch, 6)`.

    They are: pixels that count, endpoint errors, pixels within 1, 3 and 5 px, outliers.
    """
    flow, target, mask = predictions.flow, batch["flow"], batch["mask"]
    shares = [
        metrics.mean_endpoint_error(flow, target, mask=mask),
        *(
            metrics.share_within(flow, target, threshold_px=t, mask=mask)
            for t in THRESHOLDS_PX
        ),
        metrics.outlier_share(flow, target, mask=mask),
    ]
    count = metrics.num_flow_pixels(mask)
    return jnp.stack([count, *(share * count for share in shares)], axis=-1)


def pair_error(predictions: FlowPrediction, batch: Batch) -> jax.Array:
    """Mean endpoint error of each pair, and whether the pair has true flow at all."""
    error = metrics.mean_endpoint_error(
        predictions.flow, batch["flow"], mask=batch["mask"]
    )
    return jnp.stack([error, jnp.any(batch["mask"], axis=(1, 2))], axis=-1)


def flow_figures(values: Mapping[str, np.ndarray]) -> dict[str, float]:
    """Returns the figures of a split.

    `epe` and the shares are over all pixels of all pairs (Sintel's, and KITTI's
    outliers), `epe_pairs` is the mean over pairs of their means (KITTI's).

    Args:
      values: What `flow_sums` and `pair_error` return, per pair.
    """
    sums = np.asarray(values["sums"], np.float64).sum(axis=0)
    names = ("epe", *(f"within_{t}px" for t in THRESHOLDS_PX), "f1_all")
    scale = np.array([1, 100, 100, 100, 100]) / max(sums[0], 1)
    errors, has_flow = values["pair_epe"].astype(np.float64).T
    return {
        **dict(zip(names, (sums[1:] * scale).tolist(), strict=True)),
        "epe_pairs": float(errors.sum() / max(has_flow.sum(), 1)),
    }


def zero_flow(params: Tree, model_state: Tree, batch: Batch) -> FlowPrediction:
    """Predicts that nothing moves."""
    del params, model_state
    return FlowPrediction(jnp.zeros_like(batch["flow"]))


def variables(config: Config) -> tuple[Tree, Tree]:
    """Returns the shapes of `(params, model_state)` that a checkpoint must hold.

    Args:
      config: See `configs/bases/raft.py`.
    """
    return jax.eval_shape(make_network(config).init, jax.random.key(0))


COLUMNS = {
    "epe": "EPE px",
    "within_1px": "< 1 px %",
    "within_3px": "< 3 px %",
    "within_5px": "< 5 px %",
    "f1_all": "F1-all %",
    "epe_pairs": "EPE of pairs px",
}
