"""The verb `evaluate`, called as a function on a toy system: quick to compile."""

import dataclasses
import json
import os
import pathlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from posejax import render, training
from posejax.procedures import drawing, evaluate
from posejax.procedures.run import Opened, Run
from posejax.tasks import Panel, System
from posejax.templates import NATURAL
from posejax.typing import TaskData
from tests.training import toy_task

pytestmark = pytest.mark.slow


def toy_rows(task, params, model_state, batch):
    del task, params, model_state
    picture = np.full((24, 24, 3), 0.5)
    heat = np.eye(24)
    return [
        [
            Panel("plain", picture),
            Panel("warm", picture, heat=heat),
            Panel("heat", None, heat=heat, joints=np.full((2, 2), 12.0)),
        ]
        for _ in batch["valid"]
    ]


def summarize(values):
    error = float(values["squared"].mean())
    return {"error": error, "sureness": 1.0, "error/wrist": error}


def zero(params, model_state, batch):
    del params, model_state
    return toy_task.Prediction(jnp.zeros(batch["target"].shape[0]))


@pytest.fixture
def opened(tmp_path):
    """A work directory with a checkpoint, a log and the files of a killed save."""
    task = toy_task.make_toy_task(
        summarize=summarize,
        selection=("error", "min"),
        baselines=lambda statistics: {"zero": zero},
    )
    batch = next(toy_task.train_batches(0))
    state = training.init_state(jax.random.key(0), task, batch)
    with training.Checkpoints(tmp_path / "checkpoints") as checkpoints:
        checkpoints.save(state)
    lines = [
        {"step": n, "total": 1.0 / n, "grad_norm": 1.0, "a/b": 2.0} for n in (1, 2)
    ]
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (tmp_path / "metrics.jsonl").write_text(text)
    system = System(
        make_task=lambda config, data_dir: task,
        make_data=lambda config, data_dir: None,
        columns={"error": "error [px]", "sureness": "sureness"},
        skeleton="template_15",
        chains=((0, 1),),
        rows=toy_rows,
        template=lambda config: NATURAL,
        model_figures=("sureness",),
        variables=lambda config: jax.eval_shape(
            lambda: toy_task.make_toy_task(channels=config.channels).init(
                jax.random.key(0), batch
            )
        ),
    )
    config = ConfigDict({"system": "toy", "channels": 4})
    return Opened(config, tmp_path, system, "data", "sample", None)


def run(opened, output=None):
    data = TaskData(
        train=toy_task.train_batches,
        splits={"test": lambda: toy_task.split_batches(11, 4)},
        steps_per_epoch=1,
        description="eleven toys",
    )
    task = opened.system.make_task(opened.config, "data")
    call = Run(
        config=None,
        overrides={},
        name="toy",
        workdir=str(opened.workdir),
        data="sample",
        data_dir=None,
        checkpoint="last",
        input=None,
        boxes=None,
        output=output,
        prepare_sample=lambda *names: None,
    )
    return evaluate.evaluate_opened(call, opened, task=task, data=data)


def everything_in(folder: pathlib.Path):
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*"))


def test_evaluating_leaves_the_checkpoint_that_is_being_written_alone(opened):
    # A training in the same work directory is in the middle of its next save.
    unfinished = opened.workdir / "checkpoints/7.orbax-checkpoint-tmp"
    (unfinished / "variables").mkdir(parents=True)
    (unfinished / "variables/part").write_text("half")
    before = everything_in(opened.workdir / "checkpoints")
    run(opened)
    assert everything_in(opened.workdir / "checkpoints") == before


def test_a_work_directory_that_cannot_be_written_is_evaluated(
    opened, monkeypatch, capsys
):
    before = everything_in(opened.workdir)
    monkeypatch.setattr(os, "access", lambda path, mode, **_: not mode & os.W_OK)
    figures = run(opened)
    assert figures["test"]["error"] > 0
    assert "zero" in capsys.readouterr().out  # the table is still printed
    assert everything_in(opened.workdir) == before


