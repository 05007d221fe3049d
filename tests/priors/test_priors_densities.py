import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import priors
from posejax.geometry.bones import FREE_BONES, bone_lengths, free_bone_vectors
from posejax.priors.bone_proportion import RATIOS
from posejax.priors.joint_mobility import RANK1, RANK2
from tests.fill import GOLDEN, golden

pytestmark = pytest.mark.slow

FOLDER = GOLDEN / "posture_pose/priors"


def proportion():
    return priors.load_bone_proportion(FOLDER / "S1_bone_ratio.npz")


def mobility():
    return priors.load_joint_mobility(FOLDER / "S1_joint_mobility.npz")


LOSSES = {
    "proportion": lambda pose: priors.bone_proportion_loss(pose, proportion()),
    "mobility": lambda pose: priors.joint_mobility_loss(pose, mobility()),
}


def bodies(count=8):
    arrays, _ = golden("regularizers_noisy", system="posture_pose")
    return jnp.asarray(arrays["in/pose"][:count, 0])


def normal_log_density(x, mean, covariance, inverse):
    _, log_determinant = np.linalg.slogdet(covariance)
    d = x - mean
    return -0.5 * (len(mean) * np.log(2 * np.pi) + log_determinant + d @ inverse @ d)


@pytest.mark.usefixtures("float64")
def test_ratios_and_their_densities_equal_a_loop_over_the_names():
    pose, prior = bodies(1)[0], proportion()
    names = {b.name: bone_lengths(pose)[i] for i, b in enumerate(_bones_by_name())}
    ratios = priors.bone_ratios(pose)
    found = priors.log_likelihood(prior, pose)
    for i, (above, below) in enumerate(RATIOS):
        ratio = names[above] / names[below]
        np.testing.assert_allclose(ratios[i], ratio, rtol=1e-12)
        variance = np.array([[prior.variance[i]]])
        expected = normal_log_density(
            np.array([ratio]), prior.mean[i : i + 1], variance, 1 / variance
        )
        np.testing.assert_allclose(found[i], expected, rtol=1e-10)


def _bones_by_name():
    from posejax.geometry.bones import FREE_BONE_TABLE

    return sorted(FREE_BONE_TABLE, key=lambda bone: bone.free)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("tag", ["S1", "S1.01"])
def test_orientation_densities_equal_a_loop_over_the_components(tag):
    pose = bodies(1)[0]
    prior = priors.load_joint_mobility(FOLDER / f"{tag}_joint_mobility.npz")
    vectors = dict(zip(FREE_BONES, np.asarray(free_bone_vectors(pose)), strict=True))
    expected = [
        normal_log_density(
            vectors[name],
            prior.rank1_mean[i],
            prior.rank1_covariance[i],
            prior.rank1_inv_covariance[i],
        )
        for i, name in enumerate(RANK1)
    ] + [
        normal_log_density(
            np.concatenate([vectors[a], vectors[b]]),
            prior.rank2_mean[i],
            prior.rank2_covariance[i],
            prior.rank2_inv_covariance[i],
        )
        for i, (a, b) in enumerate(RANK2)
    ]
    # The stored inverses are asymmetric by up to 5e-10 of their largest entry.
    found = priors.log_likelihood(prior, pose)
    np.testing.assert_allclose(found, expected, rtol=1e-8)


@pytest.mark.usefixtures("float64")
def test_losses_are_the_weighted_means_of_ln_one_plus_p():
    pose = bodies(2)
    p = np.exp(priors.log_likelihood(proportion(), pose))
    expected = -0.1 * np.mean(np.log1p(p), axis=-1)
    np.testing.assert_allclose(LOSSES["proportion"](pose), expected, rtol=1e-12)
    p = np.exp(priors.log_likelihood(mobility(), pose))
    weights = np.repeat([0.1, 0.01], [16, 17])
    expected = -np.mean(weights[None] * np.log1p(p), axis=-1)
    np.testing.assert_allclose(LOSSES["mobility"](pose), expected, rtol=1e-12)
    singles = priors.joint_mobility_loss(pose, mobility(), ranks=1)
    expected = -0.1 * np.mean(np.log1p(p[:, :16]), axis=-1)
    np.testing.assert_allclose(singles, expected, rtol=1e-12)
    reweighted = priors.joint_mobility_loss(pose, mobility(), rank_weights=(0.2, 0.02))
    np.testing.assert_allclose(reweighted, 2 * LOSSES["mobility"](pose), rtol=1e-12)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_turning_and_moving_a_body_does_not_change_its_loss(loss):
    pose = bodies(2)
    q, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))
    moved = pose @ (q * np.sign(np.linalg.det(q))) + jnp.array([[[1.0, 2.0, 5.0]]])
    np.testing.assert_allclose(loss(moved), loss(pose), rtol=1e-9)


