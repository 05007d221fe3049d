"""What predict draws: the section `animation`, recordings by name, and their truth."""

import json
import shutil

import jax
import numpy as np
import pytest

from configs.bases import posture_pose
from datasets.prepare import prepare
from posejax import training
from posejax.data.pose_source import read_pose_set
from posejax.procedures import animated_poses, lifted_poses, predict_poses, run
from posejax.procedures.animated_poses import Animation, asked_animation
from posejax.render import write_video
from posejax.tasks import TASKS
from tests.data.test_keypoint_inputs import joints, write_detections, write_person
from tests.procedures.test_run_directory import call

TINY = {
    "model.filter_widths": (3,), "model.channels": 8, "evaluation.segment": 16,
    "data.name": "people_sample", "data.config": "poses_tiny",
}  # fmt: skip
CHOSEN = {"animation.recording": "S9/Walking", "animation.camera": 2}
CAMERAS = ("54138969", "55011271", "58860488", "60457274")


@pytest.fixture(autouse=True)
def drawn(monkeypatch):
    """Leaves animations out and keeps what they would show, by file name."""
    shown = {}

    def write(path, keypoints, poses, **options):
        images = options.pop("images")
        pictures = None if images is None else list(images)
        shown[path.name] = {
            "keypoints": keypoints, "poses": poses, "images": pictures, **options
        }  # fmt: skip
        return len(keypoints)

    monkeypatch.setattr(lifted_poses.render, "write_pose_animation", write)
    return shown


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    prepare("people_sample", config="poses_tiny", data_dir=str(directory))
    return directory


@pytest.fixture(scope="module")
def made(tmp_path_factory, prepared):
    folder = tmp_path_factory.mktemp("model")
    asked = call(given(), folder, data="prepared", overrides=dict(TINY))
    config = run.without_sample(given())
    run.claim(asked, folder / "work", config, str(prepared), "prepared")
    task = TASKS["posture_pose"]().make_task(config)
    state = training.init_state(jax.random.key(0), task, {})
    place = folder / "work/checkpoints"
    with training.Checkpoints(place, best=task.selection) as checkpoints:
        checkpoints.save(state)
    return folder


@pytest.fixture
def work(made, tmp_path):
    """The folder of a work directory `work` that holds a tiny model never trained."""
    shutil.copytree(made, tmp_path / "model")
    return tmp_path / "model"


def given(**changes):
    config = posture_pose.get_config()
    config.update_from_flattened_dict(TINY | changes)
    return config


def predicted(work, **changes):
    """Predicts as the command line does with these fields of the config set."""
    fields = {name: changes.pop(name) for name in list(changes) if "." in name}
    config = posture_pose.get_config()
    config.update_from_flattened_dict(fields)
    settings = {"data": "auto", "data_dir": None, "overrides": fields} | changes
    return predict_poses.predict_poses(call(config, work, **settings))


def at_50_fps(prepared, folder):
    """A copy of the prepared data that has the frame rate of Human3.6M."""
    shutil.copytree(prepared, folder)
    (path,) = folder.glob("people_sample/poses_tiny/*/metadata.json")
    path.write_text(json.dumps(json.loads(path.read_text()) | {"fps": 50.0}))
    return str(folder)


def test_the_config_and_the_library_have_the_same_defaults():
    assert asked_animation(posture_pose.get_config().animation) == Animation()
    assert asked_animation(None) == Animation()


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("skip", -1, "config.animation.skip is -1; expected at least 0"),
        ("limit", -5, "config.animation.limit is -5"),
        ("downsample", 0, "config.animation.downsample is 0; expected at least 1"),
        ("bitrate_kbps", -1, "config.animation.bitrate_kbps is -1"),
        ("camera", -1, "config.animation.camera is -1"),
        ("size_inches", 100.0, r"is 100.0 \* 80; expected a panel of 32 to 4096"),
        ("size_inches", float("nan"), "expected a panel of 32 to 4096 pixels"),
        ("dots_per_inch", 0, "expected a panel of 32 to 4096 pixels"),
        ("recording", "Walking", "'Walking'; expected a subject and an action"),
    ],
)
def test_a_field_out_of_its_range_is_refused_by_name(field, value, message):
    config = given(**{f"animation.{field}": value})
    with pytest.raises(ValueError, match=message):
        asked_animation(config.animation)


