"""A published checkpoint, from its file to figures and joints, by the command line."""

import json

import cv2
import numpy as np
import pytest

from datasets.prepare import prepare
from tests.command_line import posejax, refused
from tests.fill import fill_state_dict, golden_shapes
from tests.importers.torch_writer import legacy_bytes, tensors, zip_bytes

CONFIG = [
    "--config", "configs/mse_natural_flipaugment_twostepwarp.py",
    "--config.image_size=64", "--config.data.name=people_sample",
    "--config.data.config=tiny", "--config.evaluation.batch_size=10",
]  # fmt: skip


def filled(name):
    state = fill_state_dict(golden_shapes(name))
    return {key: np.asarray(values, np.float32) for key, values in state.items()}


@pytest.fixture(scope="module")
def content():
    networks = {"regressor": "regressor20_img64", "translator": "reconstructor"}
    return {name: filled(state) for name, state in networks.items()}


@pytest.mark.slow
def test_an_imported_checkpoint_is_evaluated_and_predicts(tmp_path, content):
    path = tmp_path / "checkpoint_1.tar"
    path.write_bytes(legacy_bytes(tensors(content)))
    prepare("people_sample", config="tiny", data_dir=tmp_path / "data", progress="none")
    work = ["--workdir", tmp_path / "work", "--data_dir", tmp_path / "data"]
    importing = [*CONFIG, "--mode", "import_weights", "--input", path, *work]
    assert posejax(*importing).returncode == 0
    assert "holds a checkpoint already (step 0)" in refused(*importing)

    result = posejax("--mode", "evaluate", *work)
    assert result.returncode == 0, result.stderr[-3000:]
    found = json.loads((tmp_path / "work/evaluation/test.json").read_text())
    assert (found["step"], found["figures"]["frames"]) == (0, 10)

    cv2.imwrite(str(tmp_path / "a.png"), np.full((64, 64, 3), 90, np.uint8))
    result = posejax("--mode", "predict", *work, "--input", tmp_path / "a.png")
    assert result.returncode == 0, result.stderr[-3000:]
    with np.load(tmp_path / "work/predictions/a.png/joints.npz") as joints:
        assert np.isfinite(joints["joints_source"]).all()


@pytest.mark.slow
def test_a_checkpoint_with_wrong_tensors_is_refused_and_leaves_nothing(
    tmp_path, content
):
    wrong = {name: dict(state) for name, state in content.items()}
    del wrong["regressor"]["layers.0.0.bias"]
    wrong["translator"]["layers.13.bias"] = np.zeros(4, np.float32)
    path = tmp_path / "wrong.tar"
    path.write_bytes(zip_bytes(tensors(wrong)))
    line = refused(
        *CONFIG, "--mode", "import_weights", "--input", path, "--workdir",
        tmp_path / "work",
    )  # fmt: skip
    assert line.startswith(f"posejax: --input {path}: regressor: ")
    assert "layers.0.0.bias is missing" in line
    assert "layers.13.bias has shape (4,), not (3,)" in line
    assert not (tmp_path / "work").exists()
