"""A run on HumanEva's 15 joints: trained, evaluated, imported into, and predicted with.

The prepared set is a tiny fake one; the networks are small.
"""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import videopose3d_humaneva
from posejax.data.humaneva_cameras import humaneva_cameras
from posejax.data.pose_cameras import camera_to_world
from posejax.procedures import lifted_poses, predict_poses
from posejax.procedures.evaluate import evaluate
from posejax.procedures.import_posture_pose import imported_variables
from posejax.procedures.run import apply_sample
from posejax.procedures.train import train
from posejax.skeletons import HUMANEVA_15
from posejax.tasks.posture_pose import make_task, variables
from posejax.tasks.posture_pose_data import make_data
from posejax.tasks.posture_pose_lifter import lift, make_lifter
from posejax.tasks.posture_pose_windows import mirrored, pose_skeleton
from tests.data.test_keypoint_inputs import joints, write_detections, write_person
from tests.datasets import fake_humaneva
from tests.procedures.test_import_posture_pose import state_dict
from tests.procedures.test_run_directory import call

SMALL = {
    "model.filter_widths": (3,), "model.channels": 8, "batch_size": 8, "num_steps": 2,
    "evaluation.segment": 4, "evaluation.every": 2, "log.checkpoint_every": 2,
    "auxiliary": "trajectory",
}  # fmt: skip
ACTIONS = ("Walking", "Jog", "Box")


def small(**changes):
    config = videopose3d_humaneva.get_config()
    config.update_from_flattened_dict(SMALL | changes)
    return config


@pytest.fixture(scope="module", name="data_dir")
def _data_dir(tmp_path_factory):
    from datasets.prepare import prepare

    folder = tmp_path_factory.mktemp("humaneva")
    raw = fake_humaneva.write(folder / "raw")
    prepare(
        "humaneva_poses", manual_dir=raw, data_dir=folder / "data", allow_pickle=True,
        progress="none",
    )  # fmt: skip
    return str(folder / "data")


@pytest.fixture(scope="module", name="work")
def _work(tmp_path_factory, data_dir):
    """A work directory after two steps, and what training returned."""
    folder = tmp_path_factory.mktemp("run")
    run = call(small(), folder, data="prepared", data_dir=data_dir)
    return folder, train(run)


def test_two_steps_of_training_end_in_figures_per_action_and_joint(work, data_dir):
    folder, trained = work
    lines = (folder / "work/metrics.jsonl").read_text().splitlines()
    steps = [row for row in map(json.loads, lines) if "total" in row]
    assert [row["step"] for row in steps] == [1, 2]
    assert {"pose", "auxiliary"} <= set(steps[0])
    again = call(None, folder, data="prepared", data_dir=data_dir)
    figures = evaluate(again)["test"]
    assert figures == pytest.approx(trained["test"])
    parts = [n for n in fake_humaneva.PARTS if n.split(" ")[0] in ACTIONS]
    count = sum(fake_humaneva.PARTS[name] for name in parts)
    assert figures["frames"] == 3 * 3 * count
    for measure in ("p1", "p1_unrooted", "p2", "p3", "velocity", "trajectory"):
        by_action = [figures[f"{measure}_by_action/{name}"] for name in ACTIONS]
        assert figures[measure] == pytest.approx(np.mean(by_action))
    assert {n for n in figures if n.startswith("p1_by_subject")} == {
        f"p1_by_subject/Validate/S{number}" for number in (1, 2, 3)
    }
    by_joint = [n.partition("/")[2] for n in figures if n.startswith("p1_by_joint")]
    assert by_joint == list(HUMANEVA_15.joints)
    assert not [name for name in figures if "mpboe" in name]
    result = json.loads((folder / "work/evaluation/test.json").read_text())
    assert set(result["baselines"]) == {"mean pose", "linear map"}


