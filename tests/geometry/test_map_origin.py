import jax
import jax.numpy as jnp
import jax.test_util
import numpy as np
import pytest

from posejax import geometry
from posejax.templates import ANCHOR_PARTS, NATURAL, SCHEMES

SIZE = 64
ANCHORS = geometry.template_anchors(NATURAL, size=SIZE)


def maps_of(raw, scheme="affine"):
    return geometry.expand_parameters(raw, scheme=SCHEMES[scheme], image_size=SIZE)


def about(raw, scheme="affine"):
    return geometry.about_joints(maps_of(raw, scheme), ANCHORS, scheme=SCHEMES[scheme])


@pytest.mark.parametrize("scheme", ["affine", "two_step"])
def test_the_identity_stays_the_identity(scheme):
    raw = jnp.zeros(SCHEMES[scheme].num_outputs)
    for moved in about(raw, scheme):
        np.testing.assert_allclose(moved, np.tile(np.eye(2, 3), (18, 1, 1)), atol=1e-6)


def test_a_turned_part_keeps_its_first_anchor_and_a_shift_moves_it_as_before():
    raw = 0.3 * jax.random.normal(jax.random.key(0), (18, 2, 3))
    turned = raw.at[..., 2].set(0.0).reshape(-1)
    moved = geometry.transform_anchors(ANCHORS, about(turned))
    firsts = [int(np.flatnonzero(p == ANCHOR_PARTS)[0]) for p in range(18)]
    np.testing.assert_allclose(
        moved[np.array(firsts)], ANCHORS[np.array(firsts)], rtol=1e-5
    )
    shift = jnp.zeros((18, 2, 3)).at[..., 0, 2].set(0.25).reshape(-1)
    np.testing.assert_allclose(about(shift)[0], maps_of(shift)[0], atol=1e-5)


def test_parts_that_share_a_map_turn_about_one_joint():
    scheme = SCHEMES["two_step"]
    arm, forearm = 9, 11
    shared = scheme.steps[0][arm]
    assert scheme.steps[0][forearm] == shared
    raw = jnp.zeros((20, 2, 3)).at[shared, 0, 1].set(0.5).reshape(-1)
    first, _ = about(raw, "two_step")
    np.testing.assert_allclose(first[arm], first[forearm], rtol=1e-6)
    moved = geometry.transform_anchors(ANCHORS, (first,))
    elbow_of_arm, elbow_of_forearm = 20, 23
    np.testing.assert_allclose(moved[elbow_of_arm], moved[elbow_of_forearm], rtol=1e-5)


def test_the_second_step_turns_about_the_joint_where_the_first_left_it():
    scheme = SCHEMES["two_step"]
    raw = jnp.zeros((20, 2, 3))
    raw = raw.at[scheme.steps[0][11], 1, 2].set(0.1)  # the whole arm moves down
    raw = raw.at[scheme.steps[1][11], 0, 1].set(0.7)  # then the forearm turns
    steps = about(raw.reshape(-1), "two_step")
    before = geometry.transform_anchors(ANCHORS, steps[:1])
    after = geometry.transform_anchors(ANCHORS, steps)
    np.testing.assert_allclose(after[23], before[23], rtol=1e-5)
    assert float(jnp.abs(after[24] - before[24]).max()) > 1.0


def test_the_gradient_is_finite_and_right():
    raw = 0.2 * jax.random.normal(jax.random.key(1), (120,))

    def total(raw):
        return jnp.sum(
            geometry.transform_anchors(ANCHORS, about(raw, "two_step")) ** 2 / 1e4
        )

    jax.test_util.check_grads(
        jax.jit(total), (raw,), 1, modes=["rev"], atol=2e-2, rtol=2e-2
    )
    assert bool(jnp.all(jnp.isfinite(jax.grad(total)(jnp.zeros(120)))))


def test_a_batch_equals_its_examples():
    raw = 0.2 * jax.random.normal(jax.random.key(2), (3, 120))
    whole = about(raw, "two_step")
    for i in range(3):
        one = jax.jit(lambda r: about(r, "two_step"))(raw[i])
        for step, alone in zip(whole, one, strict=True):
            np.testing.assert_allclose(step[i], alone, rtol=1e-5, atol=1e-5)
