"""Published pose files, plain ones, and those that are refused."""

import json
import pickle

import numpy as np
import pytest

from posejax.data import pose_files
from posejax.data.coco_keypoints import read_coco_keypoints
from posejax.data.object_arrays import read_arrays
from posejax.data.pose_conversion import convert_pose_file
from posejax.skeletons import H36M_17, H36M_32, remap

H36M_SYMMETRY = [[4, 5, 6, 11, 12, 13], [1, 2, 3, 14, 15, 16]]


def poses(frames, joints, axes, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(frames, joints, axes)).astype(np.float32)


def write_published(folder, *, poses_3d=None, positions=None, metadata=None):
    """Writes files as the published scripts do: objects, hence pickles."""
    if poses_3d is not None:
        np.savez_compressed(folder / "3d.npz", positions_3d=np.array(poses_3d))
    if positions is not None:
        metadata = metadata or {
            "layout_name": "h36m",
            "num_joints": 17,
            "keypoints_symmetry": H36M_SYMMETRY,
        }
        np.savez_compressed(
            folder / "2d.npz", positions_2d=positions, metadata=metadata
        )
    return folder / "3d.npz", folder / "2d.npz"


def same(one, two):
    assert list(one) == list(two)
    for key in one:
        np.testing.assert_array_equal(one[key], two[key])


def test_published_poses_are_read_behind_the_switch_and_reduced_to_17(tmp_path):
    walking, sitting = poses(4, 32, 3), poses(2, 32, 3, seed=1)
    path, _ = write_published(
        tmp_path, poses_3d={"S1": {"Walking 1": walking, "Sitting": sitting}}
    )
    with pytest.raises(ValueError, match=r"'positions_3d' of .*allow_pickle=True"):
        pose_files.read_poses_3d(path)
    found = pose_files.read_poses_3d(path, allow_pickle=True)
    kept = remap(H36M_32, H36M_17)
    same(
        found,
        {("S1", "Walking 1"): walking[:, kept], ("S1", "Sitting"): sitting[:, kept]},
    )


def test_published_detections_keep_pixels_and_lose_confidences(tmp_path):
    views = [poses(3, 17, 3, seed=k) for k in range(4)]
    _, path = write_published(tmp_path, positions={"S1": {"Walking": views}})
    found = pose_files.read_keypoints(path, allow_pickle=True)
    assert found.layout == pose_files.LAYOUTS["h36m"]
    for view, expected in zip(found.positions["S1", "Walking"], views, strict=True):
        np.testing.assert_array_equal(view, expected[..., :2])


def test_a_file_that_does_not_name_its_layout_has_that_of_human36m(tmp_path):
    metadata = {"num_joints": 17, "keypoints_symmetry": H36M_SYMMETRY}
    _, path = write_published(
        tmp_path, positions={"S1": {"A": [poses(1, 17, 2)]}}, metadata=metadata
    )
    assert pose_files.read_keypoints(path, allow_pickle=True).layout.name == "h36m"


def test_mpii_joints_are_mirrored_joint_by_joint(tmp_path):
    metadata = {
        "layout_name": "mpii",
        "num_joints": 16,
        "keypoints_symmetry": [[3, 4, 5, 13, 14, 15], [0, 1, 2, 10, 11, 12]],
    }
    _, path = write_published(
        tmp_path, positions={"S1": {"A": [poses(1, 16, 2)]}}, metadata=metadata
    )
    layout = pose_files.read_keypoints(path, allow_pickle=True).layout
    # Hip with hip (3, 2), not with the ankle (3, 0).
    assert layout.mirror()[[3, 4, 5]].tolist() == [2, 1, 0]


@pytest.mark.parametrize("symmetry", ["17", "16"])
def test_sixteen_joints_of_human36m_lack_the_nose_whatever_their_lists(
    tmp_path, symmetry
):
    without = pose_files.LAYOUTS["h36m_16"]
    lists = [list(without.left), list(without.right)]
    metadata = {
        "layout_name": "h36m",
        "num_joints": 16,
        "keypoints_symmetry": H36M_SYMMETRY if symmetry == "17" else lists,
    }
    _, path = write_published(
        tmp_path, positions={"S1": {"A": [poses(1, 16, 2)]}}, metadata=metadata
    )
    assert pose_files.read_keypoints(path, allow_pickle=True).layout == without


