"""Augmentation of pairs with flow: the grid by hand, the draws by their range."""

import numpy as np
import pytest

from posejax import data
from posejax.data import flow_augmentation
from tests.fill import golden
from tests.refusals import assert_refused_in_one_line

CROP = (48, 64)
AUGMENT = {"dense": data.augment_dense, "sparse": data.augment_sparse}
DRAW = {"dense": data.draw_dense, "sparse": data.draw_sparse}
APPLY = {"dense": data.apply_dense, "sparse": data.apply_sparse}
each_kind = pytest.mark.parametrize("kind", AUGMENT)


def example_of(seed, height=80, width=112):
    rng = np.random.default_rng(seed)
    return {
        "image_1": rng.integers(0, 256, (height, width, 3)).astype(np.uint8),
        "image_2": rng.integers(0, 256, (height, width, 3)).astype(np.uint8),
        "flow": rng.normal(size=(height, width, 2)).astype(np.float32),
        "valid": rng.random((height, width)) < 0.5,
    }


def everywhere(example):
    return {**example, "valid": np.ones_like(example["valid"])}


@pytest.fixture(scope="module")
def stored():
    arrays, meta = golden("augment_spatial", system="flow_pose")
    example = {
        "image_1": arrays["in/image1"],
        "image_2": arrays["in/image2"],
        "flow": arrays["in/flow"],
        "valid": arrays["in/valid"] >= 0.5,
    }
    return arrays, meta["draws"], example


@pytest.mark.golden
def test_dense_flow_and_pictures_equal_the_stored_ones(stored):
    arrays, draws, example = stored
    scale = tuple(
        2.0 ** (draws["log2_scale"] + draws[a]) for a in ("log2_sx", "log2_sy")
    )
    draw = data.SpatialDraw(scale, (True, True), (draws["x0"], draws["y0"]))
    found = data.apply_dense(everywhere(example), draw, crop=CROP)
    for name, key in (("image_1", "image1"), ("image_2", "image2")):
        difference = found[name].astype(int) - arrays[f"out/dense_{key}"]
        assert np.abs(difference).max() <= 1
    np.testing.assert_allclose(found["flow"], arrays["out/dense_flow"], atol=1e-4)
    assert found["valid"].all()


@pytest.mark.golden
def test_sparse_flow_and_pictures_equal_the_stored_ones(stored):
    arrays, draws, example = stored
    scale = (2.0 ** draws["log2_scale"],) * 2
    draw = data.SpatialDraw(scale, (True, False), (draws["x0"] - 30, draws["y0"]))
    found = data.apply_sparse(example, draw, crop=CROP)
    difference = found["image_1"].astype(int) - arrays["out/sparse_image1"]
    assert np.abs(difference).max() <= 1
    np.testing.assert_array_equal(found["valid"], arrays["out/sparse_valid"] > 0)
    np.testing.assert_allclose(found["flow"], arrays["out/sparse_flow"], atol=1e-5)


@pytest.mark.golden
def test_measured_vectors_move_as_stored(stored):
    arrays, _, example = stored
    flow, valid = data.resize_sparse_flow(
        example["flow"], example["valid"], scale=(1.3, 0.8)
    )
    np.testing.assert_array_equal(valid, arrays["out/sparse_resize_valid"] > 0)
    np.testing.assert_allclose(flow, arrays["out/sparse_resize_flow"], atol=1e-5)


@each_kind
def test_nothing_drawn_is_a_plain_crop(kind):
    example = example_of(0)
    draw = data.SpatialDraw(origin=(3, 5))
    found = APPLY[kind](example, draw, crop=(10, 20))
    for name in ("image_1", "image_2", "valid"):
        np.testing.assert_array_equal(found[name], example[name][5:15, 3:23])
    known = found["valid"]
    np.testing.assert_array_equal(
        found["flow"][known], example["flow"][5:15, 3:23][known]
    )
    assert not found["flow"][~known].any()


@each_kind
def test_mirrored_flow_still_leads_from_the_first_frame_to_the_second(kind):
    rng = np.random.default_rng(1)
    first = rng.integers(0, 256, (12, 16, 3)).astype(np.uint8)
    second = np.roll(first, (2, 3), (0, 1))  # two rows down, three columns right
    example = {
        "image_1": first,
        "image_2": second,
        "flow": np.full((12, 16, 2), (3.0, 2.0), np.float32),
        "valid": np.ones((12, 16), bool),
    }
    for flip in ((True, False), (False, True), (True, True)):
        found = APPLY[kind](example, data.SpatialDraw(flip=flip), crop=(12, 16))
        for y, x in ((5, 5), (6, 8), (4, 9)):
            dx, dy = found["flow"][y, x].astype(int)
            moved = found["image_2"][y + dy, x + dx]
            np.testing.assert_array_equal(moved, found["image_1"][y, x])


