"""The joint optimisation of flow and poses: targets, files, resuming, devices."""

import dataclasses
import json

import jax
import numpy as np
import pytest

from configs import flow_pose_sample
from datasets.prepare import prepare
from posejax import importers, models, training
from posejax.data.clip_labels import labels_as
from posejax.data.clips import first_frames
from posejax.losses import PoseVariables
from posejax.procedures import alternate, clip_results, optimise_clips, verb
from posejax.procedures.run import Run, without_sample
from posejax.skeletons import LSP_14, POSETRACK_17
from posejax.tasks import (
    TASKS,
    flow_pose,
    flow_pose_bodies,
    flow_pose_data,
    flow_pose_kinds,
)

NAME = "S9/Walking.54138969"


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    directory = tmp_path_factory.mktemp("data")
    for config in ("tiny_frames", "poses_tiny"):
        prepare("people_sample", config=config, data_dir=str(directory))
    weights = models.raft_network("small").init(jax.random.key(0))
    importers.save_weights(directory / "w.npz", weights, description={})
    return directory


def small(data_dir, **changes):
    config = without_sample(flow_pose_sample.get_config())
    settings = {
        "data.config": "tiny_frames", "data.clips": (), "data.every": 1,
        "data.scale": 0.5,
        "flow.weights": str(data_dir / "w.npz"), "flow.updates": 1, "flow.epochs": 1,
        "pose.num_steps": 20, "prior.data_config": "poses_tiny",
        "prior.subjects": ("S1", "S5"), "prior.every": 1,
    }  # fmt: skip
    config.update_from_flattened_dict({**settings, **changes})
    return config


def call(mode, config, data_dir, workdir, **changes):
    fields = {
        "config": config, "overrides": {}, "name": "test", "data": "prepared",
        "workdir": str(workdir), "data_dir": str(data_dir), "checkpoint": "last",
        "input": None, "boxes": None, "output": None,
        "prepare_sample": lambda *a: None,
    }  # fmt: skip
    run = Run(**(fields | changes))
    return verb(mode, run)(run)


@pytest.fixture(scope="module")
def finished(data_dir, tmp_path_factory):
    """A work directory in which the one clip was optimised."""
    workdir = tmp_path_factory.mktemp("run") / "work"
    config = small(data_dir, **{"output.flow": True, "output.weights": True})
    return workdir, config, call("train", config, data_dir, workdir)


@pytest.mark.slow
def test_a_clip_has_its_estimates_figures_flow_weights_and_pictures(finished, data_dir):
    workdir, config, figures = finished
    folder = workdir / "clips" / NAME
    names = {path.name for path in folder.iterdir()}
    assert {"figures.json", "estimates.npz", "sheet.png", "clip.mp4"} <= names
    assert len(list((folder / "flow_second").glob("*.flo"))) == 3
    importers.read_weights(
        folder / "weights.npz", like=flow_pose.initial_weights(config)
    )
    with np.load(folder / "estimates.npz") as saved:
        assert saved["joints3d_optim"].shape == (4, 14, 3)
        assert saved["joints2d_orig"].shape == (4, 14, 2)
        assert np.all(np.diff(saved["energy"]) < 0)
        assert json.loads(str(saved["about"]))["skeleton"] == "lsp_14"
    wanted = {"joint_epe/original", "joint_epe/second", "dense_epe/first"}
    assert wanted <= set(figures["clips"])
    report = json.loads((workdir / "evaluation" / "clips.json").read_text())
    assert report["mean"]["all"] == pytest.approx(figures["clips"])
    assert "optimised" in (workdir / "evaluation" / "clips.txt").read_text()


@pytest.mark.slow
def test_a_finished_clip_is_not_optimised_again(finished, data_dir, monkeypatch):
    workdir, config, figures = finished

    def never(*args, **kwargs):
        raise AssertionError("optimised again")

    monkeypatch.setattr(optimise_clips, "optimise_clip", never)
    assert call("train", config, data_dir, workdir) == figures
    assert call("evaluate", None, data_dir, workdir) == figures


@pytest.mark.slow
def test_a_work_directory_with_clips_refuses_another_config(finished, data_dir):
    workdir, _, _ = finished
    with pytest.raises(ValueError, match=r"\+flow\.epochs: 2"):
        call("train", small(data_dir, **{"flow.epochs": 2}), data_dir, workdir)


