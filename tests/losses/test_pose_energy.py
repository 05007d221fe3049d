import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from fill import golden
from refusals import assert_refused_in_one_line

from posejax import losses, training
from posejax.losses import PointClip, PoseClip, PoseVariables
from posejax.losses.pose_energy import POSE_TERMS

PUBLISHED = {
    "det": 0.01, "prior": 400.0, "cam": 0.1, "pos2d": 0.0, "pos": 300.0,
    "bone": 10000.0, "flow": 0.01,
}  # fmt: skip


@jax.jit
def energy(variables, data):
    return losses.pose_energy(variables, data, PUBLISHED)


@jax.jit
def gradient_of(variables, data):
    return jax.value_and_grad(
        lambda v: jax.tree.map(jnp.sum, losses.pose_energy(v, data, PUBLISHED)),
        has_aux=True,
    )(variables)


def clip(seed=0, frames=4, dtype=jnp.float32):
    rng = np.random.default_rng(seed)
    arrays = {
        "initial_pose": rng.normal(size=(frames, 14, 3)) / 4,
        "detections": rng.uniform(0, 60, size=(frames, 14, 2)),
        "confidence": np.round(rng.random((frames, 14))),
        "scale": rng.uniform(3, 4, size=(frames, 2)),
        "origin": rng.uniform(-10, 10, size=(frames, 2)),
        "flow": rng.normal(size=(frames - 1, 60, 70, 2)),
    }
    data = PoseClip(**{k: jnp.asarray(v, dtype) for k, v in arrays.items()})
    pose = data.initial_pose + jnp.asarray(rng.normal(size=(frames, 14, 3)) / 50, dtype)
    camera = np.array([[0.9, 0.02, -0.03]]) + rng.normal(size=(frames, 3)) / 50
    return PoseVariables(pose, jnp.asarray(camera, dtype)), data


def test_the_energy_is_the_weighted_sum_of_its_terms():
    total, terms = energy(*clip())
    assert set(terms) == set(POSE_TERMS) == set(PUBLISHED)
    assert all(value > 0 for value in terms.values())
    expected = sum(PUBLISHED[name] * terms[name] for name in POSE_TERMS)
    np.testing.assert_allclose(total, expected, rtol=1e-6)


def test_a_pose_that_stays_where_it_started_has_no_prior_nor_steps():
    variables, data = clip()
    still = PoseVariables(*(jnp.broadcast_to(v[:1], v.shape) for v in variables))
    same = data._replace(
        initial_pose=still.pose,
        **{k: jnp.broadcast_to(getattr(data, k)[:1], getattr(data, k).shape)
           for k in ("scale", "origin")},
        flow=0 * data.flow,
    )  # fmt: skip
    _, terms = energy(still, same)
    for name in ("prior", "cam", "pos2d", "pos", "bone", "flow"):
        np.testing.assert_allclose(terms[name], 0, err_msg=name)


def test_further_terms_are_added_under_their_names():
    variables, data = clip()
    total, terms = jax.jit(
        lambda v, d: losses.pose_energy(
            v,
            d,
            {**PUBLISHED, "height": 2.0},
            extra_terms={"height": lambda v: jnp.sum(v.pose[..., 1] ** 2)},
        )
    )(variables, data)
    plain, _ = energy(variables, data)
    np.testing.assert_allclose(total, plain + 2 * terms["height"], rtol=1e-6)
    with pytest.raises(ValueError, match="extra_terms has cam, which the energy has"):
        losses.pose_energy(
            variables, data, PUBLISHED, extra_terms={"cam": lambda v: v.camera.sum()}
        )


@pytest.mark.parametrize("case", ["coincident", "outside", "unseen", "one frame"])
def test_energy_and_gradient_are_finite_in_every_case(case):
    variables, data = clip()
    if case == "coincident":
        variables = PoseVariables(0 * variables.pose, 0 * variables.camera)
    elif case == "outside":
        data = data._replace(origin=data.origin + 1e6)
    elif case == "unseen":
        data = data._replace(
            confidence=0 * data.confidence, detections=data.detections * jnp.nan
        )
    else:
        variables = PoseVariables(*(v[:1] for v in variables))
        data = PoseClip(*(a[:1] for a in data[:5]), data.flow[:0])
    (total, terms), gradients = gradient_of(variables, data)
    assert np.isfinite(total)
    assert all(np.isfinite(value) for value in terms.values())
    assert all(np.isfinite(g).all() for g in gradients)
    if case == "outside":
        assert terms["flow"] == 0
    if case == "one frame":
        pairs = {k: float(v) for k, v in terms.items() if k not in ("det", "prior")}
        assert pairs == dict.fromkeys(pairs, 0.0)


