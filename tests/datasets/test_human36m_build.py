"""Human3.6M from the raw tree: built, read back, interrupted, built again."""

import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

import cv2
import fake_human36m as fake
import numpy as np
import pytest
import tensorflow_datasets as tfds

from datasets.human36m import decoding, tree
from datasets.prepare import prepare
from posejax.data import crops


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    return fake.write_raw(tmp_path_factory.mktemp("raw"))


@pytest.fixture(scope="module")
def built(raw, tmp_path_factory):
    return build(raw, tmp_path_factory.mktemp("data"))


def build(raw, data_dir, *, config="crops", num_workers=1):
    return prepare(
        "human36m",
        config=config,
        manual_dir=raw,
        data_dir=data_dir,
        progress="none",
        num_workers=num_workers,
    )


def read(folder, split):
    builder = tfds.builder_from_directory(folder)
    source = builder.as_data_source(
        split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    return [source[i] for i in range(len(source))]


def contents(folder):
    return {p.name: p.read_bytes() for p in pathlib.Path(folder).glob("*-of-*")}


def test_every_frame_of_the_reference_takes_is_there_once(built):
    assert built.parts[-3:] == ("human36m", "crops", "1.0.0")
    for split, subjects in (("train", fake.TRAIN), ("test", fake.TEST)):
        found = [(r["subject"], r["take"], r["frame"]) for r in read(built, split)]
        expected = [
            (s.encode(), fake.NAMES[0].encode(), i) for s in subjects for i in range(6)
        ]
        assert sorted(found) == sorted(expected)


def test_records_hold_box_joints_and_matrix_of_their_frame(built):
    for record in read(built, "test") + read(built, "train"):
        box = fake.box_of(record["frame"])
        np.testing.assert_array_equal(record["box"], box)
        np.testing.assert_array_equal(record["pose_2d"], fake.pose_of(record["frame"]))
        assert record["pose_valid"].all()
        np.testing.assert_array_equal(record["crop_matrix"], crops.crop_matrix(box))
        assert (record["action"], record["camera"]) == (b"Walking", b"54138969")


def test_crops_show_the_frame_through_the_matrix(built):
    record = read(built, "test")[0]
    picture = cv2.imdecode(np.frombuffer(record["image"], np.uint8), 1)[..., ::-1]
    frame = fake.frame_of(record["subject"].decode(), record["frame"])
    expected = crops.crop_image(frame, record["crop_matrix"], 256)
    assert picture.shape == (256, 256, 3)
    assert np.abs(picture.astype(int) - expected.astype(int)).mean() < 4


def test_folders_share_subject_camera_and_window_in_the_order_of_the_records(built):
    metadata = tfds.builder_from_directory(built).info.metadata
    assert metadata["crop_size"] == 256
    assert metadata["labels"]
    assert metadata["skeleton"] == "h36m_32"
    for split in ("train", "test"):
        records = read(built, split)
        names = [f["name"] for f in metadata["folders"][split]]
        counts = [f["count"] for f in metadata["folders"][split]]
        assert sum(counts) == len(records)
        assert len(set(names)) == len(names) > 2
        expected = np.repeat(names, counts)
        for record, name in zip(records, expected, strict=True):
            cells = crops.raster_cells(record["box"]).astype(float).ravel().tolist()
            window = ",".join(map(str, cells))
            assert name == f"{record['subject'].decode()}/{window}_54138969"
    assert names[-1] == "S9/1.0,1.0,2.0,2.0_54138969"


def test_the_order_inside_folders_is_the_same_every_time_and_not_the_video_order(
    raw, built, tmp_path
):
    again = build(raw, tmp_path, num_workers=2)
    assert contents(again) == contents(built)
    frames = [r["frame"] for r in read(built, "train")]
    assert frames != sorted(frames)


def test_all_takes_adds_numbered_takes_but_no_other_activity(raw, tmp_path):
    folder = build(raw, tmp_path, config="crops_all")
    takes = {r["take"].decode() for r in read(folder, "test")}
    assert takes == {fake.NAMES[0], fake.NAMES[1]}


@pytest.mark.parametrize(
    ("name", "reference", "every"),
    [
        ("Walking.54138969", "Walking", "Walking"),
        ("Walking 1.54138969", None, "Walking"),
        ("TakingPhoto.54138969", None, "Photo"),
        ("WalkingDog 1.54138969", None, "WalkDog"),
        ("WalkDog.60457274", "WalkDog", "WalkDog"),
        ("Eating.54138969", None, None),
        ("_ALL.54138969", None, None),
    ],
)
def test_take_filter(name, reference, every):
    assert tree.activity(name, take_filter="reference") == reference
    assert tree.activity(name, take_filter="all") == every


def test_poses_of_training_subjects_are_not_needed(raw, tmp_path):
    root = tmp_path / "raw"
    shutil.copytree(raw, root)
    for subject in fake.TRAIN:
        shutil.rmtree(root / subject / "MyPoseFeatures")
    folder = build(root, tmp_path / "data")
    assert not any(r["pose_valid"].any() for r in read(folder, "train"))
    assert all(r["pose_valid"].all() for r in read(folder, "test"))


def test_the_layout_of_the_reference_scripts_is_understood(raw, built, tmp_path):
    root = tmp_path / "raw"
    for subject in (*fake.TRAIN, *fake.TEST):
        home = raw / subject
        shutil.copytree(home / "Videos", root / subject / "videos")
        masks = home / "MySegmentsMat" / "ground_truth_bb"
        shutil.copytree(masks, root / subject / "bboxes")
        poses = home / "MyPoseFeatures" / "D2_Positions"
        shutil.copytree(poses, root / "poses" / subject)
    assert contents(build(root, tmp_path / "data")) == contents(built)


def test_finished_videos_are_not_decoded_again(raw, built, tmp_path, monkeypatch):
    root = tmp_path / "raw"
    shutil.copytree(raw, root)
    bad = fake.video_path(root, "S11")
    whole = bad.read_bytes()
    bad.write_bytes(b"")
    with pytest.raises(ValueError, match=r"Walking\.54138969\.mp4 is empty"):
        build(root, tmp_path / "data")
    home = tmp_path / "data" / "human36m"
    assert not list(home.glob("crops/*"))
    assert len(list(home.glob(".decoded/crops/*/*/index.npz"))) == 6

    bad.write_bytes(whole)
    decoded = []
    decode = decoding.decode_take

    def count(take, *args, **options):
        decoded.append(take.subject)
        return decode(take, *args, **options)

    monkeypatch.setattr(decoding, "decode_take", count)
    assert contents(build(root, tmp_path / "data")) == contents(built)
    assert decoded == ["S11"]
    assert not (home / ".decoded" / "crops").exists()


def test_a_changed_video_is_decoded_again(raw, tmp_path):
    shutil.copytree(raw / "S1", tmp_path / "S1")
    (take,) = tree.find_takes(
        tmp_path, "S1", take_filter="reference", needs_poses=False
    )
    cache = tmp_path / "cache"
    options = {"crop_size": 256, "num_workers": 1, "progress": "none"}
    (folder,) = decoding.decode_takes([take], cache, **options)
    before = (folder / "index.npz").stat().st_mtime_ns
    decoding.decode_takes([take], cache, **options)
    assert (folder / "index.npz").stat().st_mtime_ns == before
    os.utime(take.video, (0, 0))
    decoding.decode_takes([take], cache, **options)
    assert (folder / "index.npz").stat().st_mtime_ns > before


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_run_leaves_nothing_finished_and_goes_on(raw, built, tmp_path, how):
    root = tmp_path / "raw"
    shutil.copytree(raw, root)
    # Long enough that the run is stopped in the middle of it.
    count = 200
    for subject in ("S8", "S9"):
        frames = [fake.frame_of(subject, i % 6) for i in range(count)]
        fake.write_video(fake.video_path(root, subject), frames)
        boxes = [fake.box_of(i % 6) for i in range(count)]
        fake.write_masks(fake.mask_path(root, subject), boxes)
        poses = np.stack([fake.pose_of(i % 6) for i in range(count)])
        fake.write_poses(fake.pose_path(root, subject), poses)
    data = tmp_path / "data"
    command = [sys.executable, "-m", "datasets.prepare", "human36m"]
    command += ["--manual_dir", str(root), "--data_dir", str(data)]
    # A suite that a shell started in the background ignores the signal, and so would
    # its child.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [*command, "--num_workers", "2"], stderr=subprocess.PIPE, text=True
    )
    try:
        cache = data / "human36m" / ".decoded" / "crops"
        until = time.monotonic() + 60
        while not list(cache.glob("*/*/index.npz")):
            assert process.poll() is None, process.stderr.read()
            assert time.monotonic() < until
            time.sleep(0.02)
        process.send_signal(how)
        _, errors = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == (130 if how == signal.SIGINT else -signal.SIGKILL)
    if how == signal.SIGINT:
        assert errors.splitlines()[-1].startswith("interrupted; the same command")
    assert not list((data / "human36m").glob("crops/[0-9]*"))
    assert list(cache.glob("*/*/index.npz"))
    folder = build(root, data)
    assert len(read(folder, "train")) == 4 * 6 + count
