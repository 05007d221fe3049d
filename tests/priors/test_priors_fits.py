import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import priors
from posejax.geometry.bones import bone_lengths, free_bone_vectors
from posejax.priors.bone_proportion import RATIOS, with_mirror_images
from posejax.priors.joint_mobility import RANK1, RANK2
from posejax.skeletons import H36M_17
from tests.fill import GOLDEN, golden

FOLDER = GOLDEN / "posture_pose/priors"
MOBILITY = [f"rank{r}_{n}" for r in (1, 2)
            for n in ("mean", "covariance", "inv_covariance")]  # fmt: skip


def bodies(count=400):
    arrays, _ = golden("prior_generation", system="posture_pose")
    return arrays["in/pose"][:count]


def without_side(name):
    return name[1:] if name[0] in "RL" else name


def test_mirror_images_follow_the_poses():
    poses = bodies(3)
    both = with_mirror_images(poses)
    np.testing.assert_array_equal(both[:3], poses)
    left, right = H36M_17.index("left_knee"), H36M_17.index("right_knee")
    np.testing.assert_array_equal(both[3:, left, 0], -both[:3, right, 0])
    np.testing.assert_array_equal(both[3:, left, 1:], both[:3, right, 1:])


def test_a_proportion_prior_is_the_mean_and_population_variance_of_the_ratios():
    lengths = np.random.default_rng(0).uniform(0.1, 0.5, (5, 16))
    prior = priors.bone_proportion_prior(lengths, length_std=0.05)
    ratio = lengths[:, 8] / lengths[:, 9]
    np.testing.assert_allclose(
        prior.mean[RATIOS.index(("UFace", "Head"))], ratio.mean()
    )
    np.testing.assert_allclose(prior.variance[0], ((ratio - ratio.mean()) ** 2).mean())
    assert prior.mean.dtype == np.float64
    assert prior.length_std == 0.05


def test_the_width_of_one_persons_ratios_is_that_of_the_factors():
    poses = np.tile(bodies(1), (2000, 1, 1))
    prior = priors.fit_bone_proportion(poses, seed=1, length_std=0.05)
    expected = np.asarray(priors.bone_ratios(jnp.asarray(poses[0])))
    np.testing.assert_allclose(prior.mean[0], expected[0], rtol=0.01)
    # Two independent factors: sqrt(2) * 0.05 relative.
    spread = np.sqrt(prior.variance) / prior.mean
    np.testing.assert_allclose(spread, np.full(15, 0.0707), rtol=0.1)


def test_a_fit_follows_from_its_seed():
    fits = [priors.fit_bone_proportion(bodies(9), seed=s).mean for s in (3, 3, 4)]
    np.testing.assert_array_equal(fits[0], fits[1])
    assert np.all(fits[0] != fits[2])


def test_lengths_that_give_no_density_are_refused():
    lengths = np.ones((3, 16))
    lengths[1, 2] = 0
    with pytest.raises(ValueError, match="1 are not positive"):
        priors.bone_proportion_prior(lengths)
    with pytest.raises(ValueError, match="15 ratios are the same in all 3 poses"):
        priors.bone_proportion_prior(np.ones((3, 16)))
    with pytest.raises(ValueError, match=r"length_std is -0\.1; expected at least 0"):
        priors.fit_bone_proportion(bodies(3), length_std=-0.1)
    with pytest.raises(ValueError, match="2 poses span too few directions"):
        priors.fit_joint_mobility(bodies(2))


def test_left_and_right_share_a_distribution_only_if_grouped():
    right, left = RANK1.index("RThigh"), RANK1.index("LThigh")
    shared = priors.fit_joint_mobility(bodies())
    np.testing.assert_array_equal(
        shared.rank1_covariance[right], shared.rank1_covariance[left]
    )
    alone = priors.fit_joint_mobility(bodies(), grouped=False)
    assert not alone.grouped
    assert np.abs(alone.rank1_mean[right] - alone.rank1_mean[left]).max() > 0.1


