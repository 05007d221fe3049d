"""The network that lifts 2D poses to 3D: residual convolutions over time.

Input: `(batch, frames, joints, channels)`, 2D keypoints in normalised image coordinates
(x before y). No convolution pads: n frames give n - r + 1 poses for a receptive field
of r frames, and the caller repeats the first and last frame where a pose is wanted for
each. Output: `(batch, frames, joints, units)`, float32 at least.

One set of parameters runs in two forms. `apply` takes whole sequences and dilates the
kernels. `apply_strided` takes windows of r frames and computes only what their one pose
needs: each kernel moves by its own width. In test mode both give the same poses; in
training the batch statistics differ, since they are taken over what is computed.
"""

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from posejax.checks import require_at_least
from posejax.models.layers import BatchNorm, Linear, Statistics, last_axis, wide
from posejax.models.network import NetworkApply, NetworkInit, make_network


def receptive_field(filter_widths: Sequence[int]) -> int:
    """Returns how many frames one pose depends on: the product of the widths.

    Args:
      filter_widths: Odd widths, one for the first convolution and one for each block.

    Raises:
      ValueError: If there is no width, or one that is not odd and positive.

    >>> receptive_field((3, 3, 3, 3, 3))
    243
    """
    whole = all(isinstance(width, int) for width in filter_widths)
    odd = whole and all(width > 0 and width % 2 for width in filter_widths)
    if not filter_widths or not odd:
        raise ValueError(
            f"filter_widths is {tuple(filter_widths)!r}; expected one or more odd "
            "positive integers, for example (3, 3, 3)."
        )
    return math.prod(filter_widths)


def causal_shift(filter_widths: Sequence[int]) -> int:
    """Returns by how many frames the window of a causal model lies further back.

    A centred model sees this many frames on each side of its pose; a causal one sees
    twice as many before and none after.

    Args:
      filter_widths: Odd widths, as for `receptive_field`.

    Raises:
      ValueError: If there is no width, or one that is not odd and positive.

    >>> causal_shift((3, 3, 3))
    13
    """
    return (receptive_field(filter_widths) - 1) // 2


@dataclasses.dataclass(frozen=True)
class TemporalModel:
    """A temporal convolution model of fixed sizes as pure functions.

    Attributes:
      init: Draws parameters and state for sequences like `example`.
      apply: Runs whole sequences: `(batch, frames, in_joints, in_channels)` to
        `(batch, frames - receptive field + 1, out_joints, out_units)`.
      apply_strided: Runs windows of exactly one receptive field, with the same
        parameters: to `(batch, 1, out_joints, out_units)`. Not for dense models.
    """

    init: NetworkInit
    apply: NetworkApply
    apply_strided: NetworkApply


def _windows(
    x: Float[Array, "batch frames channels"], width: int, dilation: int, strided: bool
) -> Float[Array, "batch windows taps"]:
    """Returns the frames under each position of a kernel, side by side."""
    batch, frames, channels = x.shape
    if strided:  # the windows touch and do not overlap
        return x.reshape(batch, frames // width, width * channels)
    count = frames - (width - 1) * dilation
    taps = [
        jax.lax.slice_in_dim(x, k * dilation, k * dilation + count, axis=1)
        for k in range(width)
    ]
    return jnp.concatenate(taps, axis=-1)


class _Convolution(nn.Module):
    """Convolution over time without padding and bias, as one matrix product.

    On a CPU this takes half the time of XLA's convolution and its gradients.
    """

    features: int
    width: int
    dilation: int
    strided: bool
    dtype: Any

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch frames channels"]
    ) -> Float[Array, "batch windows features"]:
        shape = (self.width, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        kernel = jnp.asarray(kernel, self.dtype).reshape(-1, self.features)
        x = _windows(x.astype(self.dtype), self.width, self.dilation, self.strided)
        return x @ kernel


class _TemporalConv(nn.Module):
    """See `make_temporal_model`."""

    out_joints: int
    out_units: int
    filter_widths: tuple[int, ...]
    channels: int
    dropout: float
    causal: bool
    dense: bool
    strided: bool
    dtype: Any

    def _layer(
        self,
        x: jax.Array,
        statistics: Statistics,
        key: Any,
        names: tuple[str, str],
        *,
        width: int = 1,
        dilation: int = 1,
    ) -> jax.Array:
        """Convolution, batch norm, ReLU, dropout."""
        conv, norm = names
        x = _Convolution(
            self.channels, width, dilation, self.strided, self.dtype, name=conv
        )(x)
        x = nn.relu(BatchNorm(name=norm)(x, statistics))
        return _dropped(key, x, self.dropout).astype(self.dtype)

    def _kept(self, x: jax.Array, width: int, reach: int) -> jax.Array:
        """Returns the frames that a block of this width is added to."""
        if self.strided:
            windows = x.reshape(x.shape[0], -1, width, x.shape[2])
            position = width - 1 if self.causal else width // 2
            return jax.lax.index_in_dim(windows, position, axis=2, keepdims=False)
        start = reach if self.causal else reach // 2
        count = x.shape[1] - reach
        return jax.lax.slice_in_dim(x, start, start + count, axis=1)

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch frames joints channels"],
        statistics: Statistics,
        key: Any = None,
    ) -> Float[Array, "batch poses out_joints units"]:
        """Returns the poses; `key` draws the dropout, None drops nothing."""
        first, *rest = self.filter_widths
        keys: Any = itertools.repeat(None)
        if key is not None:
            keys = iter(jax.random.split(key, 1 + 2 * len(rest)))
        x = x.reshape(*x.shape[:2], -1)
        names = ("expand_conv", "expand_bn")
        x = self._layer(x, statistics, next(keys), names, width=first)
        field = first
        for i, width in enumerate(rest):
            reach = (width - 1) * field
            taps, dilation = (reach + 1, 1) if self.dense else (width, field)
            kept = self._kept(x, width, reach)
            names = (f"layers_conv_{2 * i}", f"layers_bn_{2 * i}")
            x = self._layer(
                x, statistics, next(keys), names, width=taps, dilation=dilation
            )
            names = (f"layers_conv_{2 * i + 1}", f"layers_bn_{2 * i + 1}")
            x = kept + self._layer(x, statistics, next(keys), names)
            field *= width
        # Joints are geometry: the last product is float32 in any compute dtype.
        outputs = self.out_joints * self.out_units
        x, bias = Linear(outputs, wide(self.dtype), name="shrink")(x)
        x = x + last_axis(bias, x)
        return x.reshape(*x.shape[:2], self.out_joints, self.out_units)


