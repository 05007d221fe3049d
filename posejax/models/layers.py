"""Layers that every network here is made of, with PyTorch's numerics.

Images are NHWC. Parameters are float32; `dtype` is what a layer computes in. The
statistics of batch norm are float32 at least, also where the network computes in
bfloat16. Initial values are those that PyTorch draws by default: the modules
declare zeros, `draw_kernels` fills a whole network at once.
"""

import math
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from flax import traverse_util
from jaxtyping import Array, Float

from posejax.checks import unknown
from posejax.models.convolution import convolution, upsample_bilinear_x2

LEAKY_SLOPE = 0.01


class Statistics(NamedTuple):
    """How batch norm gets its statistics in one call of a network.

    Attributes:
      train: True takes the statistics of the batch, False the running ones.
      momentum: Share of the batch in the moved running statistics. May be traced.
      weights: `(batch,)`, 0 for padding; None weighs all examples alike.
      axis_name: Mapped axis over which the batch is split, or None.
    """

    train: bool
    momentum: float | jax.Array = 0.1
    weights: jax.Array | None = None
    axis_name: str | None = None


def draw_kernels(key: jax.Array, params: Any) -> Any:
    """Draws every kernel, and the bias beside it, uniformly in +-1/sqrt(fan_in).

    PyTorch's default. All numbers come from one call, because compiling one generator
    for each shape takes longer than a short training run.

    Args:
      key: Random key.
      params: Nested dictionary; a layer that is drawn has the entry `kernel`, whose
        last axis is the output.

    Returns:
      The dictionary with the layers drawn; other entries are the given ones.
    """
    flat: dict[Any, Any] = dict(traverse_util.flatten_dict(params))
    names = [name for name in flat if (*name[:-1], "kernel") in flat]
    numbers = jax.random.uniform(
        key, (sum(flat[name].size for name in names),), jnp.float32, -1, 1
    )
    start = 0
    for name in names:
        shape = flat[name].shape
        fan_in = math.prod(flat[(*name[:-1], "kernel")].shape[:-1])
        part = jax.lax.slice_in_dim(numbers, start, start + math.prod(shape))
        flat[name] = part.reshape(shape) * fan_in**-0.5
        start += math.prod(shape)
    return traverse_util.unflatten_dict(flat)


def leaky_relu(x: Float[Array, "*shape"]) -> Float[Array, "*shape"]:
    """Returns `x` where positive, else 0.01 x; the slope at 0 is 0.01."""
    return jnp.where(x > 0, x, LEAKY_SLOPE * x)


def last_axis(vector: Any, like: jax.Array) -> jax.Array:
    """Returns `vector` with leading axes of length 1, to meet `like` on its last."""
    return jnp.asarray(vector).reshape((1,) * (like.ndim - 1) + (-1,))


def compute_dtype(name: str) -> Any:
    """Returns what the layers of a network compute in, from its name in a config.

    Args:
      name: 'float32', 'bfloat16' or 'float64'.

    Raises:
      ValueError: For another name.
    """
    match name:
        case "float32":
            return jnp.float32
        case "bfloat16":
            return jnp.bfloat16
        case "float64":
            return jnp.float64
        case other:
            legal = ("float32", "bfloat16", "float64")
            raise unknown("config.compute_dtype", other, legal)


def wide(dtype: Any) -> Any:
    """Returns the dtype of statistics and outputs: float32, or `dtype` if wider."""
    return jnp.promote_types(dtype, jnp.float32)


class BatchNorm(nn.Module):
    """Batch norm over all axes but the last, with PyTorch's running statistics.

    The batch is normalised by its biased variance; the running variance follows the
    unbiased one, n/(n-1) times larger. Both are computed in two passes.

    Attributes:
      eps: Added to the variance.
      scale_offset: False leaves out the trained scale and offset.
    """

    eps: float = 1e-5
    scale_offset: bool = True

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch *space channels"],
        statistics: Statistics,
        *,
        bias: Float[Array, "channels"] | None = None,
    ) -> Float[Array, "batch *space channels"]:
        """Normalises `x + bias`.

        Args:
          x: Any float array; the first axis is the batch, the last the channels.
          statistics: Where mean and variance come from.
          bias: Offset of the layer before, not yet added. The batch mean cancels it, so
            in training it moves only the running mean and costs no pass over `x`.

        Returns:
          The normalised array in the dtype of statistics (at least float32).
        """
        channels = x.shape[-1]
        mean = self.variable("batch_stats", "mean", jnp.zeros, channels, jnp.float32)
        var = self.variable("batch_stats", "var", jnp.ones, channels, jnp.float32)
        x = x.astype(wide(x.dtype))
        shift = (
            jnp.zeros(channels, x.dtype) if bias is None else jnp.asarray(bias, x.dtype)
        )
        if statistics.train:
            batch_mean, batch_var, count = _moments(x, statistics)
            if not self.is_initializing():
                rate = statistics.momentum
                unbiased = batch_var * (count / jnp.maximum(count - 1, 1))
                mean.value = _moved(mean.value, batch_mean + shift, rate)
                var.value = _moved(var.value, unbiased, rate)
            centre, spread = batch_mean, batch_var
        else:
            centre = jnp.asarray(mean.value, x.dtype) - shift
            spread = jnp.asarray(var.value, x.dtype)
        factor = jax.lax.rsqrt(spread + self.eps)
        if not self.scale_offset:
            return (x - last_axis(centre, x)) * last_axis(factor, x)
        scale = self.param("scale", nn.initializers.ones, (channels,), jnp.float32)
        offset = self.param("bias", nn.initializers.zeros, (channels,), jnp.float32)
        slope = last_axis(factor * scale, x)
        return (x - last_axis(centre, x)) * slope + last_axis(offset, x)


