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

import dataclasses
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from ml_collections import ConfigDict

from posejax import geometry, importers, losses, models
from posejax.checks import unknown
from posejax.optimizers import adam
from posejax.tasks import template_warp_metrics
from posejax.templates import SCHEMES, TEMPLATES, Template
from posejax.typing import Batch, LossOutput, Task, Tree

# The statistics with which torchvision's networks were trained, R G B. The published
# code applies them, in this order, to B G R channels.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)


class TemplatePose(NamedTuple):
    """Predictions for a batch, in pixels of the crop, x before y.

    Attributes:
      joints: `(batch, 15, 2)`, order `skeletons.TEMPLATE_15`.
      anchors: `(batch, 32, 2)`, order of `templates`.
    """

    joints: jax.Array
    anchors: jax.Array


class Moved(NamedTuple):
    """The template moved by the regressor's output.

    Attributes:
      parts: `(batch, side, side, 18)`, the blobs after the last step.
      first_parts: The blobs after the first step (the same for one step).
      anchors: Per step the anchors after it, `(batch, 32, 2)` crop pixels.
    """

    parts: jax.Array
    first_parts: jax.Array
    anchors: tuple[jax.Array, ...]


@dataclasses.dataclass(frozen=True)
class Parts:
    """The functions a configuration is made of; all of the system's variants.

    Attributes:
      normalize: uint8 RGB frames to the networks' input.
      denormalize: Back, float RGB in 0..1.
      regress: (params, state, frames, train) -> (raw output, moved state).
      move: Raw output -> `Moved`.
      translate: (params, state, frames, parts, train) -> (frames, moved state).
      features: (vgg parameters, frames) -> features of the perceptual loss.
      joints: Anchors -> joints.
      weights: Weight of each loss term.
    """

    normalize: Callable[[jax.Array], jax.Array]
    denormalize: Callable[[jax.Array], jax.Array]
    regress: Callable[..., tuple[jax.Array, Tree]]
    move: Callable[[jax.Array], Moved]
    translate: Callable[..., tuple[jax.Array, Tree]]
    features: Callable[[Tree, jax.Array], jax.Array]
    joints: Callable[[jax.Array], jax.Array]
    weights: dict[str, float]


def make_normalize(channel_order: str) -> tuple[Callable, Callable]:
    """Returns `(normalize, denormalize)` for 'bgr' (as published) or 'rgb'.

    Raises:
      ValueError: for another order.
    """
    match channel_order:
        case "bgr":
            order = slice(None, None, -1)
        case "rgb":
            order = slice(None)
        case other:
            raise unknown("config.channel_order", other, ("bgr", "rgb"))
    mean, std = jnp.array(MEAN), jnp.array(STD)

    def normalize(frames: jax.Array) -> jax.Array:
        values = frames[..., order].astype(mean.dtype) / 255
        return (values - _row(mean, values)) / _row(std, values)

    def denormalize(values: jax.Array) -> jax.Array:
        shown = values * _row(std, values) + _row(mean, values)
        return jnp.clip(shown[..., order], 0.0, 1.0)

    return normalize, denormalize


def _row(vector: jax.Array, like: jax.Array) -> jax.Array:
    return vector.reshape((1,) * (like.ndim - 1) + (3,))


def make_move(
    *,
    template: Template,
    scheme: str,
    warp: str,
    image_size: int,
    constrained_identity: bool = True,
) -> Callable[[jax.Array], Moved]:
    """Returns the function that moves the template by the regressor's raw output.

    Args:
      template: The body template at rest.
      scheme: 'affine', 'two_step' or 'constrained'.
      warp: 'sampling' (bilinear, as published) or 'gaussian' (closed form).
      image_size: Side of the crop, pixels.
      constrained_identity: Whether 'constrained' adds the identity, as published.

    Raises:
      ValueError: for an unknown scheme or warp.
    """
    if scheme not in SCHEMES:
        raise unknown("config.scheme", scheme, SCHEMES)
    match warp:
        case "sampling":
            blobs = geometry.draw_template(template, size=image_size)

            def warp_all(maps):
                return geometry.warp_template(blobs, maps, scheme=scheme)

        case "gaussian":

            def warp_all(maps):
                return geometry.warp_template_closed_form(
                    template, maps, size=image_size
                )

        case other:
            raise unknown("config.warp", other, ("sampling", "gaussian"))
    rest = jnp.asarray(geometry.rest_anchors(template, size=image_size))

    def move(raw: jax.Array) -> Moved:
        maps = geometry.expand_parameters(
            raw,
            scheme=scheme,
            image_size=image_size,
            constrained_identity=constrained_identity,
        )
        warped = warp_all(maps)
        anchors = geometry.transform_anchors(rest, maps)
        last, first = (jnp.moveaxis(w, -3, -1) for w in (warped[-1], warped[0]))
        return Moved(last, first, anchors)

    return move


