"""Every config in configs/: complete, of values only, and it trains and resumes."""

import importlib.util
import json
import pathlib

import jax
import jax.numpy as jnp
import pytest
from ml_collections import ConfigDict

from configs.bases import quick
from posejax import training
from posejax.procedures.run import Run, apply_sample
from posejax.procedures.train import train
from posejax.tasks import TASKS

ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "configs").glob("*.py"))
RUNS = [path for path in FILES if path.stem != "__init__"]
QUICK = ("mse_natural", "posture_pose_gt_27")  # one run of each system
# Made small they are the program of another run; their step is traced, not run.
SIMILAR = (
    "posture_pose_gt_1", "posture_pose_hr_1", "posture_pose_hr_27",
    "posture_pose_priors_1", "posture_pose_supervised_27", "videopose3d_cpn_243",
    "videopose3d_cpn_27", "videopose3d_cpn_81", "videopose3d_gt_243",
    "natural", "mse_flipaugment", "mse_natural_flipaugment", "mse_natural_twostepwarp",
)  # fmt: skip


def is_of_flow(path):
    """Configs of flow run in `test_configs_of_flow.py` and with their procedures."""
    return path.stem.startswith(("raft_", "flow_pose_"))


def load(path, variant=""):
    spec = importlib.util.spec_from_file_location(f"config_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(variant)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory):
    from datasets.prepare import prepare

    directory = tmp_path_factory.mktemp("data")
    for config in ("tiny", "poses_tiny"):
        prepare("people_sample", config=config, data_dir=str(directory))
    return str(directory)


def make_run(config, workdir, data_dir, **changes):
    fields = {
        "config": config, "overrides": {}, "name": "test", "workdir": str(workdir),
        "data": "prepared", "data_dir": data_dir, "checkpoint": "last", "input": None,
        "boxes": None, "output": None, "prepare_sample": lambda *a: None,
    }  # fmt: skip
    return Run(**(fields | changes))


def leaves(value, path=""):
    if isinstance(value, ConfigDict):
        for name, item in value.items():
            yield from leaves(item, f"{path}.{name}")
    else:
        yield path, value


def test_there_are_the_ten_published_runs():
    assert len(RUNS) >= 10
    assert {"baseline", "mse_natural", "constrained"} <= {path.stem for path in RUNS}


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_a_config_is_locked_and_holds_values_only(path):
    config = load(path)
    assert config.is_locked
    for name, value in leaves(config):
        assert isinstance(value, (bool, int, float, str, tuple)), f"{name}: {value!r}"
        assert not (isinstance(value, str) and "/" in value), f"{name} is a path"


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_a_config_says_how_to_run_it(path):
    text = path.read_text()
    assert f"--config configs/{path.name}" in text
    assert text.count("\n") < 40, "a run is a base plus the fields that differ"


@pytest.mark.parametrize("path", RUNS, ids=lambda p: p.stem)
def test_the_sample_section_changes_only_fields_that_exist(path):
    config = load(path)
    if config.system == "flow_pose":  # its batches are single pairs
        assert apply_sample(config, {}).data.name == "people_sample"
        return
    merged = apply_sample(config, {"batch_size": 2})
    assert merged.data.name in ("people_sample", "flow_sample")
    assert merged.batch_size == 2
    assert merged.seed == config.seed
    assert merged.weights == config.weights
    if config.system == "template_warp":
        assert merged.template == config.template
        assert merged.data.pairing == config.data.pairing


def test_the_variant_for_own_videos_changes_the_data_set():
    config = load(ROOT / "configs/mse_natural.py", "own_videos")
    assert config.data.name == "own_videos"
    with pytest.raises(ValueError, match="own_videos"):
        load(ROOT / "configs/mse_natural.py", "holidays")


def test_no_two_runs_are_the_same():
    seen = {}
    for path in RUNS:
        text = load(path).to_json(sort_keys=True)
        assert text not in seen, f"{path.stem} is the same as {seen.get(text)}"
        seen[text] = path.stem


def train_one_step(run, monkeypatch):
    """Trains as far as a run that is asked to stop at once: one step, saved."""
    with monkeypatch.context() as patch:
        patch.setattr(training.Preemption, "requested", lambda self: True)
        assert train(run) == {}


def trained_steps(workdir):
    rows = map(json.loads, (workdir / "metrics.jsonl").read_text().splitlines())
    return [row["step"] for row in rows if "total" in row]


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(path, marks=() if path.stem in QUICK else pytest.mark.slow)
        for path in RUNS
        if path.stem not in SIMILAR and not is_of_flow(path)
    ],
    ids=lambda p: p.stem,
)
def test_a_config_trains_a_step_resumes_and_evaluates(
    path, data_dir, tmp_path, monkeypatch
):
    run = make_run(quick.shrink(load(path)), tmp_path / "run", data_dir)
    train_one_step(run, monkeypatch)
    assert trained_steps(tmp_path / "run") == [1]
    figures = train(run)
    assert trained_steps(tmp_path / "run") == [1, 2]
    assert figures["test"]["frames"] > 0
    result = json.loads((tmp_path / "run/evaluation/test.json").read_text())
    assert result["step"] == 2
    assert len(result["baselines"]) == 2


@pytest.mark.parametrize("path", [p for p in RUNS if p.stem in SIMILAR], ids=str)
def test_the_step_of_a_config_can_be_traced(path, data_dir):
    config = quick.shrink(load(path))
    system = TASKS[config.system]()
    task = system.make_task(config, data_dir)
    data = system.make_data(config, data_dir)
    batch = {**data.resident, **next(data.train(0))}
    params, state = jax.eval_shape(task.init, jax.random.key(0), batch)
    logs = jax.eval_shape(
        lambda params, state, batch, key, step: (
            task.loss(params, state, batch, key=key, step=step).logs
        ),
        *(params, state, batch, jax.random.key(0), jnp.int32(0)),
    )
    assert ("pixel" if config.system == "template_warp" else "pose") in logs
