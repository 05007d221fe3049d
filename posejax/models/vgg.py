"""VGG-19 up to the ReLU after conv3_2: the features of the perceptual loss.

Input: normalised frames, NHWC, both sides multiples of 4, taken as they are (the
published systems feed BGR images normalised by RGB statistics). Output: `(batch,
height/4, width/4, 256)`. Parameters are a dictionary `{"conv1_1": {"kernel", "bias"},
...}`; they are never trained, so there is no state and no train mode.
"""

import itertools
import math
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from posejax.models.convolution import convolution
from posejax.models.layers import last_axis

LAYERS = ("conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1", "conv3_2")
WIDTHS = (64, 128, 256)
RANDOM_SEED = 19


def random_vgg_params(
    key: jax.Array | None = None, *, widths: tuple[int, int, int] = WIDTHS
) -> dict[str, dict[str, jax.Array]]:
    """Draws VGG features that keep the scale of their input: N(0, 2/fan_in), no bias.

    For tests and for the sample data: random features see edges and blobs, but they
    are not what the published figures were made with.

    Args:
      key: Random key; None draws always the same.
      widths: Channels of the three stages. 1 145 408 parameters with the default.

    Returns:
      The parameters, float32.
    """
    key = jax.random.key(RANDOM_SEED) if key is None else key
    sizes = (3, *(w for width in widths for w in (width, width)))
    shapes = [(3, 3, wide, wider) for wide, wider in itertools.pairwise(sizes)]
    # One call, because compiling a generator for each shape takes seconds.
    total = sum(math.prod(shape) for shape in shapes)
    numbers = jax.random.normal(key, (total,), jnp.float32)
    params, start = {}, 0
    for name, shape in zip(LAYERS, shapes, strict=True):
        part = jax.lax.slice_in_dim(numbers, start, start + math.prod(shape))
        deviation = (2 / math.prod(shape[:3])) ** 0.5
        params[name] = {
            "kernel": deviation * part.reshape(shape),
            "bias": jnp.zeros(shape[-1], jnp.float32),
        }
        start += math.prod(shape)
    return params


def vgg_features(
    params: Any,
    images: Float[Array, "batch height width 3"],
    *,
    dtype: Any = jnp.float32,
) -> Float[Array, "batch height4 width4 channels"]:
    """Returns the activations after conv3_2 and its ReLU.

    Args:
      params: As from `random_vgg_params` or `importers.load_vgg_npz`.
      images: Normalised frames.
      dtype: What the layers compute in, and the dtype of the result.

    Returns:
      The features, `(batch, height/4, width/4, 256)`.

    Raises:
      ValueError: For a side that is not a multiple of 4, or missing layers.

    Reference:
      Simonyan and Zisserman, Very Deep Convolutional Networks for Large-Scale Image
      Recognition, ICLR 2015, table 1, column E.
    """
    if images.shape[1] % 4 or images.shape[2] % 4 or not images.size:
        raise ValueError(
            f"images are {images.shape[1]}x{images.shape[2]} pixels; VGG features need "
            "both sides to be multiples of 4: change image_size."
        )
    missing = [name for name in LAYERS if name not in params]
    if missing:
        raise ValueError(
            f"params lacks {', '.join(missing)}; "
            f"expected the layers {', '.join(LAYERS)}."
        )
    x = images.astype(dtype)
    for name in LAYERS:
        if name in ("conv2_1", "conv3_1"):
            x = max_pool_x2(x)
        x = convolution(x, jnp.asarray(params[name]["kernel"], dtype))
        x = jax.nn.relu(x + last_axis(jnp.asarray(params[name]["bias"], dtype), x))
    return x


def max_pool_x2(
    x: Float[Array, "batch height width channels"],
) -> Float[Array, "batch height2 width2 channels"]:
    """Returns the maximum of each 2x2 cell; the gradient goes to the first maximum.

    Written with slices: the gradient of XLA's window reduction is slow on a CPU.

    Args:
      x: NHWC images of even height and width.

    Returns:
      Images of half the height and width.

    >>> x = jnp.arange(4.0).reshape(1, 2, 2, 1)
    >>> print(max_pool_x2(x)[0, 0, 0, 0])
    3.0
    """
    cells = x.reshape(x.shape[0], x.shape[1] // 2, 2, x.shape[2] // 2, 2, x.shape[3])
    top = _first_maximum(cells[:, :, 0, :, 0], cells[:, :, 0, :, 1])
    bottom = _first_maximum(cells[:, :, 1, :, 0], cells[:, :, 1, :, 1])
    return _first_maximum(top, bottom)


def _first_maximum(a: jax.Array, b: jax.Array) -> jax.Array:
    return jnp.where((b > a) | jnp.isnan(b), b, a)
