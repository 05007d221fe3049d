"""The verb `evaluate`: figures of a checkpoint on every split, as table and files."""

import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from absl import logging

from posejax import render, training
from posejax.procedures.drawing import write_run_pictures, write_split_pictures
from posejax.procedures.run import Opened, Run, open_run
from posejax.typing import Task, TaskData, Tree

Figures = Mapping[str, float]


def evaluate(run: Run) -> Mapping[str, Any]:
    """Evaluates a work directory's checkpoint; returns the figures by split."""
    opened = open_run(run)
    task = opened.system.make_task(opened.config, opened.data_dir)
    data = opened.system.make_data(opened.config, opened.data_dir)
    if opened.warning:
        logging.warning("%s", opened.warning)
    return evaluate_opened(run, opened, task=task, data=data)


def restore(run: Run, opened: Opened, task: Task) -> tuple[Tree, Tree, int]:
    """Returns `(params, model_state, step)` of the checkpoint that was asked for.

    Nothing in the work directory is changed: a training may be running in it.

    Raises:
      FileNotFoundError: the work directory holds no checkpoint.
      ValueError: the checkpoint belongs to another model; names what differs.
    """
    like = None
    if opened.system.variables is not None:
        like = opened.system.variables(opened.config)
    with training.Checkpoints(
        opened.workdir / "checkpoints", best=task.selection, read_only=True
    ) as checkpoints:
        which = "latest" if run.checkpoint == "last" else "best"
        return checkpoints.restore_variables(which, like=like)


def evaluate_opened(
    run: Run, opened: Opened, *, task: Task, data: TaskData
) -> Mapping[str, Any]:
    """Evaluates, writes `evaluation/<split>.json` and pictures, prints the table."""
    params, model_state, step = restore(run, opened, task)
    own = opened.workdir.name
    baselines = task.baselines(data.statistics(_show)) if task.baselines else {}
    measure = training.make_evaluate_each(
        task,
        {own: task.predict, **baselines},
        mesh=training.data_mesh(),
        resident=data.resident,
    )
    output = _output(run, opened) if jax.process_index() == 0 else None
    found = {}
    for split, batches in data.splits.items():
        shown = training.progress(batches(), unit=f"{split} batch")
        rows = measure(params, model_state, shown)
        values, found[split] = rows[own]
        if jax.process_index() != 0:
            continue
        figures = {name: dict(row[1]) for name, row in rows.items()}
        for name in baselines:
            for figure in opened.system.model_figures:
                figures[name].pop(figure, None)
        report = make_report(run, opened, split, step, task, figures, data.description)
        print("\n" + report.text)
        if output is not None:
            _write(output / "evaluation", report, values)
            write_split_pictures(
                output / "pictures",
                opened,
                data,
                split,
                task=task,
                params=params,
                model_state=model_state,
            )
    if output is not None:
        write_run_pictures(output / "pictures", opened)
    return found


def _show(items: Sequence[Any]) -> Iterator[Any]:
    return training.progress(items, total=len(items), unit="training frame")


def _output(run: Run, opened: Opened) -> pathlib.Path | None:
    """Returns where files go; None, with a warning, where nothing can be written."""
    directory = pathlib.Path(run.output or opened.workdir).absolute()
    existing = next(p for p in (directory, *directory.parents) if p.is_dir())
    if os.access(existing, os.W_OK | os.X_OK):
        return directory
    logging.warning(
        "%s cannot be written: the table below is all that is kept; give --output, a "
        "directory for the evaluation",
        directory,
    )
    return None


class Report(NamedTuple):
    """One split's evaluation: `result` as JSON, `text` as a person reads it.

    Attributes:
      result: Contents of `<split>.json`.
      text: Title, table of the model and its baselines, notes.
      by_part: Table of the figures of single joints; '' if there are none.
    """

    result: Mapping[str, Any]
    text: str
    by_part: str