def test_clips_of_different_length_in_one_batch_have_the_energies_they_have_alone():
    long, short = clip(1, 5), clip(2, 3)

    def padded(array, like):
        return jnp.pad(
            array, [(0, n - m) for n, m in zip(like.shape, array.shape, strict=True)]
        )

    variables = jax.tree.map(
        lambda a, b: jnp.stack([a, padded(b, a)]), long[0], short[0]
    )
    data = jax.tree.map(lambda a, b: jnp.stack([a, padded(b, a)]), long[1], short[1])
    lengths = jnp.array([[5], [3]])
    data = data._replace(frame_valid=jnp.arange(5)[None] < lengths)
    together, _ = energy(variables, data)
    mapped, _ = jax.vmap(energy)(variables, data)
    alone = [energy(*one)[0] for one in (long, short)]
    np.testing.assert_allclose(together, alone, rtol=1e-5)
    np.testing.assert_allclose(mapped, alone, rtol=1e-5)
    _, gradient = gradient_of(variables, data)
    np.testing.assert_array_equal(gradient.pose[1, 3:], 0)
    assert np.isfinite(gradient.camera).all()


def test_poses_and_frames_of_different_counts_are_refused_in_one_line(monkeypatch):
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    variables, data = clip()
    fewer = PoseVariables(variables.pose[:3], variables.camera[:3])

    def call(variables, data):
        return lambda: jax.eval_shape(
            lambda: losses.pose_energy(variables, data, PUBLISHED)
        )

    assert_refused_in_one_line(call(fewer, data), "pose (3,)", "cut all to one")
    wrong = data._replace(flow=data.flow[:2])
    assert_refused_in_one_line(call(variables, wrong), "one field per pair", "(2,)")
    wrong = data._replace(flow_offset=jnp.zeros((4, 2)))
    assert_refused_in_one_line(call(variables, wrong), "one pixel (x, y) per field")
    wrong = data._replace(frame_valid=jnp.ones(3, bool))
    assert_refused_in_one_line(call(variables, wrong), "one truth value per frame")
    assert_refused_in_one_line(
        lambda: losses.pose_energy(variables, data, {"det": 1.0}), "exactly one weight"
    )


def point_clip(seed=0):
    rng = np.random.default_rng(seed)
    points = rng.uniform(1, 30, size=(4, 17, 2))
    confidence = rng.uniform(0.1, 1, size=(4, 17))
    points[2, 5], confidence[2, 5] = 0, 0
    confidence[3] = 0
    flow = rng.normal(size=(3, 40, 40, 2))
    arrays = (jnp.asarray(a, jnp.float32) for a in (points, confidence, flow))
    return PointClip(*arrays)


def test_a_missing_joint_is_left_out_or_drawn_along_as_published():
    data = point_clip()
    weights = {"prior": 0.0, "flow": 1.0, "temporal": 0.0}

    def gradient(missing):
        energy = jax.grad(
            lambda p: losses.point_energy(p, data, weights, missing=missing)[0]
        )
        return jax.jit(energy)(data.initial)

    np.testing.assert_array_equal(gradient("masked")[2, 5], 0)
    assert np.abs(gradient("published")[2, 5]).max() > 0.1
    for missing in ("masked", "published"):
        np.testing.assert_array_equal(gradient(missing)[3], 0)
    with pytest.raises(ValueError, match="missing is 'dropped'; expected one of"):
        losses.point_energy(data.initial, data, weights, missing="dropped")


def test_the_energy_of_points_is_finite_without_any_detection():
    data = point_clip()
    data = data._replace(confidence=0 * data.confidence)
    weights = {"prior": 400.0, "flow": 300.0, "temporal": 1.0}
    both = jax.jit(
        jax.value_and_grad(lambda p: losses.point_energy(p, data, weights)[0])
    )
    value, gradient = both(data.initial + 2.0)
    assert np.isfinite(gradient).all()
    np.testing.assert_allclose(value, 400 * 17 * 2 * 1.5, rtol=1e-5)


def stored_clip(name, dtype):
    arrays, meta = golden(name, system="flow_pose")
    kind = {k: jnp.asarray(v, dtype) for k, v in arrays.items() if k.startswith("in/")}
    data = PoseClip(
        initial_pose=kind["in/X_init"],
        detections=kind["in/det2d"],
        confidence=kind["in/confidence"],
        scale=kind["in/scale"],
        origin=kind["in/start_pt"] - meta["img_size"] / 2,
        flow=kind["in/flow"],
    )
    return arrays, meta, kind, data