def make_parts(config: ConfigDict) -> Parts:
    """Chooses the functions that `config` names.

    Raises:
      ValueError: naming the field, what was found and the legal values.
    """
    size = config.image_size
    dtype = _compute_dtype(config.compute_dtype)
    normalize, denormalize = make_normalize(config.channel_order)
    if config.template not in TEMPLATES:
        raise unknown("config.template", config.template, TEMPLATES)
    template = TEMPLATES[config.template]
    move = make_move(
        template=template,
        scheme=config.scheme,
        warp=config.warp,
        image_size=size,
        constrained_identity=config.constrained_identity,
    )
    regressor = models.make_template_regressor(
        num_outputs=SCHEMES[config.scheme].num_outputs,
        features=config.regressor_features,
        dtype=dtype,
    )
    translator = models.make_reconstructor(
        in_channels=3 + len(template.parts),
        features=config.translator_features,
        dtype=dtype,
    )

    def translate(params, state, frames, parts, *, train):
        inputs = jnp.concatenate([frames, parts], axis=-1)
        return translator.apply(params, state, inputs, train=train)

    def joints(anchors):
        return geometry.joints_from_anchors(
            anchors,
            midpoint=config.evaluation.midpoint,
            symmetric=config.evaluation.symmetric_hip,
        )

    return Parts(
        normalize=normalize,
        denormalize=denormalize,
        regress=regressor.apply,
        move=move,
        translate=translate,
        features=lambda vgg, frames: models.vgg_features(vgg, frames, dtype=dtype),
        joints=joints,
        weights=dict(config.weights),
    )


def _compute_dtype(name: str) -> Any:
    match name:
        case "float32":
            return jnp.float32
        case "bfloat16":
            return jnp.bfloat16
        case other:
            raise unknown("config.compute_dtype", other, ("float32", "bfloat16"))