@each_kind
def test_flow_grows_with_the_picture(kind):
    example = everywhere(example_of(2, 20, 30))
    example["flow"] = np.full((20, 30, 2), (1.0, -2.0), np.float32)
    draw = data.SpatialDraw(scale=(2.0, 1.5))
    found = APPLY[kind](example, draw, crop=(30, 60))
    assert found["image_1"].shape == (30, 60, 3)
    known = found["valid"]
    expected = np.broadcast_to((2.0, -3.0), found["flow"][known].shape)
    np.testing.assert_allclose(found["flow"][known], expected, rtol=1e-6)


def test_resampled_flow_is_unknown_where_any_of_its_pixels_was():
    example = everywhere(example_of(3, 16, 16))
    example["valid"][8, 8] = False
    example["flow"][8, 8] = np.nan
    found = data.apply_dense(example, data.SpatialDraw((2.0, 2.0)), crop=(32, 32))
    unknown = np.argwhere(~found["valid"])
    # Pixel 8 covers 16 and 17; half a pixel further on each side it takes part.
    assert unknown.min(axis=0).tolist() == [15, 15]
    assert unknown.max(axis=0).tolist() == [18, 18]
    assert np.isfinite(found["flow"]).all()


@each_kind
def test_equal_generators_give_equal_examples_and_the_input_stays(kind):
    example = example_of(4)
    before = {name: array.copy() for name, array in example.items()}
    options = {"crop": CROP, "log2_scale": (-0.2, 0.6)}
    first, again, other = (
        AUGMENT[kind](example, np.random.default_rng(seed), **options)
        for seed in (7, 7, 8)
    )
    for name, array in before.items():
        np.testing.assert_array_equal(example[name], array)
        np.testing.assert_array_equal(first[name], again[name])
    assert (first["image_1"] != other["image_1"]).any()


@each_kind
@pytest.mark.parametrize("size", [(80, 112), (48, 64), (20, 30), (47, 200)])
def test_every_example_has_the_size_of_the_crop_also_if_the_picture_is_smaller(
    kind, size
):
    example = example_of(5, *size)
    for seed in range(12):
        found = AUGMENT[kind](
            example,
            np.random.default_rng(seed),
            crop=CROP,
            log2_scale=(-0.2, 0.4),
            use_flips=True,
        )
        shapes = [found[name].shape for name in ("image_1", "image_2", "flow", "valid")]
        assert shapes == [(*CROP, 3), (*CROP, 3), (*CROP, 2), CROP]
        dtypes = [found[name].dtype for name in ("image_1", "flow", "valid")]
        assert dtypes == [np.uint8, np.float32, bool]


@each_kind
def test_draws_have_the_published_ranges_and_frequencies(kind):
    rng = np.random.default_rng(6)
    options = {"size": (400, 600), "crop": (100, 200), "log2_scale": (-0.2, 0.6)}
    draws = [DRAW[kind](rng, use_flips=True, **options) for _ in range(2000)]
    scales = np.log2([draw.scale for draw in draws])
    is_resized = np.any(scales != 0, axis=-1)
    assert abs(is_resized.mean() - 0.8) < 0.04
    stretch = 0.2 if kind == "dense" else 0.0
    assert scales.min() >= -0.2 - stretch - 1e-9
    assert scales.max() <= 0.6 + stretch + 1e-9
    apart = np.abs(scales[:, 0] - scales[:, 1]) > 1e-12
    share = 0.8 * 0.8 if kind == "dense" else 0.0
    assert abs(apart.mean() - share) < 0.04
    flips = np.mean([draw.flip for draw in draws], axis=0)
    expected = (0.5, 0.1 if kind == "dense" else 0.0)
    np.testing.assert_allclose(flips, expected, atol=0.04)
    for draw in draws:
        width, height = (
            round(side * s) for side, s in zip((600, 400), draw.scale, strict=True)
        )
        assert 0 <= draw.origin[0] <= width - 200
        assert 0 <= draw.origin[1] <= height - 100
    none = [DRAW[kind](rng, use_flips=False, **options).flip for _ in range(50)]
    assert set(none) == {(False, False)}


def test_crops_of_measured_flow_reach_both_sides_and_the_bottom():
    rng = np.random.default_rng(7)
    draws = [
        data.draw_sparse(rng, size=(120, 300), crop=(100, 200), log2_scale=(0.0, 0.0))
        for _ in range(300)
    ]
    x, y = np.transpose([draw.origin for draw in draws])
    # The range is 200 wide, of which 50 lie beyond each side.
    assert abs(np.mean(x == 0) - 0.25) < 0.08
    assert abs(np.mean(x == 100) - 0.25) < 0.08
    assert abs(np.mean(y == 20) - 0.5) < 0.1


