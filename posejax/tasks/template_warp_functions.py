"""The functions that a configuration of template_warp is made of.

Every variant is chosen here, once, among functions of equal signature.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from posejax import geometry, models
from posejax.checks import require_at_least, unknown
from posejax.templates import PARTS, SCHEMES, TEMPLATES, Template
from posejax.typing import Config, Tree

# The statistics with which torchvision's networks were trained, R G B. The published
# code applies them, in this order, to B G R channels.
MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

SIDE_MULTIPLE = 64  # of the crop: what the published seven stages divide it by


class Moved(NamedTuple):
    """The template moved by the regressor's output.

    Attributes:
      parts: `(batch, side, side, 18)`, the blobs after the last step.
      anchors: Per step the anchors after it, `(batch, 32, 2)` crop pixels.
      maps: Per step the maps, `(batch, 18, 2, 3)` crop pixels.
    """

    parts: jax.Array
    anchors: tuple[jax.Array, ...]
    maps: tuple[jax.Array, ...]


@dataclasses.dataclass(frozen=True)
class Functions:
    """The functions a configuration is made of; all of the system's variants.

    Attributes:
      normalize: uint8 RGB frames to the networks' input.
      denormalize: Back, float RGB in 0..1.
      regress: (params, state, frames, train) -> (raw output, moved state).
      move: Raw output -> `Moved`.
      draw: Maps of the first steps -> the blobs after them, as in `Moved.parts`.
      translate: (params, state, frames, parts, train) -> (frames, moved state).
      features: (vgg parameters, frames) -> features of the perceptual loss.
      joints: Anchors -> joints.
      weights: Weight of each loss term.
    """

    normalize: Callable[[jax.Array], jax.Array]
    denormalize: Callable[[jax.Array], jax.Array]
    regress: Callable[..., tuple[jax.Array, Tree]]
    move: Callable[[jax.Array], Moved]
    draw: Callable[[tuple[jax.Array, ...]], jax.Array]
    translate: Callable[..., tuple[jax.Array, Tree]]
    features: Callable[[Tree, jax.Array], jax.Array]
    joints: Callable[[jax.Array], jax.Array]
    weights: dict[str, float]


def make_normalize(channel_order: str) -> tuple[Callable, Callable]:
    """Returns `(normalize, denormalize)` for 'bgr' (as published) or 'rgb'.

    Args:
      channel_order: Order of the channels that the networks see.

    Returns:
      uint8 RGB frames to the networks' input, and that to float RGB in 0..1.

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
) -> tuple[Callable[[jax.Array], Moved], Callable[..., jax.Array]]:
    """Returns `(move, draw)`: the template moved by the regressor's raw output.

    Args:
      template: The body template at rest.
      scheme: 'affine', 'two_step' or 'constrained'.
      warp: 'sampling' (bilinear, as published) or 'gaussian' (closed form).
      image_size: Side of the crop, pixels.
      constrained_identity: Whether 'constrained' adds the identity, as published.

    Returns:
      `move`, raw outputs to `Moved`, and `draw`, maps to the moved parts alone.

    Raises:
      ValueError: for an unknown scheme or warp.
    """
    if scheme not in SCHEMES:
        raise unknown("config.scheme", scheme, SCHEMES)
    steps = SCHEMES[scheme]
    match warp:
        case "sampling":
            blobs = geometry.draw_template(template, size=image_size)

            def warp_parts(maps):
                return geometry.warp_template(blobs, maps, scheme=steps)

        case "gaussian":

            def warp_parts(maps):
                return geometry.warp_template_closed_form(
                    template, maps, size=image_size
                )

        case other:
            raise unknown("config.warp", other, ("sampling", "gaussian"))
    rest = geometry.template_anchors(template, size=image_size)

    def draw(maps: tuple[jax.Array, ...]) -> jax.Array:
        return jnp.moveaxis(warp_parts(maps), -3, -1)

    def move(raw: jax.Array) -> Moved:
        maps = geometry.expand_parameters(
            raw,
            scheme=steps,
            image_size=image_size,
            constrained_identity=constrained_identity,
        )
        done = [maps[: count + 1] for count in range(len(maps))]
        return Moved(
            parts=draw(maps),
            anchors=tuple(geometry.transform_anchors(rest, some) for some in done),
            maps=maps,
        )

    return move, draw