def loss_terms(
    parts: Parts,
    vgg: Tree,
    moved: Moved,
    target: Float[Array, "batch side side 3"],
    repainted: Float[Array, "batch side side 3"],
) -> dict[str, Float[Array, " batch"]]:
    """Returns every loss term per example.

    Args:
      parts: The configuration's functions.
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
    wanted = jax.lax.stop_gradient(parts.features(vgg, target))
    return {
        "perceptual": losses.perceptual_loss(parts.features(vgg, repainted), wanted),
        "pixel": losses.pixel_loss(repainted, target),
        "anchor": sum(losses.anchor_loss(a, image_size=size) for a in moved.anchors),
        "boundary": sum(
            losses.boundary_loss(a, image_size=size) for a in moved.anchors
        ),
    }


def make_task(config: ConfigDict, data_dir: str | None = None) -> Task:
    """Returns the task of one of the system's configs.

    Args:
      config: See `configs/bases/template_warp.py`.
      data_dir: Folder that holds the imported VGG file; needed by `init` alone.

    Raises:
      ValueError: for a field with an unknown value.
    """
    parts = make_parts(config)

    def init(key: jax.Array, batch: Batch) -> tuple[Tree, Tree]:
        return _init(config, key, batch, data_dir)

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
        frame_1 = parts.normalize(batch["frame_1"])
        frame_2 = parts.normalize(batch["frame_2"])
        raw, regressor = parts.regress(
            params["regressor"], stats["regressor"], frame_1, train=True
        )
        moved = parts.move(raw)
        repainted, translator = parts.translate(
            params["translator"], stats["translator"], frame_2, moved.parts, train=True
        )
        terms = loss_terms(parts, model_state["vgg"], moved, frame_1, repainted)
        means = {name: jnp.mean(term) for name, term in terms.items()}
        state = model_state | {
            "batch_stats": {"regressor": regressor, "translator": translator}
        }
        return LossOutput(losses.weighted_sum(means, parts.weights), state, means)

    def predict(params: Tree, model_state: Tree, batch: Batch) -> TemplatePose:
        raw, _ = parts.regress(
            params["regressor"],
            model_state["batch_stats"]["regressor"],
            parts.normalize(batch["frame_1"]),
            train=False,
        )
        anchors = parts.move(raw).anchors[-1]
        return TemplatePose(parts.joints(anchors), anchors)

    return Task(
        init=init,
        loss=loss,
        predict=predict,
        metrics=template_warp_metrics.METRICS,
        optimizer=adam(**config.optimizer),
        summarize=template_warp_metrics.summarize,
        pictures=lambda *args: pictures(parts, *args),
        selection=("normalized_l2", "min"),
        baselines=lambda statistics: template_warp_metrics.baselines(
            statistics, _rest_pose(parts, config), config.image_size
        ),
    )


def _rest_pose(parts: Parts, config: ConfigDict) -> np.ndarray:
    anchors = geometry.rest_anchors(TEMPLATES[config.template], size=config.image_size)
    return np.asarray(parts.joints(jnp.asarray(anchors)))


def _init(
    config: ConfigDict, key: jax.Array, batch: Batch, data_dir: str | None
) -> tuple[Tree, Tree]:
    """Draws both networks and reads (or draws) the frozen features."""
    frames = jax.ShapeDtypeStruct(batch["frame_1"].shape, jnp.float32)
    blobs = len(TEMPLATES[config.template].parts)
    inputs = jax.ShapeDtypeStruct((*frames.shape[:3], 3 + blobs), jnp.float32)
    regressor_key, translator_key = jax.random.split(key)
    regressor = models.make_template_regressor(
        num_outputs=SCHEMES[config.scheme].num_outputs,
        features=config.regressor_features,
    )
    translator = models.make_reconstructor(
        in_channels=inputs.shape[3], features=config.translator_features
    )
    params, stats = {}, {}
    params["regressor"], stats["regressor"] = regressor.init(regressor_key, frames)
    params["translator"], stats["translator"] = translator.init(translator_key, inputs)
    return params, {"batch_stats": stats, "vgg": vgg_params(config, data_dir)}


def vgg_params(config: ConfigDict, data_dir: str | None) -> Tree:
    """Returns the frozen features: torchvision's, imported, or fixed-seed random ones.

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
    parts: Parts, params: Tree, model_state: Tree, batch: Batch
) -> dict[str, jax.Array]:
    """Returns what the log shows of a batch, float RGB in 0..1.

    Frame 1, frame 2, the repainted frame 1, the sum of the moved blobs, and the same
    after the first step of a warp in two steps.
    """
    stats = model_state["batch_stats"]
    frame_1, frame_2 = (parts.normalize(batch[f"frame_{i}"]) for i in (1, 2))
    raw, _ = parts.regress(
        params["regressor"], stats["regressor"], frame_1, train=False
    )
    moved = parts.move(raw)
    repainted, _ = parts.translate(
        params["translator"], stats["translator"], frame_2, moved.parts, train=False
    )
    shown = {
        "frame_1": parts.denormalize(frame_1),
        "frame_2": parts.denormalize(frame_2),
        "reconstruction": parts.denormalize(repainted),
        "warped_template": _grey(moved.parts),
    }
    if len(moved.anchors) > 1:
        shown["template_after_step_1"] = _grey(moved.first_parts)
    return shown


def _grey(blobs: jax.Array) -> jax.Array:
    total = jnp.clip(jnp.sum(blobs, axis=-1, keepdims=True), 0.0, 1.0)
    return jnp.broadcast_to(total, (*total.shape[:-1], 3))
