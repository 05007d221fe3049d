"""The builders of optical flow, on tiny trees in the published layouts."""

import errno

import cv2
import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets import flow_records, prepare, records
from tests.datasets import fake_flow as fake

CONFIGS = [
    ("flying_chairs", "pairs", fake.write_chairs),
    ("flying_things", "clean", fake.write_things),
    ("flying_things", "final", fake.write_things),
    ("sintel", "clean", fake.write_sintel),
    ("sintel", "final", fake.write_sintel),
    ("kitti_flow", "pairs", fake.write_kitti),
    ("hd1k", "pairs", fake.write_hd1k),
]


def prepared(name, config, manual_dir, data_dir):
    folder = prepare.prepare(
        name,
        config=config,
        manual_dir=manual_dir,
        data_dir=data_dir,
        progress="none",
    )
    return tfds.builder_from_directory(folder)


def rows(builder, split="train"):
    return list(builder.as_data_source(split))


def assert_record(record, *, name, images, flow, valid=None):
    """Compares a record with the names that its pictures and flow were made from."""
    assert record["name"] == name.encode()
    size = flow.shape[:2]
    for key, drawn in zip(("image_1", "image_2"), images, strict=True):
        np.testing.assert_array_equal(record[key], fake.picture(drawn, size=size))
    valid = np.ones(size, bool) if valid is None else valid
    assert record["valid"].dtype == np.uint8
    np.testing.assert_array_equal(record["valid"], valid)
    assert record["flow"].dtype == np.float32
    np.testing.assert_array_equal(record["flow"], np.where(valid[..., None], flow, 0))


def test_chairs_are_divided_by_the_lines_of_the_split_file(tmp_path):
    raw = fake.write_chairs(tmp_path / "raw", marks=(1, 2, 1, 2, 2))
    builder = prepared("flying_chairs", "pairs", raw, tmp_path / "data")
    for split, numbers in (("train", (1, 3)), ("test", (2, 4, 5))):
        for record, number in zip(rows(builder, split), numbers, strict=True):
            stem = f"{number:05d}"
            assert_record(
                record,
                name=stem,
                images=(f"{stem}_1", f"{stem}_2"),
                flow=fake.motion(stem),
            )
    metadata = builder.info.metadata
    assert metadata["sizes"] == {"train": [[2, 10, 14]], "test": [[3, 10, 14]]}
    assert (metadata["sparse"], metadata["unit"]) == (False, "px")


def test_chairs_without_held_out_pairs_have_one_split(tmp_path):
    raw = fake.write_chairs(tmp_path / "raw", marks=(1, 1))
    builder = prepared("flying_chairs", "pairs", raw, tmp_path / "data")
    assert list(builder.info.splits) == ["train"]


@pytest.mark.parametrize("rendering", ["clean", "final"])
def test_sintel_pairs_each_frame_with_the_next_of_its_scene(tmp_path, rendering):
    raw = fake.write_sintel(tmp_path / "raw")
    builder = prepared("sintel", rendering, raw, tmp_path / "data")
    expected = [("alley_1", i) for i in (1, 2, 3)] + [("cave_2", i) for i in (1, 2)]
    for record, (scene, i) in zip(rows(builder), expected, strict=True):
        assert_record(
            record,
            name=f"{scene}/frame_{i:04d}",
            images=(f"{rendering}/{scene}/{i}", f"{rendering}/{scene}/{i + 1}"),
            flow=fake.motion(f"{scene}/{i}"),
        )
    assert builder.info.metadata["folders"]["train"] == [
        {"name": "alley_1", "count": 3},
        {"name": "cave_2", "count": 2},
    ]


@pytest.mark.parametrize("rendering", ["clean", "final"])
def test_things_go_forth_and_back_in_time(tmp_path, rendering):
    raw = fake.write_things(tmp_path / "raw")
    builder = prepared("flying_things", rendering, raw, tmp_path / "data")
    expected = [
        (direction, scene, *frames)
        for direction, steps in (
            ("into_future", ((6, 7), (7, 8))),
            ("into_past", ((7, 6), (8, 7))),
        )
        for scene in ("A/0000", "B/0002")
        for frames in steps
    ]
    for record, (direction, scene, one, two) in zip(
        rows(builder), expected, strict=True
    ):
        assert_record(
            record,
            name=f"{scene}/{one:04d}-{two:04d}",
            images=tuple(f"{rendering}pass/{scene}/{i}" for i in (one, two)),
            flow=fake.motion(f"{direction}/{scene}/{one}"),
        )


