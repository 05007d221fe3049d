"""Files of optical flow: what comes back, what is refused and in which words."""

import logging
import struct

import cv2
import numpy as np
import pytest

from posejax import data
from tests.fill import golden
from tests.refusals import assert_refused_in_one_line

WRITERS = {".flo": 0.0, ".pfm": 0.0, ".png": 0.5 / 64}  # and their largest error


def flow_of(seed, height=5, width=7, scale=20.0):
    drawn = scale * np.random.default_rng(seed).normal(size=(height, width, 2))
    return drawn.astype(np.float32)


@pytest.fixture(scope="module")
def stored():
    return golden("flow_io", system="flow_pose")[0]


def written(folder, name, raw):
    path = folder / name
    path.write_bytes(bytes(raw))
    return path


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_flow_comes_back_from_each_format(tmp_path, suffix):
    flow = flow_of(0)
    path = tmp_path / "new" / f"flow{suffix}"
    data.write_flow(path, flow)
    field = data.read_flow(path)
    assert (field.flow.dtype, field.valid.dtype) == (np.float32, bool)
    assert field.valid.all()
    assert np.abs(field.flow - flow).max() <= WRITERS[suffix]
    assert [p.name for p in path.parent.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", WRITERS)
def test_unknown_vectors_stay_unknown_whatever_they_hold(tmp_path, suffix):
    flow, valid = flow_of(1), np.ones((5, 7), bool)
    valid[2, 3] = valid[0, 0] = False
    flow[2, 3] = np.nan
    data.write_flow(tmp_path / f"f{suffix}", flow, valid=valid)
    field = data.read_flow(tmp_path / f"f{suffix}")
    np.testing.assert_array_equal(field.valid, valid)
    assert np.abs(field.flow - flow)[valid].max() <= WRITERS[suffix]


@pytest.mark.golden
def test_flo_bytes_equal_the_stored_ones(tmp_path, stored):
    path = tmp_path / "a.flo"
    data.write_flo(path, stored["in/flow"])
    assert path.read_bytes() == bytes(stored["out/flo_bytes"])
    np.testing.assert_array_equal(data.read_flo(path), stored["in/flow"])


@pytest.mark.golden
def test_kitti_flow_equals_the_stored_one(tmp_path, stored):
    for name, key in (("kitti_read", "out/kitti_png"), ("kitti_mixed",) * 2):
        raw = stored[key if key.startswith("out") else "in/kitti_mixed_png"]
        field = data.read_kitti_flow(written(tmp_path, f"{name}.png", raw))
        np.testing.assert_array_equal(field.flow, stored[f"out/{name}_flow"])
        np.testing.assert_array_equal(field.valid, stored[f"out/{name}_valid"] > 0)


@pytest.mark.golden
def test_kitti_pixels_are_the_stored_ones_rounded_and_not_cut(tmp_path, stored):
    path = tmp_path / "a.png"
    data.write_kitti_flow(path, stored["in/flow"])
    pixels = cv2.imread(str(path), cv2.IMREAD_UNCHANGED)[..., ::-1]
    truncated = stored["out/kitti_pixels_rgb16"]
    np.testing.assert_array_equal(pixels[..., 2], truncated[..., 2])
    exact = 64.0 * stored["in/flow"] + 2**15
    np.testing.assert_array_equal(pixels[..., :2], np.rint(exact))
    np.testing.assert_array_equal(truncated[..., :2], np.trunc(exact))


@pytest.mark.golden
def test_disparity_and_float_maps_equal_the_stored_ones(tmp_path, stored):
    path = written(tmp_path, "d.png", stored["in/disp_png"])
    field = data.read_kitti_disparity(path)
    np.testing.assert_array_equal(field.flow, stored["out/disp_flow"])
    np.testing.assert_array_equal(field.valid, stored["out/disp_valid"])
    color = written(tmp_path, "c.pfm", stored["in/pfm_color_le"])
    assert data.read_pfm(color).shape == (5, 7, 3)
    np.testing.assert_array_equal(data.read_flow(color).flow, stored["out/pfm_color"])
    grey = data.read_pfm(written(tmp_path, "g.pfm", stored["in/pfm_gray_be"]))
    np.testing.assert_array_equal(grey, stored["out/pfm_gray"])


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("order", ["<", ">"])
def test_float_maps_of_both_byte_orders_are_read(tmp_path, order, channels):
    values = np.arange(24 * channels, dtype=np.float32).reshape(4, 6, channels)
    scale = b"-1" if order == "<" else b"1"
    kind = b"PF" if channels == 3 else b"Pf"
    raw = (
        kind + b"\n6 4\n" + scale + b"\n" + values[::-1].astype(f"{order}f4").tobytes()
    )
    found = data.read_pfm(written(tmp_path, "a.pfm", raw))
    np.testing.assert_array_equal(found, values if channels == 3 else values[..., 0])
    data.write_pfm(tmp_path / "b.pfm", found)
    np.testing.assert_array_equal(data.read_pfm(tmp_path / "b.pfm"), found)


def test_disparities_come_back_and_zero_means_unknown(tmp_path):
    disparity = np.array([[0.0, 1.5, 200.25]])
    valid = np.array([[True, True, False]])
    data.write_kitti_disparity(tmp_path / "d.png", disparity, valid=valid)
    field = data.read_kitti_disparity(tmp_path / "d.png")
    np.testing.assert_array_equal(field.valid, valid)
    # A known zero is stored as the smallest number that is not unknown.
    np.testing.assert_array_equal(field.flow[..., 0], [[-1 / 256, -1.5, 0.0]])
    assert not field.flow[..., 1].any()


def test_what_kitti_cannot_hold_is_clipped_and_said(tmp_path, caplog):
    flow = np.zeros((2, 3, 2))
    flow[0, 0], flow[1, 2] = (600.0, -700.0), (1e6, 3.0)
    with caplog.at_level(logging.WARNING):
        data.write_kitti_flow(tmp_path / "f.png", flow)
    found = data.read_kitti_flow(tmp_path / "f.png").flow
    assert found[0, 0].tolist() == [511.984375, -512.0]
    assert found[1, 2].tolist() == [511.984375, 3.0]
    (record,) = caplog.records
    assert "3 of 12 flow components were clipped" in record.getMessage()
    assert "f.png" in record.getMessage()


def test_nothing_is_said_where_nothing_is_clipped(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        data.write_kitti_flow(tmp_path / "f.png", np.full((2, 2, 2), -512.0))
        data.write_kitti_disparity(tmp_path / "d.png", np.ones((2, 2)))
    assert caplog.records == []


def flo(width, height, values, magic=202021.25):
    raw = np.zeros(values, "<f4").tobytes()
    return struct.pack("<fii", magic, width, height) + raw


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (flo(3, 2, 12, magic=1.0), ["does not begin", "PIEH"]),
        (b"", ["does not begin"]),
        (b"PIEH\x03\x00", ["does not begin"]),
        (flo(3, 2, 11), ["cut short", "48 bytes", "found 44"]),
        (flo(3, 2, 13), ["longer than its header says"]),
        (flo(-3, 2, 0), ["-3 x 2", "positive sizes"]),
        (flo(2**30, 2**30, 2), ["cut short"]),
    ],
)
def test_a_damaged_flo_is_refused_in_one_line(tmp_path, raw, words):
    path = written(tmp_path, "bad.flo", raw)
    assert_refused_in_one_line(lambda: data.read_flow(path), "bad.flo", *words)


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (b"P6\n2 2\n255\n", ["does not begin with PF or Pf"]),
        (b"PF\n2 2\n-1.0\n" + bytes(47), ["cut short", "48 bytes", "found 47"]),
        (b"PF\n2 2\n-1.0\n" + bytes(49), ["longer"]),
        (b"PF\n2 2\n0.0\n" + bytes(48), ["header", "not zero"]),
        (b"PF\n2 two\n-1.0\n" + bytes(48), ["header"]),
        (b"PF\n2 2\n-1e+e\n" + bytes(48), ["header"]),
        (b"PF", ["header"]),
        (b"PF\n0 2\n-1.0\n", ["positive sizes"]),
        (b"Pf\n2 2\n-1.0\n" + bytes(16), ["one channel", "header PF"]),
    ],
)
def test_a_damaged_float_map_is_refused_in_one_line(tmp_path, raw, words):
    path = written(tmp_path, "bad.pfm", raw)
    assert_refused_in_one_line(lambda: data.read_flow(path), "bad.pfm", *words)


