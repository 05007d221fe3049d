"""The networks against what the published modules computed, in both precisions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from posejax import importers, models
from posejax.models.reconstructor import FEATURES as TRANSLATOR
from posejax.models.reconstructor import Reconstructor
from posejax.models.shape_template_regressor import PART_ORDER
from posejax.models.template_regressor import FEATURES, TemplateRegressor
from tests.fill import fill_state_dict, golden, golden_shapes, waves

pytestmark = [pytest.mark.golden, pytest.mark.slow]


@pytest.fixture(params=["float64", "float32"])
def dtype(request):
    """Runs the test in both precisions; this one's dtype."""
    with jax.enable_x64(request.param == "float64"):
        yield jnp.dtype(request.param)


def assert_close(found, expected, dtype, *, single=1e-3):
    """Compares to 1e-6, or to `single` in float32: of the value, and absolutely."""
    tolerance = 1e-6 if dtype == jnp.float64 else single
    assert found.dtype == dtype
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def template_blobs(size: int, name: str) -> np.ndarray:
    """Draws the template at rest in plain numpy: (size, size, 18)."""
    from posejax.templates import TEMPLATES

    template = TEMPLATES[name]
    rows, columns = np.mgrid[:size, :size].astype(np.float64)
    blobs = []
    for (r0, c0), (s1, s2), angle in zip(
        template.centers, template.sigmas, template.angles, strict=True
    ):
        r, c = rows - r0 * size / 256, columns - c0 * size / 256
        along = np.cos(angle) * r - np.sin(angle) * c
        across = np.sin(angle) * r + np.cos(angle) * c
        scale = size / 256
        blobs.append(
            np.exp(
                -(along**2) / (2 * (scale * s1) ** 2)
                - across**2 / (2 * (scale * s2) ** 2)
            )
        )
    return np.stack(blobs, -1)


def captured(module, params, stats, inputs, names):
    """Runs a module in test mode and returns the outputs of its blocks `names`."""

    @jax.jit
    def run(variables, x):
        return module.apply(
            variables,
            x,
            models.Statistics(train=False),
            capture_intermediates=lambda m, _: m.name in names,
            mutable=["intermediates"],
        )[1]

    variables = {"params": params, "batch_stats": stats}
    return run(variables, inputs)["intermediates"]


def check_regressor(name: str, shapes: str, num_outputs: int, dtype) -> None:
    arrays, meta = golden(name)
    state = fill_state_dict(
        golden_shapes(shapes),
        salt=int(arrays["salt"]),
        gain=meta["gain"],
        last=meta["last"],
        last_layer="layers.13.7",
    )
    params, stats, _ = importers.import_template_regressor(
        state, num_outputs=num_outputs, image_size=meta["size"]
    )
    images = jnp.asarray(waves(arrays["in/waves"], meta["size"]))
    network = models.make_template_regressor(num_outputs=num_outputs, dtype=dtype)
    raw, _ = jax.jit(network.apply, static_argnames="train")(
        params, stats, images, train=False
    )
    expected = arrays["out/params"].reshape(len(images), -1)
    assert_close(raw, expected, dtype)

    module = TemplateRegressor(num_outputs, FEATURES, 256, 512, dtype)
    seen = captured(module, params, stats, images, ("layers_0", "layers_12"))
    first = seen["layers_0"]["__call__"][0].mean((1, 2))
    assert_close(first, arrays["out/layers.0_mean"], dtype)
    before = jnp.moveaxis(seen["layers_12"]["__call__"][0], -1, 1)
    assert_close(before, arrays["out/before_head"], dtype)


@pytest.mark.parametrize(
    ("name", "shapes", "num_outputs"),
    [
        ("regressor18_64", "regressor18_img64", 108),
        ("regressor20_64", "regressor20_img64", 120),
        ("regressor_constrained_64", "regressor_constrained_img64", 62),
    ],
)
def test_regressor_equals_the_published_one_at_64_pixels(
    name, shapes, num_outputs, dtype
):
    check_regressor(name, shapes, num_outputs, dtype)


def test_regressor_equals_the_published_one_at_256_pixels(dtype):
    check_regressor("regressor18_256", "regressor18_img256", 108, dtype)


def test_reconstructor_equals_the_published_one(dtype):
    arrays, meta = golden("reconstructor_64")
    state = fill_state_dict(
        golden_shapes("reconstructor"), salt=int(arrays["salt"]), gain=meta["gain"]
    )
    params, stats, _ = importers.import_reconstructor(state)
    frames = waves(arrays["in/waves"], 64)
    blobs = template_blobs(64, "natural")
    inputs = jnp.asarray(np.concatenate([frames, np.stack([blobs] * len(frames))], -1))
    network = models.make_reconstructor(dtype=dtype)
    image, _ = jax.jit(network.apply, static_argnames="train")(
        params, stats, inputs, train=False
    )
    expected = np.moveaxis(arrays["out/image"], 1, -1)
    assert_close(image, expected, dtype)

    module = Reconstructor(TRANSLATOR, dtype)
    seen = captured(module, params, stats, inputs, ("layers_6",))
    bottleneck = seen["layers_6"]["__call__"][0]
    assert_close(bottleneck.mean((1, 2)), arrays["out/bottleneck_mean"], dtype)


def test_older_regressor_equals_the_published_one(dtype):
    arrays, meta = golden("pretrained")
    state = fill_state_dict(
        golden_shapes("pretrained"),
        salt=int(arrays["salt"]),
        gain=meta["gain"],
        last=meta["last"],
        last_layer="param_branch.4",
    )
    params, stats, unused = importers.import_shape_template_regressor(state)
    assert unused == ()
    frames = waves(arrays["in/waves"], 256)
    blobs = template_blobs(256, "t_pose")
    inputs = jnp.asarray(np.concatenate([frames, np.stack([blobs] * len(frames))], -1))
    network = models.make_shape_template_regressor(dtype=dtype)
    output, _ = jax.jit(network.apply, static_argnames="train")(
        params, stats, inputs, train=False
    )
    expected = arrays["out/raw_params"].reshape(len(frames), -1)
    assert_close(output.raw, expected, dtype)
    assert_close(output.depth, arrays["out/depth"][:, :, 0, 0], dtype)
    assert tuple(meta["part_order_used"]) == PART_ORDER


def test_vgg_features_and_their_gradient_equal_the_published_ones(dtype):
    arrays, _ = golden("vgg")
    state = fill_state_dict(golden_shapes("vgg19_features"), salt=int(arrays["salt"]))
    params = importers.import_vgg(state)
    images = jnp.asarray(waves(arrays["in/waves"], 32))
    cotangent = jnp.moveaxis(jnp.asarray(arrays["in/cotangent"], dtype), 1, -1)

    def features(x):
        return models.vgg_features(params, x, dtype=dtype)

    found, pullback = jax.vjp(jax.jit(features), images)
    expected = np.moveaxis(arrays["out/relu3_2"], 1, -1)
    assert_close(found, expected, dtype, single=1e-4)
    (gradient,) = pullback(cotangent)
    expected = np.moveaxis(arrays["grad/image"], 1, -1)
    assert_close(gradient, expected, dtype, single=1e-4)