@pytest.mark.slow
def test_fine_tuning_lowers_its_loss_and_the_order_is_that_of_time(data_dir):
    config = small(data_dir, **{"flow.epochs": 6, "flow.learning_rate": 2e-4})
    clip = flow_pose_data.clip_set(config, str(data_dir)).read(NAME)
    programs = alternate.make_programs(config)
    weights = alternate.Weights(*flow_pose.initial_weights(config))
    flow = alternate.clip_flow(clip, programs, weights)
    joints = flow_pose.projected(clip.pose, clip.camera, clip.scale, clip.origin)
    tuned, losses, target = alternate.fine_tune(
        clip, config, programs, weights, flow, joints
    )
    assert losses.shape == (6 * (clip.num_frames - 1),)
    assert losses[-3:].mean() < losses[:3].mean()
    middle = (clip.num_frames - 1) // 2
    changed = np.any(target != flow[middle], axis=-1)
    x, y = np.rint(joints[middle, 8]).astype(int)
    assert changed[y, x]
    assert not changed[:, 0].any()
    # The weights that were given are still there.
    again = alternate.clip_flow(clip, programs, weights)
    np.testing.assert_array_equal(again, flow)
    assert not np.array_equal(alternate.clip_flow(clip, programs, tuned), flow)


@pytest.mark.slow
def test_poses_that_are_true_beside_flow_that_is_true_hardly_move(data_dir):
    none = {f"faults.{name}": 0.0 for name in ("drift_m", "jitter_m", "lengths")}
    config = small(data_dir, **none, **{"faults.camera": 0.0, "data.scale": 1.0})
    clip = flow_pose_data.clip_set(config, str(data_dir)).read(NAME)
    found = alternate.refine_poses(
        clip, config, alternate.make_programs(config), clip.truth.flow
    )
    moved = np.linalg.norm(np.asarray(found.variables.pose) - clip.pose, axis=-1)
    assert moved.max() < 0.02  # metres, in 20 steps of at most 1 mm


@pytest.mark.slow
def test_priors_are_further_terms_and_have_finite_gradients(data_dir):
    weights = {f"pose.weights.{name}": 1.0 for name in flow_pose.PRIOR_TERMS}
    config = small(data_dir, **weights)
    with pytest.raises(ValueError, match="there is no prior"):
        flow_pose.make_energy(config)
    priors = flow_pose_bodies.fit_body_priors(config, str(data_dir))
    clip = flow_pose_data.clip_set(config, str(data_dir)).read(NAME)
    flow = np.zeros((clip.num_frames - 1, *clip.size, 2), np.float32)
    programs = alternate.make_programs(config, priors)
    found = alternate.refine_poses(clip, config, programs, flow)
    assert set(flow_pose.PRIOR_TERMS) <= set(found.terms)
    for name in flow_pose.PRIOR_TERMS:
        assert np.isfinite(np.asarray(found.terms[name])).all()
    term = flow_pose_bodies.prior_terms("joint_mobility", priors)
    collapsed = PoseVariables(jax.numpy.zeros((2, 14, 3)), jax.numpy.ones((2, 3)))
    gradient = jax.grad(lambda v: term(v))(collapsed)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(gradient))


def test_figures_of_several_clips_are_sums_by_counts():
    rows = [
        {"a/x": [6.0, 2.0]},
        {"a/x": [0.0, 4.0], "b/x": [5.0, 1.0], "c": [0.0, 0.0]},
    ]
    assert clip_results.mean_figures(rows) == {"a/x": 1.0, "b/x": 5.0}