def test_the_files_go_where_output_says(opened, tmp_path):
    before = everything_in(opened.workdir)
    run(opened, output=str(tmp_path / "elsewhere"))
    assert (tmp_path / "elsewhere/evaluation/test.json").is_file()
    rest = [x for x in everything_in(opened.workdir) if not x.startswith("elsewhere")]
    assert rest == before


def test_a_checkpoint_of_another_model_is_refused_with_what_differs(opened):
    opened.config.channels = 6
    with pytest.raises(ValueError, match="belongs to another model") as error:
        run(opened)
    assert "params/head/kernel: expected float32[6], found float32[4]" in str(
        error.value
    )
    assert "\n" not in str(error.value)


def test_a_figure_that_says_nothing_of_a_baseline_is_left_out_of_its_row(opened):
    run(opened)
    directory = opened.workdir / "evaluation"
    result = json.loads((directory / "test.json").read_text())
    assert result["figures"]["sureness"] == 1.0
    assert "sureness" not in result["baselines"]["zero"]
    rows = (directory / "test.txt").read_text().splitlines()
    assert next(row for row in rows if row.startswith("zero")).endswith(" -")


def test_the_text_has_a_table_of_the_joints(opened):
    run(opened)
    text = (opened.workdir / "evaluation/test.txt").read_text()
    table = text.split("\n\n")[1].splitlines()
    assert table[0].split() == ["joint", "error", "[px]"]
    assert table[2].startswith("wrist")


def test_rows_template_and_loss_curves_are_drawn(opened, monkeypatch):
    curves = {}
    draw = render.curve_figure
    monkeypatch.setattr(
        render,
        "curve_figure",
        lambda found, **o: (curves.update(found), draw(found, **o))[1],
    )
    run(opened)
    found = {path.name for path in (opened.workdir / "pictures").iterdir()}
    assert found == {"test_rows.png", "template.png", "losses.png"}
    assert set(curves) == {"total"}  # neither the norm nor figures of evaluations


def test_a_system_that_names_no_pictures_gets_none(opened):
    plain = dataclasses.replace(opened.system, rows=None, template=None)
    (opened.workdir / "metrics.jsonl").unlink()
    run(dataclasses.replace(opened, system=plain))
    assert not (opened.workdir / "pictures").exists()


def test_a_panel_shows_heat_over_the_picture_and_joints_over_both():
    picture, heat = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20))
    heat[:10] = 1.0
    warm = drawing.draw_panel(Panel("", picture, heat=heat), ())
    assert warm.shape == (200, 200, 3)
    assert warm[:80].min(axis=(0, 1)).max() > 100
    assert warm[120:].max() == 0
    joints = np.array([[5.0, 15.0], [15.0, 15.0]])
    drawn = drawing.draw_panel(Panel("", picture, joints=joints), ((0, 1),))
    assert drawn[155, 100].max() > 200  # on the line, in pixels of the enlarged picture
    with pytest.raises(ValueError, match="neither image nor heat"):
        drawing.draw_panel(Panel("nothing", None), ())


@pytest.mark.parametrize(
    ("own", "others", "named"),
    [
        (7.0, (9.0, 8.0), ()),
        (8.5, (9.0, 8.0), ("b",)),
        (9.0, (9.0, 8.0), ("a", "b")),
        (float("nan"), (9.0, 8.0), ("a", "b")),
        (None, (None, None), ()),
    ],
)
def test_a_table_names_the_baselines_that_a_model_does_not_beat(own, others, named):
    given = {"model": own, "a": others[0], "b": others[1]}
    rows = {n: {} if value is None else {"l2": value} for n, value in given.items()}
    said = evaluate.unbeaten(rows, ("l2", "min"))
    assert bool(said) == bool(named)
    for name in ("a", "b"):
        assert (f"the {name}" in said) == (name in named)