def test_kitti_keeps_where_flow_was_measured_and_the_size_of_each_pair(tmp_path):
    raw = fake.write_kitti(tmp_path / "raw")
    builder = prepared("kitti_flow", "pairs", raw, tmp_path / "data")
    for number, (record, size) in enumerate(
        zip(rows(builder), ((10, 14), (12, 14)), strict=True)
    ):
        assert_record(
            record,
            name=f"{number:06d}_10",
            images=(f"{number}_10", f"{number}_11"),
            flow=fake.motion(str(number), size=size),
            valid=fake.known(str(number), size=size),
        )
    metadata = builder.info.metadata
    assert metadata["sparse"]
    assert metadata["sizes"] == {"train": [[1, 10, 14], [1, 12, 14]]}


def test_hd1k_pairs_do_not_cross_sequences(tmp_path):
    raw = fake.write_hd1k(tmp_path / "raw")
    builder = prepared("hd1k", "pairs", raw, tmp_path / "data")
    expected = [(0, 0), (0, 1), (1, 0)]
    for record, (sequence, frame) in zip(rows(builder), expected, strict=True):
        name = f"{sequence:06d}_{frame:04d}"
        assert_record(
            record,
            name=name,
            images=(name, f"{sequence:06d}_{frame + 1:04d}"),
            flow=fake.motion(name),
            valid=fake.known(name),
        )
    assert builder.info.metadata["sparse"]


@pytest.mark.parametrize(("name", "config", "write"), CONFIGS)
def test_a_missing_file_of_a_pair_is_named_before_anything_is_written(
    tmp_path, name, config, write
):
    raw = write(tmp_path / "raw")
    for path in used_files(raw, name, config)[::2]:
        data = path.read_bytes()
        path.unlink()
        with pytest.raises(FileNotFoundError) as error:
            prepared(name, config, raw, tmp_path / "data")
        assert f"{path} is missing" in str(error.value)
        assert "\n" not in str(error.value)
        path.write_bytes(data)
    assert not list((tmp_path / "data" / name).glob(f"{config}/*"))


@pytest.mark.parametrize(("name", "config", "write"), CONFIGS)
def test_a_truncated_file_is_named_and_nothing_looks_finished(
    tmp_path, name, config, write
):
    raw = write(tmp_path / "raw")
    used = [p for p in used_files(raw, name, config) if p.suffix != ".txt"]
    for path in (used[1], used[-1]):
        data = path.read_bytes()
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(ValueError, match=path.name) as error:
            prepared(name, config, raw, tmp_path / "data")
        assert "\n" not in str(error.value)
        assert not list((tmp_path / "data" / name).glob(f"{config}/*"))
        path.write_bytes(data)
    assert len(rows(prepared(name, config, raw, tmp_path / "data"))) > 1


def used_files(raw, name, config):
    """The files of a fake tree that belong to a pair."""
    other = {"clean": "final", "final": "clean"}.get(config, "-")
    unused = {
        # Flow that leads out of a scene.
        "flying_things": ("Future_0008_L.pfm", "Past_0006_L.pfm"),
        "hd1k": ("flow_occ/000000_0002.png", "flow_occ/000001_0001.png"),
    }
    return [
        path
        for path in sorted(raw.rglob("*"))
        if path.is_file()
        and not path.as_posix().endswith(unused.get(name, ("-",)))
        and f"/{other}/" not in path.as_posix()
        and f"_{other}pass/" not in path.as_posix()
    ]


def test_the_split_file_of_the_chairs_says_where_it_comes_from(tmp_path):
    raw = fake.write_chairs(tmp_path / "raw")
    (raw / fake.RAFT_SPLIT).unlink()
    with pytest.raises(FileNotFoundError, match=r"chairs_split\.txt.*princeton-vl"):
        prepared("flying_chairs", "pairs", raw, tmp_path / "data")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("1\n1\n2\n", "has 3 lines, but .* holds pair 4"),
        ("1\n3\n2\n1\n", "says '3' of pair 2; expected 1"),
        ("", "has 0 lines"),
    ],
)
def test_a_split_file_that_does_not_fit_is_refused(tmp_path, text, words):
    raw = fake.write_chairs(tmp_path / "raw")
    (raw / fake.RAFT_SPLIT).write_text(text)
    with pytest.raises(ValueError, match=words):
        prepared("flying_chairs", "pairs", raw, tmp_path / "data")


@pytest.mark.parametrize(("name", "config", "write"), CONFIGS)
def test_another_folder_says_what_belongs_there(tmp_path, name, config, write):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "readme.txt").write_text("nothing")
    with pytest.raises(FileNotFoundError, match="raw") as error:
        prepared(name, config, tmp_path / "raw", tmp_path / "data")
    assert "\n" not in str(error.value)


