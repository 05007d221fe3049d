import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import geometry


def clip(seed=0, frames=5):
    rng = np.random.default_rng(seed)
    return tuple(
        jnp.asarray(array)
        for array in (
            rng.normal(size=(frames, 14, 3)),
            rng.normal(size=(frames, 3)) * 0.1 + np.array([[0.9, 0, 0]]),
            rng.uniform(0.3, 2, size=(frames, 2)),
            rng.uniform(-50, 300, size=(frames, 2)),
        )
    )


def test_a_projection_by_hand():
    pose = jnp.array([[0.25, 0.0, 7.0], [-0.5, 0.5, -1.0]])
    camera = jnp.array([2.0, 0.25, 0.0])
    # u = 2 (0.5, 0) = (1, 0): crop (224, 112); and u = 2 (-0.25, 0.5): crop (56, 224).
    points = geometry.project_weak_perspective(
        pose, camera, jnp.array([0.5, 0.25]), jnp.array([6.0, 8.0])
    )
    np.testing.assert_allclose(points, [[460, 480], [124, 928]])


def test_the_projection_does_not_see_depth_and_moves_with_the_crop():
    pose, camera, scale, origin = clip()
    project = geometry.project_weak_perspective
    points = project(pose, camera, scale, origin)
    deeper = pose.at[..., 2].add(3.0)
    np.testing.assert_array_equal(project(deeper, camera, scale, origin), points)
    moved = project(pose, camera, scale, origin + 5.0) - points
    np.testing.assert_allclose(moved, 5 / scale[:, None] + 0 * points, rtol=2e-3)


def test_a_scale_of_zero_is_finite_in_value_and_gradient():
    pose, camera, scale, origin = clip()
    scale = scale.at[0].set(0.0)

    def total(*arrays):
        return geometry.project_weak_perspective(*arrays).sum()

    both = jax.jit(jax.value_and_grad(total, (0, 1, 2, 3)))
    value, gradients = both(pose, camera, scale, origin)
    assert np.isfinite(value)
    assert all(np.isfinite(g).all() for g in gradients)


@pytest.mark.usefixtures("float64")
def test_the_gradient_of_the_projection_is_its_derivative_and_frames_do_not_mix():
    arrays = clip(1, 2)
    project = jax.jit(geometry.project_weak_perspective)
    check_grads(project, arrays, order=1, modes=["rev"])
    singles = [project(*one) for one in zip(*arrays, strict=True)]
    np.testing.assert_allclose(project(*arrays), np.stack(singles), rtol=1e-12)


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_projections_and_gradients_equal_the_stored_ones(dtype):
    arrays, meta = golden("pose_project", system="flow_pose")
    with jax.enable_x64(dtype == jnp.float64):
        pose, camera, scale, start = (
            jnp.asarray(arrays[f"in/{name}"], dtype)
            for name in ("X", "camera", "scale", "start_pt")
        )
        origin = start - meta["img_size"] / 2

        def project(pose, camera):
            points = geometry.project_weak_perspective(pose, camera, scale, origin)
            return jnp.sum(points.ravel() * cotangent(points)), points

        both = jax.jit(jax.grad(project, (0, 1), has_aux=True))
        gradients, points = both(pose, camera)
    assert points.dtype == dtype
    tight = dtype == jnp.float64
    near(points, arrays["out/joints2d"], 1e-12 if tight else 1e-5)
    for name, found in zip(("X", "camera"), gradients, strict=True):
        near(found, arrays[f"grad/{name}"], 1e-12 if tight else 1e-4)


def cotangent(array):
    return jnp.asarray(np.cos(0.37 * np.arange(array.size)), array.dtype)


def near(found, stored, tolerance):
    """Within a tolerance relative to the largest stored value."""
    np.testing.assert_allclose(
        found, stored, rtol=0, atol=tolerance * np.abs(stored).max()
    )
