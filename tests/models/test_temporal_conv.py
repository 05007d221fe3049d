"""The temporal model: sizes, forms, statistics, dropout."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec
from jax.test_util import check_grads

from posejax import models

P = PartitionSpec
SIZES = {"in_joints": 4, "out_joints": 3, "channels": 6, "dropout": 0.0}
APPLY_STATICS = ("train", "axis_name")


@functools.cache
def small(*widths, **options):
    """A drawn small model, compiled: (model, params, state)."""
    model = models.make_temporal_model(filter_widths=widths, **SIZES | options)
    frames = models.receptive_field(widths)
    params, state = model.init(jax.random.key(0), poses(1, frames))
    fast = models.TemporalModel(
        model.init,
        jax.jit(model.apply, static_argnames=APPLY_STATICS),
        jax.jit(model.apply_strided, static_argnames=APPLY_STATICS),
    )
    return fast, params, moved_statistics(state)


def moved_statistics(state):
    """Running statistics that are neither zero nor one, and let signals through."""
    rng = np.random.default_rng(5)

    def drawn(path, leaf):
        low, high = (-0.2, 0.2) if path[-1].key == "mean" else (0.2, 1.0)
        return jnp.asarray(rng.uniform(low, high, leaf.shape), leaf.dtype)

    return jax.tree_util.tree_map_with_path(drawn, state)


def poses(batch, frames, seed=0):
    shape = (batch, frames, SIZES["in_joints"], 2)
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def count(**options):
    model = models.make_temporal_model(in_joints=17, out_joints=17, **options)
    frames = models.receptive_field(options["filter_widths"])
    example = jax.ShapeDtypeStruct((2, frames, 17, 2), jnp.float32)
    params, _ = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    return sum(leaf.size for leaf in jax.tree.leaves(params))


@pytest.mark.parametrize(
    ("widths", "field"),
    [
        ((3, 3, 3), 27),
        ((3, 3, 3, 3), 81),
        ((3, 3, 3, 3, 3), 243),
        ((3, 3, 7), 63),
        ((1, 1, 1), 1),
        ((5,), 5),
    ],
)
def test_the_receptive_field_is_that_of_the_paper(widths, field):
    assert models.receptive_field(widths) == field
    assert models.causal_shift(widths) == (field - 1) // 2


@pytest.mark.parametrize(
    ("widths", "expected"),
    [((3,) * 5, 16952371), ((3,) * 3, 8555571), ((1,) * 3, 4291635)],
)
def test_it_has_as_many_parameters_as_the_published_one(widths, expected):
    assert count(filter_widths=widths) == expected
    assert count(filter_widths=widths, causal=True) == expected
    more = count(filter_widths=widths, dense=True) - expected
    taps, field = 0, widths[0]
    for width in widths[1:]:
        taps += (width - 1) * field + 1 - width
        field *= width
    assert more == 1024**2 * taps


@pytest.mark.parametrize("causal", [False, True])
def test_a_pose_depends_on_the_frames_of_its_window_alone(causal):
    model, params, state = small(3, 5, causal=causal)
    x = poses(1, 19)
    # Example t of the batch has frame t changed.
    changed = jnp.tile(x, (19, 1, 1, 1)).at[np.arange(19), np.arange(19)].add(1.0)
    y, _ = model.apply(params, state, changed, train=False)
    expected, _ = model.apply(params, state, jnp.tile(x, (19, 1, 1, 1)), train=False)
    touched = np.abs(y - expected)[:, 2].max((1, 2)) > 0
    assert np.flatnonzero(touched).tolist() == list(range(2, 17))


@pytest.mark.parametrize(("causal", "seen"), [(False, 1), (True, 2)])
def test_the_residual_is_the_frame_whose_pose_is_given(causal, seen):
    model, params, state = small(1, 3, causal=causal)
    # A block that adds nothing leaves the residual alone.
    silent = jax.tree.map(jnp.zeros_like, params["layers_bn_1"])
    params = params | {"layers_bn_1": silent}
    x = jnp.tile(poses(1, 3), (3, 1, 1, 1))
    changed = x.at[np.arange(3), np.arange(3)].add(1.0)
    for apply in (model.apply, model.apply_strided):
        y, before = (apply(params, state, z, train=False)[0] for z in (changed, x))
        touched = np.abs(y - before).max((1, 2, 3)) > 0
        assert np.flatnonzero(touched).tolist() == [seen]


def naive(params, state, x, widths, *, causal, dense):
    """The network in plain numpy loops, test mode: (frames, joints, 2) to poses."""

    def layer(x, conv, norm, dilation):
        kernel = params[conv]["kernel"]
        norms, moments = params[norm], state[norm]
        reach = (len(kernel) - 1) * dilation
        rows = []
        for t in range(len(x) - reach):
            rows.append(
                sum(x[t + k * dilation] @ kernel[k] for k in range(len(kernel)))
            )
        y = (np.array(rows) - moments["mean"]) / np.sqrt(moments["var"] + 1e-5)
        return np.maximum(y * norms["scale"] + norms["bias"], 0)

    wide = functools.partial(np.asarray, dtype=np.float64)
    params, state = jax.tree.map(wide, params), jax.tree.map(wide, state)
    x = wide(x).reshape(len(x), -1)
    x = layer(x, "expand_conv", "expand_bn", 1)
    field = widths[0]
    for i, width in enumerate(widths[1:]):
        y = layer(
            x, f"layers_conv_{2 * i}", f"layers_bn_{2 * i}", 1 if dense else field
        )
        y = layer(y, f"layers_conv_{2 * i + 1}", f"layers_bn_{2 * i + 1}", 1)
        lost = (width - 1) * field
        x = y + (x[lost:] if causal else x[lost // 2 : len(x) - lost // 2])
        field *= width
    y = x @ params["shrink"]["kernel"] + params["shrink"]["bias"]
    return y.reshape(len(y), 3, -1)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("dense", [False, True])
def test_it_equals_a_naive_convolution_in_test_mode(dense, causal):
    model, params, state = small(3, 5, 3, dense=dense, causal=causal)
    x = poses(1, 47)
    found, _ = model.apply(params, state, x, train=False)
    expected = naive(params, state, x[0], (3, 5, 3), causal=causal, dense=dense)
    assert found.shape == (1, 3, 3, 3)
    assert np.abs(expected).std() > 0.01
    np.testing.assert_allclose(found[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("widths", [(3, 5, 3), (1, 1, 1)])
def test_the_strided_form_gives_the_poses_of_the_dilated_one(widths, causal):
    model, params, state = small(*widths, causal=causal)
    x = poses(1, 47)
    field = models.receptive_field(widths)
    windows = jnp.concatenate([x[:, t : t + field] for t in range(48 - field)])
    expected, _ = model.apply(params, state, x, train=False)
    found, same = model.apply_strided(params, state, windows, train=False)
    np.testing.assert_allclose(found[:, 0], expected[0], rtol=1e-4, atol=1e-5)
    jax.tree.map(np.testing.assert_array_equal, same, state)


def test_a_causal_model_has_the_parameters_of_the_centred_one():
    _, params, _ = small(3, 3)
    _, causal, _ = small(3, 3, causal=True)
    jax.tree.map(np.testing.assert_array_equal, params, causal)


def test_initial_kernels_are_uniform_within_one_over_the_root_of_their_inputs():
    model = models.make_temporal_model(
        in_joints=4, out_joints=5, channels=32, filter_widths=(3, 3)
    )
    params, state = model.init(jax.random.key(3), poses(1, 9))
    for name, inputs in (("expand_conv", 24), ("layers_conv_0", 96), ("shrink", 32)):
        for values in params[name].values():
            assert float(jnp.abs(values).max()) <= inputs**-0.5
        kernel = params[name]["kernel"]
        np.testing.assert_allclose(kernel.std() * (3 * inputs) ** 0.5, 1, atol=0.1)
    assert set(params["layers_conv_0"]) == {"kernel"}
    np.testing.assert_array_equal(params["expand_bn"]["scale"], 1)
    np.testing.assert_array_equal(state["expand_bn"]["var"], 1)
    again = model.init(jax.random.key(3), poses(2, 12, seed=1))
    jax.tree.map(np.testing.assert_array_equal, again, (params, state))


@pytest.mark.parametrize("form", ["apply", "apply_strided"])
def test_training_moves_the_statistics_by_a_traced_momentum(form):
    model, params, state = small(3, 3)
    run = getattr(model, form)
    x = poses(5, 9)
    _, moved = run(params, state, x, train=True)
    _, whole = run(params, state, x, train=True, momentum=jnp.float32(1.0))
    _, same = run(params, state, x, train=True, momentum=0.0)
    jax.tree.map(np.testing.assert_array_equal, same, state)

    def check(old, new, batch):
        np.testing.assert_allclose(new, 0.9 * old + 0.1 * batch, rtol=1e-4, atol=1e-6)

    jax.tree.map(check, state, moved, whole)
    flat = np.asarray(x[:, :3] if form == "apply_strided" else x)
    windows = [flat[:, t : t + 3].reshape(5, -1) for t in range(flat.shape[1] - 2)]
    if form == "apply_strided":
        windows = [np.asarray(x[:, t : t + 3]).reshape(5, -1) for t in (0, 3, 6)]
    kernel = np.asarray(params["expand_conv"]["kernel"]).reshape(-1, 6)
    values = np.concatenate(windows) @ kernel
    found = whole["expand_bn"]
    np.testing.assert_allclose(found["mean"], values.mean(0), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["var"], values.var(0, ddof=1), rtol=1e-4)


@pytest.mark.parametrize("form", ["apply", "apply_strided"])
def test_padding_with_weight_zero_changes_no_real_example(form):
    model, params, state = small(3, 3)
    run = getattr(model, form)
    x = poses(4, 9)
    expected, moved = run(params, state, x, train=True)
    padded = jnp.concatenate([x, 9 + 0 * x[:2]])
    weights = jnp.array([1.0, 1, 1, 1, 0, 0])
    found, found_moved = run(params, state, padded, train=True, weights=weights)
    np.testing.assert_allclose(found[:4], expected, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(found_moved), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_dropout_draws_in_training_only_and_by_its_key():
    model, params, state = small(3, 3, dropout=0.5)
    same, _, _ = small(3, 3)
    x, key = poses(4, 9), jax.random.key(1)
    tested, _ = model.apply_strided(params, state, x, train=False, key=key)
    expected, _ = same.apply_strided(params, state, x, train=False)
    np.testing.assert_array_equal(tested, expected)
    run = functools.partial(model.apply_strided, params, state, x, train=True)
    first, _ = run(key=key)
    again, _ = run(key=key)
    other, _ = run(key=jax.random.key(2))
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


@pytest.mark.slow
def test_dropout_zeroes_its_share_and_keeps_the_mean():
    # One wide layer whose activations are read off by an identity.
    model = models.make_temporal_model(
        in_joints=1, out_joints=50, out_units=1, channels=50, filter_widths=(1,),
        dropout=0.2,
    )  # fmt: skip
    params, state = model.init(jax.random.key(0), jnp.zeros((1, 1, 1, 2)))
    params["shrink"] = {"kernel": jnp.eye(50), "bias": jnp.zeros(50)}
    params["expand_bn"] = {"scale": jnp.zeros(50), "bias": jnp.ones(50)}
    x = jnp.asarray(np.random.default_rng(0).normal(size=(400, 1, 1, 2)), jnp.float32)
    y, _ = model.apply(params, state, x, train=True, key=jax.random.key(1))
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.8], rtol=1e-6)
    np.testing.assert_allclose((y == 0).mean(), 0.2, atol=0.01)


@pytest.mark.parametrize("form", ["apply", "apply_strided"])
def test_training_with_dropout_needs_a_key(form):
    model, params, state = small(3, 3, dropout=0.1)
    with pytest.raises(ValueError, match=r"key is None.*dropout is 0\.1") as caught:
        getattr(model, form)(params, state, poses(2, 9), train=True)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.usefixtures("float64")
def test_gradients_are_right_in_training():
    options = SIZES | {"channels": 3, "in_joints": 2, "dtype": jnp.float64}
    model = models.make_temporal_model(filter_widths=(3, 3), **options)
    x = jnp.asarray(np.random.default_rng(2).normal(size=(3, 9, 2, 2)))
    params, state = model.init(jax.random.key(0), x)
    params = jax.tree.map(lambda leaf: leaf.astype(jnp.float64), params)

    def run(params, x):
        y, _ = model.apply(params, state, x, train=True)
        return jnp.sum(jnp.sin(y))

    run = jax.jit(run)
    assert run(params, x).dtype == jnp.float64
    check_grads(run, (params, x), order=1, modes=["rev"], rtol=1e-4)


def test_gradients_are_finite_where_nothing_moves():
    model, params, state = small(3, 3)

    def loss(params):
        y, _ = model.apply_strided(params, state, 0 * poses(2, 9), train=True)
        return jnp.sum(y**2)

    for leaf in jax.tree.leaves(jax.grad(loss)(params)):
        assert bool(jnp.isfinite(leaf).all())


def test_a_batch_in_test_mode_equals_its_examples_and_compiling_changes_nothing():
    model, params, state = small(3, 3)
    x = poses(3, 11)
    whole, _ = model.apply(params, state, x, train=False)
    ones = [model.apply(params, state, x[i : i + 1], train=False)[0] for i in range(3)]
    np.testing.assert_allclose(jnp.concatenate(ones), whole, rtol=1e-4, atol=1e-5)
    with jax.disable_jit():
        plain, _ = model.apply(params, state, x, train=False)
    np.testing.assert_allclose(plain, whole, rtol=1e-4, atol=1e-5)


def test_a_batch_split_over_devices_trains_like_the_whole():
    model, params, state = small(3, 3)
    x = poses(4, 9)
    expected, moved = model.apply_strided(params, state, x, train=True)
    mesh = jax.make_mesh((2,), ("data",), axis_types=(jax.sharding.AxisType.Auto,))

    def run(part):
        return model.apply_strided(params, state, part, train=True, axis_name="data")

    split = jax.shard_map(
        run, mesh=mesh, in_specs=P("data"), out_specs=(P("data"), P())
    )
    found, found_moved = jax.jit(split)(x)
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)
    for a, b in zip(jax.tree.leaves(found_moved), jax.tree.leaves(moved), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-5)


def test_devices_that_share_a_batch_drop_different_activations():
    model, params, state = small(3, 3, dropout=0.5)
    x = jnp.concatenate([poses(2, 9)] * 2).reshape(2, 2, 9, 4, 2)

    def run(part):
        return model.apply_strided(
            params, state, part, train=True, key=jax.random.key(0), axis_name="data"
        )[0]

    first, second = jax.vmap(run, axis_name="data")(x)
    assert not np.allclose(first, second)


@pytest.mark.slow
def test_bfloat16_computes_near_float32_and_returns_float32():
    model, params, state = small(3, 3)
    half, _, _ = small(3, 3, dtype=jnp.bfloat16)
    for form in ("apply", "apply_strided"):
        expected, _ = getattr(model, form)(params, state, poses(2, 9), train=False)
        rounded, _ = getattr(half, form)(params, state, poses(2, 9), train=False)
        assert rounded.dtype == expected.dtype == jnp.float32
        error = float(jnp.abs(rounded - expected).max())
        assert 0 < error < 0.05 * float(jnp.abs(expected).max()) + 0.01


def test_training_on_a_single_pose_is_refused_but_one_sequence_of_several_is_not():
    model, params, state = small(3, 3)
    for run in (model.apply, model.apply_strided):
        with pytest.raises(ValueError, match="batch of 1"):
            run(params, state, poses(1, 9), train=True)
    y, _ = model.apply(params, state, poses(1, 10), train=True)
    assert bool(jnp.isfinite(y).all())
