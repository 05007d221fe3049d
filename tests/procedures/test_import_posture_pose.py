"""Published checkpoints of posture_pose become work directories, or are refused."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from configs import posture_pose_gt_27, posture_pose_no_cameras_1, videopose3d_gt_27
from configs.bases import quick
from datasets.prepare import prepare
from posejax import importers, models, training
from posejax.procedures import verb
from posejax.procedures.run import Run
from posejax.tasks import posture_pose
from tests.command_line import posejax, refused
from tests.importers.torch_writer import legacy_bytes, tensors, zip_bytes

WIDTHS = (3, 3)


def state_dict(seed, joints=17, units=3, in_joints=17, widths=WIDTHS, channels=8):
    """The tensors of one network as the published programs name them."""
    model = models.make_temporal_model(
        in_joints=in_joints, out_joints=joints, out_units=units, filter_widths=widths,
        channels=channels,
    )  # fmt: skip
    example = jnp.zeros((2, 27, in_joints, 2))
    shapes = jax.eval_shape(lambda: model.init(jax.random.key(0), example))
    rng = np.random.default_rng(seed)
    params, state = jax.tree.map(
        lambda leaf: rng.uniform(0.1, 1.0, leaf.shape).astype(np.float32), shapes
    )
    return importers.export_temporal_model(params, state)


def written(path, content):
    path.write_bytes(zip_bytes(tensors({"epoch": 80, "lr": 1e-4, **content})))
    return path


def call(config, workdir, path, **changes):
    fields = {
        "config": config, "overrides": {}, "name": "test", "data": "auto",
        "workdir": workdir and str(workdir), "data_dir": None, "checkpoint": "last",
        "input": str(path), "boxes": None, "output": None,
        "prepare_sample": lambda *a: None,
    }  # fmt: skip
    run = Run(**(fields | changes))
    return verb("import_weights", run)(run)


def small(module=posture_pose_gt_27, **changes):
    config = quick.shrink(module.get_config())
    config.update_from_flattened_dict(changes)
    return config


def restored(workdir, config):
    with training.Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        return checkpoints.restore_variables(
            "latest", like=posture_pose.variables(config)
        )


@pytest.mark.parametrize(
    ("pose", "other"), [("model_pos", "model_traj"), ("model_pose", "model_auxi")]
)
def test_both_networks_of_a_checkpoint_arrive_under_either_name(tmp_path, pose, other):
    states = {"pose": state_dict(1), "auxiliary": state_dict(2, joints=1)}
    content = {
        pose: {f"module.{name}": values for name, values in states["pose"].items()},
        other: states["auxiliary"],
    }
    config, workdir = small(), tmp_path / "work"
    found = call(config, workdir, written(tmp_path / "a.bin", content))
    assert found == {"written": str(workdir)}
    params, model_state, step = restored(workdir, config)
    assert step == 0
    for part, state in states.items():
        back = importers.export_temporal_model(
            params[part], model_state["batch_stats"][part]
        )
        assert set(back) == set(state)
        for name, values in state.items():
            np.testing.assert_array_equal(back[name], values, name)


def test_a_network_without_a_second_one_arrives(tmp_path):
    # What VideoPose3D writes of a supervised run.
    content = {"model_pos": state_dict(1), "model_traj": None}
    config, workdir = small(videopose3d_gt_27), tmp_path / "work"
    call(config, workdir, written(tmp_path / "a.bin", content))
    params, _, _ = restored(workdir, config)
    assert set(params) == {"pose"}


def test_the_network_of_the_scale_arrives(tmp_path):
    config, workdir = small(posture_pose_no_cameras_1), tmp_path / "work"
    sizes = {"widths": (1, 1)}
    content = {
        "model_pose": state_dict(1, **sizes),
        "model_auxi": state_dict(2, joints=1, units=1, **sizes),
    }
    call(config, workdir, written(tmp_path / "a.bin", content))
    params, _, _ = restored(workdir, config)
    assert params["auxiliary"]["shrink"]["bias"].shape == (1,)


def without(state, name):
    return {key: values for key, values in state.items() if key != name}


def test_a_file_of_another_run_is_refused_and_leaves_nothing(tmp_path):
    pose, place = state_dict(1), state_dict(2, joints=1)
    both = {"model_pos": pose, "model_traj": place}
    cases = {
        r"there is a second network of 3 values, but config\.auxiliary is 'none'; "
        "expected 'trajectory'": ({"auxiliary": "none"}, both),
        "there is no model_traj or model_auxi, but config.auxiliary is 'trajectory'": (
            {}, {"model_pos": pose}),
        r"model_traj: shrink\.bias is for 3 values per joint, not 1": (
            {"auxiliary": "scale"}, both),
        r"model_pos: expand_conv.weight is for 17 keypoints, not 16; "
        "model_traj: expand_conv.weight is for 17": ({"model.in_joints": 16}, both),
        "model_pos: shrink.bias is for 15 joints, not 17": (
            {}, {**both, "model_pos": state_dict(1, joints=15)}),
        r"filter_widths \(3, 3\), expected \(3, 3, 3\)": (
            {"model.filter_widths": (3, 3, 3)}, both),
        "of 8 channels, expected 16": ({"model.channels": 16}, both),
        "expand_bn.bias is missing.*model_traj: .*shrink.bias is missing": (
            {}, {"model_pos": without(pose, "expand_bn.bias"),
                 "model_traj": without(place, "shrink.bias")}),
        "other.weight": (
            {}, {**both, "model_pos": {**pose, "other.weight": np.ones(3)}}),
        "expected one state dict named model_pos or model_pose": (
            {}, {"model": pose}),
    }  # fmt: skip
    workdir = tmp_path / "work"
    for message, (changes, content) in cases.items():
        path = written(tmp_path / "a.bin", content)
        with pytest.raises(ValueError, match=message) as error:
            call(small(**changes), workdir, path)
        assert str(error.value).startswith(f"--input {path}: ")
        assert "\n" not in str(error.value)
        assert not workdir.exists()


def test_what_an_import_needs_is_asked_for(tmp_path):
    config, path = small(), written(tmp_path / "a.bin", {"model_pos": state_dict(1)})
    with pytest.raises(FileNotFoundError, match="--input is None; name a file"):
        call(config, tmp_path / "work", path, input=None)
    with pytest.raises(FileNotFoundError, match=r"needs --config .* and --workdir"):
        call(config, None, path)


@pytest.mark.slow
def test_an_imported_checkpoint_is_evaluated(tmp_path):
    prepare("people_sample", config="poses_tiny", data_dir=tmp_path / "data")
    path = tmp_path / "pretrained.bin"
    path.write_bytes(legacy_bytes(tensors({"model_pos": state_dict(1)})))
    work = ["--workdir", tmp_path / "work", "--data_dir", tmp_path / "data"]
    importing = [
        "--config", "configs/videopose3d_gt_27.py", "--config.model.channels=8",
        f"--config.model.filter_widths={WIDTHS}",
        "--config.data.name=people_sample", "--config.data.config=poses_tiny",
        "--config.data.labelled.subjects=('S1',)",
        "--config.data.test.subjects=('S9',)",
        "--mode", "import_weights", "--input", path, *work,
    ]  # fmt: skip
    result = posejax(*importing)
    assert result.returncode == 0, result.stderr[-3000:]
    assert "holds a checkpoint already (step 0)" in refused(*importing)

    result = posejax("--mode", "evaluate", *work)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads((tmp_path / "work/evaluation/test.json").read_text())
    assert found["step"] == 0
    assert np.isfinite(found["figures"]["p1"])