def make_functions(config: Config) -> Functions:
    """Chooses the functions that `config` names.

    Args:
      config: See `configs/bases/template_warp.py`.

    Returns:
      The functions, of equal signature in every configuration.

    Raises:
      ValueError: naming the field, what was found and the legal values.
    """
    require_sizes(config)
    dtype = models.compute_dtype(config.compute_dtype)
    normalize, denormalize = make_normalize(config.channel_order)
    if config.template not in TEMPLATES:
        raise unknown("config.template", config.template, TEMPLATES)
    template = TEMPLATES[config.template]
    move, draw = make_move(
        template=template,
        scheme=config.scheme,
        warp=config.warp,
        image_size=config.image_size,
        constrained_identity=config.constrained_identity,
    )
    translator = make_translator(config)

    def translate(params, state, frames, parts, *, train):
        inputs = jnp.concatenate([frames, parts], axis=-1)
        return translator.apply(params, state, inputs, train=train)

    def joints(anchors):
        return geometry.joints_from_anchors(
            anchors,
            midpoint=config.evaluation.midpoint,
            symmetric=config.evaluation.symmetric_hip,
        )

    return Functions(
        normalize=normalize,
        denormalize=denormalize,
        regress=make_regress(config),
        move=move,
        draw=draw,
        translate=translate,
        features=lambda vgg, frames: models.vgg_features(vgg, frames, dtype=dtype),
        joints=joints,
        weights=dict(config.weights),
    )


def require_sizes(config: Config) -> None:
    """Checks the lengths and widths that a configuration gives.

    Args:
      config: See `configs/bases/template_warp.py`.

    Raises:
      ValueError: naming the field, what was found and what is allowed.
    """
    size = config.image_size
    if not isinstance(size, int) or size < 1 or size % SIDE_MULTIPLE:
        raise ValueError(
            f"config.image_size is {size!r}; expected a positive multiple of "
            f"{SIDE_MULTIPLE} (pixels)."
        )
    _require_widths("config.regressor_features", config.regressor_features)
    _require_widths("config.translator_features", config.translator_features)
    _require_widths("config.vgg.widths", config.vgg.widths, count=3)
    for name in ("num_steps", "num_epochs"):
        require_at_least(f"config.{name}", config[name], 0)


def _require_widths(field: str, widths: Any, *, count: int | None = None) -> None:
    is_sequence = isinstance(widths, (tuple, list)) and len(widths) > 0
    fits = is_sequence and all(isinstance(n, int) and n > 0 for n in widths)
    if not fits or count not in (None, len(widths)):
        raise ValueError(
            f"{field} is {widths!r}; expected {count or 'one or more'} positive whole "
            f"numbers of channels, for example ({', '.join(('8',) * (count or 4))})."
        )


def make_regressor(config: Config) -> models.Network:
    """Returns the network that `config.regressor` names.

    Args:
      config: See `configs/bases/template_warp.py`.

    Returns:
      The network; its parameters depend on the side of the crop.

    Raises:
      ValueError: for an unknown name, or a scheme that the older network has not.
    """
    dtype = models.compute_dtype(config.compute_dtype)
    match config.regressor:
        case "template":
            return models.make_template_regressor(
                num_outputs=SCHEMES[config.scheme].num_outputs,
                features=config.regressor_features,
                dtype=dtype,
            )
        case "shape_template":
            if config.scheme != "affine":
                raise unknown("config.scheme", config.scheme, ("affine",))
            return models.make_shape_template_regressor(dtype=dtype)
        case other:
            raise unknown("config.regressor", other, ("template", "shape_template"))


def make_translator(config: Config) -> models.Network:
    """Returns the translator.

    Args:
      config: See `configs/bases/template_warp.py`.

    Returns:
      The network; its input is a frame and one channel for each part.
    """
    return models.make_reconstructor(
        in_channels=3 + len(PARTS),
        features=config.translator_features,
        dtype=models.compute_dtype(config.compute_dtype),
    )


def make_regress(config: Config) -> Callable[..., tuple[jax.Array, Tree]]:
    """Returns the regressor as a function of frames alone.

    Args:
      config: See `configs/bases/template_warp.py`.

    Returns:
      `(params, state, frames, train=) -> (raw output, moved state)`, with the parts of
      the output in the order of `templates.PARTS`.
    """
    regressor = make_regressor(config)
    if config.regressor == "template":
        return regressor.apply
    # The older network also sees the template at rest, and orders its parts otherwise.
    rest = geometry.draw_template(
        TEMPLATES[config.template], size=config.image_size
    ).transpose(1, 2, 0)
    order = np.array(models.PART_ORDER)

    def regress(params, state, frames, *, train):
        blobs = jnp.broadcast_to(rest, (frames.shape[0], *rest.shape))
        inputs = jnp.concatenate([frames, blobs.astype(frames.dtype)], axis=-1)
        outputs, state = regressor.apply(params, state, inputs, train=train)
        maps = outputs.raw.reshape(frames.shape[0], len(order), 6)
        return maps[:, order].reshape(frames.shape[0], -1), state

    return regress
