import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads

from posejax import geometry
from posejax.skeletons import TEMPLATE_15
from posejax.templates import NATURAL, PARTS, SCHEMES, T_POSE, TEMPLATES

SIZE = 32


def raw_outputs(scheme, *batch, seed=0, spread=0.05):
    rng = np.random.default_rng(seed)
    return jnp.asarray(spread * rng.normal(size=(*batch, SCHEMES[scheme].num_outputs)))


def expand(raw, scheme, size=SIZE, **options):
    return geometry.expand_parameters(
        raw, scheme=SCHEMES[scheme], image_size=size, **options
    )


# Blobs.


def test_a_blob_by_hand():
    # One sigma from the centre: exp(-1/2). At a quarter turn the sigmas change places.
    center, sigma = jnp.array([2.0, 3.0]), jnp.array([1.0, 2.0])
    flat = geometry.gaussian_blob(center, sigma, jnp.array(0.0), size=7)
    turned = geometry.gaussian_blob(center, sigma, jnp.array(np.pi / 2), size=7)
    one_sigma = np.exp(-0.5)
    for blob, points in ((flat, [(3, 3), (2, 5)]), (turned, [(4, 3), (2, 4)])):
        values = [blob[2, 3], *(blob[point] for point in points)]
        np.testing.assert_allclose(values, [1, one_sigma, one_sigma], rtol=1e-5)


def test_a_positive_angle_turns_columns_towards_rows():
    blob = geometry.gaussian_blob(
        jnp.array([4.0, 4.0]), jnp.array([1.0, 3.0]), jnp.array(0.5), size=9
    )
    assert blob[6, 7] > blob[2, 7]


@pytest.mark.usefixtures("float64")
def test_gradients_of_blobs_are_their_derivatives_and_batch_equals_loop():
    rng = np.random.default_rng(0)
    arguments = (
        jnp.asarray(4 + rng.normal(size=(3, 2))),
        jnp.asarray(2 + rng.random((3, 2))),
        jnp.asarray(rng.normal(size=3)),
    )

    def blob(*args):
        return geometry.gaussian_blob(*args, size=8)

    check_grads(jax.jit(blob), arguments, order=1)
    loop = jnp.stack([blob(*one) for one in zip(*arguments, strict=True)])
    np.testing.assert_allclose(jax.jit(blob)(*arguments), loop, rtol=1e-12)


# Parameters.


@pytest.mark.parametrize("scheme", ["affine", "two_step"])
def test_zero_outputs_leave_every_part_where_it_is(scheme):
    steps = expand(jnp.zeros((2, SCHEMES[scheme].num_outputs)), scheme)
    assert len(steps) == len(SCHEMES[scheme].steps)
    for maps in steps:
        np.testing.assert_array_equal(maps, np.tile(np.eye(2, 3), (2, 18, 1, 1)))


def test_outputs_reach_their_part_and_only_translations_are_scaled():
    raw = np.zeros(120)
    raw[6 * 9 : 6 * 10] = [0.1, 0.2, 0.5, 0.3, 0.4, -0.25]  # the whole left arm
    raw[6 * 16 + 2] = 0.125  # the left hand, second step
    first, second = expand(jnp.asarray(raw), "two_step", size=100)
    arm = [[1.1, 0.2, 50.0], [0.3, 1.4, -25.0]]
    for part in ("left arm", "left forearm", "left hand"):
        np.testing.assert_allclose(first[PARTS.index(part)], arm, rtol=1e-6)
    assert second[PARTS.index("left hand"), 0, 2] == 12.5
    is_moved = [np.any(np.asarray(m) != np.eye(2, 3), (1, 2)) for m in (first, second)]
    assert [int(m.sum()) for m in is_moved] == [3, 1]


def test_constrained_maps_by_hand():
    raw = np.zeros(62)
    raw[:3] = [np.pi / 2, 0.5, 0.25]
    raw[60:] = [0.1, 0.2]
    published, _ = expand(jnp.asarray(raw), "constrained", size=100)
    # R = [[0, 1], [-1, 0]]: R diag(s) = [[0, .2], [-.1, 0]], R t = (.25, -.5).
    np.testing.assert_allclose(
        published[0], [[1.0, 0.2, 25.0], [-0.1, 1.0, -50.0]], atol=1e-5
    )
    plain, _ = expand(jnp.asarray(raw), "constrained", 100, constrained_identity=False)
    np.testing.assert_allclose(
        plain[0], [[0.0, 1.2, 25.0], [-1.1, 0.0, -50.0]], atol=1e-5
    )


