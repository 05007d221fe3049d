import dataclasses
import json

import numpy as np
import pytest
from refusals import assert_refused_in_one_line

from posejax import data
from posejax.data import MetroEstimates, read_metro, write_metro


def estimates(frames=4):
    rng = np.random.default_rng(0)
    draw = {
        "pose": rng.normal(size=(frames, 14, 3)),
        "camera": rng.normal(size=(frames, 3)),
        "scale": rng.uniform(0.2, 2, size=(frames, 2)),
        "center": rng.uniform(0, 500, size=(frames, 2)),
    }
    arrays = {name: array.astype(np.float32) for name, array in draw.items()}
    return MetroEstimates(**arrays, crop_size=224.0)


def plain(**changes):
    known = estimates()
    arrays = {
        "joints3d": known.pose,
        "camera": known.camera,
        "scale": known.scale,
        "start_pt": known.center,
        "img_size": np.array(224),
    }
    return {**arrays, **changes}


def test_what_is_written_is_read(tmp_path):
    write_metro(tmp_path / "video.npz", estimates())
    found = read_metro(tmp_path / "video.npz")
    for name, value in dataclasses.asdict(estimates()).items():
        np.testing.assert_array_equal(getattr(found, name), value)
    assert found.num_frames == 4
    np.testing.assert_array_equal(found.origin, found.center - 112)
    assert [path.name for path in tmp_path.iterdir()] == ["video.npz"]


def test_one_scale_per_frame_is_that_of_both_axes(tmp_path):
    np.savez(tmp_path / "video.npz", **plain(scale=np.array([0.5, 1.0, 2.0, 3.0])))
    found = read_metro(tmp_path / "video.npz")
    np.testing.assert_array_equal(found.scale[:, 0], [0.5, 1, 2, 3])
    np.testing.assert_array_equal(found.scale[:, 1], [0.5, 1, 2, 3])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"camera": np.zeros((3, 3))}, ["camera of", "(3, 3)", "(4, 3)"]),
        ({"joints3d": np.zeros((4, 17, 3))}, ["joints3d of", "(4, 17, 3)"]),
        ({"joints3d": np.zeros((0, 14, 3))}, ["camera of", "(0, 3)"]),
        ({"scale": np.zeros((4, 2))}, ["least scale 0"]),
        ({"img_size": np.array([224, 224])}, ["img_size of"]),
        ({"start_pt": np.full((4, 2), np.nan)}, ["start_pt of", "frame 0"]),
        ({"camera": np.array([["a"] * 3] * 4)}, ["camera of", "<U1"]),
        ({"joints3d": np.array({"a": 1})}, ["Python objects", "convert_metro"]),
    ],
)
def test_a_file_that_is_not_one_is_refused_in_one_line(changes, words, tmp_path):
    path = tmp_path / "video.npz"
    np.savez(path, **plain(**changes))
    assert_refused_in_one_line(lambda: read_metro(path), *words, str(path))


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "video.npz"
    assert_refused_in_one_line(
        lambda: read_metro(path), "is missing", kind=FileNotFoundError
    )
    path.write_bytes(b"PK\x03\x04 no archive")
    assert_refused_in_one_line(lambda: read_metro(path), str(path))
    np.savez(path, poses=np.zeros(3))
    assert_refused_in_one_line(
        lambda: read_metro(path), "has arrays poses and lacks joints3d, camera"
    )
    with pytest.raises(ValueError, match=r"expected a name ending in \.npz"):
        write_metro(tmp_path / "video.npy", estimates())


def test_detections_that_are_fewer_than_the_frames_have_no_confidence_there(tmp_path):
    path = tmp_path / "result.json"
    row = [[float(j), 2.0, 0.5] for j in range(1, 18)]
    entries = [{"keypoints": row}, {"keypoints": []}, {}, {"keypoints": row}]
    path.write_text(json.dumps({"Info": entries}))
    found = data.read_dcpose(path, num_frames=6)
    assert found.shape == (6, 17, 3)
    _, confidence = data.lsp_detections(found)
    assert confidence.any(axis=-1).tolist() == [True, False, False, True, False, False]
    assert data.read_dcpose(path).shape == (4, 17, 3)
    assert_refused_in_one_line(
        lambda: data.read_dcpose(path, num_frames=3), "4 entries for 3 frames"
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("[", ["is no JSON"]),
        ("[]", ["no list Info"]),
        ('{"Info": 3}', ["no list Info"]),
        ('{"Info": [{"keypoints": [[1, 2, 3]]}]}', ["entry 0", "17 rows"]),
        ('{"Info": [{"keypoints": "no"}]}', ["entry 0", "17 rows"]),
        (
            json.dumps({"Info": [{"keypoints": [[float("nan"), 1, 1]] * 17}]}),
            ["entry 0", "not finite"],
        ),
    ],
)
def test_detections_that_are_none_are_refused_in_one_line(content, words, tmp_path):
    path = tmp_path / "result.json"
    path.write_text(content)
    assert_refused_in_one_line(lambda: data.read_dcpose(path), str(path), *words)
    assert_refused_in_one_line(
        lambda: data.read_dcpose(tmp_path / "none.json"),
        "is missing",
        kind=FileNotFoundError,
    )