def _moved(old: jax.Array, batch: jax.Array, momentum: Any) -> jax.Array:
    new = (1 - momentum) * old + momentum * jax.lax.stop_gradient(batch)
    return new.astype(old.dtype)


def _moments(
    x: jax.Array, statistics: Statistics
) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Returns mean, biased variance (both per channel) and the number of values."""
    axes = tuple(range(x.ndim - 1))
    space = x[0, ..., 0].size

    def total(values: jax.Array) -> jax.Array:
        if statistics.axis_name is None:
            return values
        return jax.lax.psum(values, statistics.axis_name)

    if statistics.weights is None:
        weigh = lambda values: values  # noqa: E731
        count = total(jnp.asarray(x.shape[0] * space, x.dtype))
    else:
        weights = statistics.weights.astype(x.dtype)
        column = weights.reshape(-1, *(1,) * (x.ndim - 1))
        weigh = lambda values: values * column  # noqa: E731
        count = total(jnp.sum(weights) * space)
    safe = jnp.maximum(count, 1)  # a batch of nothing but padding
    mean = total(jnp.sum(weigh(x), axes)) / safe
    var = total(jnp.sum(weigh(jnp.square(x - last_axis(mean, x))), axes)) / safe
    return mean, var, count


class Conv(nn.Module):
    """Square convolution with explicit zero padding; returns product and bias apart.

    Attributes:
      features: Output channels.
      size: Side of the kernel.
      stride: Step.
      dilation: Distance between the kernel's taps.
      padding: Zeros added on each side.
      upsample: True doubles the image (bilinear) before the convolution.
      dtype: What the product is computed in.
    """

    features: int
    size: int = 3
    stride: int = 1
    dilation: int = 1
    padding: int = 1
    upsample: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch height width channels"]
    ) -> tuple[Float[Array, "batch height2 width2 features"], Float[Array, "features"]]:
        """Returns the convolution without bias, and the bias."""
        shape = (self.size, self.size, x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel = jnp.asarray(x, self.dtype), jnp.asarray(kernel, self.dtype)
        if self.upsample:
            x = upsample_bilinear_x2(x)
        product = convolution(
            x,
            kernel,
            stride=self.stride,
            dilation=self.dilation,
            padding=self.padding,
        )
        return product, jnp.asarray(bias)


class ConvBlock(nn.Module):
    """Convolution, batch norm, leaky ReLU.

    Attributes:
      features: Output channels.
      size: Side of the kernel.
      stride: Step.
      dilation: Distance between the kernel's taps.
      padding: Zeros added on each side.
      upsample: True doubles the image (bilinear) before the convolution.
      dtype: What the convolution is computed in, and the dtype of the output.
    """

    features: int
    size: int = 3
    stride: int = 1
    dilation: int = 1
    padding: int = 1
    upsample: bool = False
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        statistics: Statistics,
    ) -> Float[Array, "batch height2 width2 features"]:
        """Returns the activations."""
        x, bias = Conv(
            self.features,
            self.size,
            self.stride,
            self.dilation,
            self.padding,
            self.upsample,
            self.dtype,
            name="conv",
        )(x)
        x = BatchNorm(name="norm")(x, statistics, bias=bias)
        return leaky_relu(x).astype(self.dtype)


class Linear(nn.Module):
    """Matrix product; returns product and bias apart.

    Attributes:
      features: Length of the output.
      dtype: What the product is computed in.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "*batch channels"]
    ) -> tuple[Float[Array, "*batch features"], Float[Array, "features"]]:
        """Returns the product without bias, and the bias."""
        shape = (x.shape[-1], self.features)
        kernel = self.param("kernel", nn.initializers.zeros, shape, jnp.float32)
        bias = self.param("bias", nn.initializers.zeros, (self.features,), jnp.float32)
        x, kernel = jnp.asarray(x, self.dtype), jnp.asarray(kernel, self.dtype)
        return x @ kernel, jnp.asarray(bias)


class LinearBlock(nn.Module):
    """Matrix product, batch norm over the batch, leaky ReLU.

    Attributes:
      features: Length of the output.
      dtype: What the product is computed in.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, x: Float[Array, "batch channels"], statistics: Statistics
    ) -> Float[Array, "batch features"]:
        """Returns the activations, in float32 at least."""
        x, bias = Linear(self.features, self.dtype, name="linear")(x)
        return leaky_relu(BatchNorm(name="norm")(x, statistics, bias=bias))