@pytest.mark.usefixtures("float64")
def test_moments_are_those_of_the_samples_of_both_sides():
    poses = with_mirror_images(bodies())
    vectors = np.asarray(jax.jit(free_bone_vectors)(jnp.asarray(poses)))
    prior = priors.fit_joint_mobility(bodies())
    right, left = vectors[:, [2, 10]], vectors[:, [2, 11]]  # Thorax, either shoulder
    samples = np.concatenate([right, left]).reshape(-1, 6)
    i = RANK2.index(("Thorax", "LShoulder"))
    np.testing.assert_allclose(prior.rank2_mean[i], samples.mean(axis=0), atol=1e-12)
    moment = samples.T @ samples / len(samples)
    np.testing.assert_allclose(prior.rank2_covariance[i], moment, atol=1e-12)
    np.testing.assert_allclose(
        prior.rank2_inv_covariance[i] @ moment, np.eye(6), atol=1e-6
    )
    centered = priors.fit_joint_mobility(bodies(), centered=True)
    np.testing.assert_allclose(
        centered.rank2_covariance[i], np.cov(samples.T, bias=True), atol=1e-12
    )


def test_a_coordinate_that_never_varies_is_made_independent():
    # The pelvis is the midpoint of the hips, so that a free hip lies in the plane.
    poses = np.random.default_rng(2).normal(size=(300, 17, 3))
    poses[:, 0] = (poses[:, 1] + poses[:, 4]) / 2
    prior = priors.fit_joint_mobility(poses)
    hip = prior.rank1_covariance[RANK1.index("RHip")]
    np.testing.assert_array_equal(hip[2], [0.0, 0.0, 1.0])
    np.testing.assert_array_equal(hip[:, 2], [0.0, 0.0, 1.0])


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(5))
def test_poses_that_hardly_vary_in_some_direction_give_a_usable_density(seed):
    # The inverses of such covariances are positive definite but for rounding.
    few = np.tile(bodies(3), (30, 1, 1))
    noise = np.random.default_rng(seed).normal(size=few.shape)
    prior = priors.fit_joint_mobility(few + 3e-7 * noise)
    smallest = [np.linalg.eigvalsh(m).min() for m in prior.rank2_covariance]
    assert min(smallest) < 1e-12
    value, gradient = jax.value_and_grad(priors.joint_mobility_loss)(
        jnp.asarray(bodies(1)[0], jnp.float32), prior
    )
    assert np.isfinite(value)
    assert value < 0
    assert np.all(np.isfinite(gradient))


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_mobility_fits_equal_the_stored_ones():
    arrays, meta = golden("prior_generation", system="posture_pose")
    prior = priors.fit_joint_mobility(arrays["in/pose"])
    names = {
        1: [without_side(name) for name in RANK1],
        2: ["-&-".join(without_side(name) for name in pair) for pair in RANK2],
    }
    for rank in (1, 2):
        order = np.array([names[rank].index(name) for name in meta[f"rank{rank}"]])
        for part in ("mean", "covariance"):
            key = f"rank{rank}_{part}"
            found = getattr(prior, key)[order]
            np.testing.assert_allclose(found, arrays[f"out/{key}"], atol=1e-12)
        key = f"rank{rank}_inv_covariance"
        stored = arrays[f"out/{key}"]
        scale = np.abs(stored).max(axis=(1, 2), keepdims=True)
        found = getattr(prior, key)[order] / scale
        np.testing.assert_allclose(found, stored / scale, atol=1e-9)


@pytest.mark.golden
@pytest.mark.usefixtures("float64")
def test_proportion_fits_equal_the_stored_ones():
    arrays, meta = golden("prior_generation", system="posture_pose")
    assert meta["ratios"] == ["/".join(ratio) for ratio in RATIOS]
    poses = jnp.asarray(with_mirror_images(arrays["in/pose"]))
    lengths = np.asarray(bone_lengths(poses)) * arrays["in/length_factors"]
    prior = priors.bone_proportion_prior(lengths)
    # The stored means were taken in float32.
    np.testing.assert_allclose(prior.mean, arrays["out/ratio_mean"], atol=1e-8)
    np.testing.assert_allclose(prior.variance, arrays["out/ratio_variance"], atol=1e-8)