@pytest.mark.parametrize("subject", ["S1", "Train/S1"])
def test_plain_files_hold_the_same_and_need_no_pickle(tmp_path, subject):
    joints = 17 if subject == "S1" else 15
    clips = {"Walking 1": poses(4, joints, 3), "Box": poses(2, joints, 3, seed=1)}
    views = {"Walking 1": [poses(4, 17, 2, seed=k) for k in range(11)]}
    sizes = {"video": {"w": 640, "h": 480}}
    published = write_published(
        tmp_path,
        poses_3d={subject: clips},
        positions={subject: views},
        metadata={"layout_name": "coco", "num_joints": 17, "video_metadata": sizes},
    )
    for path in published:
        convert_pose_file(path, tmp_path / f"plain_{path.name}", allow_pickle=True)
    plain_3d, plain_2d = (tmp_path / f"plain_{path.name}" for path in published)
    with np.load(plain_3d) as file:
        assert set(file.files) == {
            f"{subject}/Walking 1",
            f"{subject}/Box",
            "metadata",
        }
        assert json.loads(str(file["metadata"]))["unit"] == "m"
    found = pose_files.read_poses_3d(plain_3d, num_joints=(joints,))
    same(found, {(subject, name): clip for name, clip in clips.items()})
    one = pose_files.read_keypoints(plain_2d)
    assert one.resolutions == {"video": (640, 480)}
    assert one.layout == pose_files.LAYOUTS["coco"]
    # Cameras come in the order of their numbers: 10 after 9.
    for view, expected in zip(
        one.positions[subject, "Walking 1"], views["Walking 1"], strict=True
    ):
        np.testing.assert_array_equal(view, expected)
    # A plain file may be converted once more.
    convert_pose_file(plain_3d, tmp_path / "again.npz")
    same(pose_files.read_poses_3d(tmp_path / "again.npz", num_joints=(joints,)), found)


