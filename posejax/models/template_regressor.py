"""The network that looks at a frame and predicts one map per body part.

Input: normalised frames, NHWC, any square side that is a multiple of 2^(n-1) for n
entries of `features` (64 for the published seven), at least that large. The first
linear layer fixes the side: parameters of one side do not fit another.
Output: `(batch, num_outputs)` float32: 108 for the affine scheme, 120 for two_step, 62
for constrained, in the order of the published networks.
"""

import itertools
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from posejax.models.layers import (
    BatchNorm,
    Conv,
    ConvBlock,
    Linear,
    LinearBlock,
    Statistics,
    last_axis,
    leaky_relu,
    wide,
)
from posejax.models.network import Network, make_network, require_images

FEATURES = (32, 64, 128, 256, 512, 512, 512)


class TemplateRegressor(nn.Module):
    """See `make_template_regressor`."""

    num_outputs: int
    features: tuple[int, ...]
    head_features: int
    hidden_features: int
    dtype: Any

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch side side 3"], statistics: Statistics
    ) -> Float[Array, "batch outputs"]:
        """Returns the raw parameters of the maps."""

        def block(x: Any, index: int, features: int, stride: int) -> Any:
            name = f"layers_{index}"
            return ConvBlock(features, stride=stride, dtype=self.dtype, name=name)(
                x, statistics
            )

        x = block(x, 0, self.features[0], 1)
        for i, (same, wider) in enumerate(itertools.pairwise(self.features)):
            x = block(x, 2 * i + 1, same, 1)
            x = block(x, 2 * i + 2, wider, 2)
        x, bias = Conv(
            self.head_features, size=1, padding=1, dtype=self.dtype, name="head_conv"
        )(x)
        x = leaky_relu(BatchNorm(name="head_norm")(x, statistics, bias=bias))
        x = x.reshape(x.shape[0], -1)
        x = LinearBlock(self.hidden_features, self.dtype, name="hidden")(x, statistics)
        # The maps are geometry: the last product is float32 in any compute dtype.
        x, bias = Linear(self.num_outputs, wide(self.dtype), name="output")(x)
        return x + last_axis(bias, x)


def make_template_regressor(
    *,
    num_outputs: int,
    features: tuple[int, ...] = FEATURES,
    head_features: int = 256,
    hidden_features: int = 512,
    dtype: Any = jnp.float32,
) -> Network:
    """Returns the regressor of body part maps.

    A stride 1 block, then for each further entry of `features` one of stride 1 and one
    of stride 2; a 1x1 convolution *with padding 1*, which surrounds the map with a ring
    of cells that see only the bias; two linear layers. 16 706 060, 16 712 216 and
    16 682 462 parameters for 256 pixels and 108, 120 and 62 outputs.

    Args:
      num_outputs: Length of the output.
      features: Channels, from the full resolution down.
      head_features: Channels of the 1x1 convolution.
      hidden_features: Width of the first linear layer.
      dtype: What the layers compute in.

    Returns:
      The network; its output is `(batch, num_outputs)`.

    Raises:
      ValueError: By `init` and `apply`, for an image side that is not a multiple of
        2^(len(features) - 1), for images that are not square or not RGB, and for a
        training batch below 2.

    Reference:
      Schmidtke et al., Unsupervised Human Pose Estimation through Transforming Shape
      Templates, CVPR 2021, section 3; in the form of Yoo and Russakovsky, Efficient,
      Self-Supervised Human Pose Estimation with Inductive Prior Tuning, ICCVW 2023.
    """
    multiple = 2 ** (len(features) - 1)

    def check(shape: tuple[int, ...]) -> None:
        require_images(shape, 3, "template regressor")
        if shape[1] != shape[2] or shape[1] % multiple or not shape[1]:
            raise ValueError(
                f"inputs of the template regressor are {shape[1]}x{shape[2]} pixels; "
                f"expected a square with a side that is a multiple of {multiple}: "
                "change image_size, or give fewer regressor_features."
            )

    module = TemplateRegressor(
        num_outputs, tuple(features), head_features, hidden_features, dtype
    )
    return make_network(module, check)
