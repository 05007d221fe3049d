import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import geometry
from tests.fill import golden

LENS = (2.3, 2.2, 0.02, -0.03, -0.2, 0.24, -0.003, -0.001, -0.0014)
PROJECTIONS = (geometry.project_points, geometry.project_points_linear)


def points(seed, *batch):
    rng = np.random.default_rng(seed)
    return jnp.asarray(rng.normal(size=(*batch, 3)) * 0.5 + [0.0, 0.0, 4.0])


def quaternions(seed, *batch):
    raw = np.random.default_rng(seed).normal(size=(*batch, 4))
    return jnp.asarray(raw / np.linalg.norm(raw, axis=-1, keepdims=True))


def test_the_corners_of_a_picture_have_known_screen_coordinates():
    corners = jnp.array([[0.0, 0.0], [640.0, 480.0]])
    screen = geometry.normalize_screen_coordinates(corners, width=640, height=480)
    np.testing.assert_allclose(screen, [[-1, -0.75], [1, 0.75]], rtol=1e-6)
    back = geometry.image_coordinates(screen, width=640, height=480)
    np.testing.assert_allclose(back, corners, atol=1e-4)


def test_a_quarter_turn_about_z_takes_x_to_y():
    turn = jnp.array([np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)])
    turned = geometry.rotate_by_quaternion(turn, jnp.eye(3))
    np.testing.assert_allclose(turned, [[0, 1, 0], [-1, 0, 0], [0, 0, 1]], atol=1e-6)


def test_a_camera_sees_its_own_centre_at_the_origin_and_its_axis_ahead():
    # The camera looks along the world's x axis: its z axis is the world's x axis.
    turn = jnp.array([np.sqrt(0.5), 0.0, np.sqrt(0.5), 0.0])
    centre = jnp.array([1.0, 2.0, 3.0])
    world = jnp.array([[1.0, 2.0, 3.0], [6.0, 2.0, 3.0]])
    seen = geometry.world_to_camera(world, orientation=turn, translation=centre)
    np.testing.assert_allclose(seen, [[0, 0, 0], [0, 0, 5]], atol=1e-6)


@pytest.mark.usefixtures("float64")
def test_going_to_the_world_and_back_changes_nothing():
    camera = {"orientation": quaternions(0, 5), "translation": points(1, 5)}
    world = points(2, 5, 7)
    seen = geometry.world_to_camera(world, **camera)
    np.testing.assert_allclose(
        geometry.camera_to_world(seen, **camera), world, atol=1e-12
    )
    distances = [np.linalg.norm(p[:, 1:] - p[:, :-1], axis=-1) for p in (world, seen)]
    np.testing.assert_allclose(*distances, rtol=1e-12)


def test_a_distorted_projection_by_hand():
    # (x, y) = (0.5, -0.25), r^2 = 0.3125, h = 0.5 * 0.1 - 0.25 * 0.2 = 0,
    # g = 1 + 0.1 * 0.3125.
    lens = jnp.array([2.0, 4.0, 0.5, -0.5, 0.1, 0.0, 0.0, 0.1, 0.2])
    found = geometry.project_points(jnp.array([[1.0, -0.5, 2.0]]), lens)
    x = 2 * (0.5 * 1.03125 + 0.1 * 0.3125) + 0.5
    y = 4 * (-0.25 * 1.03125 + 0.2 * 0.3125) - 0.5
    np.testing.assert_allclose(found, [[x, y]], rtol=1e-6)


def test_an_undistorted_lens_projects_linearly():
    lens = jnp.array([2.3, 2.2, 0.02, -0.03, 0, 0, 0, 0, 0], jnp.float32)
    seen = points(3, 6).astype(jnp.float32)
    ways = [project(seen, lens) for project in PROJECTIONS]
    np.testing.assert_allclose(*ways, rtol=1e-6)


def test_every_distortion_coefficient_matters():
    gradient = jax.grad(lambda lens: geometry.project_points(points(4, 3), lens).sum())
    assert np.all(np.asarray(gradient(jnp.array(LENS))) != 0)


