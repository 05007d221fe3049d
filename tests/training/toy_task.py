"""A tiny system and its data: a convolution with batch norm, in a few milliseconds."""

import functools
import time
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from posejax.typing import LossOutput, Task

SIZE = 5


class Prediction(NamedTuple):
    value: jax.Array


def init_toy(key, batch, *, channels):
    first, second = jax.random.split(key)
    depth = batch["image"].shape[-1]
    params = {
        "conv": {"kernel": 0.3 * jax.random.normal(first, (3, 3, depth, channels))},
        "norm": {"scale": jnp.ones(channels), "bias": jnp.zeros(channels)},
        "head": {"kernel": 0.3 * jax.random.normal(second, (channels,))},
    }
    return params, {"norm": {"mean": jnp.zeros(channels), "var": jnp.ones(channels)}}


def features(params, image):
    return jax.lax.conv_general_dilated(
        image,
        params["conv"]["kernel"],
        (1, 1),
        "SAME",
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def head(params, x, mean, var):
    scale = params["norm"]["scale"] / jnp.sqrt(var + 1e-5)
    shift = params["norm"]["bias"] - mean * scale
    x = x * scale[None, None, None] + shift[None, None, None]
    return jax.nn.relu(x).mean((1, 2)) @ params["head"]["kernel"]


def toy_loss(params, model_state, batch, *, key, step, noise):
    del step
    x = features(params, batch["image"])
    mean, var = x.mean((0, 1, 2)), x.var((0, 1, 2))
    running = model_state["norm"]
    value = head(params, x, mean, var)
    value = value + noise * jax.random.normal(key, value.shape)
    error = (value - batch["target"] - batch.get("shift", 0.0)) ** 2
    terms = {"error": error.mean(), "first": batch["index"][0].astype(jnp.float32)}
    moved = {
        "mean": 0.9 * running["mean"] + 0.1 * mean,
        "var": 0.9 * running["var"] + 0.1 * var,
    }
    return LossOutput(terms["error"], {"norm": moved}, terms)


def toy_predict(params, model_state, batch):
    norm = model_state["norm"]
    x = features(params, batch["image"])
    return Prediction(head(params, x, norm["mean"], norm["var"]))


def squared(predictions, batch):
    return (predictions.value - batch["target"]) ** 2


def both(predictions, batch):
    return jnp.stack([predictions.value, batch["target"]], axis=-1)


def toy_pictures(params, model_state, batch):
    del model_state
    shown = jax.nn.sigmoid(features(params, batch["image"])[..., :3])
    return {"features": shown}


def make_toy_task(
    *, channels: int = 4, learning_rate: float = 1e-2, noise: float = 0.1, **changes
) -> Task:
    """Regression of one number per image, with batch statistics and random noise."""
    settings = {
        "init": functools.partial(init_toy, channels=channels),
        "loss": functools.partial(toy_loss, noise=noise),
        "predict": toy_predict,
        "metrics": {"squared": squared, "both": both},
        "optimizer": optax.adam(learning_rate),
        "pictures": toy_pictures,
        "selection": ("squared", "min"),
    }
    return Task(**(settings | changes))


def example(index: int) -> dict[str, np.ndarray]:
    """One example, a pure function of its index."""
    rng = np.random.default_rng([7, index])
    image = rng.normal(size=(SIZE, SIZE, 2)).astype(np.float32)
    return {
        "image": image,
        "target": np.float32(image[..., 0].mean() * 3),
        "index": np.int32(index),
    }


def stack(examples) -> dict[str, np.ndarray]:
    return jax.tree.map(lambda *x: np.stack(x), *examples)


def train_batches(
    step: int, *, batch_size: int = 8, rank: int = 0, world: int = 1, seconds=0.0
):
    """This process's share of the batches of steps `step + 1, ...`."""
    share = batch_size // world
    while True:
        start = step * batch_size + rank * share
        time.sleep(seconds)
        yield stack([example(start + i) for i in range(share)])
        step += 1


def split_batches(size: int, batch_size: int, *, rank: int = 0, world: int = 1):
    """This process's share of a split of `size` examples, padded."""
    mine = list(range(rank, size, world))
    for start in range(0, len(mine), batch_size):
        group = mine[start : start + batch_size]
        padding = batch_size - len(group)
        rows = [example(100_000 + i) | {"index": np.int32(i)} for i in group]
        rows += [example(999_999) | {"index": np.int32(0)}] * padding
        valid = np.arange(batch_size) < len(group)
        yield stack(rows) | {"valid": valid}
