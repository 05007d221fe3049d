"""flow_pose from files: runs of trees, single clips, both kinds; a simple network."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import flow_pose_h36m, flow_pose_sintel
from posejax import importers, models, training
from posejax.data import h36m_clips, sintel_clips
from posejax.data.clips import first_frames
from posejax.data.metro import write_metro
from posejax.procedures import alternate, clip_results, verb
from posejax.procedures.run import Run
from posejax.tasks import flow_pose, flow_pose_data, flow_pose_kinds
from tests.data import fake_clips
from tests.refusals import assert_refused_in_one_line

WALKING = "S9/Walking 1.60457274"


def simple_flow(params, model_state, image1, image2, *, num_updates, train=False):
    """Stands in for RAFT, with statistics that move as those of its batch norm."""
    del num_updates
    change = (image2 - image1)[..., :2] / 64
    mean = jnp.mean(image1)
    state = {"mean": 0.9 * model_state["mean"] + 0.1 * mean} if train else model_state
    shift = mean if train else model_state["mean"]
    flow = params["gain"] * change + shift / 256
    return models.RaftOutput(flow, None, None, None), state


@pytest.fixture(autouse=True)
def simple_network(monkeypatch):
    network = models.RaftNetwork(
        lambda key: ({"gain": np.float32(0.5)}, {"mean": np.float32(0)}),
        simple_flow,
        models.raft_network("small").sizes,
    )
    monkeypatch.setattr(flow_pose, "make_network", lambda config: network)


@pytest.fixture(scope="module")
def trees(tmp_path_factory):
    root = tmp_path_factory.mktemp("trees")
    videos = fake_clips.VIDEOS[:2]
    fake_clips.write_human36m(root / "h36m", videos, labelled=12)
    fake_clips.write_sintel(root / "sintel", ("alley_2", "cave_2"))
    weights = ({"gain": np.float32(0.5)}, {"mean": np.float32(10)})
    importers.save_weights(root / "w.npz", weights, description={})
    return root


def small(module, trees, **changes):
    config = module.get_config()
    settings = {
        "data.root": str(trees / ("h36m" if module is flow_pose_h36m else "sintel")),
        "flow.weights": str(trees / "w.npz"), "flow.epochs": 2, "flow.radius": 2,
        "flow.learning_rate": 0.01, "flow.points": 2, "pose.num_steps": 3,
        "output.pictures": False,
    }  # fmt: skip
    if module is flow_pose_sintel:
        settings["data.clips"] = ("alley_2", "cave_2")
    config.update_from_flattened_dict(settings | changes)
    return config


def call(mode, config, workdir, **changes):
    fields = {
        "config": config, "overrides": {}, "name": "test", "data": "auto",
        "workdir": workdir and str(workdir), "data_dir": "none",
        "checkpoint": "last", "input": None, "boxes": None, "output": None,
        "prepare_sample": lambda *a: None,
    }  # fmt: skip
    run = Run(**(fields | changes))
    return verb(mode, run)(run)


def start(config):
    return alternate.make_programs(config), alternate.Weights(
        *flow_pose.initial_weights(config)
    )


def first_leaf(tree):
    return jax.tree.leaves(tree)[0]


def body_clip(trees, name=WALKING):
    return h36m_clips.h36m_clip(str(trees / "h36m"), name)


@pytest.mark.slow
def test_a_tree_of_human36m_is_optimised_from_its_files(trees, tmp_path):
    config = small(flow_pose_h36m, trees)
    found = call("train", config, tmp_path / "work")["clips"]
    for name in ("joint_epe/original", "joint_epe_per_32/second", "mpjpe_mm/optimised",
                 "projection_px/original"):  # fmt: skip
        assert found[name] > 0
    report = json.loads((tmp_path / "work/evaluation/clips.json").read_text())
    assert set(report["action"]) == {"TakingPhoto", "Walking"}
    assert report["num_clips"] == 2
    assert report["counts"]["mpjpe_mm/optimised"] == 6
    with np.load(tmp_path / "work/clips" / WALKING / "estimates.npz") as saved:
        assert saved["joints3d_optim"].shape == (3, 14, 3)
        assert json.loads(str(saved["about"]))["fps"] == 10
    assert call("evaluate", None, tmp_path / "work")["clips"] == pytest.approx(found)


@pytest.mark.slow
def test_scenes_are_optimised_in_the_frames_alone(trees, tmp_path):
    config = small(flow_pose_sintel, trees, **{"output.pictures": True})
    found = call("train", config, tmp_path / "work")["clips"]
    assert set(found) == {f"dense_epe/{n}" for n in ("original", "first", "second")}
    folder = tmp_path / "work/clips/alley_2"
    assert (folder / "sheet.png").is_file()
    with np.load(folder / "estimates.npz") as saved:
        assert saved["joints2d_optim"].shape == (3, 17, 2)
        assert "joints3d_optim" not in saved
        known = saved["confidence"] > 0
        moved = saved["joints2d_optim"] != saved["joints2d_orig"]
        assert moved.any()
        assert not moved[~known].any()
        assert json.loads(str(saved["about"]))["skeleton"] == "posetrack_17"


def test_nothing_is_made_where_the_files_are_not_there(trees, tmp_path):
    config = small(flow_pose_h36m, trees, **{"data.root": str(tmp_path)})
    with pytest.raises(FileNotFoundError, match="metro_estimates_h36m"):
        call("train", config, tmp_path / "work")
    config = small(flow_pose_h36m, trees, **{"data.root": ""})
    with pytest.raises(FileNotFoundError, match=r"config\.data\.root is ''"):
        call("train", config, tmp_path / "work", data="prepared")
    assert not (tmp_path / "work").exists()


def test_a_kind_that_the_clips_have_not_is_refused(trees):
    config = small(flow_pose_h36m, trees, **{"pose.kind": "2d"})
    with pytest.raises(ValueError, match=r"config\.pose\.kind is '2d'"):
        flow_pose_data.clip_set(config, "")
    config = small(flow_pose_sintel, trees, **{"pose.weights.joint_mobility": 1.0})
    with pytest.raises(ValueError, match=r"no bodies in config\.pose\.kind '2d'"):
        flow_pose.make_energy(config)
    config = small(flow_pose_sintel, trees)
    with pytest.raises(ValueError, match="choose the other kind"):
        alternate.require_joints(body_clip(trees), flow_pose_kinds.pose_kind(config))


@pytest.fixture
def files(tmp_path):
    fake_clips.write_film(tmp_path / "walk.mp4", 3)
    write_metro(tmp_path / "poses.npz", fake_clips.estimates())
    fake_clips.write_detections(tmp_path / "found.json", 2)
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("module", [flow_pose_h36m, flow_pose_sintel])
def test_one_clip_is_refined_from_its_files_without_a_work_directory(
    module, trees, files, monkeypatch
):
    monkeypatch.chdir(files)
    config = small(
        module, trees,
        **{"files.detections": "found.json", "files.poses": "poses.npz"},
    )  # fmt: skip
    found = call("predict", config, None, input="walk.mp4", output="out")
    assert found["frames"] == 3
    assert {p.name for p in (files / "out").iterdir()} == {"clip.json", "estimates.npz"}
    assert not (files / "runs").exists()
    about = json.loads((files / "out/clip.json").read_text())
    assert about["path"] == str(files / "walk.mp4")


def test_estimates_of_every_other_frame_are_of_those_frames(trees, files):
    fake_clips.write_film(files / "walk.mp4", 7)
    config = small(flow_pose_h36m, trees, **{
        "files.poses": str(files / "poses.npz"), "files.first": 1, "files.every": 2,
    })  # fmt: skip
    clip = flow_pose_data.files_clip(config, str(files / "walk.mp4"))
    corners = clip.images[:, 4:12, 4:12].mean(axis=(1, 2, 3)) / 12
    assert np.rint(corners).tolist() == [1, 3, 5]


def test_files_that_are_not_named_or_not_there_are_refused_in_one_line(trees, files):
    config = small(flow_pose_h36m, trees)
    walk = {"input": str(files / "walk.mp4"), "output": str(files / "out")}
    for mode, kind, words in (
        ({"input": None}, ValueError, ("--input is missing",)),
        ({"boxes": "b.json"}, ValueError, ("--boxes",)),
        ({}, ValueError, ("config.files.poses is ''", "METRO")),
    ):
        arguments = walk | mode
        assert_refused_in_one_line(
            lambda a=arguments: call("predict", config, files, **a), *words, kind=kind
        )
    config.files.poses = str(files / "none.npz")
    assert_refused_in_one_line(
        lambda: call("predict", config, files, **walk),
        "none.npz", kind=FileNotFoundError,
    )  # fmt: skip
    config.files.poses = str(files / "found.json")
    assert_refused_in_one_line(
        lambda: call("predict", config, files, **walk), "found.json"
    )
    assert not (files / "out").exists()


def test_results_of_another_input_are_not_written_over(trees, files):
    config = small(flow_pose_h36m, trees, **{"files.poses": str(files / "poses.npz")})
    folder = files / "work/predictions/walk.mp4"
    folder.mkdir(parents=True)
    (folder / "clip.json").write_text('{"path": "elsewhere/walk.mp4"}')
    with pytest.raises(ValueError, match="holds the results for 'elsewhere"):
        call("predict", config, files / "work", input=str(files / "walk.mp4"))


def test_trained_statistics_move_and_targets_are_from_the_flow_that_uses_them(trees):
    config = small(flow_pose_h36m, trees, **{"flow.bn_mode": "train"})
    clip = body_clip(trees)
    programs, weights = start(config)
    flow = alternate.clip_flow(clip, programs, weights)
    joints = np.zeros((3, 14, 2), np.float32) - 100  # no joint asks for anything
    tuned, losses, target = alternate.fine_tune(
        clip, config, programs, weights, flow, joints
    )
    trained, moved = alternate.trained_clip_flow(clip, programs, weights)
    assert not np.allclose(trained, flow, atol=1e-3)
    np.testing.assert_allclose(target, trained[1], atol=1e-6)
    assert losses[0] == pytest.approx(0, abs=1e-9)
    means = [float(image.mean()) for image in clip.images[:-1]]
    mean = 10.0
    for seen in means:
        mean = 0.9 * mean + 0.1 * seen
    assert float(moved.model_state["mean"]) == pytest.approx(mean, rel=1e-5)
    for seen in means * config.flow.epochs:
        mean = 0.9 * mean + 0.1 * seen
    assert float(tuned.model_state["mean"]) == pytest.approx(mean, rel=1e-5)
    assert float(weights.model_state["mean"]) == 10


@pytest.mark.slow
def test_clips_of_one_size_share_their_programs(trees):
    config = small(flow_pose_h36m, trees)
    programs, weights = start(config)
    for name in (WALKING, "S9/TakingPhoto.60457274"):
        alternate.joint_optimise(body_clip(trees, name), config, programs, weights)
    assert programs.step.one.num_compilations == 1
    assert programs.minimise.num_compilations == 1
    assert programs.flow._cache_size() == programs.target._cache_size() == 1


@pytest.mark.slow
@pytest.mark.parametrize("module", [flow_pose_h36m, flow_pose_sintel])
def test_clips_in_one_batch_are_refined_as_one_by_one(module, trees):
    config = small(module, trees)
    clips = flow_pose_data.clip_set(config, "")
    programs, weights = start(config)
    kind, known = programs.kind, []
    for clip in map(clips.read, clips.names):
        flow = alternate.clip_flow(clip, programs, weights)
        kept = alternate.kept_flow(clip, config, kind, flow)
        known.append((kind.start(clip), kind.data(clip, *kept)))
    together = training.make_minimise(
        flow_pose.make_energy(config),
        alternate.optimizers.adam(config.pose.learning_rate),
        num_steps=config.pose.num_steps,
        batched=True,
    )(*jax.tree.map(lambda *leaves: jnp.stack(leaves), *known))
    for number, one in enumerate(known):
        alone = programs.minimise(*one)
        assert not np.array_equal(*map(first_leaf, (alone.variables, one[0])))
        pairs = zip(
            jax.tree.leaves(alone.variables),
            jax.tree.leaves(together.variables),
            strict=True,
        )
        for single, batched in pairs:
            np.testing.assert_allclose(single, batched[number], atol=1e-5)


@pytest.mark.slow
def test_a_clip_of_two_frames_is_refined(trees):
    config = small(flow_pose_h36m, trees)
    clip = first_frames(body_clip(trees), 2)
    result = alternate.joint_optimise(clip, config, *start(config))
    assert result.optimised["joints3d"].shape == (2, 14, 3)
    assert len(result.flows) == 3
    kind = flow_pose_kinds.pose_kind(config)
    sums = clip_results.clip_figures(clip, result, kind, config.evaluation)
    assert sums["acceleration_mm/optimised"] == [0, 0]
    assert "acceleration_mm/optimised" not in clip_results.mean_figures([sums])


def test_a_bone_asks_for_flow_only_where_both_ends_are_trusted(trees):
    config = small(flow_pose_sintel, trees)
    clip = sintel_clips.sintel_clip(str(trees / "sintel"), "alley_2")
    angle = 2 * np.pi * np.arange(17) / 17
    circle = np.stack([32 + 20 * np.cos(angle), 24 + 18 * np.sin(angle)], axis=-1)
    circle[9] = 32, 24  # only one bone leads there
    clip.detections[:] = circle + np.arange(3)[:, None, None]
    clip.confidence[:] = 0.9
    clip.confidence[1, 7] = 0.6  # not above the bound
    programs, weights = start(config)
    flow = alternate.clip_flow(clip, programs, weights)
    joints = clip.detections
    _, _, target = alternate.fine_tune(clip, config, programs, weights, flow, joints)
    changed = np.any(target != flow[1], axis=-1)
    for joint, is_asked in ((0, True), (16, True), (9, False)):
        x, y = np.rint(joints[1, joint]).astype(int)
        assert changed[y, x] == is_asked, joint


def test_flow_is_judged_at_the_joints_that_are_asked_for_and_as_published(trees):
    config = small(flow_pose_h36m, trees)
    clip, kind = body_clip(trees), flow_pose_kinds.pose_kind(config)
    truth = clip.truth
    truth.joints[:, 5] = truth.joints[:, 4] + 0.1  # two joints in one pixel
    original = kind.estimates(clip, kind.start(clip))
    flow = np.zeros((2, *clip.size, 2), np.float32)
    result = alternate.ClipResult(
        (flow,), flow[0], original, original, (), np.zeros(1), {}, None
    )

    def figures(joints):
        config.evaluation.joints = joints
        return clip_results.clip_figures(clip, result, kind, config.evaluation)

    steps = np.linalg.norm(np.diff(truth.joints, axis=0), axis=-1)
    found = figures(17)
    assert found["joint_epe/original"] == pytest.approx([steps.sum(), 34], rel=1e-5)
    pixels = np.rint(truth.joints[:-1])
    last = [
        [not (pixels[t, j + 1 :] == pixels[t, j]).all(-1).any() for j in range(17)]
        for t in range(2)
    ]
    assert not np.all(last)
    published = [steps[np.array(last)].sum(), 64]
    assert found["joint_epe_per_32/original"] == pytest.approx(published, rel=1e-5)
    lsp = [n for n in range(17) if n not in (0, 7, 9)]  # no pelvis, spine, nose
    total = steps[:, lsp].sum()
    assert figures(14)["joint_epe/original"] == pytest.approx([total, 28], rel=1e-5)
    assert_refused_in_one_line(lambda: figures(16), "config.evaluation.joints is 16")