class Harmful:
    """A pickle that would write a file."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


def test_a_pickle_that_calls_something_is_refused_by_name_and_calls_nothing(tmp_path):
    path = tmp_path / "bad.npz"
    np.savez(path, positions_3d=np.array({"S1": {"A": Harmful(tmp_path / "written")}}))
    with pytest.raises(
        ValueError, match=r"'positions_3d' of .*asks for _?io\.open"
    ) as e:
        read_arrays(path, allow_pickle=True)
    assert "\n" not in str(e.value)
    assert not (tmp_path / "written").exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
@pytest.mark.parametrize("module", [b"numpy.core.", b"numpy._core."])
def test_pickles_of_old_and_new_numpy_are_read(tmp_path, protocol, module):
    content = {"S1": {"A": poses(2, 17, 3), "n": np.float32(3)}}
    array = np.empty((), object)
    array[()] = content
    body = pickle.dumps(array, protocol=protocol)
    if protocol < 4:  # later protocols say how long the name is
        body = body.replace(b"numpy._core.", module)
    elif module == b"numpy.core.":
        longer = len(b"numpy._core.multiarray")
        for name in (b"multiarray", b"numeric"):
            old, new = b"numpy._core." + name, b"numpy.core." + name
            body = body.replace(
                bytes([0x8C, len(old)]) + old, bytes([0x8C, len(new)]) + new
            )
        assert longer
        # The frame's length is stated too; a reader without frames does without.
        body = body[:2] + body[11:] if body[2:3] == b"\x95" else body
    import io
    import zipfile

    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "|O", "fortran_order": False, "shape": ()}
    )
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("x.npy", header.getvalue() + body)
    found = read_arrays(tmp_path / "a.npz", allow_pickle=True)["x"].item()
    np.testing.assert_array_equal(found["S1"]["A"], content["S1"]["A"])
    assert found["S1"]["n"] == 3


def not_finite():
    broken = poses(5, 17, 3)
    broken[3, 2, 1] = np.nan
    return broken


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({"poses": np.zeros(3)}, r"has arrays \['poses'\]; expected positions_3d"),
        ({"S1/A": poses(2, 16, 3)}, r"S1/A of .* has shape \(2, 16, 3\)"),
        ({"S1/A": poses(2, 17, 2)}, r"expected \(frames, 17 or 32 joints, 3\)"),
        ({"S1/A": poses(0, 17, 3)}, r"has shape \(0, 17, 3\)"),
        ({"S1/A": not_finite()}, "not finite in 1 frames, first in frame 3"),
        ({"positions_3d": np.zeros(3)}, "no dictionary of subjects"),
    ],
)
def test_poses_that_cannot_be_used_are_named(tmp_path, arrays, words):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(ValueError, match=words) as error:
        pose_files.read_poses_3d(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


PLAIN = {"S1/A/0": poses(2, 17, 2)}


@pytest.mark.parametrize(
    ("arrays", "metadata", "words"),
    [
        (PLAIN, None, "has no metadata"),
        (PLAIN, "{", "is no JSON"),
        (PLAIN, "[]", "is no dictionary"),
        (PLAIN, '{"layout_name": "cat"}', "layout 'cat' is none of"),
        (
            PLAIN,
            '{"num_joints": 3, "keypoints_symmetry": [[1], [3]]}',
            "numbers below that",
        ),
        (PLAIN, '{"layout_name": "mpii"}', r"camera 0, of .*expected \(frames, 16"),
        ({"S1/A/1": poses(2, 17, 2)}, "{}", r"cameras \['1'\] for 'S1/A'"),
    ],
)
def test_detections_that_cannot_be_used_are_named(tmp_path, arrays, metadata, words):
    extra = {} if metadata is None else {"metadata": np.array(metadata)}
    np.savez(tmp_path / "a.npz", **arrays, **extra)
    with pytest.raises(ValueError, match=words) as error:
        pose_files.read_keypoints(tmp_path / "a.npz")
    assert "\n" not in str(error.value)


def test_missing_and_damaged_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.npz is missing"):
        pose_files.read_poses_3d(tmp_path / "none.npz")
    (tmp_path / "bad.npz").write_bytes(b"PK no archive")
    with pytest.raises(ValueError, match=r"bad\.npz cannot be read as an npz"):
        pose_files.read_poses_3d(tmp_path / "bad.npz")
    with pytest.raises(ValueError, match=r"expected a name ending in \.npz"):
        pose_files.write_poses_3d(tmp_path / "a.txt", {})


def row(image, x, score=1.0, count=17):
    return {"image_id": image, "keypoints": [x, x, 2] * count, "score": score}


def write_json(path, content):
    path.write_text(json.dumps(content))
    return path


def test_a_list_of_results_becomes_one_sequence_without_gaps(tmp_path):
    rows = [row("f/7.jpg", 30), row("f/4.jpg", 9, 0.1), row("f/4.jpg", 0, 0.9)]
    path = write_json(tmp_path / "video.json", rows)
    with pytest.raises(ValueError, match="pass resolution"):
        read_coco_keypoints(path)
    found = read_coco_keypoints(path, resolution=(640, 480))
    assert found.resolutions == {"video": (640, 480)}
    (view,) = found.positions["video", "custom"]
    assert view.shape == (4, 17, 2)
    np.testing.assert_allclose(view[:, 3, 1], [0, 10, 20, 30], rtol=1e-6)


def test_a_data_set_becomes_a_sequence_per_folder_in_the_order_of_the_frames(tmp_path):
    images = [
        {"id": k, "width": 64, "height": 48, "file_name": f"{folder}/{frame}.png"}
        for k, (folder, frame) in enumerate([("b", 10), ("b", 9), ("a", 1), ("b", 11)])
    ]
    annotations = [row(0, 5), row(1, 3), row(2, 8)]
    path = write_json(
        tmp_path / "x.json", {"images": images, "annotations": annotations}
    )
    found = read_coco_keypoints(path)
    assert set(found.positions) == {("a", "custom"), ("b", "custom")}
    assert found.positions["b", "custom"][0][:, 0, 0].tolist() == [3, 5, 5]
    assert found.resolutions["b"] == (64, 48)


def test_a_joint_without_a_label_lies_between_its_neighbours_in_time(tmp_path):
    rows = [row(frame, 10 * frame) for frame in (1, 2, 3)]
    rows[1]["keypoints"][3 * 5 : 3 * 6] = [0, 0, 0]  # as COCO writes it
    rows[2]["keypoints"][3 * 9 : 3 * 10] = [0, 0, 0]
    path = write_json(tmp_path / "video.json", rows)
    found = read_coco_keypoints(path, resolution=(64, 48))
    (view,) = found.positions["video", "custom"]
    np.testing.assert_allclose(view[:, 5, 0], [10, 20, 30], rtol=1e-6)
    np.testing.assert_allclose(view[:, 9, 1], [10, 20, 20], rtol=1e-6)


def test_a_joint_that_is_never_labelled_is_named(tmp_path):
    rows = [row(frame, 10 * frame) for frame in (1, 2)]
    for one in rows:
        one["keypoints"][3 * 5 : 3 * 6] = [0, 0, 0]
    path = write_json(tmp_path / "video.json", rows)
    with pytest.raises(ValueError, match=r"has joints \[5\] of coco in no frame"):
        read_coco_keypoints(path, resolution=(64, 48))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ({"images": []}, "neither a list of results nor a data set"),
        ([{"keypoints": []}], "has no image_id"),
        ([{"image_id": "walk.jpg", "keypoints": []}], "'walk.jpg' .* holds no number"),
        ([{"image_id": [1], "keypoints": []}], r"image_id \[1\] .* holds no number"),
        ([row(1, 0, count=16)], "have 48 numbers; expected 51"),
        ([row(1, float("nan"))], "not finite"),
        ({"images": [{"id": 1}], "annotations": []}, "lacks 'width'"),
    ],
)
def test_json_that_cannot_be_used_is_named(tmp_path, content, words):
    path = write_json(tmp_path / "x.json", content)
    with pytest.raises(ValueError, match=words):
        read_coco_keypoints(path, resolution=(10, 10))
