import jax
import jax.numpy as jnp
import numpy as np
import pytest
from fill import golden
from jax.test_util import check_grads

from posejax import geometry
from posejax.skeletons import LSP_14

POSE = np.random.default_rng(0).normal(size=(3, 14, 3))


def test_lengths_by_hand():
    pose = jnp.zeros((14, 3)).at[13].set(jnp.array([3.0, 4.0, 0.0]))
    lengths = geometry.lsp_bone_lengths(pose)
    head = geometry.LSP_BONES.index((12, 13))
    np.testing.assert_allclose(lengths[head], 5, rtol=1e-6)
    np.testing.assert_allclose(np.delete(lengths, head), np.sqrt(3) * 1e-6, rtol=1e-5)


def test_the_bones_are_the_tree_and_the_widths_of_hips_and_shoulders():
    bones = {frozenset(bone) for bone in geometry.LSP_BONES}
    tree = {frozenset(bone) for bone in LSP_14.bones}
    assert bones - tree == {frozenset((2, 3)), frozenset((8, 9))}
    assert tree < bones
    assert {frozenset(bone) for bone in geometry.LSP_FLOW_BONES} == tree


@pytest.mark.usefixtures("float64")
def test_lengths_do_not_see_a_shift_and_hardly_a_turn():
    pose = jnp.asarray(POSE)
    turn, _ = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))
    lengths_of = jax.jit(geometry.lsp_bone_lengths)
    lengths = lengths_of(pose)
    np.testing.assert_allclose(lengths_of(pose + 1), lengths)
    np.testing.assert_allclose(lengths_of(pose @ turn), lengths, atol=1e-5)
    check_grads(lengths_of, (pose,), order=1, modes=["rev"])


def test_coincident_joints_have_finite_gradients():
    for pose in (jnp.zeros((14, 3)), jnp.zeros((14, 3)).at[0].set(-1e-6)):
        value, gradient = jax.value_and_grad(
            lambda p: geometry.lsp_bone_lengths(p).sum()
        )(pose)
        assert np.isfinite(value)
        assert np.isfinite(gradient).all()


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_lengths_and_gradients_equal_the_stored_ones(dtype):
    arrays, meta = golden("pose_bones", system="flow_pose")
    assert [list(bone) for bone in geometry.LSP_BONES] == meta["pairs"]
    with jax.enable_x64(dtype == jnp.float64):
        pose = jnp.asarray(arrays["in/X"], dtype)
        weights = np.cos(0.37 * np.arange(pose.shape[0] * 15)).reshape(-1, 15)
        lengths_of = jax.jit(geometry.lsp_bone_lengths)
        gradient = jax.jit(
            jax.grad(lambda p: jnp.sum(lengths_of(p) * jnp.asarray(weights, dtype)))
        )(pose)
        lengths = lengths_of(pose)
        degenerate = lengths_of(jnp.asarray(arrays["in/X_degenerate"], dtype))
    tight = dtype == jnp.float64
    tolerance = {"rtol": 0, "atol": 1e-12 if tight else 1e-5}
    assert lengths.dtype == dtype
    np.testing.assert_allclose(lengths, arrays["out/bones"], **tolerance)
    np.testing.assert_allclose(degenerate, arrays["out/bones_degenerate"], **tolerance)
    np.testing.assert_allclose(
        gradient, arrays["grad/X"], rtol=0, atol=1e-12 if tight else 1e-4
    )