@pytest.mark.parametrize("project", PROJECTIONS)
@pytest.mark.parametrize("depth", [0.0, -0.0, 1e-30, -1e-30, 0.1, -0.1])
def test_a_point_beside_or_behind_the_camera_is_clipped_without_gradient(
    project, depth
):
    lens = jnp.array(LENS)
    point = jnp.array([[1.0, -2.0, depth]])
    limit = jnp.array([[1.0, -1.0, 1.0 if depth >= 0 else -1.0]])
    np.testing.assert_allclose(project(point, lens), project(limit, lens), rtol=1e-6)
    gradient = jax.jit(jax.grad(lambda x: project(x, lens).sum()))(point)
    np.testing.assert_array_equal(gradient, np.zeros((1, 3)))


@pytest.mark.parametrize("project", PROJECTIONS)
def test_a_point_in_the_camera_is_projected_to_the_centre_without_gradient(project):
    lens = jnp.array(LENS)
    value, gradient = jax.value_and_grad(lambda x: project(x, lens)[0, 0])(
        jnp.zeros((1, 3))
    )
    np.testing.assert_allclose(value, LENS[2])
    np.testing.assert_array_equal(gradient, np.zeros((1, 3)))


@pytest.mark.usefixtures("float64")
def test_camera_gradients_are_derivatives_and_a_batch_equals_a_loop():
    lens = jnp.asarray(LENS)[None] * (1 + 0.1 * jnp.arange(3.0)[:, None])
    orientation, translation, world = quaternions(5, 3), points(6, 3), points(7, 3, 4)

    def seen(world, orientation, translation, lens):
        camera = {"orientation": orientation, "translation": 0.1 * translation}
        there = geometry.world_to_camera(world, **camera)
        back = geometry.camera_to_world(there * 1.1, **camera)
        return [project(back, lens) for project in PROJECTIONS]

    arguments = (world, orientation, translation, lens)
    check_grads(jax.jit(seen), arguments, order=1, modes=["rev"])
    batched = jax.jit(seen)(*arguments)
    loop = [seen(*one) for one in zip(*arguments, strict=True)]
    for way, values in enumerate(batched):
        assert values.shape == (3, 4, 2)
        np.testing.assert_allclose(values, [one[way] for one in loop], rtol=1e-12)


def test_cameras_keep_float32():
    seen = geometry.project_points(jnp.ones((2, 3)), jnp.array(LENS))
    for found in (
        seen,
        geometry.world_to_camera(
            jnp.ones((2, 3)), orientation=jnp.ones(4), translation=jnp.ones(3)
        ),
        geometry.normalize_screen_coordinates(seen, width=3, height=2),
        geometry.image_coordinates(seen, width=3, height=2),
    ):
        assert found.dtype == jnp.float32


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("camera", range(4))
def test_cameras_equal_the_stored_ones(camera):
    arrays, _ = golden("camera", system="posture_pose")
    stored = {
        key.removesuffix(f"_{camera}"): value
        for key, value in arrays.items()
        if key.endswith(f"_{camera}") or key == "in/world"
    }
    world = jnp.asarray(stored["in/world"])
    width, height = stored["in/resolution"].tolist()

    def repeated(name):
        return jnp.broadcast_to(stored[f"in/{name}"], (5, *stored[f"in/{name}"].shape))

    pose = {k: repeated(k) for k in ("orientation", "translation")}
    lens = repeated("intrinsic")
    seen = geometry.world_to_camera(world, **pose)
    uv = geometry.project_points(seen, lens)
    pixels = geometry.image_coordinates(uv, width=width, height=height)
    found = {
        "camera": seen,
        "world_again": geometry.camera_to_world(seen, **pose),
        "uv": uv,
        "uv_linear": geometry.project_points_linear(seen, lens),
        "pixels": pixels,
        "renormalised": geometry.normalize_screen_coordinates(
            pixels, width=width, height=height
        ),
    }
    for name, values in found.items():
        np.testing.assert_allclose(
            values, stored[f"out/{name}"], rtol=1e-9, atol=1e-9, err_msg=name
        )
    gradient = jax.grad(lambda x: jnp.sum(geometry.project_points(x, lens) ** 2))(seen)
    np.testing.assert_allclose(gradient, stored["grad/camera_points"], atol=1e-9)
