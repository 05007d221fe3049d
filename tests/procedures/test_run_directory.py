"""Who owns a work directory, which data a run reads, and what it says of both."""

import json

import pytest

from configs.bases import template_warp
from posejax.procedures import VERBS, run
from posejax.tasks import TASKS


def call(config, tmp_path, **changes):
    fields = {
        "config": config, "overrides": {}, "name": "test", "data": "sample",
        "workdir": str(tmp_path / "work"), "data_dir": str(tmp_path / "data"),
        "checkpoint": "last", "input": None, "boxes": None, "output": None,
        "prepare_sample": lambda *a: None,
    }  # fmt: skip
    return run.Run(**(fields | changes))


def config_with(**changes):
    config = template_warp.get_config()
    config.update_from_flattened_dict(changes)
    return config


def lay_out(data_dir, version, name="people_sample", builder="crops"):
    """Makes what counts as a finished data set, without records."""
    directory = data_dir / name / builder / version
    directory.mkdir(parents=True)
    for file in ("dataset_info.json", "features.json"):
        (directory / file).write_text("{}")


def warnings_of(monkeypatch):
    found = []
    monkeypatch.setattr(run.logging, "warning", lambda text, *a: found.append(text % a))
    return found


def test_every_system_has_verbs():
    assert set(TASKS) == set(VERBS)


def test_a_directory_in_which_nothing_was_computed_is_taken_over(tmp_path):
    run.open_run(call(config_with(seed=1), tmp_path))
    opened = run.open_run(call(config_with(seed=2), tmp_path))
    stored = json.loads((opened.workdir / "config.json").read_text())
    assert stored["seed"] == 2


@pytest.mark.parametrize("trace", ["metrics.jsonl", "checkpoints/7"])
def test_a_directory_with_steps_or_a_checkpoint_is_not_taken_over(tmp_path, trace):
    opened = run.open_run(call(config_with(seed=1), tmp_path))
    (opened.workdir / trace).mkdir(parents=True)
    if trace.endswith("jsonl"):
        (opened.workdir / trace).rmdir()
        (opened.workdir / trace).touch()
    with pytest.raises(ValueError, match=r"another config.*-seed: 1; \+seed: 2"):
        run.open_run(call(config_with(seed=2), tmp_path))
    assert run.open_run(call(config_with(seed=1), tmp_path)).config.seed == 1


def test_a_missing_run_file_is_written_anew_by_the_same_config(tmp_path):
    opened = run.open_run(call(config_with(), tmp_path))
    (opened.workdir / "metrics.jsonl").touch()
    (opened.workdir / "run.json").unlink()
    with pytest.raises(ValueError, match=r"run\.json' cannot be used"):
        run.open_run(call(None, tmp_path))
    run.open_run(call(config_with(), tmp_path))
    assert run.open_run(call(None, tmp_path)).data_used == "sample"


def test_the_run_file_is_written_before_the_config(tmp_path, monkeypatch):
    written = []
    monkeypatch.setattr(run, "_write_json", lambda path, value: written.append(path))
    run.open_run(call(config_with(), tmp_path))
    assert [path.name for path in written] == ["run.json", "config.json"]


@pytest.mark.parametrize("data", ["auto", "sample", "prepared"])
def test_an_unknown_data_set_is_refused_whatever_data_are_used(tmp_path, data):
    config = config_with(**{"data.name": "human36"})
    with pytest.raises(ValueError, match=r"config\.data\.name is 'human36'; .*'human3"):
        run.open_run(call(config, tmp_path, data=data))
    config = config_with(**{"data.config": "crop_all"})
    with pytest.raises(ValueError, match=r"config\.data\.config is 'crop_all'; expect"):
        run.open_run(call(config, tmp_path, data=data))


def test_the_advice_to_prepare_names_the_builder_configuration(tmp_path):
    config = config_with(**{"data.config": "crops_all"})
    opened = run.open_run(call(config, tmp_path, data="auto"))
    assert "human36m --config crops_all --manual_dir" in (opened.warning or "")
    with pytest.raises(FileNotFoundError, match="human36m --config crops_all --manual"):
        run.open_run(call(config, tmp_path, data="prepared"))


@pytest.mark.slow
def test_the_legal_data_sets_are_those_of_the_builders():
    from datasets.prepare import BUILDERS

    legal = {}
    for system in TASKS.values():
        for name, configs in system().data_sets.items():
            legal.setdefault(name, set()).update(configs)
    # Clips of files are read where they lie; nothing is built of them.
    unbuilt = {"human36m_clips", "sintel_clips"}
    assert set(legal) - unbuilt == set(BUILDERS)
    for name in set(legal) - unbuilt:
        built = {config.name for config in BUILDERS[name]().BUILDER_CONFIGS}
        assert legal[name] == built


def test_an_older_version_of_the_sample_does_not_stop_the_builder(tmp_path):
    lay_out(tmp_path / "data", "1.0.0")
    drawn = call(
        config_with(), tmp_path,
        prepare_sample=lambda *a: lay_out(tmp_path / "data", "1.1.0"),
    )  # fmt: skip
    run.open_run(drawn)
    started = json.loads((tmp_path / "work/run.json").read_text())
    assert started["data_version"] == "1.1.0"


def test_without_the_builders_a_sample_that_is_there_is_used(tmp_path):
    def missing(*arguments):
        raise ModuleNotFoundError("No module named 'datasets'", name="datasets")

    asked = call(config_with(), tmp_path, prepare_sample=missing)
    with pytest.raises(FileNotFoundError, match="root of a clone"):
        run.open_run(asked)
    lay_out(tmp_path / "data", "1.1.0")
    assert run.open_run(asked).data_used == "sample"


def test_a_run_that_finds_other_data_says_so(tmp_path, monkeypatch):
    found = warnings_of(monkeypatch)
    lay_out(tmp_path / "data", "1.0.0")
    opened = run.open_run(call(config_with(), tmp_path))
    (opened.workdir / "metrics.jsonl").touch()
    run.open_run(call(config_with(), tmp_path))
    assert not found
    lay_out(tmp_path / "data", "1.1.0")
    run.open_run(call(config_with(), tmp_path))
    run.open_run(call(None, tmp_path))
    assert len(found) == 2
    assert all(
        "version 1.0.0 of its data and now reads version 1.1.0" in t for t in found
    )