def test_erased_rectangles_have_the_mean_colour_and_the_published_size():
    rng = np.random.default_rng(8)
    image = rng.integers(0, 256, (200, 300, 3)).astype(np.uint8)
    mean = image.reshape(-1, 3).mean(axis=0).astype(np.uint8)
    before, changed = image.copy(), 0
    for _ in range(200):
        erased = data.erase_parts(image, rng)
        covered = np.any(erased != image, axis=-1)
        changed += covered.any()
        np.testing.assert_array_equal(
            erased[covered], np.broadcast_to(mean, (covered.sum(), 3))
        )
        assert covered.sum() <= 2 * 99 * 99
    np.testing.assert_array_equal(image, before)
    assert abs(changed / 200 - 0.5) < 0.12


def test_colours_change_by_hand():
    image = np.full((2, 2, 3), (100, 50, 200), np.uint8)

    def changed(**options):
        return data.jitter_colors([image], data.ColorDraw(**options))[0][0, 0].tolist()

    assert changed() == [100, 50, 200]
    assert changed(brightness=1.4) == [140, 70, 255]
    # Grey level 0.299 * 100 + 0.587 * 50 + 0.114 * 200 = 82.05.
    assert changed(saturation=0.0) == [82, 82, 82]
    assert changed(saturation=0.5) == [91, 66, 141]
    assert changed(contrast=0.0) == [82, 82, 82]
    # A third of the circle moves red to green, green to blue, blue to red.
    assert changed(hue=1 / 3) == [200, 100, 50]


def test_the_order_of_the_changes_matters_and_frames_share_one_mean():
    dark = np.full((2, 2, 3), 20, np.uint8)
    bright = np.full((2, 2, 3), 180, np.uint8)
    flat = data.ColorDraw(contrast=0.0)
    both = data.jitter_colors([dark, bright], flat)
    assert [frame[0, 0, 0] for frame in both] == [100, 100]
    order = ("contrast", "brightness", "saturation", "hue")
    first = data.ColorDraw(brightness=2.0, contrast=0.5)
    other = data.ColorDraw(brightness=2.0, contrast=0.5, order=order)
    found = [data.jitter_colors([dark, bright], d)[1][0, 0, 0] for d in (first, other)]
    # Doubled and cut at 255 first, or drawn to the mean first.
    assert found == [round((40 + 255) / 4 + 255 / 2), 255]


def test_dense_pairs_are_coloured_apart_in_a_fifth_of_the_draws():
    image = np.random.default_rng(9).integers(60, 190, (48, 64, 3)).astype(np.uint8)
    example = {"image_1": image, "image_2": image}
    for colors, share in (
        (flow_augmentation._DENSE_COLORS, 0.2),
        (flow_augmentation._SPARSE_COLORS, 0.0),
    ):
        rng = np.random.default_rng(10)
        apart = 0
        for _ in range(150):
            found = flow_augmentation._recolored(example, rng, colors, (50, 99))
            # Where a part was erased, most of the picture may still be equal.
            equal = np.all(found["image_1"] == found["image_2"], axis=-1)
            apart += equal.mean() < 0.01 and not _is_erased(found["image_2"])
        assert apart / 150 <= share + 0.1
        assert (apart > 0) == (share > 0)


def _is_erased(image):
    _, counts = np.unique(image.reshape(-1, 3), axis=0, return_counts=True)
    return counts.max() > 100


@each_kind
@pytest.mark.parametrize(
    ("change", "options", "named"),
    [
        ({"image_2": np.zeros((80, 111, 3), np.uint8)}, {}, "image_2 has shape"),
        ({"flow": np.zeros((80, 112, 3), np.float32)}, {}, "flow has shape"),
        ({"valid": np.zeros((79, 112), bool)}, {}, "valid has shape"),
        ({}, {"crop": (0, 10)}, "crop is (0, 10)"),
        ({}, {"log2_scale": (0.5, 0.2)}, "log2_scale is (0.5, 0.2)"),
    ],
)
def test_examples_and_options_that_do_not_fit_are_refused(kind, change, options, named):
    options = {"crop": CROP, "log2_scale": (0.0, 0.2), **options}
    assert_refused_in_one_line(
        lambda: AUGMENT[kind](
            {**example_of(11), **change}, np.random.default_rng(0), **options
        ),
        named,
    )


@each_kind
def test_a_crop_larger_than_the_resized_picture_is_refused(kind):
    assert_refused_in_one_line(
        lambda: APPLY[kind](example_of(12), data.SpatialDraw(), crop=(81, 64)),
        "112 x 80",
        "64 x 81",
    )
