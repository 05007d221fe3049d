import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import geometry

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/template_warp/warp.npz"

warp = jax.jit(geometry.warp_images)
warp_twice = jax.jit(geometry.warp_images_twice)


def generic_maps(seed, *batch, spread=0.2):
    rng = np.random.default_rng(seed)
    offsets = spread * np.array([1.0, 1.0, 8.0]) * rng.normal(size=(*batch, 2, 3))
    return jnp.asarray(np.eye(2, 3) + offsets)


def pictures(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape))


def slow_warp(image, forward):
    """One pixel, one tap at a time, from the definition."""
    height, width = image.shape
    inverse = np.linalg.inv(np.vstack([forward, [0, 0, 1]]))
    result = np.zeros((height, width))
    for row in range(height):
        for column in range(width):
            x, y, _ = inverse @ [column, row, 1]
            for tap_y in range(height):
                for tap_x in range(width):
                    weight = max(0, 1 - abs(x - tap_x)) * max(0, 1 - abs(y - tap_y))
                    result[row, column] += weight * image[tap_y, tap_x]
    return result


def test_half_a_pixel_to_the_right_by_hand_with_gradient():
    picture = jnp.array([[1.0, 2.0, 4.0], [0.0, 0.0, 8.0]])
    shift = jnp.array([[1.0, 0.0, 0.5], [0.0, 1.0, 0.0]])
    expected = [[0.5, 1.5, 3.0], [0.0, 0.0, 4.0]]
    np.testing.assert_allclose(warp(picture, shift), expected)
    # The sum of the first row: pixels 0.5 a, 0.5 (a + b), 0.5 (b + c). Moved further
    # to the right each loses the difference of its taps: 1 - 0, 2 - 1, 4 - 2.
    gradient = jax.grad(lambda m: geometry.warp_images(picture, m)[0].sum())(shift)
    assert gradient[0, 2] == -(1.0 + 1.0 + 2.0)
    image_gradient = jax.grad(lambda p: geometry.warp_images(p, shift)[0].sum())
    np.testing.assert_allclose(image_gradient(picture)[0], [1.0, 1.0, 0.5])


@pytest.mark.usefixtures("float64")
def test_warp_equals_a_loop_over_pixels_and_taps():
    images, maps = pictures(0, 4, 5, 7), generic_maps(1, 4)
    expected = [slow_warp(*pair) for pair in zip(images, maps, strict=True)]
    np.testing.assert_allclose(warp(images, maps), expected, atol=1e-12)


@pytest.mark.parametrize(("right", "down"), [(2, 0), (-1, 3), (0, -6), (9, 0)])
def test_whole_pixel_shifts_move_pixels_and_leave_zeros_behind(right, down):
    picture = pictures(2, 6, 8).astype(jnp.float32)
    shift = jnp.array([[1.0, 0.0, right], [0.0, 1.0, down]])
    rows, columns = np.indices(picture.shape)
    is_inside = (rows - down >= 0) & (rows - down < 6)
    is_inside &= (columns - right >= 0) & (columns - right < 8)
    expected = np.where(is_inside, np.roll(picture, (down, right), (0, 1)), 0)
    np.testing.assert_allclose(warp(picture, shift), expected)


def test_a_quarter_turn_of_the_map_turns_the_picture():
    picture = pictures(3, 5, 5).astype(jnp.float32)
    turn = jnp.array([[0.0, -1.0, 4.0], [1.0, 0.0, 0.0]])
    np.testing.assert_allclose(warp(picture, turn), np.rot90(picture, -1), atol=1e-6)


def test_the_identity_leaves_every_pixel_exactly_as_it_is():
    picture = pictures(4, 3, 6, 8).astype(jnp.float32)
    np.testing.assert_array_equal(warp(picture, geometry.identity_affine()), picture)
    identity = jnp.tile(geometry.identity_affine(), (3, 1, 1))
    np.testing.assert_array_equal(warp_twice(picture, identity, identity), picture)


@pytest.mark.usefixtures("float64")
def test_sampling_twice_at_once_equals_sampling_the_sampled():
    images, first, second = pictures(5, 3, 6, 8), generic_maps(6, 3), generic_maps(7, 3)
    weights = pictures(8, 3, 6, 8)

    def in_turn(images, first, second):
        return geometry.warp_images(geometry.warp_images(images, first), second)

    def scores(function):
        def score(*args):
            return jnp.sum(weights * function(*args))

        return jax.jit(jax.value_and_grad(score, argnums=(0, 1, 2)))

    np.testing.assert_allclose(
        warp_twice(images, first, second), in_turn(images, first, second), atol=1e-12
    )
    at_once, expected = (
        scores(function)(images, first, second)
        for function in (geometry.warp_images_twice, in_turn)
    )
    for one, other in zip(
        jax.tree.leaves(at_once), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-11)


def test_what_left_the_picture_in_the_first_step_is_lost():
    picture = jnp.ones((4, 4))
    away = jnp.array([[1.0, 0.0, 2.0], [0.0, 1.0, 0.0]])
    back = geometry.invert_affine(away)
    assert warp_twice(picture, away, back).sum() == 8


def test_gradients_to_the_maps_of_both_steps_need_no_scatter():
    picture, maps = jnp.ones((6, 6)), generic_maps(9, 2).astype(jnp.float32)

    def score(first, second):
        return geometry.warp_images_twice(picture, first, second).sum()

    program = jax.jit(jax.grad(score, argnums=(0, 1))).lower(maps, maps).as_text()
    assert "stablehlo.gather" in program
    assert "stablehlo.scatter" not in program


