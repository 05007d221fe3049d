"""Files that the command line reads and writes: weights, work directories, disks."""

import json

import numpy as np
import pytest

from posejax import importers
from tests.command_line import posejax, refused
from tests.fill import fill_state_dict, golden_shapes
from tests.importers.torch_writer import Call, legacy_bytes, tensors, zip_bytes

IMPORT = ["--mode", "import_weights", "--input"]


@pytest.fixture(scope="module")
def vgg_state():
    state = fill_state_dict(golden_shapes("vgg19_features"))
    return {key: np.asarray(values, np.float32) for key, values in state.items()}


def written(path, content):
    path.write_bytes(content)
    return path


def test_a_vgg_file_is_imported_without_a_config(tmp_path, vgg_state):
    path = written(tmp_path / "vgg19.pth", zip_bytes(tensors(vgg_state)))
    result = posejax(*IMPORT, path, "--data_dir", tmp_path / "data")
    assert result.returncode == 0, result.stderr
    params = importers.load_vgg_npz(tmp_path / "data/weights/vgg19.npz")
    np.testing.assert_array_equal(
        params["conv1_1"]["bias"], vgg_state["features.0.bias"]
    )


def test_a_vgg_file_with_wrong_tensors_is_refused_by_their_names(tmp_path, vgg_state):
    wrong = {**vgg_state, "features.2.bias": np.zeros(3, np.float32)}
    del wrong["features.12.bias"]
    line = refused(*IMPORT, written(tmp_path / "v.pth", zip_bytes(tensors(wrong))))
    assert "features.12.bias is missing" in line
    assert "features.2.bias has shape (3,)" in line


def test_a_damaged_checkpoint_keeps_its_name_and_the_reason(tmp_path):
    whole = legacy_bytes(tensors({"regressor": {"a": np.ones(9, np.float32)}}))
    path = written(tmp_path / "cut.tar", whole[: len(whole) // 3])
    line = refused(*IMPORT, path)
    assert line.startswith(f"posejax: {path} is truncated or damaged (")
    assert line.endswith("download or copy it again.")


def test_a_checkpoint_that_would_run_code_is_refused_by_name(tmp_path):
    mark = tmp_path / "mark"
    content = {"regressor": Call("os", "system", f"touch {mark}")}
    line = refused(*IMPORT, written(tmp_path / "bad.tar", zip_bytes(content)))
    assert "bad.tar asks for the global os.system, which could run code" in line
    assert not mark.exists()


def test_a_checkpoint_without_a_config_says_what_is_missing(tmp_path):
    content = zip_bytes(tensors({"regressor": {"a": np.ones(2, np.float32)}}))
    line = refused(*IMPORT, written(tmp_path / "c.tar", content))
    assert "needs --config" in line


def test_a_folder_that_cannot_be_made_is_named(tmp_path, vgg_state):
    path = written(tmp_path / "vgg19.pth", zip_bytes(tensors(vgg_state)))
    line = refused(*IMPORT, path, "--data_dir", path / "data")
    assert f"{str(path / 'data/weights')!r}: Not a directory; " in line


def test_a_full_disk_is_one_line_and_leaves_no_half_file(tmp_path, vgg_state):
    path = written(tmp_path / "vgg19.pth", zip_bytes(tensors(vgg_state)))
    full = (
        "import numpy, os\n"
        "def full(*a, **k): raise OSError(28, os.strerror(28))\n"
        "numpy.savez = full"
    )
    line = refused(*IMPORT, path, "--data_dir", tmp_path, before=full)
    assert "No space left on device; free space" in line
    assert not list((tmp_path / "weights").glob("*.npz"))


@pytest.mark.slow
def test_a_data_folder_that_cannot_be_written_is_named_before_drawing(tmp_path):
    file = written(tmp_path / "file", b"")
    line = refused(
        "--config", "configs/mse_natural.py", "--data", "sample",
        "--config.sample.data.config=tiny", "--data_dir", file / "data",
        "--workdir", tmp_path / "work",
    )  # fmt: skip
    assert f"data_dir {file / 'data'} cannot be written to (Not a directory)" in line
    line = refused(
        "--config", "configs/mse_natural.py", "--data", "sample",
        "--config.sample.data.config=tiny", "--data_dir", tmp_path / "data",
        "--workdir", file / "work",
    )  # fmt: skip
    assert f"--workdir {str(file / 'work')!r} cannot be created (Not a dir" in line


@pytest.mark.parametrize("content", ["", "{", "[]", '{"seed": 0}'])
def test_a_damaged_config_of_a_work_directory_is_named(tmp_path, content):
    (tmp_path / "config.json").write_text(content)
    line = refused("--mode", "evaluate", "--workdir", tmp_path)
    assert f"{str(tmp_path / 'config.json')!r} cannot be used (it " in line


def test_a_work_directory_without_its_run_file_says_so(tmp_path):
    config = {"system": "template_warp", "data": {"name": "human36m"}}
    (tmp_path / "config.json").write_text(json.dumps(config))
    line = refused("--mode", "evaluate", "--workdir", tmp_path)
    assert f"{str(tmp_path / 'run.json')!r} cannot be used (No such file" in line
