import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import geometry


def generic_maps(seed, *batch):
    rng = np.random.default_rng(seed)
    scale = np.array([[0.3, 0.3, 9.0], [0.3, 0.3, 9.0]])
    return jnp.asarray(np.eye(2, 3) + scale * rng.normal(size=(*batch, 2, 3)))


def test_inverse_of_a_map_by_hand():
    # x' = 2 y + 3, y' = -x + 1, so x = 1 - y', y = (x' - 3) / 2.
    turned = jnp.array([[0.0, 2.0, 3.0], [-1.0, 0.0, 1.0]])
    expected = [[0.0, -1.0, 1.0], [0.5, 0.0, -1.5]]
    np.testing.assert_allclose(geometry.invert_affine(turned), expected)


def test_points_and_compositions_by_hand():
    turned = jnp.array([[0.0, 2.0, 3.0], [-1.0, 0.0, 1.0]])
    points = jnp.array([[1.0, 0.0], [0.0, 5.0]])
    np.testing.assert_allclose(
        geometry.transform_points(turned, points), [[3.0, 0.0], [13.0, 1.0]]
    )
    # Applied twice: x'' = 2 (-x + 1) + 3, y'' = -(2 y + 3) + 1.
    np.testing.assert_allclose(
        geometry.compose_affine(turned, turned), [[-2.0, 0.0, 5.0], [0.0, -2.0, -2.0]]
    )


@pytest.mark.usefixtures("float64")
def test_a_map_after_its_inverse_is_the_identity():
    maps = generic_maps(0, 50)
    inverse = geometry.invert_affine(maps)
    identity = np.broadcast_to(geometry.identity_affine(), maps.shape)
    for pair in ((maps, inverse), (inverse, maps)):
        np.testing.assert_allclose(
            geometry.compose_affine(*pair), identity, atol=1e-9, rtol=0
        )


@pytest.mark.usefixtures("float64")
def test_a_composition_moves_points_as_its_parts_do_in_turn():
    outer, inner = generic_maps(1, 7), generic_maps(2, 7)
    points = jnp.asarray(np.random.default_rng(3).normal(size=(7, 4, 2)))
    in_turn = geometry.transform_points(outer, geometry.transform_points(inner, points))
    at_once = geometry.transform_points(geometry.compose_affine(outer, inner), points)
    np.testing.assert_allclose(at_once, in_turn, rtol=1e-12)


@pytest.mark.parametrize(
    "linear",
    [np.zeros((2, 2)), np.ones((2, 2)), np.full((2, 2), 1e-30), -np.eye(2) * 0],
)
def test_a_singular_map_has_a_finite_inverse_and_gradient(linear):
    maps = jnp.asarray(np.concatenate([linear, [[3.0], [4.0]]], 1), jnp.float32)
    with jax.debug_nans(True):
        inverse, pull = jax.vjp(geometry.invert_affine, maps)
        assert np.all(np.isfinite(inverse))
        assert np.all(np.isfinite(pull(jnp.ones((2, 3)))[0]))


def test_a_mirror_keeps_its_sign_through_the_inverse():
    mirror = jnp.array([[-1.0, 0.0, 9.0], [0.0, 1.0, 0.0]])
    np.testing.assert_allclose(geometry.invert_affine(mirror), mirror)


@pytest.mark.usefixtures("float64")
def test_gradients_of_affine_functions_are_their_derivatives():
    maps, points = generic_maps(4, 3), jnp.asarray(np.arange(12.0).reshape(3, 2, 2))
    check_grads(jax.jit(geometry.invert_affine), (maps,), order=1)
    check_grads(jax.jit(geometry.compose_affine), (maps, maps[::-1]), order=1)
    check_grads(jax.jit(geometry.transform_points), (maps, points), order=1)


def test_a_batch_of_maps_equals_a_loop_over_them():
    maps = generic_maps(5, 3).astype(jnp.float32)
    points = jnp.asarray(np.arange(12.0).reshape(3, 2, 2), jnp.float32)
    for function, args in (
        (geometry.invert_affine, (maps,)),
        (geometry.compose_affine, (maps, maps[::-1])),
        (geometry.transform_points, (maps, points)),
    ):
        loop = jnp.stack([function(*one) for one in zip(*args, strict=True)])
        np.testing.assert_allclose(function(*args), loop, rtol=1e-6)
        np.testing.assert_allclose(jax.jit(function)(*args), loop, rtol=2e-5)
