"""template_warp: self-supervised 2-D pose by warping a body template.

A regressor looks at frame 1 and predicts affine maps that move the blobs of a fixed
body template; a translator repaints frame 1 from frame 2 (same person and background,
another pose) and the moved blobs. The error of the repainted frame, and a prior that
keeps the parts joined and inside the picture, train both. No labels.

Parameters: `{"regressor": ..., "translator": ...}`. Model state: `{"batch_stats":
{"regressor": ..., "translator": ...}, "vgg": ...}`; `vgg` is frozen. Batches:
`frame_1`, `frame_2` uint8 RGB `(batch, side, side, 3)`; in evaluation also `joints`
`(batch, 15, 2)` and `diagonal` in pixels of the crop, and `joint_valid`.

Reference: Schmidtke et al., CVPR 2021; Yoo and Russakovsky, ICCVW 2023.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float

from posejax import geometry, importers, losses, models
from posejax.checks import unknown
from posejax.optimizers import adam
from posejax.tasks import template_warp_metrics
from posejax.tasks.template_warp_functions import (
    Functions,
    Moved,
    make_functions,
    make_regressor,
    make_translator,
)
from posejax.templates import PARTS, TEMPLATES
from posejax.typing import Batch, Config, LossFn, LossOutput, Task, Tree


class TemplatePose(NamedTuple):
    """Predictions for a batch, in pixels of the crop, x before y.

    Attributes:
      joints: `(batch, 15, 2)`, order `skeletons.TEMPLATE_15`.
      anchors: `(batch, 32, 2)`, order of `templates`.
    """

    joints: jax.Array
    anchors: jax.Array


def loss_terms(
    functions: Functions,
    vgg: Tree,
    moved: Moved,
    target: Float[Array, "batch side side 3"],
    repainted: Float[Array, "batch side side 3"],
) -> dict[str, Float[Array, " batch"]]:
    """Returns every loss term per example.

    Args:
      functions: The configuration's functions.
      vgg: Parameters of the perceptual features.
      moved: The moved template.
      target: Normalised frame 1.
      repainted: The translator's output.

    Returns:
      `perceptual`, `pixel`, `anchor` and `boundary`, each `(batch,)`; the last two are
      sums over the steps of the warp.

    Reference:
      Yoo and Russakovsky 2023, section 3; weights in `config.weights`.
    """
    size = target.shape[1]
    wanted = jax.lax.stop_gradient(functions.features(vgg, target))
    return {
        "perceptual": losses.perceptual_loss(
            functions.features(vgg, repainted), wanted
        ),
        "pixel": losses.pixel_loss(repainted, target),
        "anchor": _summed(losses.anchor_loss, moved, size),
        "boundary": _summed(losses.boundary_loss, moved, size),
    }


def _summed(loss: Callable[..., jax.Array], moved: Moved, size: int) -> jax.Array:
    """Returns a loss of the anchors, summed over the steps of the warp."""
    per_step = [loss(anchors, image_size=size) for anchors in moved.anchors]
    return jnp.sum(jnp.stack(per_step), axis=0)


def make_loss(functions: Functions) -> LossFn:
    """Returns the training loss of a configuration.

    Both networks see batch statistics. The gradient of the picture terms reaches the
    regressor through the moved blobs alone.

    Args:
      functions: The configuration's functions.

    Returns:
      The loss as `typing.LossFn` describes it: the weighted mean of `loss_terms`, the
      moved batch statistics, and the mean of each term.

    Reference:
      Yoo and Russakovsky 2023 (arXiv 2311.02815), section 3.
    """

    def loss(
        params: Tree,
        model_state: Tree,
        batch: Batch,
        *,
        key: jax.Array,
        step: jax.Array,
    ) -> LossOutput:
        del key, step  # nothing is drawn and nothing is scheduled
        stats = model_state["batch_stats"]
        frame_1 = functions.normalize(batch["frame_1"])
        frame_2 = functions.normalize(batch["frame_2"])
        raw, regressor = functions.regress(
            params["regressor"], stats["regressor"], frame_1, train=True
        )
        moved = functions.move(raw)
        repainted, translator = functions.translate(
            params["translator"], stats["translator"], frame_2, moved.parts, train=True
        )
        terms = loss_terms(functions, model_state["vgg"], moved, frame_1, repainted)
        means = {name: jnp.mean(term) for name, term in terms.items()}
        state = model_state | {
            "batch_stats": {"regressor": regressor, "translator": translator}
        }
        return LossOutput(losses.weighted_sum(means, functions.weights), state, means)

    return loss


def make_task(config: Config, data_dir: str | None = None) -> Task:
    """Returns the task of one of the system's configs.

    Args:
      config: See `configs/bases/template_warp.py`.
      data_dir: Folder that holds the imported VGG file; needed by `init` alone.

    Returns:
      The task; its predictions are `TemplatePose`.

    Raises:
      ValueError: for a field with an unknown value or a size that cannot be.
    """
    functions = make_functions(config)

    def init(key: jax.Array, batch: Batch) -> tuple[Tree, Tree]:
        return _init(config, key, batch, data_dir)

    def predict(params: Tree, model_state: Tree, batch: Batch) -> TemplatePose:
        raw, _ = functions.regress(
            params["regressor"],
            model_state["batch_stats"]["regressor"],
            functions.normalize(batch["frame_1"]),
            train=False,
        )
        anchors = functions.move(raw).anchors[-1]
        return TemplatePose(functions.joints(anchors), anchors)

    return Task(
        init=init,
        loss=make_loss(functions),
        predict=predict,
        metrics=template_warp_metrics.METRICS,
        optimizer=make_optimizer(config),
        summarize=template_warp_metrics.summarize,
        pictures=lambda params, model_state, batch: pictures(
            functions, params, model_state, batch
        ),
        selection=("normalized_l2", "min"),
        baselines=lambda statistics: template_warp_metrics.baselines(
            statistics, _rest_pose(functions, config), config.image_size
        ),
    )


def make_optimizer(config: Config) -> optax.GradientTransformation:
    """Returns Adam as published, with the decay and clipping that `config` asks for.

    Args:
      config: See `configs/bases/template_warp.py`.

    Returns:
      The optax transformation.

    Raises:
      ValueError: for an unknown decay, or one without a number of steps.
    """
    numbers = dict(config.optimizer)
    match numbers.pop("decay"):
        case "none":
            return adam(**numbers)
        case "cosine":
            if not config.num_steps:
                raise ValueError(
                    "config.optimizer.decay is 'cosine' and config.num_steps is 0; "
                    "expected num_steps above 0, over which to decay."
                )
            return adam(**numbers, decay_steps=config.num_steps)
        case other:
            raise unknown("config.optimizer.decay", other, ("none", "cosine"))


def _rest_pose(functions: Functions, config: Config) -> np.ndarray:
    anchors = geometry.template_anchors(
        TEMPLATES[config.template], size=config.image_size
    )
    return np.asarray(functions.joints(jnp.asarray(anchors)))


def _init(
    config: Config, key: jax.Array, batch: Batch, data_dir: str | None
) -> tuple[Tree, Tree]:
    """Draws both networks and reads (or draws) the frozen features."""
    shape = batch["frame_1"].shape[:3]
    channels = {"regressor": 3, "translator": 3 + len(PARTS)}
    if config.regressor == "shape_template":
        channels["regressor"] += len(PARTS)
    networks = {
        "regressor": make_regressor(config),
        "translator": make_translator(config),
    }
    params, stats = {}, {}
    keys = dict(zip(networks, jax.random.split(key), strict=True))
    for name, network in networks.items():
        example = jax.ShapeDtypeStruct((*shape, channels[name]), jnp.float32)
        params[name], stats[name] = network.init(keys[name], example)
    last = params["regressor"]["output"]
    params["regressor"] = params["regressor"] | {
        "output": jax.tree.map(lambda x: config.output_scale * x, last)
    }
    return params, {"batch_stats": stats, "vgg": vgg_params(config, data_dir)}


def vgg_params(config: Config, data_dir: str | None) -> Tree:
    """Returns the frozen features: torchvision's, imported, or fixed-seed random ones.

    Args:
      config: See `configs/bases/template_warp.py`.
      data_dir: Folder that holds `weights/vgg19.npz`; not needed by random ones.

    Returns:
      Parameters for `models.vgg_features`.

    Raises:
      FileNotFoundError: the imported file is missing (with how to get it).
      ValueError: for another `config.vgg.weights`.
    """
    match config.vgg.weights:
        case "random":
            return models.random_vgg_params(widths=config.vgg.widths)
        case "torchvision":
            return importers.load_vgg_npz(vgg_path(data_dir))
        case other:
            raise unknown("config.vgg.weights", other, ("torchvision", "random"))


def vgg_path(data_dir: str | None) -> str:
    """Returns where the imported VGG-19 features lie.

    Args:
      data_dir: Folder of the prepared data sets.

    Returns:
      The path; the file need not exist.

    Raises:
      ValueError: no data folder is known.
    """
    if data_dir is None:
        raise ValueError(
            "data_dir is None; config.vgg.weights 'torchvision' needs the folder that "
            "holds weights/vgg19.npz."
        )
    return os.path.join(data_dir, "weights", "vgg19.npz")


def pictures(
    functions: Functions, params: Tree, model_state: Tree, batch: Batch
) -> dict[str, jax.Array]:
    """Returns what the log shows of a batch.

    Args:
      functions: The configuration's functions.
      params: Parameters of both networks.
      model_state: Batch statistics.
      batch: `frame_1` and `frame_2`, uint8 RGB.

    Returns:
      Float RGB in 0..1, `(batch, side, side, 3)` each: both frames, the repainted frame
      1, the sum of the moved blobs, and the same after the first of two warp steps.
    """
    stats = model_state["batch_stats"]
    frame_1, frame_2 = (functions.normalize(batch[f"frame_{i}"]) for i in (1, 2))
    raw, _ = functions.regress(
        params["regressor"], stats["regressor"], frame_1, train=False
    )
    moved = functions.move(raw)
    repainted, _ = functions.translate(
        params["translator"], stats["translator"], frame_2, moved.parts, train=False
    )
    shown = {
        "frame_1": functions.denormalize(frame_1),
        "frame_2": functions.denormalize(frame_2),
        "reconstruction": functions.denormalize(repainted),
        "warped_template": _grey(moved.parts),
    }
    if len(moved.anchors) > 1:
        shown["template_after_step_1"] = _grey(functions.draw(moved.maps[:1]))
    return shown


def _grey(blobs: jax.Array) -> jax.Array:
    total = jnp.clip(jnp.sum(blobs, axis=-1, keepdims=True), 0.0, 1.0)
    return jnp.broadcast_to(total, (*total.shape[:-1], 3))
