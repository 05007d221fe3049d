"""Released files of RAFT become work directories, or are refused."""

import json

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import raft_chairs
from configs.bases import quick
from datasets.prepare import prepare
from posejax import importers, training
from posejax.procedures import verb
from posejax.procedures.evaluate import evaluate
from posejax.tasks import raft
from tests.importers.test_import_raft import filled
from tests.importers.torch_writer import legacy_bytes, tensors, zip_bytes
from tests.procedures.test_predict_flow import SIZE, asked, folder, predict, summary
from tests.refusals import assert_refused_in_one_line


def released(path, variant="small", layout=zip_bytes, **changes):
    """A file as it is published: every name begins with `module.`."""
    state = {
        name: x for name, x in (filled(variant) | changes).items() if x is not None
    }
    content = {f"module.{name}": values for name, values in state.items()}
    path.write_bytes(layout(tensors(content)))
    return path


def imported(tmp_path, path, variant="small", **changes):
    fields = {"model.variant": variant, "workdir": str(tmp_path / "work")}
    run = asked(tmp_path, "", path, raft_chairs, output=None, **(fields | changes))
    return verb("import_weights", run)(run)


@pytest.mark.parametrize("variant", ["small", "large"])
def test_every_tensor_of_a_released_file_arrives(tmp_path, variant):
    path = released(tmp_path / f"raft-{variant}.pth", variant)
    found = imported(tmp_path, path, variant)
    assert found == {"written": str(tmp_path / "work"), "variant": variant}
    config = ConfigDict(raft_chairs.get_config().to_dict())
    config.model.variant = variant
    with training.Checkpoints(tmp_path / "work/checkpoints", read_only=True) as saved:
        params, state, step = saved.restore_variables(like=raft.variables(config))
    assert step == 0
    expected = filled(variant)
    back = importers.export_raft(params, state)
    assert set(back) == set(expected)
    for name, values in expected.items():
        if not name.endswith("num_batches_tracked"):
            np.testing.assert_array_equal(back[name], values, name)


def test_the_other_network_or_another_file_is_refused_and_leaves_nothing(tmp_path):
    path = released(tmp_path / "raft-small.pth")
    words = (f"--input {path} holds the small", "--config.model.variant=small")
    assert_refused_in_one_line(lambda: imported(tmp_path, path, "large"), *words)
    name = "update_block.flow_head.conv1.bias"
    released(path, **{name: None, "other": np.ones(3, np.float32)})
    words = (f"--input {path}: ", f"{name} is missing", "other")
    assert_refused_in_one_line(lambda: imported(tmp_path, path), *words)
    path.write_bytes(zip_bytes(tensors({"model": {"a": np.ones(3, np.float32)}})))
    assert_refused_in_one_line(lambda: imported(tmp_path, path), f"--input {path}: ")
    path.write_bytes(b"hello")
    assert_refused_in_one_line(lambda: imported(tmp_path, path), f"--input {path}")
    none, kind = tmp_path / "none.pth", FileNotFoundError
    call = lambda: imported(tmp_path, none)  # noqa: E731
    assert_refused_in_one_line(call, "name a file: a released", kind=kind)
    call = lambda: imported(tmp_path, path, workdir=None)  # noqa: E731
    assert_refused_in_one_line(call, "needs --config", "--workdir", kind=kind)
    assert not (tmp_path / "work").exists()


def test_an_imported_network_has_flow_and_its_directory_is_not_taken_twice(tmp_path):
    path = released(tmp_path / "raft-small.pth", layout=legacy_bytes)
    imported(tmp_path, path)
    given = folder(tmp_path / "in", [SIZE] * 2)
    work = {"config": None, "workdir": str(tmp_path / "work")}
    # The config's 24 updates; a section of one call says another number.
    shown = asked(
        tmp_path, "", given, raft_chairs, workdir=work["workdir"],
        **{"model.variant": "small", "output.updates": 2},
    )  # fmt: skip
    assert predict(shown)["pairs"] == 1
    assert summary(tmp_path)["weights"] == {
        "from": "work", "checkpoint": "last", "step": 0
    }  # fmt: skip
    words = ("holds a checkpoint already (step 0)", "into a new directory")
    assert_refused_in_one_line(lambda: imported(tmp_path, path), *words)


@pytest.mark.slow
def test_an_imported_network_is_evaluated(tmp_path):
    prepare("flow_sample", config="tiny", data_dir=tmp_path / "data")
    path = released(tmp_path / "raft-small.pth")
    config = quick.shrink(raft_chairs.get_config())
    config.batch_size = config.evaluation.batch_size = jax.device_count()
    fields = {"config": config, "data_dir": str(tmp_path / "data")}
    imported(tmp_path, path, **fields)
    run = asked(
        tmp_path, "", None, config=None, workdir=str(tmp_path / "work"), output=None,
        data_dir=str(tmp_path / "data"),
    )  # fmt: skip
    evaluate(run)
    found = json.loads((tmp_path / "work/evaluation/drawn_tiny.json").read_text())
    assert found["step"] == 0
    assert np.isfinite(found["figures"]["epe"])