def make_report(
    run: Run,
    opened: Opened,
    split: str,
    step: int,
    task: Task,
    rows: Mapping[str, Figures],
    description: str,
) -> Report:
    """Puts the figures of a split together.

    Args:
      run: The call.
      opened: The run.
      split: Name of the split.
      step: That of the checkpoint.
      task: The system.
      rows: Figures of the model, first, and of the baselines.
      description: What the data is.
    """
    model, *others = rows
    plain, parts = split_figures(rows[model])
    result = {
        "run": opened.workdir.name,
        "data": opened.data_used,
        "data_set": description,
        "note": data_note(opened),
        "split": split,
        "step": step,
        "checkpoint": run.checkpoint,
        "figures": plain,
        "per_joint": parts,
        "baselines": {name: split_figures(rows[name])[0] for name in others},
    }
    columns = opened.system.columns
    shown = {
        name: {label: figures.get(key) for key, label in columns.items()}
        for name, figures in rows.items()
    }
    title = f"{split} split, checkpoint {run.checkpoint} (step {step}), {description}"
    notes = [result["note"], unbeaten(rows, task.selection)]
    table = render.figure_table(shown)
    by_part: dict[str, dict[str, float]] = {}
    for measure, values in parts.items():
        for part, value in values.items():
            by_part.setdefault(part, {})[columns.get(measure, measure)] = value
    return Report(
        result,
        "\n".join([title, table, *(f"({note})" for note in notes if note)]),
        render.figure_table(by_part, corner="joint"),
    )


def _write(
    directory: pathlib.Path, report: Report, values: Mapping[str, np.ndarray]
) -> None:
    split = report.result["split"]
    directory.mkdir(parents=True, exist_ok=True)
    write_json(directory / f"{split}.json", report.result)
    np.savez(directory / f"{split}_frames.npz", **dict(values))  # pyright: ignore[reportArgumentType]  names are keys
    texts = [text for text in (report.text, report.by_part) if text]
    render.write_text(directory / f"{split}.txt", "\n\n".join(texts) + "\n")
    render.write_evaluation_plots(directory, report.result, values)


def unbeaten(rows: Mapping[str, Figures], selection: tuple[str, str] | None) -> str:
    """Says which baselines the model, the first row, is not better than, or ''."""
    if selection is None:
        return ""
    figure, mode = selection
    model, *others = rows
    if not any(np.isfinite(row.get(figure, np.nan)) for row in rows.values()):
        return ""  # nothing to measure by: a split without labels
    sign = 1.0 if mode == "max" else -1.0
    worst = -np.inf
    own = sign * rows[model].get(figure, np.nan)
    better = [n for n in others if not own > sign * rows[n].get(figure, worst)]
    if not better:
        return ""
    return (
        f"not better than the {' and the '.join(better)} in {figure} yet: more steps "
        "or more data are needed; the README of the system in experiments/ has examples"
    )


def data_note(opened: Opened) -> str:
    """Returns what a reader of figures must know of the data, or ''."""
    notes = [opened.system.note(opened.config)]
    if opened.data_used == "sample":
        notes.append(
            "embedded sample of drawn people: no figure of this run compares with a "
            "published one"
        )
    return "; ".join(note for note in notes if note)


def split_figures(
    figures: Figures,
) -> tuple[dict[str, float], dict[str, dict[str, float]]]:
    """Returns the figures of the whole and, by measure, those of its parts."""
    whole: dict[str, float] = {}
    parts: dict[str, dict[str, float]] = {}
    for name, value in figures.items():
        measure, slash, part = name.partition("/")
        if slash:
            parts.setdefault(measure, {})[part] = value
        else:
            whole[name] = value
    return whole, parts


def write_json(path: pathlib.Path, value: Any) -> None:
    """Writes JSON so that a reader never sees half of it."""
    temporary = path.with_suffix(".tmp")
    temporary.write_text(json.dumps(value, indent=2) + "\n")
    os.replace(temporary, path)