def _dropped(key: Any, x: jax.Array, rate: float) -> jax.Array:
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, x.shape)
    return jnp.where(keep, x / (1 - rate), 0)


def _require_sequences(
    shape: tuple[int, ...],
    filter_widths: Sequence[int],
    joints: int,
    channels: int,
    *,
    exactly: bool,
) -> None:
    """Raises ValueError unless `shape` is (batch, enough frames, joints, channels)."""
    if len(shape) != 4 or shape[2:] != (joints, channels):
        raise ValueError(
            f"inputs of the temporal model has shape {shape}; expected (batch, frames, "
            f"{joints}, {channels})."
        )
    field = receptive_field(filter_widths)
    if shape[1] < field or (exactly and shape[1] > field):
        raise ValueError(
            f"inputs of the temporal model has {shape[1]} frames; expected "
            f"{'exactly' if exactly else 'at least'} {field}, the receptive field of "
            f"filter_widths {tuple(filter_widths)}: repeat the edge frames, or cut."
        )


def make_temporal_model(
    *,
    in_joints: int,
    in_channels: int = 2,
    out_joints: int,
    out_units: int = 3,
    filter_widths: Sequence[int],
    channels: int = 1024,
    dropout: float = 0.25,
    causal: bool = False,
    dense: bool = False,
    dtype: Any = jnp.float32,
) -> TemporalModel:
    """Returns a temporal convolution model.

    A convolution, then for each further width a residual block of two: one whose kernel
    is dilated by the product of the widths before, and one of width 1. Each is followed
    by batch norm, ReLU and dropout. A last layer of width 1 gives the poses. With 17
    joints in and out and 1024 channels it has 16 952 371 parameters for widths 3, 3, 3,
    3, 3; 8 555 571 for 3, 3, 3; 4 291 635 for 1, 1, 1.

    The pose model has 3 units per joint; a trajectory model is one with `out_joints=1`,
    a scale model one with `out_joints=1, out_units=1`.

    Args:
      in_joints: Keypoints of the input.
      in_channels: Values per keypoint: 2 for x and y.
      out_joints: Joints of the output.
      out_units: Values per joint of the output.
      filter_widths: Odd width of the first convolution and of each block.
      channels: Features of the hidden layers.
      dropout: Share of activations set to zero in training, in 0 <= dropout < 1.
      causal: True gives the pose of the last frame of each window, not of the centre.
        The parameters have the same shapes.
      dense: True fills the gaps of the dilated kernels with taps: the same receptive
        field from more parameters. An ablation; it has no strided form.
      dtype: What the layers compute in.

    Returns:
      The model.

    Raises:
      ValueError: For a size out of its range; by `init`, `apply` and `apply_strided`
        for inputs of another shape or with too few frames (too many, for
        `apply_strided`), and in training for fewer than 2 poses, or without `key` where
        there is dropout.

    Reference:
      Pavllo et al., 3D human pose estimation in video with temporal convolutions and
      semi-supervised training, CVPR 2019, section 3 and appendix A.5.
    """
    field = receptive_field(filter_widths)
    sizes = {
        "in_joints": in_joints,
        "in_channels": in_channels,
        "out_joints": out_joints,
        "out_units": out_units,
        "channels": channels,
    }
    for name, size in sizes.items():
        require_at_least(name, size, 1)
    if not 0 <= dropout < 1:
        raise ValueError(f"dropout is {dropout!r}; expected 0 <= dropout < 1.")

    expected = (filter_widths, in_joints, in_channels)

    def check(shape: tuple[int, ...]) -> None:
        _require_sequences(shape, *expected, exactly=False)

    def check_strided(shape: tuple[int, ...]) -> None:
        if dense:
            raise ValueError(
                "dense is True, and a dense model has no strided form; use apply."
            )
        _require_sequences(shape, *expected, exactly=True)

    module = _TemporalConv(
        out_joints,
        out_units,
        tuple(filter_widths),
        channels,
        dropout,
        causal,
        dense,
        strided=False,
        dtype=dtype,
    )

    def count(shape: tuple[int, ...]) -> int:
        return shape[0] * (shape[1] - field + 1)

    whole = make_network(module, check, count=count, dropout=dropout)
    strided = make_network(
        module.clone(strided=True), check_strided, count=count, dropout=dropout
    )
    return TemporalModel(whole.init, whole.apply, strided.apply)