def test_the_figures_are_those_of_the_networks_on_whole_sequences(work, data_dir):
    folder, trained = work
    config = small(**{"data.actions": ("Jog",)})
    data, task = make_data(config, data_dir), make_task(config, data_dir)
    asked = call(None, folder, data="prepared", data_dir=data_dir)
    opened = predict_poses.open_run(asked, needs_data=False)
    params, state, _ = predict_poses.restore(asked, opened, task)
    kept = data.resident["test_poses"]
    assert "intrinsics" not in kept
    inputs = kept["poses_2d"].reshape(9, 4, 17, 2)  # cameras of people
    padded = np.pad(inputs, ((0, 0), (1, 1), (0, 0), (0, 0)), mode="edge")
    padded, order = jnp.asarray(padded), kept["mirror_2d"]
    found = lift(make_lifter(config), params, state, padded, mirror=order).pose
    target = kept["poses_3d"] * (np.arange(15) > 0)[:, None]
    off = found - found[..., :1, :] - target.reshape(9, 4, 15, 3)
    expected = 1000 * np.linalg.norm(off, axis=-1).mean()
    figures = trained["test"]
    assert figures["p1_by_action/Jog"] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("flip", ["average", "right"])
def test_the_mirror_image_exchanges_the_sides_of_the_skeleton(data_dir, flip):
    config = small()
    task, lifter = make_task(config, data_dir), make_lifter(config)
    params, state = task.init(jax.random.key(0), {})
    rng = np.random.default_rng(0)
    inputs = jnp.asarray(rng.normal(size=(1, 6, 17, 2)), jnp.float32)
    order = np.arange(17)
    order[1::2], order[2::2] = order[2::2].copy(), order[1::2].copy()
    order = jnp.asarray(order)

    def run(inputs, flip):
        return np.asarray(
            lift(lifter, params, state, inputs, mirror=order, flip=flip).pose
        )

    plain, other = run(inputs, "none"), run(mirrored(inputs, order), "none")
    swapped = other[..., HUMANEVA_15.mirror(), :] * [-1, 1, 1]
    left, right = map(list, zip(*HUMANEVA_15.left_right, strict=True))
    centre = [0, 1, 14]
    found = run(inputs, flip)
    average = (plain + swapped) / 2
    np.testing.assert_allclose(found[..., centre, :], average[..., centre, :], 1e-5)
    if flip == "average":
        np.testing.assert_allclose(found, average, rtol=1e-4, atol=1e-6)
    else:
        np.testing.assert_allclose(found[..., right, :], plain[..., right, :], 1e-5)
        np.testing.assert_allclose(found[..., left, :], swapped[..., left, :], 1e-5)


@pytest.fixture
def drawn(monkeypatch):
    """Keeps what animations would show instead of drawing them."""
    shown = {}

    def write(path, keypoints, poses, **options):
        shown[path.name] = (poses, options["skeleton"])
        return len(keypoints)

    monkeypatch.setattr(lifted_poses.render, "write_pose_animation", write)
    return shown


def predicted(folder, source, output):
    asked = call(None, folder, input=str(source), output=str(output), data_dir=None)
    return predict_poses.predict_poses(asked)


def test_a_video_is_lifted_to_the_joints_of_the_set(work, tmp_path, drawn):
    source = write_person(tmp_path / "a.npz", layout="coco", keypoints=joints(6))
    assert predicted(work[0], source, tmp_path / "out")["frames"] == 6
    with np.load(tmp_path / "out/joints.npz") as arrays:
        assert arrays["joints_3d"].shape == arrays["joints_world"].shape == (6, 15, 3)
        assert str(arrays["skeleton"]) == "humaneva_15"
        assert arrays["joint_names"].tolist() == list(HUMANEVA_15.joints)
    poses, skeleton = drawn["animation.mp4"]
    assert skeleton is HUMANEVA_15
    assert poses["Reconstruction"].shape == (6, 15, 3)


def test_recordings_of_humaneva_are_lifted_with_their_cameras(work, tmp_path):
    views = tuple(joints(4, seed=number) for number in range(3))
    positions = {
        ("Validate/S2", "Box 1 chunk0"): views, ("Unlabeled/S4", "Box 2"): views,
    }  # fmt: skip
    source = write_detections(tmp_path / "2d.npz", positions)
    assert predicted(work[0], source, tmp_path / "out")["frames"] == 24
    with np.load(tmp_path / "out/Validate_S2/Box 1 chunk0.npz") as arrays:
        about = json.loads(str(arrays["about"]))
        assert list(about) == ["C1", "C2", "C3"]
        assert about["C2"]["skeleton"] == "humaneva_15"
        assert (about["C2"]["width"], about["C2"]["fps"]) == (640, 60.0)
        in_camera = arrays["joints_3d/C2"] + arrays["root_camera/C2"][:, None]
        expected = camera_to_world(in_camera, humaneva_cameras("S2")[1])
        np.testing.assert_allclose(arrays["joints_world/C2"], expected, atol=1e-5)
    with np.load(tmp_path / "out/Unlabeled_S4/Box 2.npz") as arrays:
        about = json.loads(str(arrays["about"]))
        assert "the camera is unknown" in about["C3"]["world"]


