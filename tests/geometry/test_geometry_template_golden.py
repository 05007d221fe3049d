"""Blobs, maps, warped parts, anchors and joints against the stored values."""

import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import geometry
from posejax.templates import NATURAL, SCHEMES, T_POSE

pytestmark = pytest.mark.golden

GOLDEN = pathlib.Path(__file__).parent.parent / "golden/template_warp"
STORED_NAMES = {"template": T_POSE, "natural": NATURAL}
MODELS = {
    "baseline": "affine",
    "mse": "affine",
    "twostep": "two_step",
    "constrained": "constrained",
}


@pytest.fixture(params=["float64", "float32"])
def is_double(request):
    """Runs the test in both precisions; whether this is float64."""
    with jax.enable_x64(request.param == "float64"):
        yield request.param == "float64"


def load(name):
    with np.load(GOLDEN / f"{name}.npz") as golden:
        return {key: golden[key] for key in golden.files}


def stored_anchors(golden, prefix="out/"):
    groups = [golden[f"{prefix}{group}"] for group in ("core", "double", "single")]
    batch = groups[0].shape[0]
    return np.concatenate([g.reshape(batch, -1, 3) for g in groups], 1)[..., :2]


def expand(raw, scheme, size):
    return geometry.expand_parameters(raw, scheme=SCHEMES[scheme], image_size=size)


def centroids(blobs):
    """(row, column) of the centre of mass of each picture."""
    weights = blobs.astype(np.float64) / blobs.sum((1, 2), keepdims=True, dtype="f8")
    places = np.indices(blobs.shape[1:])
    return np.einsum("prc,drc->pd", weights, places)


def test_blobs_equal_the_stored_ones(is_double):
    golden, tolerance = load("templates"), 1e-6 if is_double else 1e-5
    for key, template in STORED_NAMES.items():
        small = np.asarray(geometry.draw_template(template, size=64))
        large = np.asarray(geometry.draw_template(template, size=256))
        assert small.dtype == (np.float64 if is_double else np.float32)
        for blobs, seen, size in (
            (small, small, 64),
            (large, large[:, 1::4, 2::4], 256),
        ):
            name = f"out/{key}_{size}"
            np.testing.assert_allclose(seen, golden[name], atol=tolerance)
            sums = blobs.sum((1, 2), dtype=np.float64)
            np.testing.assert_allclose(sums, golden[f"{name}_sum"], rtol=tolerance)
            np.testing.assert_allclose(
                blobs.max((1, 2)), golden[f"{name}_max"], atol=tolerance
            )
            np.testing.assert_allclose(
                centroids(blobs), golden[f"{name}_centroid_rowcol"], rtol=tolerance
            )
    sigmas = np.stack([golden["in/sx"], golden["in/sy"]], 1)
    shapes = geometry.gaussian_blob(
        jnp.asarray(golden["in/pos_rowcol"]),
        jnp.asarray(sigmas),
        jnp.asarray(golden["in/angle"]),
        size=32,
    )
    np.testing.assert_allclose(shapes, golden["out/shapes"], atol=tolerance)


def test_moved_anchors_equal_the_stored_ones(is_double):
    golden, tolerance = load("anchors"), 1e-9 if is_double else 1e-5
    raw = jnp.asarray(golden["in/params"] - np.eye(2, 3)).reshape(3, 108)
    rest = geometry.template_anchors(NATURAL, size=256)
    moved = geometry.transform_anchors(rest, expand(raw, "affine", 256))
    stored = stored_anchors(golden)
    np.testing.assert_allclose(
        moved, stored, rtol=tolerance, atol=0 if is_double else 1e-5 * stored.max()
    )


@pytest.mark.parametrize(
    ("key", "midpoint"), [("joints", False), ("joints_midpoint", True)]
)
def test_joints_equal_the_stored_ones(is_double, key, midpoint):
    golden, tolerance = load("metrics"), 1e-9 if is_double else 1e-5
    anchors = jnp.asarray(stored_anchors(golden, "in/"))
    joints = geometry.joints_from_anchors(anchors, midpoint=midpoint)
    np.testing.assert_allclose(joints, golden[f"out/{key}"], rtol=tolerance)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("model", MODELS)
def test_maps_parts_and_anchors_of_each_model_equal_the_stored_ones(model):
    golden, scheme = load(f"losses_{model}"), MODELS[model]
    template = STORED_NAMES[
        "natural" if "natural" in str(golden["meta"]) else "template"
    ]
    raw = jnp.asarray(golden["in/raw"]).reshape(2, -1)
    blobs = geometry.draw_template(template, size=64)

    @jax.jit
    def warp(maps):
        return geometry.warp_template(blobs, maps, scheme=SCHEMES[scheme])

    maps = jax.jit(lambda raw: expand(raw, scheme, 64))(raw)
    for step, some in enumerate(maps, 1):
        in_sides = some.at[..., 2].divide(64)
        np.testing.assert_allclose(
            in_sides, golden[f"out/params_step{step}"], atol=1e-9
        )
        warped = warp(maps[:step])
        name = f"out/warped_step{step}"
        np.testing.assert_allclose(warped[:, :, ::2, ::2], golden[name], atol=1e-6)
        np.testing.assert_allclose(
            warped.sum((2, 3)), golden[f"{name}_sum"], rtol=1e-6, atol=1e-6
        )
    anchors = geometry.transform_anchors(
        geometry.template_anchors(template, size=64), maps
    )
    stored = stored_anchors(golden, "out/anchors_")
    np.testing.assert_allclose(anchors, stored, atol=1e-7)
    overlay = warped.sum(1)[:, ::4, ::4]
    np.testing.assert_allclose(overlay, golden["out/template_overlay"], atol=1e-6)
