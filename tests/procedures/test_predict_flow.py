"""Flow of pairs, folders and videos: what is written of them, and what is refused."""

import csv
import functools
import json
import weakref

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import raft_chairs, raft_small_drawn
from posejax import geometry, importers, models, render
from posejax.data import flow_files, flow_interpolation, frame_pairs
from posejax.procedures import predict_flow, verb
from posejax.procedures.run import Run
from tests.refusals import assert_refused_in_one_line

SIZE = (16, 24)  # height and width


def change_of_colour(
    params, model_state, image1, image2, *, num_updates, flow_init=None
):
    """Stands in for the network, which takes seconds to compile."""
    change = (image2.astype(jnp.float32) - image1)[..., :2] / 32
    batch, height, width, _ = change.shape
    cells = change.reshape(batch, height // 8, 8, width // 8, 8, 2)
    low = params["gain"] * num_updates * cells.mean((2, 4)) + flow_init / 2
    flow = 8 * jnp.repeat(jnp.repeat(low, 8, axis=1), 8, axis=2) + change
    return models.RaftOutput(flow, low, None, low[None]), model_state


NETWORK = models.RaftNetwork(
    lambda key: ({"gain": np.float32(0.7)}, {}),
    change_of_colour,
    models.raft_network("small").sizes,
)


@pytest.fixture(autouse=True)
def simple_network(monkeypatch):
    def variables(config):
        shape = {"small": (), "large": (2,)}[config.model.variant]
        return {"gain": jax.ShapeDtypeStruct(shape, np.float32)}, {}

    monkeypatch.setattr(predict_flow, "make_network", lambda config: NETWORK)
    monkeypatch.setattr(predict_flow, "variables", variables)


@pytest.fixture(scope="module")
def variables():
    return NETWORK.init(None)


@pytest.fixture(scope="module")
def weights(tmp_path_factory, variables):
    about = {"system": "raft", "variant": "small", "step": 7}
    path = tmp_path_factory.mktemp("weights") / "drawn.npz"
    return importers.save_weights(path, variables, description=about)


def picture(path, seed, size=SIZE):
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    pixels = cv2.blur(pixels, (3, 3))
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
    return path


def folder(path, sizes):
    for number, size in enumerate(sizes):
        picture(path / f"frame_{number + 8}.png", number, size)
    return path


def film(path, count):
    shape, draw = (*SIZE, 3), np.random.default_rng(4).integers
    frames = (draw(0, 256, shape, np.uint8) for _ in range(count))
    render.write_video(path, frames, 10)
    return path


def asked(tmp_path, weights, given, module=raft_small_drawn, **changes):
    """A call with weights; keys with a dot are fields of the config."""
    config = ConfigDict(module.get_config().to_dict())
    config.evaluation.updates = 2
    config.initial_weights = str(weights)
    fields = {name: x for name, x in changes.items() if "." in name}
    config.update_from_flattened_dict(fields)
    values = {
        "config": config.lock(), "overrides": fields, "name": "test", "data": "auto",
        "workdir": None, "data_dir": None, "checkpoint": "last", "input": str(given),
        "boxes": None, "output": str(tmp_path / "out"),
        "prepare_sample": lambda *a: None,
    }  # fmt: skip
    return Run(**(values | {n: x for n, x in changes.items() if "." not in n}))


def predict(run):
    return verb("predict", run)(run)


def summary(tmp_path):
    return json.loads((tmp_path / "out/flow.json").read_text())


@functools.partial(jax.jit, static_argnames=("updates", "network"))
def padded_flow(variables, images, start, updates, network):
    output, _ = network.apply(*variables, *images, num_updates=updates, flow_init=start)
    return output.flow, output.low_flow[0]


def expected_flow(
    variables, first, second, updates=2, start=None, mode="sintel", network=NETWORK
):
    """The flow by the network alone, padded and cut by `geometry`."""
    images = [
        geometry.pad_to_multiple(jnp.asarray(image, jnp.float32), mode=mode)[None]
        for image in (first, second)
    ]
    low = (1, *(side // 8 for side in images[0].shape[1:3]), 2)
    begin = np.zeros(low, np.float32) if start is None else start[None]
    flow, low_flow = padded_flow(variables, images, begin, updates, network)
    cut = geometry.remove_padding(flow, size=first.shape[:2], mode=mode)
    return np.asarray(cut[0]), np.asarray(low_flow)


def assert_close(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(("padding", "asked_updates"), [("sintel", 0), ("kitti", 3)])
def test_two_pictures_give_the_networks_flow_on_their_own_grid(
    tmp_path, variables, weights, padding, asked_updates
):
    updates = asked_updates or 2  # those of the evaluation
    first = picture(tmp_path / "a.png", 1, (13, 21))
    second = picture(tmp_path / "b.png", 2, (13, 21))
    given = f"{first},{second}"
    fields = {"output.padding": padding, "output.updates": asked_updates}
    found = predict(asked(tmp_path, weights, given, **fields))
    assert found == {
        "pairs": 1, "compilations": 1, "output": str(tmp_path / "out")
    }  # fmt: skip
    flow = flow_files.read_flo(tmp_path / "out/flow/a.flo")
    frames = frame_pairs.read_frame_pair(first, second)
    expected, _ = expected_flow(variables, *frames, updates, mode=padding)
    assert_close(flow, expected)
    written = frame_pairs.read_frame(tmp_path / "out/pictures/a.png")
    np.testing.assert_array_equal(written[:13], frames[0])
    np.testing.assert_array_equal(written[13:], render.flow_to_image(flow))
    about = summary(tmp_path)
    assert about["weights"]["from"] == "drawn"
    assert about["weights"]["step"] == 7
    assert (about["unit"], about["channels"]) == ("px", ["x, to the right", "y, down"])
    assert about["updates"] == updates
    assert about["finished"]
    assert about["compiled_sizes"] == [[16, 24]]
    (row,) = about["pairs"]
    assert (row["name"], row["frames"]) == ("a", ["a.png", "b.png"])
    assert row["size"] == [21, 13]
    longest = np.linalg.norm(flow, axis=-1).max()
    assert row["longest"] == pytest.approx(longest, abs=1e-3)


def test_a_folder_of_mixed_sizes_is_compiled_once_per_padded_size(tmp_path, weights):
    sizes = [SIZE, SIZE, (14, 23), (14, 23), (9, 8), (16, 8), (16, 8), SIZE, SIZE]
    given = folder(tmp_path / "in", sizes)
    run = asked(tmp_path, weights, given, **{"output.format": "kitti"})
    found = predict(run)
    about = summary(tmp_path)
    assert about["compiled_sizes"] == [[16, 24], [16, 8]]
    assert found["compilations"] == about["compilations"] == 2
    # Natural order, and no pair of frames of two sizes.
    names = [row["name"] for row in about["pairs"]]
    assert names == ["frame_8", "frame_10", "frame_13", "frame_15"]
    files = sorted(path.name for path in (tmp_path / "out/flow").iterdir())
    assert files == sorted(f"{name}.png" for name in names)
    field = flow_files.read_flow(tmp_path / "out/flow/frame_10.png")
    assert field.flow.shape == (14, 23, 2)
    assert field.valid.all()


def test_warm_start_moves_the_flow_before_and_begins_anew_with_another_size(
    tmp_path, variables, weights
):
    given = folder(tmp_path / "in", [SIZE, SIZE, SIZE, (24, 16), (24, 16)])
    predict(asked(tmp_path, weights, given, **{"output.warm_start": True}))
    frames = [
        frame_pairs.read_frame(given / f"frame_{number}.png") for number in range(8, 13)
    ]
    _, low = expected_flow(variables, *frames[:2])
    start = flow_interpolation.forward_interpolate(low)
    assert np.any(start)
    starts = {"frame_8": None, "frame_9": start, "frame_11": None}
    for name, begin in starts.items():
        first = int(name.removeprefix("frame_")) - 8
        flow, _ = expected_flow(variables, *frames[first : first + 2], start=begin)
        assert_close(flow_files.read_flo(tmp_path / f"out/flow/{name}.flo"), flow)
    rows = summary(tmp_path)["pairs"]
    assert [row["warm_start"] for row in rows] == [False, True, False]


def test_occlusion_is_where_there_and_back_disagree(tmp_path, variables, weights):
    first = picture(tmp_path / "a.png", 1, (13, 21))
    second = picture(tmp_path / "b.png", 2, (13, 21))
    options = {"output.occlusion": True, "output.picture": "none"}
    found = predict(asked(tmp_path, weights, f"{first},{second}", **options))
    assert found["compilations"] == 1
    frames = frame_pairs.read_frame_pair(first, second)
    both = [expected_flow(variables, *pair)[0] for pair in (frames, frames[::-1])]
    visible = np.asarray(geometry.visible_mask(*map(jnp.asarray, both)))
    assert 0 < visible.sum() < visible.size
    mask = frame_pairs.read_frame(tmp_path / "out/occluded/a.png")
    assert set(np.unique(mask)) == {0, 255}
    # A pixel may be on the edge of the criterion.
    assert np.sum((mask[..., 0] == 0) != visible) <= 1
    assert not (tmp_path / "out/pictures").exists()


def test_a_video_is_read_as_a_stream_and_gets_a_video(tmp_path, weights):
    given = film(tmp_path / "walk.mp4", 4)
    predict(asked(tmp_path, weights, given, **{"output.picture": "flow"}))
    files = sorted(path.name for path in (tmp_path / "out/flow").iterdir())
    assert files == ["000000.flo", "000001.flo", "000002.flo"]
    source = predict_flow.flow_files.video.open_video(tmp_path / "out/flow.mp4")
    assert (source.size, source.fps) == ((2 * SIZE[1], SIZE[0]), 10.0)
    assert len(list(source.frames())) == 3
    alone = frame_pairs.read_frame(tmp_path / "out/pictures/000001.png")
    assert alone.shape[:2] == SIZE
    predict(asked(tmp_path / "b", weights, given, **{"output.video": False}))
    assert not (tmp_path / "b/out/flow.mp4").exists()


def test_no_more_than_two_frames_are_held(tmp_path, weights, monkeypatch):
    given, read = film(tmp_path / "walk.mp4", 5), []

    def frames(path):
        for index in range(5):
            assert sum(one() is not None for one in read) <= 2
            frame = np.full((*SIZE, 3), index, np.uint8)
            read.append(weakref.ref(frame))
            yield frame
            del frame

    monkeypatch.setattr(predict_flow.flow_files.video, "read_frames", frames)
    assert predict(asked(tmp_path, weights, given))["pairs"] == 4


def test_true_flow_beside_it_is_measured(tmp_path, variables, weights):
    given, truth = folder(tmp_path / "in", [SIZE] * 3), tmp_path / "truth"
    frames = [frame_pairs.read_frame(given / f"frame_{n}.png") for n in (8, 9, 10)]
    off = np.full((*SIZE, 2), (2.4, 3.2), np.float32)  # 4 px
    valid = np.zeros(SIZE, bool)
    valid[:2] = True
    exact, _ = expected_flow(variables, *frames[1:])
    flow_files.write_flow(
        truth / "frame_8.flo", expected_flow(variables, *frames[:2])[0] + off
    )
    flow_files.write_flow(truth / "frame_9.pfm", exact, valid=valid)
    predict(asked(tmp_path, weights, given, **{"output.ground_truth": str(truth)}))
    report = json.loads((tmp_path / "out/report.json").read_text())
    first, second = report["pairs"]["frame_8"], report["pairs"]["frame_9"]
    assert first["epe"] == pytest.approx(4, abs=1e-3)
    assert (first["within_3px"], first["within_5px"]) == (0, 100)
    assert second["epe"] == pytest.approx(0, abs=1e-3)
    assert report["mean_of_pairs"]["epe"] == pytest.approx(2, abs=1e-3)
    pixels = SIZE[0] * SIZE[1], 2 * SIZE[1]
    mean = 4 * pixels[0] / sum(pixels)
    assert report["all_pixels"]["epe"] == pytest.approx(mean, abs=1e-3)
    with (tmp_path / "out/report.csv").open() as file:
        rows = {row["pair"]: row for row in csv.DictReader(file)}
    assert list(rows) == ["frame_8", "frame_9", "mean_of_pairs", "all_pixels"]
    assert float(rows["frame_8"]["epe"]) == pytest.approx(first["epe"])
    assert summary(tmp_path)["report"]["all_pixels"] == report["all_pixels"]


@pytest.mark.parametrize("size", [(8, 8), (8, 31)])
def test_the_smallest_frames_have_flow(tmp_path, weights, size):
    given = folder(tmp_path / "in", [size, size])
    predict(asked(tmp_path, weights, given))
    flow = flow_files.read_flo(tmp_path / "out/flow/frame_8.flo")
    assert flow.shape == (*size, 2)
    assert np.isfinite(flow).all()


def test_grey_alpha_and_16_bit_frames_are_converted(tmp_path, weights):
    grey = np.random.default_rng(0).integers(0, 256, SIZE, np.uint8)
    rgb = np.stack([grey] * 3, axis=-1)
    opaque = np.concatenate([rgb, np.full((*SIZE, 1), 9, np.uint8)], axis=-1)
    deep = rgb.astype(np.uint16) * 256 + 77
    flows = []
    for number, pixels in enumerate((rgb, grey, opaque, deep)):
        path = tmp_path / str(number)
        path.mkdir()
        cv2.imwrite(str(path / "a.png"), pixels)
        second = picture(path / "b.png", 5)
        predict(asked(path, weights, f"{path / 'a.png'},{second}"))
        flows.append((path / "out/flow/a.flo").read_bytes())
    assert flows[1:] == flows[:1] * 3


def bad_input(tmp_path, case):
    """An input that is refused, and words of the refusal."""
    a, b = picture(tmp_path / "a.png", 1), picture(tmp_path / "b.png", 2, (24, 16))
    small = picture(tmp_path / "small/1.png", 1, (7, 24))
    picture(tmp_path / "small/2.png", 2, (7, 24))
    (tmp_path / "empty").mkdir()
    single = folder(tmp_path / "single", [SIZE])
    cases = {
        "two sizes": (f"{a},{b}", "24 x 16", "16 x 24", "one size"),
        "sizes of a folder": (
            folder(tmp_path / "in", [SIZE, (24, 16)]), "no two frames", "one size"),
        "one picture": (a, "is one picture", "FIRST,SECOND"),
        "folder of one picture": (single, "has one frame", "needs two"),
        "missing": (f"{a},{tmp_path / 'c.png'}", "c.png not found"),
        "three": (f"{a},{a},{b}", "names 3 files"),
        "too small": (small.parent, "1.png is 24 x 7", "at least 8 x 8"),
        "empty folder": (tmp_path / "empty", "holds no picture"),
        "nothing": (tmp_path / "none", "does not exist"),
        "one frame": (film(tmp_path / "one.mp4", 1), "one.mp4", "has one frame"),
        "no flow": (__file__, "cannot be read"),
    }  # fmt: skip
    return cases[case]


@pytest.mark.parametrize(
    "case",
    ["two sizes", "sizes of a folder", "one picture", "folder of one picture",
     "missing", "three", "too small", "empty folder", "nothing", "one frame",
     "no flow"],
)  # fmt: skip
def test_bad_input_is_one_line_and_writes_nothing(tmp_path, weights, case):
    given, *words = bad_input(tmp_path, case)
    run = asked(tmp_path, weights, given)
    kind = FileNotFoundError if case in ("missing", "nothing") else ValueError
    assert_refused_in_one_line(lambda: predict(run), *words, kind=kind)
    assert not (tmp_path / "out").exists()


def test_bad_true_flow_is_one_line_and_writes_nothing(tmp_path, weights):
    given, truth = folder(tmp_path / "in", [SIZE] * 3), tmp_path / "truth"
    options = {"output.ground_truth": str(truth)}
    run = asked(tmp_path, weights, given, **options)
    kind = FileNotFoundError
    assert_refused_in_one_line(lambda: predict(run), "is no folder", kind=kind)
    flow_files.write_flow(truth / "frame_8.flo", np.zeros((*SIZE, 2), np.float32))
    words = ("lacks the flow of 1 of 2 pairs", "frame_9 with one of .flo")
    assert_refused_in_one_line(lambda: predict(run), *words, kind=kind)
    flow_files.write_flow(truth / "frame_9.flo", np.zeros((9, 24, 2), np.float32))
    words = ("frame_9.flo is 24 x 9", "frame_9.png is 24 x 16")
    assert_refused_in_one_line(lambda: predict(run), *words)
    assert not (tmp_path / "out").exists()


def test_a_call_that_cannot_be_is_refused_in_one_line(tmp_path, weights):
    given = folder(tmp_path / "in", [SIZE] * 2)

    def refuse(*words, kind=ValueError, **changes):
        run = asked(tmp_path, weights, given, **changes)
        assert_refused_in_one_line(lambda: predict(run), *words, kind=kind)
        assert not (tmp_path / "out").exists()

    refuse("--boxes", boxes="boxes.jsonl")
    refuse("--input is not given", input=None, kind=FileNotFoundError)
    refuse("config.output.format", "'flo'", **{"output.format": "pfm"})
    none = asked(tmp_path, tmp_path / "none.npz", given)
    kind = FileNotFoundError
    assert_refused_in_one_line(lambda: predict(none), "no file of weights", kind=kind)
    named = {"module": raft_chairs}
    refuse("holds the small network", "--config.model.variant=small", **named)


def test_weights_that_are_not_finite_are_named(tmp_path, variables):
    broken = jax.tree.map(lambda x: np.full_like(x, 3e38), variables)
    path = importers.save_weights(tmp_path / "bad.npz", broken, description={})
    given = folder(tmp_path / "in", [SIZE] * 2)
    run = asked(tmp_path, path, given)
    words = ("'frame_8' is not finite", "use others")
    assert_refused_in_one_line(lambda: predict(run), *words)
    assert not summary(tmp_path)["finished"]


def test_inputs_share_no_folder(tmp_path, weights, monkeypatch):
    monkeypatch.chdir(tmp_path)
    given = [folder(tmp_path / name / "in", [SIZE] * 2) for name in "ab"]
    found = predict(asked(tmp_path, weights, given[0], output=None))
    place = tmp_path / "runs/test-drawn/predictions/in"
    assert found["output"] == str(place)
    before = (place / "flow.json").read_bytes()
    run = asked(tmp_path, weights, given[1], output=None)
    words = (str(given[0]), "name another folder with --output")
    assert_refused_in_one_line(lambda: predict(run), *words)
    assert (place / "flow.json").read_bytes() == before
    predict(asked(tmp_path, weights, given[0], output=None))