def test_folders_without_pairs_say_what_is_expected(tmp_path):
    for folder in ("image_2", "flow_occ"):
        (tmp_path / "raw" / "training" / folder).mkdir(parents=True)
    with pytest.raises(FileNotFoundError, match=r"no pairs; expected 000000_10\.png"):
        prepared("kitti_flow", "pairs", tmp_path / "raw", tmp_path / "data")


def test_a_full_disk_leaves_nothing_and_the_next_run_finishes(tmp_path, monkeypatch):
    raw = fake.write_sintel(tmp_path / "raw")
    read = flow_records.read_pair

    def fail_at_the_fourth(pair):
        if pair.name == "cave_2/frame_0001":
            raise OSError(errno.ENOSPC, "No space left on device")
        return read(pair)

    monkeypatch.setattr(flow_records, "read_pair", fail_at_the_fourth)
    with pytest.raises(OSError, match="is full"):
        prepared("sintel", "clean", raw, tmp_path / "data")
    assert not list((tmp_path / "data" / "sintel").glob("clean/*"))
    monkeypatch.undo()
    assert len(rows(prepared("sintel", "clean", raw, tmp_path / "data"))) == 5


def test_pictures_and_flow_of_different_sizes_are_refused(tmp_path):
    raw = fake.write_sintel(tmp_path / "raw")
    path = raw / "training/clean/alley_1/frame_0003.png"
    fake.write_picture(path, fake.picture("wide", size=(10, 16)))
    with pytest.raises(ValueError, match=r"frame_0003\.png is 16 x 10 pixels, .* 14 x"):
        prepared("sintel", "clean", raw, tmp_path / "data")


def test_marks_in_dense_flow_are_not_valid():
    flow = np.zeros((2, 3, 2), np.float32)
    flow[0, 0, 1], flow[0, 1, 0], flow[1, 2] = np.nan, 1e10, (-1000, 0)
    flow[1, 0] = 999, -999
    record = flow_records.flow_record(name="a", image_1=b"", image_2=b"", flow=flow)
    assert record["valid"].tolist() == [[0, 0, 1], [1, 1, 0]]
    assert np.isfinite(record["flow"]).all()
    assert record["flow"][1, 0].tolist() == [999, -999]
    assert not record["flow"][record["valid"] == 0].any()
    with pytest.raises(ValueError, match=r"valid of a has shape \(2,\)"):
        flow_records.flow_record(
            name="a", image_1=b"", image_2=b"", flow=flow, valid=np.ones(2)
        )


def test_pictures_are_kept_without_loss(tmp_path):
    image = fake.picture("a")
    encoded = records.encode_png(image)
    grey = records.encode_png(np.ascontiguousarray(image[..., 0]))
    deep = cv2.imencode(".png", image[..., ::-1].astype(np.uint16) * 257)[1].tobytes()
    head = b"P6\n# drawn\n14 10\n# by hand\n255\n"
    for data, expected in (
        (encoded, image),
        (grey, np.repeat(image[..., :1], 3, axis=-1)),
        (deep, image),
        (head + image.tobytes(), image),
    ):
        path = tmp_path / "picture"
        path.write_bytes(data)
        stored, size = flow_records.read_picture(path)
        assert size == (10, 14)
        assert stored.startswith(b"\x89PNG")
        decoded = cv2.imdecode(np.frombuffer(stored, np.uint8), cv2.IMREAD_UNCHANGED)
        np.testing.assert_array_equal(decoded[..., ::-1], expected)
    path.write_bytes(encoded)
    assert flow_records.read_picture(path)[0] == encoded


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"P6",
        b"P6 1 1",
        b"P6\n14 10\n65535\n",
        b"P6\n0 0\n255\n",
        b"P6\n2 2\n255\nabc",
        b"GIF89a",
    ],
)
def test_what_is_no_picture_is_refused(tmp_path, data):
    path = tmp_path / "picture.ppm"
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"picture\.ppm holds .*; unpack it again"):
        flow_records.read_picture(path)


def test_the_command_answers_in_one_line(tmp_path, capsys):
    raw = fake.write_kitti(tmp_path / "raw")
    (raw / "training/image_2/000001_11.png").unlink()
    arguments = ["--manual_dir", str(raw), "--data_dir", str(tmp_path / "data")]
    assert prepare.main(["kitti_flow", *arguments]) == 2
    message = capsys.readouterr().err
    assert message.count("\n") == 1
    assert "000001_11.png is missing" in message