def test_inputs_of_other_joints_are_refused(work, tmp_path):
    source = write_person(tmp_path / "a.npz")
    with pytest.raises(ValueError, match=r"layout 'h36m', but .* trained on 'coco'"):
        predicted(work[0], source, tmp_path / "out")
    truth = {"layout": "coco", "ground_truth": np.ones((4, 17, 3))}
    source = write_person(tmp_path / "b.npz", **truth)
    with pytest.raises(ValueError, match=r"lifts to those of 'humaneva_15'; leave"):
        predicted(work[0], source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_true_keypoints_of_the_set_are_those_of_its_skeleton(data_dir):
    changes = {f"data.{part}.input_2d": "gt" for part in ("labelled", "test")}
    config = small(**changes, **{"model.in_joints": 15})
    kept = make_data(config, data_dir).resident["labelled_poses"]
    assert kept["poses_2d"].shape[1:] == (15, 2)
    assert predict_poses.trained_layout(config, data_dir) == "humaneva15"


@pytest.mark.parametrize(
    "term", ["posture", "bone_length", "root", "bone_proportion", "view_posture"]
)
def test_terms_of_the_joints_of_human36m_are_refused_in_one_line(term):
    with pytest.raises(ValueError, match=f"weights.{term} is not 0, but") as error:
        make_task(small(**{f"weights.{term}": 1.0}))
    assert "'humaneva_15'" in str(error.value)
    assert "\n" not in str(error.value)


def test_other_things_that_the_set_does_not_have_are_refused(data_dir):
    with pytest.raises(ValueError, match="'humaneva_15', which has no nose; set it to"):
        make_task(small(ignore_nose=True))
    without = small(**{"data.labelled.input_2d": "cpn"})
    with pytest.raises(ValueError, match="detector is 'cpn'; expected one of"):
        make_data(without, data_dir)
    changes = {
        "weights.reprojection": 1.0, "projection": "linear",
        "data.unlabelled.subjects": ("Train/S3",),
        "data.labelled.subjects": ("Train/S1", "Train/S2"),
        "data.unlabelled.input_2d": "detectron_pt_coco",
    }  # fmt: skip
    with pytest.raises(ValueError, match=r"Train/S3 have no intrinsics; .* calibrated"):
        make_data(small(**changes), data_dir)


def test_a_set_of_another_skeleton_is_refused(data_dir, monkeypatch):
    from posejax.tasks import posture_pose_data

    found = posture_pose_data.statistics.open_branch(
        small(), data_dir, small().data.test
    )
    changed = found.__class__(**{**vars(found), "skeleton": "humaneva_20"})
    monkeypatch.setattr(
        posture_pose_data.statistics, "open_branch", lambda *args: changed
    )
    with pytest.raises(ValueError, match="poses of 'humaneva_20'; expected 'humaneva_"):
        make_data(small(), data_dir)


def test_on_the_sample_the_networks_predict_its_joints():
    config = apply_sample(videopose3d_humaneva.get_config(), {})
    assert pose_skeleton(config).num_joints == 17
    assert config.data.labelled.input_2d == "gt"
    assert config.data.actions == ()
    with pytest.raises(ValueError, match="config variant is 'mocap'; expected nothing"):
        videopose3d_humaneva.get_config("mocap")


def test_a_checkpoint_must_hold_networks_for_the_joints_of_the_set():
    config = small(auxiliary="none")
    params, _ = variables(config)
    assert params["pose"]["shrink"]["bias"].shape == (45,)
    content = {"model_pos": state_dict(1, joints=15, widths=(3,))}
    imported, _ = imported_variables(config, content)
    assert imported["pose"]["shrink"]["bias"].shape == (45,)
    content = {"model_pos": state_dict(1, joints=17, widths=(3,))}
    with pytest.raises(ValueError, match="is for 17 joints, not 15"):
        imported_variables(config, content)