def near(found, stored, tolerance):
    np.testing.assert_allclose(
        found, stored, rtol=0, atol=tolerance * np.abs(stored).max()
    )


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_every_term_and_its_gradient_equal_the_stored_ones(dtype):
    tight = dtype == jnp.float64
    with jax.enable_x64(tight):
        arrays, meta, kind, data = stored_clip("pose_energy", dtype)
        variables = PoseVariables(kind["in/X"], kind["in/camera"])
        weights = meta["weights"] | {"bone": float(meta["weights"]["bone"])}

        @jax.jit
        def everything(variables):
            total, terms = losses.pose_energy(variables, data, weights)
            return {**{f"term_{k}": v for k, v in terms.items()}, "total": total}

        values = everything(variables)
        rows = jax.jit(jax.jacrev(everything))(variables)
        heavier = values["total"] + 0.001 * values["term_pos2d"]
        for name, value in values.items():
            near(value, arrays[f"out/{name}"], 1e-12 if tight else 1e-5)
            for part, found in zip(("X", "camera"), rows[name], strict=True):
                near(found, arrays[f"grad/{name}/{part}"], 1e-10 if tight else 1e-4)
        near(heavier, arrays["out/total_pos2d_0.001"], 1e-12 if tight else 1e-5)

        def flow_alone(flow):
            known = data._replace(flow=flow)
            return losses.pose_energy(variables, known, weights)[1]["flow"]

        towards_flow = jax.jit(jax.grad(flow_alone))(data.flow)
    index = tuple(arrays["grad/term_flow/flow_nonzero_index"].T)
    stored = arrays["grad/term_flow/flow_nonzero_value"]
    near(np.asarray(towards_flow)[index], stored, 1e-10 if tight else 1e-4)
    assert np.count_nonzero(np.any(np.asarray(towards_flow) != 0, axis=-1)) == len(
        stored
    )


@pytest.mark.golden
@pytest.mark.parametrize(
    "dtype", [pytest.param(jnp.float32, marks=pytest.mark.slow), jnp.float64]
)
def test_the_minimisation_of_a_clip_goes_where_the_stored_one_goes(dtype):
    tight = dtype == jnp.float64
    tolerance = 1e-9 if tight else 1e-3
    with jax.enable_x64(tight):
        arrays, meta, kind, data = stored_clip("pose_trajectory", dtype)
        start = PoseVariables(kind["in/X_init"], kind["in/camera_init"])

        def energy(variables, data):
            return losses.pose_energy(variables, data, meta["weights"])

        gradient = jax.jit(jax.grad(lambda v: energy(v, data)[0]))(start)
        near(gradient.pose, arrays["grad/X_step0"], 1e-10 if tight else 1e-4)
        near(gradient.camera, arrays["grad/camera_step0"], 1e-10 if tight else 1e-4)
        for steps in (5, 60):
            found = training.make_minimise(energy, optax.adam(1e-3), num_steps=steps)(
                start, data
            )
            assert int(found.num_steps) == steps
            stored = arrays["out/loss_60" if steps == 60 else "out/loss"]
            near(found.losses, stored, tolerance)
            if steps == 5:
                near(found.variables.pose, arrays["out/X_final"], tolerance)
                near(found.variables.camera, arrays["out/camera_final"], tolerance)
        near(found.variables.pose, arrays["out/X_final_60"], tolerance)


@pytest.mark.golden
@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float64])
def test_the_minimisation_in_the_picture_goes_where_the_stored_one_goes(dtype):
    tight = dtype == jnp.float64
    arrays, meta = golden("pose2d_trajectory", system="flow_pose")
    names = {"init": "prior"}
    weights = {names.get(k, k): float(v) for k, v in meta["weights"].items()}
    with jax.enable_x64(tight):
        data = PointClip(
            *(
                jnp.asarray(arrays[f"in/{name}"], dtype)
                for name in ("joints2d", "confidence", "flow")
            )
        )

        def energy(points, data):
            return losses.point_energy(points, data, weights, missing="published")

        gradient = jax.jit(jax.grad(lambda p: energy(p, data)[0]))(data.initial)
        near(gradient, arrays["grad/step0"], 1e-10 if tight else 1e-4)
        found = training.make_minimise(energy, optax.adam(0.1), num_steps=4)(
            data.initial, data
        )
    near(found.losses, arrays["out/loss"], 1e-9 if tight else 1e-3)
    near(found.variables, arrays["out/final"], 1e-9 if tight else 1e-3)