def test_without_the_added_identity_zero_outputs_leave_every_part():
    steps = expand(jnp.zeros(62), "constrained", constrained_identity=False)
    for maps in steps:
        np.testing.assert_array_equal(maps, np.tile(np.eye(2, 3), (18, 1, 1)))


def test_a_wrong_number_of_outputs_is_refused():
    with pytest.raises(ValueError, match=r"raw has 108 .* 'two_step' takes 120"):
        expand(jnp.zeros((2, 108)), "two_step")


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.usefixtures("float64")
def test_expanded_parameters_have_right_gradients_and_batch_equals_loop(scheme):
    raw = raw_outputs(scheme, 3)
    check_grads(jax.jit(lambda r: expand(r, scheme)), (raw,), order=1)
    for maps, *loop in zip(
        expand(raw, scheme), *(expand(r, scheme) for r in raw), strict=True
    ):
        np.testing.assert_allclose(maps, jnp.stack(loop), rtol=1e-12)


# Warped templates.


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.usefixtures("float64")
def test_a_warped_template_equals_warping_all_parts_in_every_step(scheme):
    blobs = geometry.draw_template(NATURAL, size=SIZE)

    @jax.jit
    def both(raw):
        steps = expand(raw, scheme)
        expected = blobs
        for maps in steps:
            expected = geometry.warp_images(expected, maps)
        return geometry.warp_template(blobs, steps, scheme=SCHEMES[scheme]), expected

    warped, expected = both(raw_outputs(scheme, 2))
    np.testing.assert_allclose(warped, expected, atol=1e-12)


def test_more_steps_than_the_scheme_has_are_refused():
    steps = expand(jnp.zeros(120), "two_step")
    blobs = jnp.zeros((18, SIZE, SIZE))
    for maps in (steps, ()):
        with pytest.raises(ValueError, match=f"maps has {len(maps)} steps"):
            geometry.warp_template(blobs, maps, scheme=SCHEMES["affine"])


@pytest.mark.usefixtures("float64")
def test_gradients_of_warped_templates_are_their_derivatives():
    blobs = geometry.draw_template(NATURAL, size=16)

    @jax.jit
    def sampled(raw):
        maps = expand(raw, "two_step", size=16)
        return geometry.warp_template(blobs, maps, scheme=SCHEMES["two_step"])

    @jax.jit
    def closed(raw):
        return geometry.warp_template_closed_form(
            NATURAL, expand(raw, "two_step", size=16), size=16
        )

    raw = raw_outputs("two_step", 1, seed=3)
    check_grads(sampled, (raw,), order=1, modes=("rev",), eps=1e-6)
    check_grads(closed, (raw,), order=1, modes=("rev",))


@pytest.mark.parametrize(
    ("name", "size", "worst"),
    [
        ("affine", 64, 0.12),
        ("affine", 256, 0.01),
        ("two_step", 64, 0.2),
        ("two_step", 256, 0.02),
    ],
)
def test_closed_form_and_sampling_agree_as_well_as_is_documented(name, size, worst):
    scheme = SCHEMES[name]

    @jax.jit
    def difference(raw):
        maps = expand(raw, name, size)
        blobs = geometry.draw_template(NATURAL, size=size)
        sampled = geometry.warp_template(blobs, maps, scheme=scheme)
        closed = geometry.warp_template_closed_form(NATURAL, maps, size=size)
        # Sampling has zeros beyond the border of the resting picture.
        white = jnp.ones((18, size, size))
        inside = geometry.warp_template(white, maps, scheme=scheme)
        return jnp.where(inside > 0.999, jnp.abs(sampled - closed), 0.0)

    found = difference(raw_outputs(name, seed=4, spread=0.03))
    assert worst / 2 < found.max() < worst
    assert found.mean() < 0.002