def png(*shape, dtype):
    return cv2.imencode(".png", np.ones(shape, dtype))[1].tobytes()


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        (png(4, 5, 3, dtype=np.uint8), ["8 bits, RGB", "expected a flow of KITTI"]),
        (png(4, 5, dtype=np.uint16), ["16 bits, grey", "RGB"]),
        (png(4, 5, 4, dtype=np.uint16), ["16 bits, RGBA"]),
        (b"no picture", ["is no PNG"]),
        (b"", ["is no PNG"]),
        (png(40, 50, 3, dtype=np.uint16)[:-30], ["damaged or cut short"]),
        (png(4, 5, 3, dtype=np.uint16)[:60] + b"IEND", ["damaged or cut short"]),
    ],
)
def test_a_picture_that_is_no_kitti_flow_is_refused_in_one_line(tmp_path, raw, words):
    path = written(tmp_path, "bad.png", raw)
    assert_refused_in_one_line(lambda: data.read_flow(path), "bad.png", *words)


def test_a_flow_is_no_disparity_map(tmp_path):
    data.write_kitti_flow(tmp_path / "f.png", flow_of(2))
    assert_refused_in_one_line(
        lambda: data.read_kitti_disparity(tmp_path / "f.png"), "16 bits, RGB", "grey"
    )


