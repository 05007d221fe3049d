"""The regressor of the older published check point ("baseline pretrained").

Input: NHWC, 256x256, the normalised frame (3 channels) and the T-pose template drawn at
rest (18). Output: `ShapeTemplateOutput`. Its parts come in an older order; `PART_ORDER`
gives, for each part of today's order, its place in the output.
"""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from posejax.models.layers import (
    Conv,
    ConvBlock,
    Linear,
    LinearBlock,
    Statistics,
    last_axis,
    wide,
)
from posejax.models.network import Network, make_network, require_images

SIDE = 256
NUM_PARTS = 18
PART_ORDER = (0, 1, 2, 3, 4, 11, 12, 5, 6, 7, 8, 9, 10, 13, 14, 15, 16, 17)

# (channels in multiples of the first layer's, stride, dilation), padding 1 throughout.
LAYERS = (
    (1, 1, 1),
    (1, 1, 4),
    (2, 2, 1),
    (2, 1, 8),
    (4, 2, 1),
    (4, 1, 1),
    (8, 2, 1),
    (8, 1, 1),
    (8, 2, 1),
    (8, 1, 1),
    (8, 2, 1),
    (8, 1, 1),
    (8, 2, 1),
)


class ShapeTemplateOutput(NamedTuple):
    """What the older regressor predicts.

    Attributes:
      raw: `(batch, 108)`, an offset to the identity map for each part of the older
        order, row-major 2x3.
      depth: `(batch, 18)`, unused by the published evaluation.
    """

    raw: jax.Array
    depth: jax.Array


class ShapeTemplateRegressor(nn.Module):
    """See `make_shape_template_regressor`."""

    features: int
    dtype: Any

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch 256 256 channels"],
        statistics: Statistics,
    ) -> ShapeTemplateOutput:
        """Returns maps and depths."""
        for i, (multiple, stride, dilation) in enumerate(LAYERS):
            x = ConvBlock(
                multiple * self.features,
                stride=stride,
                dilation=dilation,
                dtype=self.dtype,
                name=f"main_{i}",
            )(x, statistics)
        hidden = LinearBlock(512, self.dtype, name="hidden")(
            x.reshape(x.shape[0], -1), statistics
        )
        raw, bias = Linear(6 * NUM_PARTS, wide(self.dtype), name="output")(hidden)
        raw = raw + last_axis(bias, raw)
        for i in range(2):
            x = ConvBlock(4 * self.features, dtype=self.dtype, name=f"depth_{i}")(
                x, statistics
            )
        depth, bias = Conv(
            NUM_PARTS, size=4, padding=0, dtype=wide(self.dtype), name="depth_output"
        )(x)
        depth = depth[:, 0, 0]
        return ShapeTemplateOutput(raw, depth + last_axis(bias, depth))


def make_shape_template_regressor(
    *, features: int = 32, dtype: Any = jnp.float32
) -> Network:
    """Returns the older regressor. 6 766 430 parameters as published.

    Args:
      features: Channels of the first layer.
      dtype: What the layers compute in.

    Returns:
      The network; its output is a `ShapeTemplateOutput`.

    Raises:
      ValueError: By `init` and `apply`, unless the input is 256x256 with 21 channels,
        and for a training batch below 2.

    Reference:
      Schmidtke et al., Unsupervised Human Pose Estimation through Transforming Shape
      Templates, CVPR 2021 (github.com/lschmidtke/shape_templates).
    """

    def check(shape: tuple[int, ...]) -> None:
        require_images(shape, 3 + NUM_PARTS, "shape template regressor")
        if shape[1:3] != (SIDE, SIDE):
            raise ValueError(
                f"inputs of the shape template regressor are {shape[1]}x{shape[2]} "
                f"pixels; this network takes {SIDE}x{SIDE} only: set image_size to "
                f"{SIDE}."
            )

    return make_network(ShapeTemplateRegressor(features, dtype), check)
