import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import geometry
from tests.fill import golden

sample = jax.jit(geometry.sample_map)
warp = jax.jit(geometry.warp_by_flow)
visible = jax.jit(geometry.visible_mask)


def maps_of(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def points_of(seed, *shape, low=-2.0, high=9.0):
    drawn = np.random.default_rng(seed).uniform(low, high, size=(*shape, 2))
    return jnp.asarray(drawn, jnp.float32)


def slow_sample(image, x, y):
    """From the definition: every pixel with its hat weights."""
    height, width = image.shape[:2]
    value = np.zeros(image.shape[-1])
    for row in range(height):
        for column in range(width):
            weight = max(0, 1 - abs(x - column)) * max(0, 1 - abs(y - row))
            value += weight * image[row, column]
    return value


def test_a_value_between_four_pixels_by_hand_with_gradient():
    image = jnp.array([[[0.0], [4.0]], [[8.0], [16.0]]])
    point = jnp.array([[0.25, 0.5]])
    values, inside = sample(image, point)
    # Upper row 0 + 0.25 * 4 = 1, lower row 8 + 0.25 * 8 = 10.
    assert values.tolist() == [[5.5]]
    assert inside.tolist() == [True]
    slope = jax.jit(jax.grad(lambda p: sample(image, p)[0].sum()))(point)
    np.testing.assert_allclose(slope, [[(4 + 8) / 2, 10 - 1]])


def test_samples_equal_a_loop_over_all_pixels():
    images, points = maps_of(0, 2, 5, 7, 3), points_of(1, 2, 4, 6)
    values, inside = sample(images, points)
    assert values.shape == (2, 4, 6, 3)
    for batch in range(2):
        for at in np.ndindex(4, 6):
            x, y = np.asarray(points[batch][at])
            expected = slow_sample(np.asarray(images[batch]), x, y)
            np.testing.assert_allclose(values[batch][at], expected, atol=1e-5)
            assert bool(inside[batch][at]) == (0 <= x <= 6 and 0 <= y <= 4)


def test_the_border_counts_as_inside_and_has_its_own_value():
    image = jnp.arange(12.0).reshape(3, 4, 1)
    points = jnp.array([[3.0, 2.0], [3.0, 0.5], [0.0, 0.0], [3.01, 1.0], [-0.01, 1.0]])
    values, inside = sample(image, points)
    assert inside.tolist() == [True, True, True, False, False]
    np.testing.assert_allclose(values[:3, 0], [11.0, 5.0, 0.0])


def test_points_far_outside_give_zero_and_no_gradient():
    image = jnp.ones((3, 4, 2))
    points = jnp.array([[1e30, 0.0], [-1e30, 1.0], [1.0, jnp.inf], [5.0, 1.0]])
    assert sample(image, points)[0].tolist() == [[0.0, 0.0]] * 4
    total = jax.grad(lambda i, p: sample(i, p)[0].sum(), argnums=(0, 1))
    for gradient in jax.jit(total)(image, points):
        assert gradient.tolist() == jnp.zeros_like(gradient).tolist()


def test_a_map_of_a_single_pixel_can_be_read():
    image = jnp.array([[[2.0]]])
    values, _ = sample(image, jnp.array([[0.0, 0.0], [0.5, 0.0]]))
    assert values.tolist() == [[2.0], [1.0]]


@pytest.mark.usefixtures("float64")
def test_gradients_of_samples_are_their_derivatives():
    images = maps_of(2, 2, 4, 5, 2).astype(jnp.float64)
    points = points_of(3, 2, 6, low=0.1, high=3.3).astype(jnp.float64)
    check_grads(
        lambda i, p: sample(i, p)[0],
        (images, points),
        order=1,
        modes=("rev",),
        eps=1e-6,
    )


def test_a_batch_of_samples_equals_a_loop_and_jit_equals_no_jit():
    images, points = maps_of(4, 3, 4, 5, 2), points_of(5, 3, 7)
    together = sample(images, points)
    pairs = zip(images, points, strict=True)
    singles = [sample(*pair) for pair in pairs]
    eager = geometry.sample_map(images, points)
    for part in (0, 1):
        alone = jnp.stack([one[part] for one in singles])
        np.testing.assert_allclose(together[part], alone, atol=1e-6)
        np.testing.assert_allclose(eager[part], alone, atol=1e-6)


def test_no_points_give_no_values():
    values, inside = sample(jnp.ones((2, 3, 4, 5)), jnp.ones((2, 0, 2)))
    assert (values.shape, inside.shape) == ((2, 0, 5), (2, 0))


@pytest.mark.golden
def test_samples_and_gradients_equal_the_stored_ones():
    arrays, _ = golden("bilinear_sampler", system="flow_pose")
    images = jnp.asarray(np.moveaxis(arrays["in/img"], 1, -1), jnp.float32)
    points = jnp.asarray(arrays["in/coords"], jnp.float32)
    stored = np.moveaxis(arrays["out/sampled"], 1, -1)
    # The cotangent is laid out as the stored array, channels before rows.
    flat = np.cos(0.37 * np.arange(stored.size)).reshape(arrays["out/sampled"].shape)
    cotangent = jnp.asarray(np.moveaxis(flat, 1, -1), jnp.float32)

    @jax.jit
    def values_and_gradients(images, points):
        values, pull = jax.vjp(lambda i, p: sample(i, p)[0], images, points)
        return values, *pull(cotangent)

    values, to_images, to_points = values_and_gradients(images, points)
    np.testing.assert_allclose(values, stored, atol=1e-5 * abs(stored).max())
    expected = np.moveaxis(arrays["grad/img"], 1, -1)
    np.testing.assert_allclose(to_images, expected, atol=1e-4 * abs(expected).max())
    # On the grid a derivative has two sides; the others must agree.
    generic = np.all(arrays["in/coords"] != np.round(arrays["in/coords"]), axis=-1)
    assert generic.sum() > 40
    expected = arrays["grad/coords"]
    np.testing.assert_allclose(
        np.asarray(to_points)[generic],
        expected[generic],
        atol=1e-4 * abs(expected).max(),
    )


@pytest.mark.golden
def test_the_stored_mask_is_ours_without_the_border():
    arrays, _ = golden("bilinear_sampler", system="flow_pose")
    points = arrays["in/coords"]
    _, inside = sample(jnp.zeros((2, 7, 9, 1)), jnp.asarray(points, jnp.float32))
    on_border = (points == 0) | (points == (8, 6))
    expected = arrays["out/mask"][..., 0] > 0
    np.testing.assert_array_equal(inside & ~on_border.any(-1), expected)


def test_a_frame_moved_by_a_flow_comes_back():
    first = maps_of(6, 6, 8, 3)
    second = jnp.roll(first, (1, 2), (0, 1))  # one row down, two columns right
    flow = jnp.broadcast_to(jnp.array([2.0, 1.0]), (6, 8, 2))
    warped, inside = warp(second, flow)
    expected = np.zeros((6, 8), bool)
    expected[:5, :6] = True
    np.testing.assert_array_equal(inside, expected)
    np.testing.assert_allclose(warped[:5, :6], first[:5, :6], atol=1e-6)
    assert float(jnp.abs(warped[5:]).max()) == 0


def test_zero_flow_leaves_every_pixel_exactly_as_it_is_with_finite_gradient():
    image, still = maps_of(7, 2, 4, 5, 3), jnp.zeros((2, 4, 5, 2))
    warped, inside = warp(image, still)
    np.testing.assert_array_equal(warped, image)
    assert bool(inside.all())
    slopes = jax.jit(jax.grad(lambda f: warp(image, f)[0].sum()))(still)
    assert bool(jnp.isfinite(slopes).all())


def test_what_is_covered_in_the_second_frame_is_not_visible():
    # The left half moves two pixels to the right, over the right half, which rests.
    forward = np.zeros((1, 3, 8, 2), np.float32)
    forward[:, :, :4, 0] = 2.0
    backward = np.zeros((1, 3, 8, 2), np.float32)
    backward[:, :, 2:6, 0] = -2.0
    found = visible(jnp.asarray(forward), jnp.asarray(backward))
    expected = [True] * 4 + [False] * 2 + [True] * 2
    np.testing.assert_array_equal(found[0], [expected] * 3)
    assert found.dtype == bool


def test_the_two_constants_bound_the_difference_there_and_back():
    forward = jnp.full((1, 1, 2), jnp.array([0.0, 0.0]))
    backward = jnp.full((1, 1, 2), jnp.array([0.6, 0.0]))
    # |w + v|^2 = 0.36 and |w|^2 + |v|^2 = 0.36.
    assert bool(visible(forward, backward)[0, 0])
    strict = jax.jit(lambda f, b: geometry.visible_mask(f, b, absolute=0.3))
    assert not bool(strict(forward, backward)[0, 0])
    loose = jax.jit(
        lambda f, b: geometry.visible_mask(f, b, absolute=0.3, relative=0.2)
    )
    assert bool(loose(forward, backward)[0, 0])


def test_a_flow_that_is_no_number_is_not_visible():
    forward = jnp.zeros((2, 3, 2)).at[0, 1].set(jnp.nan)
    found = visible(forward, jnp.zeros((2, 3, 2)))
    assert found.tolist() == [[True, False, True], [True, True, True]]


@pytest.mark.golden
@pytest.mark.parametrize("mode", geometry.flow.PADDING_MODES)
@pytest.mark.parametrize("size", [(13, 21), (16, 24), (9, 8), (20, 17)])
def test_padded_pictures_equal_the_stored_ones_and_come_back(size, mode):
    arrays, _ = golden("input_padder", system="flow_pose")
    name = f"pad_{size[0]}x{size[1]}"
    image = jnp.asarray(np.moveaxis(arrays[f"in/{name}"], 1, -1), jnp.float32)
    stored = np.moveaxis(arrays[f"out/{name}_{mode}"], 1, -1)
    padded = geometry.pad_to_multiple(image, mode=mode)
    np.testing.assert_array_equal(padded, stored.astype(np.float32))
    back = geometry.remove_padding(padded, size=size, mode=mode)
    np.testing.assert_array_equal(back, image)


def test_sides_become_multiples_of_any_number():
    padded = geometry.pad_to_multiple(jnp.ones((2, 5, 7, 3)), multiple=64)
    assert padded.shape == (2, 64, 64, 3)
    back = geometry.remove_padding(padded, size=(5, 7), multiple=64)
    assert back.shape == (2, 5, 7, 3)


@pytest.mark.parametrize(
    ("call", "named"),
    [
        (lambda: geometry.pad_to_multiple(jnp.ones((8, 8, 3)), mode="kiti"), "'kitti'"),
        (lambda: geometry.pad_to_multiple(jnp.ones((8, 8, 3)), multiple=0), "multiple"),
        (
            lambda: geometry.remove_padding(jnp.ones((16, 16, 2)), size=(8, 9)),
            "pictures of 8 rows and 9 columns",
        ),
        (
            lambda: geometry.visible_mask(
                jnp.ones((2, 2, 2)), jnp.ones((2, 2, 2)), absolute=-1.0
            ),
            "absolute is -1.0",
        ),
    ],
)
def test_what_cannot_be_padded_or_compared_is_refused_in_one_line(call, named):
    with pytest.raises(ValueError, match=named) as caught:
        call()
    assert "\n" not in str(caught.value)


def test_the_grid_has_columns_before_rows():
    grid = geometry.pixel_grid(2, 3)
    assert grid.shape == (2, 3, 2)
    assert grid[1, 2].tolist() == [2.0, 1.0]