@pytest.mark.parametrize("name", ["a.flo", "a.png", "a.pfm"])
def test_a_missing_file_is_named(tmp_path, name):
    assert_refused_in_one_line(
        lambda: data.read_flow(tmp_path / name), name, kind=FileNotFoundError
    )


def test_a_name_with_another_end_is_refused():
    for call in (data.read_flow, lambda p: data.write_flow(p, flow_of(3))):
        assert_refused_in_one_line(lambda call=call: call("a.npy"), "'.npy'", ".flo")
    for write in (data.write_kitti_flow, data.write_kitti_disparity):
        values = flow_of(3) if write is data.write_kitti_flow else np.ones((2, 2))
        assert_refused_in_one_line(
            lambda write=write, values=values: write("a.flo", values), ".png"
        )


@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e39])
def test_a_flow_that_is_not_finite_is_not_written_and_the_old_file_stays(
    tmp_path, suffix, value
):
    path = tmp_path / f"f{suffix}"
    data.write_flow(path, flow_of(4))
    before = path.read_bytes()
    bad = flow_of(5).astype(np.float64)
    bad[3, 2, 1] = value
    assert_refused_in_one_line(
        lambda: data.write_flow(path, bad), "not finite", "x = 2, y = 3"
    )
    assert path.read_bytes() == before
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize("suffix", WRITERS)
@pytest.mark.parametrize("shape", [(4, 5), (4, 5, 3), (1, 4, 5, 2), (0, 5, 2)])
def test_an_array_that_is_no_flow_is_not_written(tmp_path, suffix, shape):
    path = tmp_path / f"f{suffix}"
    assert_refused_in_one_line(
        lambda: data.write_flow(path, np.zeros(shape)), "flow has shape"
    )
    assert not path.exists()


@pytest.mark.usefixtures("untyped")
def test_a_mask_of_another_size_and_negative_disparities_are_refused(tmp_path):
    assert_refused_in_one_line(
        lambda: data.write_flow(
            tmp_path / "f.flo", flow_of(6), valid=np.ones((5, 6), bool)
        ),
        "valid (5, 6)",
    )
    assert_refused_in_one_line(
        lambda: data.write_kitti_disparity(tmp_path / "d.png", -np.ones((2, 2))),
        "negative at 4 known pixels",
    )


@pytest.fixture
def untyped(monkeypatch):
    """Without jaxtyping, which in this suite would refuse the shapes first."""
    import jaxtyping

    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


def test_a_write_that_fails_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "f.flo"
    data.write_flo(path, flow_of(7))
    before = path.read_bytes()

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space"):
        data.write_flo(path, flow_of(8))
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["f.flo"]


def test_components_of_a_thousand_and_more_can_be_called_unknown():
    flow = np.array([[[999.0, 0.0], [0.0, -1000.0], [np.nan, 0.0]]], np.float32)
    assert data.known_flow(flow, limit=1000).tolist() == [[True, False, False]]
    assert data.known_flow(flow).tolist() == [[True, True, False]]