def test_collapsed_parts_give_finite_templates_and_gradients():
    raw = -jnp.tile(jnp.array([1.0, 0, 0, 0, 1, 0]), 20)[None]
    blobs = geometry.draw_template(T_POSE, size=16)

    def total(raw):
        maps = expand(raw, "two_step", size=16)
        sampled = geometry.warp_template(blobs, maps, scheme=SCHEMES["two_step"])
        closed = geometry.warp_template_closed_form(T_POSE, maps, size=16)
        return jnp.sum(sampled) + jnp.sum(closed)

    with jax.debug_nans(True):
        value, gradient = jax.jit(jax.value_and_grad(total))(raw)
    assert np.isfinite(value)
    assert np.all(np.isfinite(gradient))


# Anchors and joints.


def test_anchors_scale_with_the_picture_and_move_with_their_part():
    rest = geometry.template_anchors(T_POSE, size=128)
    np.testing.assert_array_equal(rest, T_POSE.anchors / 2)
    raw = np.zeros(108)
    raw[6 * PARTS.index("head") + 2] = 0.25
    moved = geometry.transform_anchors(rest, expand(jnp.asarray(raw), "affine", 128))
    shift = np.zeros((32, 2))
    shift[31, 0] = 32.0
    np.testing.assert_allclose(moved - rest, shift)


@pytest.mark.usefixtures("float64")
def test_anchors_stay_on_their_blobs():
    # The head's blob moves as its centre does, so the peak is where a point goes that
    # rests at the centre.
    maps = expand(raw_outputs("affine", seed=5), "affine", 64)
    rest = geometry.template_anchors(NATURAL, size=64)
    centre = jnp.asarray(NATURAL.centers[-1, ::-1] / 4)
    moved = geometry.transform_anchors(rest.at[31].set(centre), maps)[31]
    head = geometry.warp_template_closed_form(NATURAL, maps, size=64)[-1]
    rows, columns = np.indices((64, 64))
    centroid = [np.sum(head * axis) / np.sum(head) for axis in (columns, rows)]
    np.testing.assert_allclose(centroid, moved, atol=0.05)


@pytest.mark.usefixtures("float64")
def test_gradients_and_batches_of_anchors_and_joints():
    rest = geometry.template_anchors(NATURAL, size=SIZE)

    def joints(raw):
        anchors = geometry.transform_anchors(rest, expand(raw, "two_step"))
        return geometry.joints_from_anchors(anchors)

    raw = raw_outputs("two_step", 3)
    check_grads(jax.jit(joints), (raw,), order=1)
    loop = jnp.stack([joints(one) for one in raw])
    np.testing.assert_allclose(jax.jit(joints)(raw), loop, rtol=1e-12)


def test_joints_of_both_rest_poses_lie_on_their_anchors():
    for template in TEMPLATES.values():
        anchors = geometry.template_anchors(template, size=256)
        joints = geometry.joints_from_anchors(anchors)
        for other in ({"midpoint": False}, {"symmetric": True}):
            np.testing.assert_allclose(
                geometry.joints_from_anchors(anchors, **other), joints, rtol=1e-6
            )
        np.testing.assert_allclose(joints[8], [128, 68], rtol=1e-6)


def test_joints_of_a_mirrored_figure_are_mirrored_if_the_table_is_symmetric():
    # Parts come in pairs, left and right, but for core and head.
    doubles = np.arange(3, 27).reshape(6, 2, 2)[:, ::-1].ravel()
    order = np.array([0, 1, 2, *doubles, 28, 27, 30, 29, 31])
    rng = np.random.default_rng(6)
    anchors = jnp.asarray(rng.normal(size=(32, 2)), jnp.float32)
    mirror = geometry.joints_from_anchors(anchors[order], symmetric=True)
    expected = geometry.joints_from_anchors(anchors, symmetric=True)
    np.testing.assert_allclose(mirror, expected[TEMPLATE_15.mirror()], rtol=1e-5)


def test_an_anchor_that_is_no_number_spoils_its_own_joint_only():
    anchors = jnp.zeros((32, 2)).at[31].set(jnp.nan)
    bad = np.isnan(geometry.joints_from_anchors(anchors)).any(-1)
    assert np.flatnonzero(bad).tolist() == [8]


def test_a_template_read_in_float32_is_exact_in_float64_afterwards():
    draw = functools.partial(geometry.draw_template, size=16)
    jax.pmap(lambda x: x + draw(NATURAL).sum())(jnp.zeros(8))
    with jax.enable_x64(True):
        copy = dataclasses.replace(NATURAL, angles=NATURAL.angles.copy())
        np.testing.assert_array_equal(draw(NATURAL), draw(copy))