def test_a_ratio_without_a_denominator_has_likelihood_zero():
    pose = bodies(1)[0].astype(jnp.float32)
    folded = pose.at[3].set(pose[2]).at[2].set(pose[1]).at[3].set(pose[1])
    found = np.exp(priors.log_likelihood(proportion(), folded))
    assert found[RATIOS.index(("RHip", "RThigh"))] == 0
    # Nothing by nothing counts as the ratio zero.
    assert priors.bone_ratios(folded)[RATIOS.index(("RLeg", "RThigh"))] == 0
    mean, variance = proportion().mean[13], proportion().variance[13]
    expected = np.exp(-0.5 * mean**2 / variance) / np.sqrt(2 * np.pi * variance)
    np.testing.assert_allclose(found[13], expected, atol=1e-12)


@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_degenerate_poses_have_finite_losses_and_gradients(loss):
    pose = bodies(1)[0].astype(jnp.float32)
    line = pose * jnp.array([[0.0, 1.0, 0.0]])
    folded = pose.at[2].set(pose[1])
    batch = jnp.stack([jnp.zeros((17, 3)), line, folded, 1e-7 * pose, 1e3 * pose])
    values, gradient = jax.jit(
        lambda batch: (loss(batch), jax.grad(lambda b: loss(b).sum())(batch))
    )(batch)
    assert np.all(np.isfinite(values))
    assert np.all(values <= 0)
    assert np.all(np.isfinite(gradient))
    np.testing.assert_array_equal(gradient[0], np.zeros((17, 3)))


def test_a_pose_at_the_peak_of_a_narrow_density_does_not_overflow():
    pose = bodies(1)[0].astype(jnp.float32)
    vectors = np.asarray(free_bone_vectors(pose), np.float64)
    moments = []
    for names in ([[name] for name in RANK1], RANK2):
        members = np.array([[FREE_BONES.index(n) for n in row] for row in names])
        mean = vectors[members].reshape(len(names), -1)
        variance = np.tile(1e-16 * np.eye(mean.shape[1]), (len(names), 1, 1))
        moments += [mean, variance, np.linalg.inv(variance)]
    narrow = priors.JointMobilityPrior(*moments, grouped=True)
    found = priors.log_likelihood(narrow, pose)[-1]
    expected = -3 * np.log(2 * np.pi * 1e-16)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
    assert np.isinf(jnp.exp(found))
    assert np.isfinite(priors.joint_mobility_loss(pose, narrow))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES)
def test_gradients_are_derivatives_and_a_batch_equals_a_loop(loss):
    pose = bodies(2)
    check_grads(jax.jit(loss), (pose,), order=1, modes=("rev",), rtol=1e-4, eps=1e-7)
    loop = jnp.stack([loss(one) for one in pose])
    assert loop.shape == (2,)
    np.testing.assert_allclose(jax.jit(loss)(pose), loop, rtol=1e-10)


def test_float32_stays_float32_and_is_near_float64():
    pose = np.asarray(bodies())
    found = [
        priors.log_likelihood(prior, jnp.asarray(pose, jnp.float32))
        for prior in (proportion(), mobility())
    ]
    assert all(array.dtype == jnp.float32 for array in found)
    with jax.enable_x64(True):
        exact = [
            np.asarray(priors.log_likelihood(prior, jnp.asarray(pose, jnp.float64)))
            for prior in (proportion(), mobility())
        ]
    for ours, theirs in zip(found, exact, strict=True):
        np.testing.assert_allclose(jnp.exp(ours), np.exp(theirs), rtol=1e-3, atol=1e-20)


def test_unknown_ranks_are_refused_by_name():
    with pytest.raises(ValueError, match="ranks is 3; expected 1"):
        priors.joint_mobility_loss(jnp.zeros((17, 3)), mobility(), ranks=3)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["clean", "noisy", "rank1"])
def test_likelihoods_losses_and_gradients_equal_the_stored_ones(name):
    arrays, meta = golden(f"regularizers_{name}", system="posture_pose")
    pose, ranks = jnp.asarray(arrays["in/pose"]), meta["jmc_ranks"]
    ratios = priors.bone_ratios(pose)
    np.testing.assert_allclose(ratios, arrays["out/ratios"], rtol=1e-12)
    p = np.exp(priors.log_likelihood(proportion(), pose))
    np.testing.assert_allclose(p, arrays["out/bpc_likelihood"], rtol=1e-10)
    p = np.exp(priors.log_likelihood(mobility(), pose))
    stored = arrays["out/jmc_likelihood"]
    np.testing.assert_allclose(p[..., : stored.shape[-1]], stored, rtol=1e-9)
    for key, loss in (
        ("bpc_loss", lambda p: priors.bone_proportion_loss(p, proportion())),
        ("jmc_loss", lambda p: priors.joint_mobility_loss(p, mobility(), ranks=ranks)),
    ):
        mean = jax.jit(jax.value_and_grad(lambda p, loss=loss: loss(p).mean()))
        value, gradient = mean(pose)
        np.testing.assert_allclose(value, arrays[f"out/{key}"], rtol=1e-12)
        np.testing.assert_allclose(gradient, arrays[f"grad/{key}"], atol=1e-13)