def test_the_fields_become_options():
    changes = {"skip": 3, "limit": 7, "downsample": 2, "bitrate_kbps": 0}
    config = given(**{f"animation.{name}": value for name, value in changes.items()})
    options = asked_animation(config.animation).options
    assert (options.skip, options.limit, options.downsample) == (3, 7, 2)
    assert options.bitrate_kbps is None


def test_a_recording_of_the_data_set_is_lifted_and_drawn_beside_its_truth(
    work, prepared, drawn
):
    found = predicted(work, **CHOSEN, **{"animation.limit": 5})
    output = work / "work/predictions/S9_Walking"
    assert found == {"frames": 4 * 12, "output": str(output)}
    with np.load(output / "S9/Walking.npz") as arrays:
        assert {name for name in arrays if name.startswith("joints_3d/")} == {
            f"joints_3d/{camera}" for camera in CAMERAS
        }
    ((name, shown),) = drawn.items()
    assert name == "S9_Walking_58860488.mp4"
    assert list(shown["poses"]) == ["Reconstruction", "Ground truth"]
    known = read_pose_set(str(prepared), "people_sample", config="poses_tiny")
    (true,) = [
        r for r in known.recordings if (r.subject, r.action) == ("S9", "Walking")
    ]
    truth = shown["poses"]["Ground truth"]
    np.testing.assert_allclose(truth, true.poses_3d, atol=1e-5)
    np.testing.assert_allclose(shown["poses"]["Reconstruction"][:, 0], truth[:, 0])
    assert (shown["fps"], shown["options"].limit) == (25.0, 5)
    assert shown["resolution"] == (1000, 1000)


def test_without_its_panel_the_truth_still_places_the_reconstruction(work, drawn):
    output = str(work / "out/a.gif")
    predicted(work, **CHOSEN, output=output)
    predicted(
        work,
        **CHOSEN,
        **{"animation.ground_truth": False},
        output=output[:-5] + "b.gif",
    )
    with_panel, without = drawn["a.gif"]["poses"], drawn["b.gif"]["poses"]
    assert list(without) == ["Reconstruction"]
    np.testing.assert_array_equal(*(p["Reconstruction"] for p in (with_panel, without)))


def test_a_recording_of_a_file_of_detections_has_the_truth_of_the_data_set(
    work, prepared, drawn, tmp_path
):
    views = tuple(joints(15, seed=n) for n in range(4))
    positions = {("S9", "Walking"): views, ("S9", "Eating"): views}
    source = write_detections(tmp_path / "2d.npz", positions, layout="h36m")
    asked = {"input": str(source), "output": str(tmp_path / "out")}
    found = predicted(
        work, **CHOSEN, **asked, data_dir=at_50_fps(prepared, tmp_path / "data")
    )
    assert found["frames"] == 2 * 4 * 15
    assert set(drawn) == {"S9_Walking_58860488.mp4"}
    shown = drawn["S9_Walking_58860488.mp4"]
    # Videos run on after the last true pose.
    np.testing.assert_array_equal(shown["keypoints"], views[2][:12])
    assert [len(pose) for pose in shown["poses"].values()] == [12, 12]
    with np.load(tmp_path / "out/S9/Walking.npz") as arrays:
        assert len(arrays["joints_3d/58860488"]) == 15


