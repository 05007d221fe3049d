import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import geometry, losses

flow_term = jax.jit(losses.flow_term)


def fields(seed=0, frames=4, size=(9, 12)):
    rng = np.random.default_rng(seed)
    points = rng.uniform(0, 8, size=(frames, 5, 2))
    return jnp.asarray(points), jnp.asarray(rng.normal(size=(frames - 1, *size, 2)))


def test_terms_by_hand():
    values = jnp.array([0.0, 0.5, 3.5]).reshape(3, 1, 1)
    np.testing.assert_allclose(losses.step_term(values), (0.125 + 2.5) / 3)
    np.testing.assert_allclose(
        losses.frame_term(values, jnp.zeros((3, 1, 1))), (0.125 + 3.0) / 3
    )
    points, seen = jnp.zeros((1, 2, 2)), jnp.array([[[2.0, 0.0], [9.0, 9.0]]])
    found = losses.detection_term(points, seen, jnp.array([[0.25, 0.0]]))
    np.testing.assert_allclose(found, 0.125)
    # Flow (x, y) at (1.5, 2) is (1.5, 4); the joint moves by (1, 1).
    y, x = jnp.indices((4, 4), dtype=jnp.float32)
    ramp = jnp.stack([x, 2 * y], axis=-1)[None]
    joints = jnp.array([[[1.5, 2.0]], [[2.5, 3.0]]])
    np.testing.assert_allclose(flow_term(joints, ramp), (0.125 + 2.5) / 2)


def test_a_joint_outside_the_field_does_not_count_and_is_not_pulled():
    _, flow = fields(frames=2)
    starts = [[-0.01, 3], [11.01, 3], [3, 8.01], [np.inf, 3], [1e30, -1e30]]
    points = jnp.asarray(np.array([starts, np.full((5, 2), 4.0)]))
    points = points.at[0, 3].set(1e20)
    value, gradient = jax.value_and_grad(flow_term)(points, flow)
    np.testing.assert_allclose(value, 0)
    np.testing.assert_array_equal(gradient, 0)
    # On the border itself it does.
    edge = points.at[0].set(jnp.array([[11.0, 8.0]] * 5))
    assert flow_term(edge, flow) > 0


def test_the_place_where_flow_is_read_has_no_gradient():
    points, flow = fields()
    gradient = jax.grad(flow_term)(points, flow)
    # What pulls a joint at t also pushes it at t + 1: both ends of its step.
    np.testing.assert_allclose(gradient.sum(axis=0), 0, atol=1e-6)
    assert np.abs(gradient[0]).max() > 0.01


def test_fields_may_be_boxes_of_half_precision_with_offsets():
    points, flow = fields(1, 3, (40, 50))
    points = points + jnp.array([[[20.0, 15.0]]])
    whole = flow_term(points, flow)
    box, offset = flow[:, 12:30, 17:33], jnp.array([[17, 12]] * 2)
    np.testing.assert_allclose(
        flow_term(points, box, flow_offset=offset), whole, rtol=1e-5
    )
    half = flow_term(points, box.astype(jnp.float16), flow_offset=offset)
    assert half.dtype == whole.dtype
    np.testing.assert_allclose(half, whole, rtol=1e-3)
    away = flow_term(points, box, flow_offset=offset + 100)
    np.testing.assert_allclose(away, 0)


def test_frames_that_a_clip_does_not_have_take_no_part():
    points, flow = fields(2, 6)
    others, _ = fields(3, 6)
    confidence = jnp.ones(points.shape[:-1])
    there = jnp.arange(6) < 4
    calls = (
        lambda p, f, **o: losses.step_term(p, **o),
        lambda p, f, **o: losses.frame_term(p, others[: len(p)], **o),
        lambda p, f, **o: losses.detection_term(
            p, others[: len(p)], confidence[: len(p)], **o
        ),
        flow_term,
    )
    for call in calls:
        short = call(points[:4], flow[:3])
        both = jax.value_and_grad(lambda p, call=call: call(p, flow, frame_valid=there))
        value, gradient = both(points)
        np.testing.assert_allclose(value, short, rtol=1e-6)
        np.testing.assert_array_equal(gradient[4:], 0)
        np.testing.assert_allclose(call(points, flow, frame_valid=there & False), 0)


def test_a_clip_of_one_frame_has_no_pairs():
    points, _ = fields(frames=2)
    nothing = jnp.zeros((0, 4, 4, 2))
    np.testing.assert_allclose(losses.step_term(points[:1]), 0)
    np.testing.assert_allclose(flow_term(points[:1], nothing), 0)
    one = jnp.ones(1, bool)
    np.testing.assert_allclose(flow_term(points[:1], nothing, frame_valid=one), 0)


def test_an_undetected_joint_may_be_anything():
    points, _ = fields()
    wrong = jnp.full_like(points, jnp.nan)
    value, gradient = jax.value_and_grad(losses.detection_term)(
        points, wrong, jnp.zeros(points.shape[:-1])
    )
    np.testing.assert_allclose(value, 0)
    np.testing.assert_array_equal(gradient, 0)


@pytest.mark.usefixtures("float64")
def test_gradients_of_terms_are_derivatives_and_clips_do_not_mix():
    points, flow = fields(4)
    others, other_flow = fields(5)
    confidence = jnp.linspace(0.1, 1, 20).reshape(4, 5)

    def smooth(points):
        return (
            losses.step_term(points),
            losses.frame_term(points, others),
            losses.detection_term(points, others, confidence),
        )

    check_grads(jax.jit(smooth), (points,), order=1, modes=["rev"])
    check_grads(lambda f: flow_term(points, f), (flow,), order=1, modes=["rev"])
    both = flow_term(jnp.stack([points, others]), jnp.stack([flow, other_flow]))
    singles = [flow_term(points, flow), flow_term(others, other_flow)]
    np.testing.assert_allclose(both, singles, rtol=1e-12)


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_flow_at_joints_equals_the_stored_one(dtype):
    arrays, _ = golden("flow_at_joints", system="flow_pose")
    with jax.enable_x64(dtype == jnp.float64):
        flow = jnp.asarray(arrays["in/flow"], dtype)
        for name in ("", "_border"):
            points = jnp.asarray(arrays[f"in/points{name}"], dtype)
            found, inside = geometry.sample_map(flow, points)
            stored = arrays[f"out/sampled{'_border_right' if name else ''}"]
            is_inside = arrays["out/inside"] if name else np.ones(14, bool)
            np.testing.assert_array_equal(inside, is_inside)
            tolerance = 1e-12 if dtype == jnp.float64 else 1e-5
            np.testing.assert_allclose(
                np.asarray(found)[is_inside],
                stored[is_inside],
                atol=tolerance * np.abs(stored).max(),
            )
    reference = arrays["out/sampled_border_reference"]
    # Beside the border the published code reads zero, as if nothing moved there.
    inside = arrays["out/inside"]
    lost = np.all(reference == 0, axis=-1) & inside
    assert lost.any()
    np.testing.assert_array_less(0, np.abs(stored[lost]).max(axis=-1))
