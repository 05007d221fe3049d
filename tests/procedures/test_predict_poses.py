"""From files of 2-D joints to poses, with networks that were never trained."""

import json

import jax
import numpy as np
import pytest

from configs.bases import posture_pose
from posejax import training
from posejax.data import pose_files, video
from posejax.data.h36m_cameras import h36m_camera
from posejax.data.keypoint_inputs import read_keypoint_input
from posejax.data.pose_cameras import camera_to_world, normalize_screen_coordinates
from posejax.data.pose_sequences import insert_nose
from posejax.procedures import VERBS, lifted_poses, predict_poses, run
from posejax.render import AnimationOptions
from posejax.tasks import TASKS
from posejax.tasks.posture_pose_lifter import lift, make_lifter
from tests.data.test_keypoint_inputs import joints, write_detections, write_person
from tests.procedures.test_run_directory import call

TINY = {
    "model.filter_widths": (3,), "model.channels": 8, "evaluation.segment": 4,
    "evaluation.batch_size": 2, "auxiliary": "trajectory",
}  # fmt: skip


WRITE = lifted_poses.render.write_pose_animation


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Leaves animations out and keeps what they would show, by file name."""
    shown = {}

    def write(path, keypoints, poses, **options):
        shown[path.name] = poses
        return len(keypoints)

    monkeypatch.setattr(lifted_poses.render, "write_pose_animation", write)
    return shown


@pytest.fixture
def small_pictures(monkeypatch, drawn):
    """Draws them after all, as small as can be."""
    small = AnimationOptions(size_inches=1.0, dots_per_inch=40)
    monkeypatch.setattr(
        lifted_poses.render,
        "write_pose_animation",
        lambda *args, **options: WRITE(*args, **(options | {"options": small})),
    )


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """Returns a function that makes the work directory of a tiny model, once each."""
    made = {}

    def directory(**changes):
        key = json.dumps(changes)
        if key in made:
            return made[key]
        folder = tmp_path_factory.mktemp("model")
        config = posture_pose.get_config()
        config.update_from_flattened_dict(TINY | changes)
        config = run.without_sample(config)
        asked = call(config, folder, data="prepared")
        run.claim(asked, folder / "work", config, str(folder / "data"), "prepared")
        task = TASKS["posture_pose"]().make_task(config)
        state = training.init_state(jax.random.key(0), task, {})
        place = folder / "work" / "checkpoints"
        with training.Checkpoints(place, best=task.selection) as checkpoints:
            checkpoints.save(state)
        made[key] = folder
        return folder

    return directory


def predicted(folder, source, **changes):
    asked = call(None, folder, input=str(source), **changes)
    return predict_poses.predict_poses(asked)


def test_the_system_has_the_verb():
    assert "predict" in VERBS["posture_pose"]


def test_a_person_gets_arrays_words_and_an_animation(work, tmp_path, small_pictures):
    source = write_person(tmp_path / "walk.npz", keypoints=joints(5))
    found = predicted(work(), source)
    output = work() / "work/predictions/walk.npz"
    assert found == {"frames": 5, "output": str(output)}
    assert {file.name for file in output.iterdir()} == {
        "joints.npz", "joints.npy", "joints.json", "animation.mp4",
    }  # fmt: skip
    with np.load(output / "joints.npz") as arrays:
        kept = dict(arrays)
    assert kept["joints_3d"].shape == (5, 17, 3)
    assert not kept["joints_3d"][:, 0].any()
    assert (str(kept["unit"]), str(kept["skeleton"])) == ("m", "h36m_17")
    assert str(kept["frame"]) == "camera axes: x right, y down, z forward"
    assert str(kept["root"]).startswith("pelvis")
    assert float(kept["fps"]) == 25.0
    assert kept["joint_names"].tolist()[0] == "pelvis"
    np.testing.assert_array_equal(kept["keypoints"], joints(5))
    in_camera = kept["joints_3d"] + kept["root_camera"][:, None]
    np.testing.assert_array_equal(np.load(output / "joints.npy"), in_camera)
    words = json.loads((output / "joints.json").read_text())
    assert (words["unit"], words["fps"], words["step"]) == ("m", 25.0, 0)
    assert [row["frame"] for row in words["frames"]] == list(range(5))
    np.testing.assert_allclose(
        words["frames"][3]["joints_3d"], kept["joints_3d"][3], atol=1e-5
    )
    assert len(list(video.read_frames(output / "animation.mp4"))) == 5


@pytest.mark.slow
@pytest.mark.parametrize(
    ("flip", "causal"), [("none", True), ("average", False), ("right", False)]
)
def test_segments_give_what_the_whole_sequence_gives(work, tmp_path, flip, causal):
    changes = {"evaluation.flip": flip, "model.causal": causal}
    source = write_person(tmp_path / "a.npz", keypoints=joints(11))
    predicted(work(**changes), source, output=str(tmp_path))
    config = run.read_config(work(**changes) / "work/config.json")
    lifter = make_lifter(config)
    asked = call(None, work(**changes))
    opened = run.open_run(asked, needs_data=False)
    task = opened.system.make_task(config)
    params, stats, _ = predict_poses.restore(asked, opened, task)
    inputs = normalize_screen_coordinates(joints(11), resolution=(640, 480))
    before = lifter.sight.before
    padded = np.pad(inputs, ((before, 2 - before), (0, 0), (0, 0)), mode="edge")
    padded = jax.numpy.asarray(padded[None])
    mirror = pose_files.LAYOUTS["h36m"].mirror()
    whole = lift(lifter, params, stats, padded, mirror=mirror, flip=flip)
    with np.load(tmp_path / "joints.npz") as arrays:
        expected = whole.pose[0] - whole.pose[0, :, :1]
        np.testing.assert_allclose(arrays["joints_3d"], expected, atol=1e-6)
        np.testing.assert_allclose(
            arrays["root_camera"], whole.auxiliary[0, :, 0], atol=1e-6
        )


def test_one_frame_is_enough(work, tmp_path, small_pictures):
    source = write_person(tmp_path / "a.npz", keypoints=joints(1))
    assert predicted(work(), source, output=str(tmp_path / "out"))["frames"] == 1
    assert np.load(tmp_path / "out/joints.npy").shape == (1, 17, 3)
    assert len(list(video.read_frames(tmp_path / "out/animation.mp4"))) == 1


def test_a_result_can_be_lifted_again(work, tmp_path):
    source = write_person(tmp_path / "a.npz", fps=None)
    predicted(work(), source, output=str(tmp_path / "1"))
    predicted(work(), tmp_path / "1/joints.npz", output=str(tmp_path / "2"))
    one, other = (np.load(tmp_path / name / "joints.npy") for name in "12")
    np.testing.assert_array_equal(one, other)
    assert json.loads((tmp_path / "1/joints.json").read_text())["fps"] is None


def test_the_world_is_that_of_the_camera_if_it_is_known(work, tmp_path):
    camera = h36m_camera("S9", 2)
    known = {
        "camera_orientation": camera.orientation,
        "camera_translation": camera.translation,
    }
    predicted(
        work(), write_person(tmp_path / "a.npz", **known), output=str(tmp_path / "a")
    )
    predicted(work(), write_person(tmp_path / "b.npz"), output=str(tmp_path / "b"))
    with np.load(tmp_path / "a/joints.npz") as arrays:
        in_camera = arrays["joints_3d"] + arrays["root_camera"][:, None]
        expected = camera_to_world(in_camera, camera)
        np.testing.assert_allclose(arrays["joints_world"], expected, atol=1e-5)
        assert str(arrays["world"]) == "world axes: z up; camera given"
    with np.load(tmp_path / "b/joints.npz") as arrays:
        assert abs(arrays["joints_world"][..., 2].min()) < 1e-6
        assert "the camera is unknown" in str(arrays["world"])


def test_without_a_trajectory_there_are_no_places(work, tmp_path):
    folder = work(auxiliary="none")
    predicted(folder, write_person(tmp_path / "a.npz"), output=str(tmp_path))
    with np.load(tmp_path / "joints.npz") as arrays:
        assert not {"root_camera", "joints_world", "world"} & set(arrays)
        np.testing.assert_array_equal(
            np.load(tmp_path / "joints.npy"), arrays["joints_3d"]
        )


def test_the_truth_has_a_panel_beside_a_reconstruction_at_its_place(
    work, tmp_path, drawn
):
    truth = np.random.default_rng(0).normal(size=(4, 17, 3)).astype(np.float32)
    source = write_person(tmp_path / "a.npz", ground_truth=truth)
    predicted(work(), source, output=str(tmp_path))
    poses = drawn["animation.mp4"]
    assert list(poses) == ["Reconstruction", "Ground truth"]
    one, other = poses.values()
    np.testing.assert_allclose(one[:, 0], other[:, 0], atol=1e-5)
    lengths = np.linalg.norm(np.diff(other, axis=1), axis=-1)
    expected = np.linalg.norm(np.diff(truth, axis=1), axis=-1)
    np.testing.assert_allclose(lengths, expected, rtol=1e-4)


def test_videos_get_a_folder_each_and_a_gif_if_it_is_asked_for(
    work, tmp_path, small_pictures
):
    folder = work(**{"data.labelled.input_2d": "detectron_pt_coco"})
    positions = {
        ("a/x.mp4", "custom"): (joints(2),),
        ("a_x.mp4", "custom"): (joints(3, seed=1),),
    }
    sizes = {"a/x.mp4": (640, 480), "a_x.mp4": (640, 480)}
    source = write_detections(tmp_path / "2d.npz", positions, sizes=sizes)
    predicted(folder, source, output=str(tmp_path / "out/walk.gif"))
    index = json.loads((tmp_path / "out/joints.json").read_text())
    assert [row["name"] for row in index["sequences"]] == ["a/x.mp4", "a_x.mp4"]
    places = [tmp_path / "out" / row["folder"] for row in index["sequences"]]
    assert len(set(places)) == 2
    assert [len(np.load(place / "joints.npy")) for place in places] == [2, 3]
    assert all((place / "walk.gif").is_file() for place in places)


def test_a_data_set_becomes_one_file_of_plain_arrays_per_recording(work, tmp_path):
    positions = {
        ("S9", action): tuple(joints(5, seed=n) for n in range(4))
        for action in ("Walking 1", "Eating")
    }
    source = write_detections(tmp_path / "2d.npz", positions, layout="h36m")
    found = predicted(work(), source, output=str(tmp_path / "out"))
    assert found["frames"] == 40
    files = sorted(p.name for p in (tmp_path / "out/S9").iterdir())
    assert files == ["Eating.npz", "Walking 1.npz"]
    with np.load(tmp_path / "out/S9/Walking 1.npz") as arrays:
        kept, views = dict(arrays), json.loads(str(arrays["about"]))
    assert list(views) == ["54138969", "55011271", "58860488", "60457274"]
    assert views["55011271"]["unit"] == "m"
    for number, camera in enumerate(views):
        in_camera = kept[f"joints_3d/{camera}"] + kept[f"root_camera/{camera}"][:, None]
        expected = camera_to_world(in_camera, h36m_camera("S9", number))
        np.testing.assert_allclose(kept[f"joints_world/{camera}"], expected, atol=1e-5)
    with pytest.raises(ValueError, match=r"names an animation, but the recordings"):
        predicted(work(), source, output=str(tmp_path / "a.mp4"))


def test_a_missing_nose_is_put_in_as_in_training(work, tmp_path):
    folder = work(**{"data.labelled.input_2d": "hr", "ignore_nose": True})
    found = joints(4, count=16)
    source = write_person(tmp_path / "a.npz", layout="h36m_16", keypoints=found)
    predicted(folder, source, output=str(tmp_path / "a"))
    with_nose = write_person(tmp_path / "b.npz", keypoints=insert_nose(found))
    predicted(work(), with_nose, output=str(tmp_path / "b"))
    one, other = (np.load(tmp_path / name / "joints.npy") for name in "ab")
    np.testing.assert_allclose(one, other, atol=1e-5)


@pytest.mark.parametrize(
    ("detector", "layout", "message"),
    [
        ("gt", "coco", r"layout 'coco', but the model was trained on 'h36m' \(gt\)"),
        ("detectron_pt_coco", "h36m", r"layout 'h36m', but .* trained on 'coco'"),
        ("hr", "h36m", r"layout 'h36m', but the model was trained on 'h36m_16' \(hr\)"),
        ("mine", "h36m", r"input_2d is 'mine'; which joints these are, .* --data_dir"),
    ],
)
def test_other_joints_than_those_of_the_training_are_refused_and_nothing_is_written(
    work, tmp_path, detector, layout, message
):
    folder = work(**{"data.labelled.input_2d": detector})
    source = write_person(tmp_path / "a.npz", layout=layout)
    with pytest.raises(ValueError, match=message):
        predicted(folder, source, output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_detector_of_ones_own_is_looked_up_in_the_prepared_data(work, tmp_path):
    config = posture_pose.get_config()
    config.data.labelled.input_2d = "mine"
    folder = tmp_path / "human36m_poses/poses/1.0.0"
    folder.mkdir(parents=True)
    for name in ("dataset_info.json", "features.json"):
        (folder / name).write_text("{}")
    rows = [{"name": "mine", "layout": "mpii"}]
    (folder / "metadata.json").write_text(json.dumps({"detectors": rows}))
    assert predict_poses.trained_layout(config, str(tmp_path)) == "mpii"


def test_inputs_that_cannot_be_lifted_are_refused_in_a_line(work, tmp_path):
    with pytest.raises(FileNotFoundError, match="--input is not given"):
        predict_poses.predict_poses(call(None, work()))
    source = write_person(tmp_path / "a.npz")
    with pytest.raises(ValueError, match="--boxes is given"):
        predicted(work(), source, boxes="b.jsonl")
    pickled = tmp_path / "2d.npz"
    np.savez(pickled, positions_2d={"a": {"custom": [joints()]}}, metadata={})
    with pytest.raises(ValueError, match=r"python -m datasets.convert") as raised:
        predicted(work(), pickled)
    assert "\n" not in str(raised.value)


def test_a_checkpoint_whose_poses_are_not_finite_is_refused(work):
    config = run.read_config(work() / "work/config.json")
    asked = call(None, work())
    opened = run.open_run(asked, needs_data=False)
    task = opened.system.make_task(config)
    params, stats, _ = predict_poses.restore(asked, opened, task)
    params = jax.tree.map(lambda x: x * np.nan, params)
    layout = pose_files.LAYOUTS["h36m"]
    lifted = predict_poses.make_lift_sequence(config, params, stats, layout=layout)
    source = write_person(work() / "a.npz")
    with pytest.raises(ValueError, match=r"poses of 'a' are not finite"):
        lifted(read_keypoint_input(source).sequences[0])
