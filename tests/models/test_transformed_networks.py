"""VGG features and the older regressor are the same in every transformation.

`test_networks.py` shows it for the other networks.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import AxisType, PartitionSpec

from posejax import models

EXAMPLES = 4
DEVICES = 2


def images(*shape):
    return jnp.asarray(np.random.default_rng(0).normal(size=shape), jnp.float32)


@functools.cache
def features():
    """(function of a batch of images, images)."""
    params = models.random_vgg_params(widths=(4, 6, 8))
    run = functools.partial(models.vgg_features, params)
    return run, images(EXAMPLES, 8, 12, 3)


@functools.cache
def older_regressor():
    network = models.make_shape_template_regressor(features=1)
    x = images(EXAMPLES, 256, 256, 21)
    params, state = network.init(jax.random.key(0), x)
    return lambda part: network.apply(params, state, part, train=False)[0], x


def transformed(how, run, x):
    """Runs on `x` in two halves, one for each device, or one after the other."""
    if how == "shard_map":
        mesh = jax.make_mesh((DEVICES,), ("data",), axis_types=(AxisType.Auto,))
        spec = PartitionSpec("data")
        mapped = jax.shard_map(run, mesh=mesh, in_specs=spec, out_specs=spec)
        return jax.jit(mapped)(x)
    mapper = {"vmap": lambda f: jax.jit(jax.vmap(f)), "pmap": jax.pmap}[how]
    halves = mapper(run)(x.reshape(DEVICES, -1, *x.shape[1:]))
    return jax.tree.map(lambda y: y.reshape(EXAMPLES, *y.shape[2:]), halves)


@pytest.mark.parametrize("network", [features, older_regressor])
@pytest.mark.parametrize("how", ["vmap", "pmap", "shard_map"])
def test_values_are_the_same_under_every_transformation(how, network):
    run, x = network()
    expected = jax.jit(run)(x)
    found = transformed(how, run, x)
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(
        jax.tree.leaves(found), jax.tree.leaves(expected), strict=True
    ):
        assert np.ptp(np.asarray(other), axis=0).max() > 0, "examples do not differ"
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_a_gradient_by_the_images_is_the_same_over_devices():
    run, x = features()

    def by_images(part):
        return jax.grad(lambda y: jnp.sum(run(y) ** 2))(part)

    expected = jax.jit(by_images)(x)
    for how in ("vmap", "pmap", "shard_map"):
        found = transformed(how, by_images, x)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
