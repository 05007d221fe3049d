"""Work directories of RAFT: their flow, and their weights as a file."""

import json
import shutil

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from configs import raft_small_drawn
from posejax import importers, models
from posejax.data import flow_files, frame_pairs
from posejax.procedures import verb
from posejax.procedures.imported_weights import save_variables
from posejax.procedures.run import without_sample
from posejax.tasks import raft
from tests.procedures.test_predict_flow import (
    SIZE,
    asked,
    assert_close,
    expected_flow,
    folder,
    predict,
    summary,
)
from tests.refusals import assert_refused_in_one_line

NETWORK = models.raft_network("small")


@pytest.fixture(autouse=True)
def quickly_compiled(compiled_quickly):
    """Two updates of a small network: to optimise them takes longer than to run."""
    jax.config.update("jax_disable_most_optimizations", True)


@pytest.fixture(scope="module")
def variables():
    return jax.tree.map(np.asarray, NETWORK.init(jax.random.key(3)))


@pytest.fixture(scope="module")
def workdir(tmp_path_factory, variables):
    """A work directory with a checkpoint of the drawn network at step 0."""
    path = tmp_path_factory.mktemp("run") / "work"
    config = ConfigDict(raft_small_drawn.get_config().to_dict())
    config.evaluation.updates = 2
    save_variables(
        asked(path, "", path), without_sample(config), path,
        params=variables[0], model_state=variables[1],
        optimizer=raft.make_task(config).optimizer,
    )  # fmt: skip
    return path


def export(tmp_path, workdir, output="small.npz", **changes):
    changes = {"config": None} | changes if "name" not in changes else changes
    run = asked(tmp_path, "", "", workdir=str(workdir), input=None,
                output=output and str(tmp_path / output), **changes)  # fmt: skip
    return verb("export_weights", run)(run)


def test_a_work_directory_gives_its_checkpoint_and_any_output(
    tmp_path, variables, workdir
):
    given = folder(tmp_path / "in", [(13, 21)] * 2)
    predict(asked(tmp_path, "", given, config=None, workdir=str(workdir)))
    flow = flow_files.read_flo(tmp_path / "out/flow/frame_8.flo")
    frames = [frame_pairs.read_frame(given / f"frame_{n}.png") for n in (8, 9)]
    assert_close(flow, expected_flow(variables, *frames, network=NETWORK)[0])
    about = summary(tmp_path)["weights"]
    assert about == {"from": "work", "checkpoint": "last", "step": 0}

    config = json.loads((workdir / "config.json").read_text())
    changes = {"output.format": "kitti"}
    predict(asked(tmp_path, "", given, workdir=str(workdir), output=None, **changes))
    field = flow_files.read_flow(workdir / "predictions/in/flow/frame_8.png")
    assert np.abs(field.flow - flow).max() < 1 / 64
    assert json.loads((workdir / "config.json").read_text()) == config


def test_frames_of_one_cell_have_flow_in_a_run_from_before_there_was_an_output(
    tmp_path, workdir
):
    older = shutil.copytree(workdir, tmp_path / "older")
    config = json.loads((older / "config.json").read_text())
    del config["output"]
    (older / "config.json").write_text(json.dumps(config))
    given = folder(tmp_path / "in", [(8, 8)] * 2)
    changes = {"output.format": "kitti"}
    predict(asked(tmp_path, "", given, workdir=str(older), **changes))
    assert summary(tmp_path)["compiled_sizes"] == [[8, 8]]
    assert (tmp_path / "out/flow/frame_8.png").is_file()


def test_a_work_directory_without_its_run_is_refused_and_left_alone(tmp_path, workdir):
    given = folder(tmp_path / "in", [SIZE] * 2)
    run = asked(tmp_path, "", given, workdir=str(tmp_path / "none"))
    kind = FileNotFoundError
    assert_refused_in_one_line(lambda: predict(run), "holds no run", kind=kind)
    assert not (tmp_path / "none").exists()
    run = asked(tmp_path, "", given, name="never_trained")
    words = ("runs/never_trained-", "--config.initial_weights=FILE.npz")
    assert_refused_in_one_line(lambda: predict(run), *words, kind=kind)
    other = {"model.variant": "large"}
    run = asked(tmp_path, "", given, workdir=str(workdir), **other)
    words = ("another config", "-model.variant", "+model.variant")
    assert_refused_in_one_line(lambda: predict(run), *words)


def test_exported_weights_are_the_checkpoints_and_say_what_they_are(
    tmp_path, variables, workdir
):
    found = export(tmp_path, workdir)
    path = tmp_path / "small.npz"
    assert found == {"written": str(path), "step": 0}
    read = importers.read_weights(path, like=variables)
    jax.tree.map(np.testing.assert_array_equal, read, variables)
    about = importers.weights_description(path)
    facts = {name: about[name] for name in ("system", "variant", "step", "stored_as")}
    assert facts == {
        "system": "raft", "variant": "small", "step": 0, "stored_as": "float32"
    }  # fmt: skip
    assert about["config"]["optimizer"]["learning_rate"] == 4e-4
    assert str(workdir.parent) not in json.dumps(about)

    given = folder(tmp_path / "in", [SIZE] * 2)
    predict(asked(tmp_path, path, given))
    assert summary(tmp_path)["weights"]["description"] == about


def test_half_the_size_is_asked_for_in_the_config(tmp_path, variables, workdir):
    changes = {"output.weights_dtype": "float16"}
    export(tmp_path, workdir, "half.npz", name="test", **changes)
    path = tmp_path / "half.npz"
    assert importers.weights_description(path)["stored_as"] == "float16"
    read = importers.read_weights(path, like=variables)
    for found, exact in zip(*map(jax.tree.leaves, (read, variables)), strict=True):
        np.testing.assert_array_equal(found, exact.astype(np.float16))
    other = {"output.weights_dtype": "int8"}
    call = lambda: export(tmp_path, workdir, "b.npz", name="test", **other)  # noqa: E731
    assert_refused_in_one_line(call, "dtype is 'int8'", "float16")


def test_a_file_that_is_there_or_has_no_name_is_not_written(tmp_path, workdir):
    (tmp_path / "old.npz").write_bytes(b"older")
    for output, words in (
        ("old.npz", ("is there already", "name a new file")),
        ("weights.pth", ("ending in .npz",)),
        (None, ("--output is None",)),
    ):
        call = lambda output=output: export(tmp_path, workdir, output)  # noqa: E731
        assert_refused_in_one_line(call, *words)
    assert (tmp_path / "old.npz").read_bytes() == b"older"
    assert [path.name for path in tmp_path.iterdir()] == ["old.npz"]


def test_a_directory_without_a_checkpoint_has_no_weights(tmp_path, workdir):
    empty = tmp_path / "empty"
    empty.mkdir()
    for name in ("config.json", "run.json"):
        shutil.copy(workdir / name, empty / name)
    call = lambda: export(tmp_path, empty)  # noqa: E731
    kind = FileNotFoundError
    assert_refused_in_one_line(call, "there is no checkpoint in", kind=kind)
    assert not (tmp_path / "small.npz").exists()