def test_priors_survive_saving_and_loading(tmp_path):
    proportion = priors.fit_bone_proportion(bodies(9))
    said = {"source": "synthetic", "num_poses": 9}
    priors.save_prior(tmp_path / "bones.npz", proportion, description=said)
    loaded = priors.load_bone_proportion(tmp_path / "bones.npz")
    np.testing.assert_array_equal(loaded.mean, proportion.mean)
    np.testing.assert_array_equal(loaded.variance, proportion.variance)
    assert loaded.length_std == 0.05
    description = priors.load_description(tmp_path / "bones.npz")
    assert said.items() <= description.items()
    assert description["skeleton"] == H36M_17.name
    assert description["unit"] == "dimensionless"
    assert description["bones"][0] == "RHip"
    for grouped in (True, False):
        mobility = priors.fit_joint_mobility(bodies(), grouped=grouped)
        priors.save_prior(tmp_path / "joints.npz", mobility, description=said)
        loaded = priors.load_joint_mobility(tmp_path / "joints.npz")
        assert loaded.grouped == grouped
        for name in MOBILITY:
            np.testing.assert_array_equal(
                getattr(loaded, name), getattr(mobility, name)
            )


@pytest.mark.parametrize("tag", ["S1", "S1.01"])
def test_what_is_written_has_the_arrays_of_the_published_files(tag, tmp_path):
    for kind, load in (
        ("bone_ratio", priors.load_bone_proportion),
        ("joint_mobility", priors.load_joint_mobility),
    ):
        source = FOLDER / f"{tag}_{kind}.npz"
        priors.save_prior(tmp_path / "prior.npz", load(source), description={})
        with np.load(source) as stored, np.load(tmp_path / "prior.npz") as written:
            assert set(written) - set(stored) == {"description"}
            left_out = set(stored) - set(written)
            assert all("lik" in name or "log_spread" in name for name in left_out)
            for name in set(written) & set(stored):
                np.testing.assert_array_equal(written[name], stored[name], name)
        assert priors.load_description(source) == {}


def rewritten(path, target, **changes):
    with np.load(path) as file:
        arrays = {**{name: file[name] for name in file}, **changes}
    np.savez(target, **{k: v for k, v in arrays.items() if v is not None})
    return target


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mean": None}, "the arrays mean are missing"),
        (
            {"bone_parent": np.arange(16)},
            r"bone_parent is \[0, 1, 2.*Fit the prior anew",
        ),
        ({"mean": np.zeros(3)}, r"mean has shape \(3,\); expected \(15,\)"),
        (
            {"variance": np.full(15, np.nan)},
            "variance holds values that are not finite",
        ),
        (
            {"description": np.array(json.dumps({"unit": "millimetre"}))},
            "the unit is 'millimetre'; expected 'dimensionless'",
        ),
        (
            {"description": np.array(json.dumps({"skeleton": "coco_17"}))},
            "the skeleton is 'coco_17'",
        ),
    ],
)
def test_a_file_for_something_else_is_refused_by_name(changes, message, tmp_path):
    source = FOLDER / "S1_bone_ratio.npz"
    path = rewritten(source, tmp_path / "prior.npz", **changes)
    with pytest.raises(ValueError, match=message):
        priors.load_bone_proportion(path)


def test_other_frames_other_kinds_and_absent_files_are_refused(tmp_path):
    source = FOLDER / "S1_joint_mobility.npz"
    with np.load(source) as file:
        signs = -file["normal_sign"]
    path = rewritten(source, tmp_path / "prior.npz", normal_sign=signs)
    with pytest.raises(ValueError, match="normal_sign is"):
        priors.load_joint_mobility(path)
    with pytest.raises(ValueError, match=r"the arrays ratio_names.* are missing"):
        priors.load_bone_proportion(source)
    with pytest.raises(FileNotFoundError, match="there is no such prior file"):
        priors.load_joint_mobility(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match=r"prior files end in \.npz"):
        priors.save_prior(
            tmp_path / "prior.pkl",
            priors.load_joint_mobility(source),
            description={},
        )
