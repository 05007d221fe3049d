"""The encoders of RAFT: images to features at an eighth of their size.

Input: NHWC images, values in -1..1, both sides multiples of 8. Output: `(batch,
height / 8, width / 8, features)`. A stem of stride 2 and three pairs of residual
blocks, the second and third pair of stride 2, then a 1x1 convolution.
"""

from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from posejax.models.layers import BatchNorm, Statistics, last_axis, wide
from posejax.models.raft.layers import same_convolution

STRIDE = 8
EPS = 1e-5


def instance_norm(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height width channels"]:
    """Normalises every channel of every example over its pixels.

    Neither scale nor running statistics; the variance is the biased one, plus 1e-5. A
    single pixel becomes 0.

    Args:
      x: Any float array.

    Returns:
      The normalised array, in float32 at least.
    """
    x = x.astype(wide(x.dtype))
    centred = x - jnp.mean(x, (1, 2), keepdims=True)
    variance = jnp.mean(jnp.square(centred), (1, 2), keepdims=True)
    return centred * jax.lax.rsqrt(variance + EPS)


class Unit(nn.Module):
    """Convolution, norm, ReLU.

    Attributes:
      features: Output channels.
      size: Side of the kernel.
      stride: Step.
      norm: 'instance', 'batch' or 'none'.
      relu: False leaves the ReLU out.
      dtype: What the convolution is computed in, and the dtype of the output.
    """

    features: int
    size: int
    stride: int
    norm: str
    relu: bool = True
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], statistics: Statistics
    ) -> Float[Array, "batch height2 width2 features"]:
        """Returns the activations."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        kernel = jnp.asarray(kernel, self.dtype)
        x = same_convolution(x.astype(self.dtype), kernel, stride=self.stride)
        if self.norm == "instance":
            x = instance_norm(x)  # the mean cancels the bias
        elif self.norm == "batch":
            x = BatchNorm(name="norm")(x, statistics, bias=jnp.asarray(bias))
        else:
            x = x + last_axis(jnp.asarray(bias, self.dtype), x)
        return (nn.relu(x) if self.relu else x).astype(self.dtype)


class Block(nn.Module):
    """Residual block; a ReLU stands before the sum and behind it.

    Attributes:
      features: Output channels.
      stride: Step; above 1 the skip is a strided 1x1 convolution with norm.
      bottleneck: True for 1x1, 3x3, 1x1 with a quarter of the features within, False
        for 3x3, 3x3.
      norm: 'instance', 'batch' or 'none'.
      dtype: What the convolutions are computed in.
    """

    features: int
    stride: int
    bottleneck: bool
    norm: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"], statistics: Statistics
    ) -> Float[Array, "batch height2 width2 features"]:
        """Returns the activations."""
        whole, quarter = self.features, self.features // 4
        layers = ((whole, 3, self.stride), (whole, 3, 1))
        if self.bottleneck:
            layers = ((quarter, 1, 1), (quarter, 3, self.stride), (whole, 1, 1))
        y = x
        for k, (features, size, stride) in enumerate(layers):
            unit = Unit(
                features, size, stride, self.norm, dtype=self.dtype, name=f"unit_{k}"
            )
            y = unit(y, statistics)
        if self.stride > 1:
            skip = Unit(
                whole, 1, self.stride, self.norm, False, self.dtype, name="projection"
            )
            x = skip(x, statistics)
        return nn.relu(x + y)


class Encoder(nn.Module):
    """Images to features at an eighth of their size.

    Attributes:
      features: Output channels.
      widths: Channels of the stem and of the three pairs of blocks.
      bottleneck: Kind of the blocks.
      norm: 'instance', 'batch' or 'none'.
      dtype: What the convolutions are computed in.
    """

    features: int
    widths: tuple[int, int, int, int]
    bottleneck: bool
    norm: str
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, images: Float[Array, "batch height width 3"], statistics: Statistics
    ) -> Float[Array, "batch rows columns features"]:
        """Returns the features."""
        stem, *widths = self.widths
        x = Unit(stem, 7, 2, self.norm, dtype=self.dtype, name="stem")(
            images, statistics
        )
        for k, width in enumerate(widths):
            for j in range(2):
                x = Block(
                    width,
                    2 if k and not j else 1,
                    self.bottleneck,
                    self.norm,
                    self.dtype,
                    name=f"layer_{k + 1}_{j}",
                )(x, statistics)
        return Unit(self.features, 1, 1, "none", False, self.dtype, name="output")(
            x, statistics
        )


def drop_channels(
    key: Any, x: Float[Array, "batch height width channels"], rate: float
) -> Float[Array, "batch height width channels"]:
    """Sets a share `rate` of the channels of each example to 0 and scales the rest.

    Args:
      key: Random key; None drops nothing.
      x: Features.
      rate: Share, in 0 <= rate < 1.

    Returns:
      The features.
    """
    if key is None or rate == 0:
        return x
    keep = jax.random.bernoulli(key, 1 - rate, (x.shape[0], 1, 1, x.shape[3]))
    return jnp.where(keep, x / (1 - rate), 0)