def test_figures_of_a_clip_are_those_of_loops(data_dir):
    config = small(data_dir, **{"data.scale": 1.0})
    clip = flow_pose_data.clip_set(config, str(data_dir)).read(NAME)
    truth = clip.truth
    flows = (truth.flow, truth.flow + 1.0)
    kind = flow_pose_kinds.pose_kind(config)
    original = kind.estimates(clip, kind.start(clip))
    result = alternate.ClipResult(
        flows, truth.flow[0], original, original | {"joints3d": truth.pose}, (),
        np.zeros(1), {}, None,
    )  # fmt: skip
    sums = clip_results.clip_figures(clip, result, kind, config.evaluation)
    found = clip_results.mean_figures([sums])
    assert found["dense_epe/original"] == 0
    assert found["dense_epe/first"] == pytest.approx(2**0.5, rel=1e-5)
    assert found["mpjpe_mm/optimised"] == pytest.approx(0, abs=1e-3)
    hips = clip.pose[:, 2:4].mean(axis=1, keepdims=True)
    errors = np.linalg.norm(clip.pose - hips - truth.pose, axis=-1)
    assert found["mpjpe_mm/original"] == pytest.approx(1000 * errors.mean(), rel=1e-4)
    total, count = 0.0, 0
    joints = labels_as(truth.joints, LSP_14)
    for t in range(clip.num_frames - 1):
        for joint in range(14):
            x, y = np.rint(joints[t, joint]).astype(int)
            if 0 <= x < clip.size[1] and 0 <= y < clip.size[0]:
                step = joints[t + 1, joint] - joints[t, joint]
                total += np.linalg.norm(truth.flow[t, y, x] - step)
                count += 1
    assert found["joint_epe/original"] == pytest.approx(total / count, rel=1e-4)


def test_a_clip_of_the_sample_without_bodies_has_detections_at_its_joints(data_dir):
    changes = {"pose.kind": "2d", "data.crop": False, "data.scale": 1.0}
    config = small(data_dir, **changes, **{"faults.detection_px": 0.0})
    clip = flow_pose_data.clip_set(config, str(data_dir)).read(NAME)
    assert not clip.has_bodies
    labels = labels_as(clip.truth.joints, POSETRACK_17)
    known = clip.confidence > 0
    assert known.any()
    np.testing.assert_allclose(clip.detections[known], labels[known], atol=1e-4)
    cropped = small(data_dir, **changes | {"data.crop": True})
    clip = flow_pose_data.clip_set(cropped, str(data_dir)).read(NAME)
    kind = flow_pose_kinds.pose_kind(cropped)
    points = flow_pose_kinds.points_of(kind, clip)
    assert np.array_equal(np.isfinite(points).all(-1), clip.confidence > 0)


def test_clips_that_are_not_there_are_refused_by_name(data_dir):
    config = small(data_dir, **{"data.clips": ("S9/Dancing.1",)})
    with pytest.raises(ValueError, match=r"config\.data\.clips is 'S9/Dancing\.1'"):
        flow_pose_data.clip_set(config, str(data_dir))
    config = small(data_dir, **{"data.name": "human36m_clips"})
    with pytest.raises(FileNotFoundError, match=r"config\.data\.root is ''"):
        flow_pose_data.clip_set(config, str(data_dir))


def test_a_person_outside_all_frames_is_refused(data_dir):
    config = small(data_dir)
    clip = flow_pose_data.clip_set(config, str(data_dir)).read(NAME)
    away = dataclasses.replace(clip, origin=clip.origin + 5000)
    flow = np.zeros((clip.num_frames - 1, *clip.size, 2), np.float32)
    programs = alternate.make_programs(config)
    with pytest.raises(ValueError, match=r"clip 'S9/Walking.* outside its frames"):
        alternate.refine_poses(away, config, programs, flow)


def test_infinite_estimates_end_with_the_name_of_the_clip(data_dir):
    config = small(data_dir)
    clip = first_frames(flow_pose_data.clip_set(config, str(data_dir)).read(NAME), 2)
    pose = clip.pose.copy()
    pose[0, 0, 2] = np.inf
    flow = np.zeros((1, *clip.size, 2), np.float32)
    programs = alternate.make_programs(config)
    with pytest.raises(ValueError, match=r"energy of clip 'S9/Walking.* not finite"):
        alternate.refine_poses(
            dataclasses.replace(clip, pose=pose), config, programs, flow
        )


@pytest.mark.slow
def test_devices_share_the_clips(data_dir, tmp_path, monkeypatch):
    seen = []

    def optimised(clip, opened, programs, weights):
        seen.append((clip.name, programs.step.mesh.devices.flat[0]))

    monkeypatch.setattr(optimise_clips, "optimise_clip", optimised)
    config = small(data_dir, **{"data.split": "train"})
    clips = flow_pose_data.clip_set(config, str(data_dir))
    assert len(clips.names) == 2
    opened = optimise_clips.Opened(
        config, tmp_path, TASKS["flow_pose"](), str(data_dir), "prepared", None
    )
    optimise_clips.optimise_set(clips, opened)
    assert sorted(name for name, _ in seen) == sorted(clips.names)
    assert isinstance(training.PrintedStop(), tuple)