@pytest.mark.parametrize(
    "linear", [np.zeros((2, 2)), np.ones((2, 2)), 1e30 * np.eye(2), 1e-20 * np.eye(2)]
)
def test_degenerate_maps_give_finite_pictures_and_gradients(linear):
    picture = pictures(10, 6, 8).astype(jnp.float32)
    bad = jnp.asarray(np.concatenate([linear, [[3.0], [4.0]]], 1), jnp.float32)
    good = geometry.identity_affine() + 0.01
    for function, maps in (
        (geometry.warp_images, (bad,)),
        (geometry.warp_images_twice, (bad, good)),
        (geometry.warp_images_twice, (good, bad)),
    ):
        with jax.debug_nans(True):
            value, pull = jax.vjp(jax.jit(function), picture, *maps)
            gradients = pull(jnp.ones_like(value))
        assert np.all(np.isfinite(value))
        for gradient in gradients:
            assert np.all(np.isfinite(gradient))


def test_a_map_that_is_not_a_number_shows_in_the_picture():
    maps = jnp.full((2, 3), jnp.nan)
    assert np.all(np.isnan(warp(jnp.ones((4, 4)), maps)))


@pytest.mark.usefixtures("float64")
def test_gradients_of_warps_are_their_derivatives():
    images, first, second = (
        pictures(11, 2, 5, 6),
        generic_maps(12, 2),
        generic_maps(13, 2),
    )
    # A smooth picture is enough here: rev-mode is what training uses.
    check_grads(warp, (images, first), order=1, modes=("rev",), eps=1e-6)
    check_grads(warp_twice, (images, first, second), order=1, modes=("rev",), eps=1e-6)


@pytest.mark.usefixtures("float64")
def test_shared_pictures_and_maps_broadcast_as_if_they_were_copied():
    images, maps = pictures(14, 3, 5, 6), generic_maps(15, 2, 3)
    copied = jnp.tile(images, (2, 1, 1, 1))
    np.testing.assert_allclose(warp(images, maps), warp(copied, maps), rtol=1e-12)
    one_map = jnp.tile(maps[0, 0], (3, 1, 1))
    np.testing.assert_allclose(
        warp(images, maps[0, 0]), warp(images, one_map), rtol=1e-12
    )
    twice = warp_twice(images, maps, maps[::-1])
    np.testing.assert_allclose(twice, warp_twice(copied, maps, maps[::-1]), rtol=1e-12)


def test_a_batch_of_warps_equals_a_loop_and_jit_equals_no_jit():
    images = pictures(16, 3, 5, 6).astype(jnp.float32)
    first, second = (generic_maps(s, 3).astype(jnp.float32) for s in (17, 18))
    once = jnp.stack([warp(i, m) for i, m in zip(images, first, strict=True)])
    np.testing.assert_allclose(warp(images, first), once, atol=1e-5)
    np.testing.assert_allclose(geometry.warp_images(images, first), once, atol=1e-5)
    together = zip(images, first, second, strict=True)
    twice = jnp.stack([warp_twice(*one) for one in together])
    np.testing.assert_allclose(warp_twice(images, first, second), twice, atol=1e-5)


def scaled(params, size=32):
    return jnp.asarray(params).at[..., 2].multiply(size)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_warp_and_gradients_equal_the_stored_ones():
    with np.load(GOLDEN) as golden:
        g = {key: golden[key] for key in golden.files}
    images, params = jnp.asarray(g["in/image"][:, 0]), jnp.asarray(g["in/params"])

    @jax.jit
    def value_and_gradients(params, images):
        def score(params, images):
            warped = geometry.warp_images(images, scaled(params))
            return jnp.sum(warped * g["in/cotangent"][:, 0]), warped

        return jax.grad(score, argnums=(0, 1), has_aux=True)(params, images)

    def is_close(ours, stored):
        return np.allclose(ours, stored, rtol=1e-6, atol=1e-6 * abs(stored).max())

    gradients, warped = value_and_gradients(params, images)
    assert is_close(warped, g["out/warped"][:, 0])
    assert is_close(gradients[1], g["grad/image"][:, 0])
    exact = warp(images[:3], scaled(g["in/params_exact"]))
    assert is_close(exact, g["out/warped_exact"][:, 0])
    # The fourth map reads one pixel from exactly the centre of another, where the
    # derivative has one value on each side: the stored one is one of the four.
    generic = np.arange(6) != 3
    assert is_close(gradients[0][generic], g["grad/params"][generic])
    sides = [
        value_and_gradients(
            params + jnp.zeros_like(params).at[..., 2].set(side), images
        )
        for side in 1e-11 * np.array([[1, 1], [1, -1], [-1, 1], [-1, -1]])
    ]
    assert any(is_close(side[0][0][3], g["grad/params"][3]) for side in sides)


@pytest.mark.golden
def test_warp_equals_the_stored_one_in_single_precision():
    with np.load(GOLDEN) as golden:
        images, params = golden["in/image"][:, 0], golden["in/params"]
        stored = golden["out/warped"][:, 0]
    warped = warp(jnp.asarray(images, jnp.float32), scaled(params).astype(jnp.float32))
    np.testing.assert_allclose(warped, stored, atol=1e-3 * abs(stored).max())
