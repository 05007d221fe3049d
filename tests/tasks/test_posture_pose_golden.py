"""The whole semi-supervised losses against the published code, float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import models, priors
from posejax.losses import weighted_sum
from posejax.tasks.posture_pose_lifter import Lifter
from posejax.tasks.posture_pose_terms import (
    Labelled,
    Predicted,
    Priors,
    Settings,
    Unlabelled,
    supervised_terms,
    unlabelled_terms,
)
from posejax.tasks.posture_pose_windows import Sight
from tests.fill import GOLDEN, fill, golden

pytestmark = [pytest.mark.golden, pytest.mark.slow, pytest.mark.usefixtures("float64")]

# Published name of a term to ours.
TERMS = {
    "mpjpe": "pose",
    "auxiliary": "auxiliary",
    "reprojection": "reprojection",
    "mble": "bone_length",
    "pto": "root",
    "bse": "symmetry",
    "bpc": "bone_proportion",
    "jmc": "joint_mobility",
    "mv_pose": "view_pose",
    "mv_posture": "view_posture",
}
CHANNELS = 48


def state_dict(prefix, units, joints, widths, bias):
    """Returns the parameters of a network, and its state, as the golden files say."""
    shapes = {"expand_conv.weight": (CHANNELS, 34, widths[0])}
    for i, width in enumerate(widths[1:]):
        shapes[f"layers_conv.{2 * i}.weight"] = (CHANNELS, CHANNELS, width)
        shapes[f"layers_conv.{2 * i + 1}.weight"] = (CHANNELS, CHANNELS, 1)
    values = {name: fill(prefix + name, shape) for name, shape in shapes.items()}
    shrink = fill(prefix + "shrink.weight", (joints * units, CHANNELS, 1))
    params = {
        name.removesuffix(".weight").replace(".", "_"): {
            "kernel": value.transpose(2, 1, 0)
        }
        for name, value in values.items()
    }
    params["shrink"] = {"kernel": 0.05 * shrink[..., 0].T, "bias": bias}
    state = {}
    norms = ["expand_bn"] + [f"layers_bn.{i}" for i in range(2 * len(widths) - 2)]
    for name in norms:
        ours = name.replace(".", "_")
        part = {
            key: fill(f"{prefix}{name}.{key}", (CHANNELS,))
            for key in ("weight", "bias", "running_mean", "running_var")
        }
        params[ours] = {"scale": part["weight"], "bias": part["bias"]}
        state[ours] = {"mean": part["running_mean"], "var": part["running_var"]}
    return jax.tree.map(jnp.asarray, params), jax.tree.map(jnp.asarray, state)


def networks(arrays, meta):
    widths = tuple(meta["filter_widths"])
    units = len(arrays["in/auxi_model_shrink_bias"])
    sizes = {"pose": ("", 17, 3), "auxiliary": ("auxi.", 1, units)}
    params, stats, made = {}, {}, {}
    for name, (prefix, joints, width) in sizes.items():
        kind = "pose" if name == "pose" else "auxi"
        bias = arrays[f"in/{kind}_model_shrink_bias"]
        params[name], stats[name] = state_dict(prefix, width, joints, widths, bias)
        made[name] = models.make_temporal_model(
            in_joints=17, out_joints=joints, out_units=width, filter_widths=widths,
            channels=CHANNELS, dropout=0.0, dtype=jnp.float64,
        )  # fmt: skip
    field = models.receptive_field(widths)
    return Lifter(made, Sight(1, field), True), params, stats


def settings_of(arrays, meta):
    weights = meta.get("coefficients") or {}
    names = {
        "mv_pose": meta.get("with_extrinsics_type", 0) > 0,
        "mv_posture": meta.get("without_extrinsics_type", 0) < 0,
        "reprojection": meta.get("projection_type", 0) != 0,
        **(meta.get("terms") or {}),
    }
    shown = [n for n in TERMS if f"out/term/{n}" in arrays and names.get(n, False)]
    kind = {1: "perspective", 2: "linear", 0: "none", -2: "root_added"}
    scale = len(arrays["in/auxi_model_shrink_bias"]) == 1
    settings = Settings(
        terms=("pose", "auxiliary", *(TERMS[n] for n in shown)),
        auxiliary="scale" if scale else "trajectory",
        projection=kind[meta.get("projection_type", 0)],
        views=meta.get("views", 1),
        view_pairing={1: "anchor", 2: "adjacent", 0: "anchor"}[
            meta.get("with_extrinsics_type", 0)
        ],
        view_trajectory=bool(meta.get("trajectory_alignment")),
        view_posture="unit_vectors",
        norm_order=meta.get("posture_norm", 1),
        ranks=meta.get("jmc_ranks", 2),
    )
    return settings, {TERMS[n]: weights[n] for n in shown}


def parts(arrays, meta):
    pose = jnp.asarray(arrays["in/pose3d"])
    count = len(pose)
    middle = arrays["in/pose2d"].shape[1] // 2
    labelled = Labelled(
        pose=pose.at[..., 0, :].set(0.0),
        root=pose[..., 0, :],
        input_2d=jnp.asarray(arrays["in/pose2d"][:, middle : middle + 1]),
        valid=jnp.ones(count, bool),
    )
    rows = len(arrays["in/semi_pose2d"])
    flip = np.ones(rows, bool)
    flip[arrays["in/pose_indices"].astype(int)] = False
    target = arrays["in/semi_target2d"]
    middle = target.shape[1] // 2
    unlabelled = Unlabelled(
        target_2d=jnp.asarray(target[:, middle : middle + 1]),
        intrinsics=jnp.asarray(arrays["in/semi_intrinsic"]),
        extrinsics=jnp.asarray(arrays["in/semi_extrinsic"]),
        flip=jnp.asarray(flip),
        valid=jnp.ones(rows, bool),
    )
    return labelled, unlabelled


def published_priors(name):
    folder = GOLDEN / "posture_pose" / "priors"
    return Priors(
        priors.load_bone_proportion(folder / f"{name}_bone_ratio.npz"),
        priors.load_joint_mobility(folder / f"{name}_joint_mobility.npz"),
    )


@pytest.mark.parametrize(
    "name",
    [
        "semi_posturepose_cameras",
        "semi_posturepose_no_cameras",
        "semi_videopose3d",
        "semi_warmup",
    ],
)
def test_the_whole_loss_and_its_gradients_are_those_of_the_published_code(name):
    arrays, meta = golden(name, system="posture_pose")
    lifter, params, stats = networks(arrays, meta)
    settings, weights = settings_of(arrays, meta)
    weights = {"pose": 1.0, "auxiliary": 1.0, **weights}
    labelled, unlabelled = parts(arrays, meta)
    border = len(labelled.pose)
    warm = "warmup" in name
    if warm:
        settings = Settings(terms=("pose", "auxiliary"), auxiliary="trajectory")
        weights = {"pose": 1.0, "auxiliary": 1.0}
    fitted = published_priors(meta.get("prior") or "S1")
    inputs = [arrays["in/pose2d"]] + ([] if warm else [arrays["in/semi_pose2d"]])
    inputs = jnp.asarray(np.concatenate(inputs))

    def terms_of(found):
        first = Predicted(*(x[:border] for x in found))
        terms = supervised_terms(first, labelled, settings)
        if not warm:
            other = Predicted(*(x[border:] for x in found))
            terms |= unlabelled_terms(
                other, unlabelled, first, labelled, settings, fitted=fitted
            )
        return weighted_sum(terms, weights), terms

    def total_of(params):
        found, _ = lifter.apply(params, stats, inputs, train=True)
        total, terms = terms_of(found)
        return total, (found, terms)

    (total, (found, terms)), gradient = jax.jit(
        jax.value_and_grad(total_of, has_aux=True)
    )(params)
    # Inputs of more than 10 000 values are stored in float32, whose rounding remains.
    exact = all(a.dtype != np.float32 for n, a in arrays.items() if n.startswith("in/"))
    atol = 1e-8 if exact else 3e-7
    np.testing.assert_allclose(found.pose, arrays["out/predicted_pose"], atol=atol)
    np.testing.assert_allclose(
        found.auxiliary, arrays["out/predicted_auxiliary"], atol=atol
    )
    for published, ours in TERMS.items():
        if ours in terms:
            np.testing.assert_allclose(
                terms[ours], arrays[f"out/term/{published}"], atol=atol, err_msg=ours
            )
    np.testing.assert_allclose(total, arrays["out/total"], atol=atol)
    by_output = jax.jit(jax.grad(lambda f: terms_of(f)[0]))(found)
    np.testing.assert_allclose(by_output.pose, arrays["grad/predicted_pose"], atol=atol)
    np.testing.assert_allclose(
        by_output.auxiliary, arrays["grad/predicted_auxiliary"], atol=atol
    )
    norm = jnp.sqrt(sum(jnp.sum(g**2) for g in jax.tree.leaves(gradient)))
    np.testing.assert_allclose(norm, arrays["out/grad_norm"], rtol=1e-6)
    for ours, kind in (("pose", "pose"), ("auxiliary", "auxi")):
        found_gradient = gradient[ours]["shrink"]["bias"]
        expected = arrays[f"grad/{kind}_model/shrink.bias"]
        np.testing.assert_allclose(found_gradient, expected, atol=10 * atol)