def test_the_truth_of_another_recording_of_that_name_is_not_shown(
    work, drawn, tmp_path, monkeypatch
):
    said = []

    def info(text, *words):
        said.extend([text % words] if "no ground truth" in str(text) else [])

    monkeypatch.setattr(animated_poses.logging, "info", info)
    positions = {("S9", "Walking"): tuple(joints(5, seed=n) for n in range(4))}
    source = write_detections(tmp_path / "2d.npz", positions, layout="h36m")
    asked = {"input": str(source), "output": str(tmp_path / "out")}
    predicted(work, **CHOSEN, **asked)  # drawn people, at 25 frames per second
    assert list(drawn["S9_Walking_58860488.mp4"]["poses"]) == ["Reconstruction"]
    predicted(work, **CHOSEN, **asked, data_dir=str(tmp_path))
    assert "has another camera, frame rate or joint set" in said[0]
    assert "is not prepared in" in said[1]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"recording": "S99/Walking"}, r"the subject of .* is 'S99'; expected one of"),
        ({"recording": "S9/Walkin"}, r"the action of .*recording for S9 is 'Walkin'; "
         r"expected one of 'Walking'"),
        ({"recording": "S9/Walking", "camera": 4}, r"config.animation.camera is 4; "
         r"expected one of S9/Walking: 0 \(54138969\), 1 \(55011271\)"),
        ({"recording": "S9/Walking", "skip": 12}, "keypoints has 12 frames, of which "),
    ],
)  # fmt: skip
def test_what_cannot_be_drawn_is_refused_before_anything_is_written(
    work, drawn, tmp_path, fields, message
):
    changes = {f"animation.{name}": value for name, value in fields.items()}
    with pytest.raises(ValueError, match=message):
        predicted(work, **changes, output=str(tmp_path / "out"))
    positions = {("S9", "Walking"): tuple(joints(12, seed=n) for n in range(4))}
    source = write_detections(tmp_path / "2d.npz", positions, layout="h36m")
    with pytest.raises(ValueError, match=message):
        predicted(work, **changes, input=str(source), output=str(tmp_path / "out"))
    assert not (tmp_path / "out").exists()
    assert not drawn


def test_the_video_of_the_recording_lies_behind_its_keypoints(work, drawn, tmp_path):
    path = tmp_path / "seen.mp4"
    write_video(path, (np.full((1000, 1000, 3), n, np.uint8) for n in (0, 200)), 25)
    asked = CHOSEN | {"animation.video": str(path)}
    predicted(work, **asked, output=str(tmp_path / "a.mp4"))
    levels = [image[500, 500, 0] for image in drawn["a.mp4"]["images"]]
    np.testing.assert_allclose(levels, (0, 200), atol=4)


def test_a_video_that_cannot_belong_to_the_keypoints_is_refused(work, tmp_path):
    small = tmp_path / "small.mp4"
    write_video(small, [np.zeros((32, 48, 3), np.uint8)], 25)
    out = {"output": str(tmp_path / "out")}
    with pytest.raises(ValueError, match=r"video .*small.mp4' has pictures of 48x32"):
        predicted(work, **CHOSEN, **{"animation.video": str(small)}, **out)
    missing = {"animation.video": str(tmp_path / "none.mp4")}
    with pytest.raises(FileNotFoundError, match=r"none.mp4 does not exist"):
        predicted(work, **CHOSEN, **missing, **out)
    positions = {("S9", "Walking"): (joints(5),)}
    source = write_detections(tmp_path / "2d.npz", positions, layout="h36m")
    with pytest.raises(ValueError, match=r"small.mp4', but 0 sequences of 2d.npz are"):
        predicted(work, **{"animation.video": str(small)}, input=str(source), **out)
    person = write_person(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"'S9/Walking', but a.npz holds no rec"):
        predicted(work, **CHOSEN, input=str(person), **out)
    assert not (tmp_path / "out").exists()


def test_what_is_drawn_is_no_part_of_a_run(work):
    before = {
        name: json.loads((work / f"work/{name}.json").read_text())
        for name in ("config", "run")
    }
    assert "animation" not in before["config"]
    predicted(work, **CHOSEN)
    for name, content in before.items():
        assert json.loads((work / f"work/{name}.json").read_text()) == content


def test_the_data_and_the_overrides_of_the_training_need_not_be_repeated(
    work, tmp_path
):
    person = write_person(tmp_path / "a.npz")
    asked = {"input": str(person), "output": str(tmp_path / "out")}
    predicted(work, **asked)  # the name of the config alone
    with pytest.raises(ValueError, match=r"-evaluation.flip: .*\+evaluation.flip: "):
        predicted(work, **asked, **{"evaluation.flip": "none"})
    with pytest.raises(ValueError, match=r"holds a run of another config"):
        predicted(work, **asked, name="another_config", data="prepared")
    # A checkpoint is used where the data are not.
    predicted(work, **asked, data_dir=str(tmp_path / "nothing"))
    kept = json.loads((work / "work/run.json").read_text())
    assert kept["overrides"]["model.channels"] == 8
