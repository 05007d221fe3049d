"""The translator: repaints a frame from another frame and the moved body parts.

Input: NHWC, the normalised second frame (3 channels) and one blob per body part, in
this order. Height and width must be multiples of 2^(n-1) for n entries of `features`
(8 for the published four). Output: an image in the normalised space of the frames.
"""

import itertools
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jaxtyping import Array, Float

from posejax.models.layers import Conv, ConvBlock, Statistics, last_axis, wide
from posejax.models.network import Network, make_network, require_images

FEATURES = (32, 64, 128, 256)


class Reconstructor(nn.Module):
    """See `make_reconstructor`."""

    features: tuple[int, ...]
    dtype: Any

    @nn.compact
    def __call__(
        self,
        x: Float[Array, "batch height width channels"],
        statistics: Statistics,
    ) -> Float[Array, "batch height width 3"]:
        """Returns the repainted frame."""
        index = 0

        def block(x: Any, features: int, **options: Any) -> Any:
            nonlocal index
            name = f"layers_{index}"
            index += 1
            return ConvBlock(features, dtype=self.dtype, name=name, **options)(
                x, statistics
            )

        x = block(x, self.features[0])
        for same, wider in itertools.pairwise(self.features):
            x = block(block(x, same), wider, stride=2)
        up = self.features[::-1]
        for same, narrower in itertools.pairwise(up):
            x = block(block(x, same), narrower, upsample=True)
        x, bias = Conv(3, dtype=self.dtype, name=f"layers_{index}")(x)
        x = x.astype(wide(self.dtype))
        return x + last_axis(bias, x)


def make_reconstructor(
    *,
    in_channels: int = 21,
    features: tuple[int, ...] = FEATURES,
    dtype: Any = jnp.float32,
) -> Network:
    """Returns the translator.

    A stride 1 block, then for each further entry of `features` one of stride 1 and one
    of stride 2; the way back has a stride 1 block and one that doubles the image; a
    bare convolution to three channels ends it. No skip connections. 1 752 867
    parameters as published.

    Args:
      in_channels: Channels of the input: 3 of the frame, 1 for each body part.
      features: Channels, from the full resolution down.
      dtype: What the layers compute in.

    Returns:
      The network; its output is `(batch, height, width, 3)` float32.

    Raises:
      ValueError: By `init` and `apply`, for a height or width that is not a multiple of
        2^(len(features) - 1), a wrong channel count, and a training batch below 2.

    Reference:
      Schmidtke et al., Unsupervised Human Pose Estimation through Transforming Shape
      Templates, CVPR 2021, section 3; in the form of Yoo and Russakovsky, Efficient,
      Self-Supervised Human Pose Estimation with Inductive Prior Tuning, ICCVW 2023.
    """
    multiple = 2 ** (len(features) - 1)

    def check(shape: tuple[int, ...]) -> None:
        require_images(shape, in_channels, "reconstructor")
        if shape[1] % multiple or shape[2] % multiple or not shape[1] * shape[2]:
            raise ValueError(
                f"inputs of the reconstructor are {shape[1]}x{shape[2]} pixels; both "
                f"sides must be multiples of {multiple}: change image_size, or give "
                "fewer translator_features."
            )

    return make_network(Reconstructor(tuple(features), dtype), check)
