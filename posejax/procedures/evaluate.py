"""The verb `evaluate`: figures of a checkpoint on every split, as table and files."""

import dataclasses
import json
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from posejax import render, training
from posejax.procedures.run import Opened, Run, open_run
from posejax.tasks import Overlays
from posejax.typing import Batch, Task, TaskData, Tree

OVERLAYS = 8  # frames in the picture of predicted joints
OVERLAY_SIDE = 192  # pixels to which their crops are enlarged


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

    Raises:
      FileNotFoundError: the work directory holds no checkpoint.
    """
    with training.Checkpoints(
        opened.workdir / "checkpoints", best=task.selection
    ) as checkpoints:
        which = "latest" if run.checkpoint == "last" else "best"
        return checkpoints.restore_variables(which)


def evaluate_opened(
    run: Run, opened: Opened, *, task: Task, data: TaskData
) -> Mapping[str, Any]:
    """Evaluates, writes `evaluation/<split>.json` and pictures, prints the table."""
    params, model_state, step = restore(run, opened, task)
    mesh = training.data_mesh()
    baselines = task.baselines(data.statistics()) if task.baselines else {}
    found = {}
    for split, batches in data.splits.items():
        values, figures = training.evaluate(
            task, params, model_state, batches(), mesh=mesh, resident=data.resident
        )
        rows = {_row_name(opened): figures}
        for name, predict in baselines.items():
            _, rows[name] = training.evaluate(
                _with_predict(task, predict),
                params,
                model_state,
                batches(),
                mesh=mesh,
                resident=data.resident,
            )
        found[split] = figures
        if jax.process_index() == 0:
            _report(run, opened, split, step, task, rows, values, data)
        if jax.process_index() == 0 and opened.system.overlays is not None:
            batch = {**data.resident, **_spread(next(batches()))}
            predictions = jax.jit(task.predict)(params, model_state, batch)
            drawn = _overlay_grid(opened.system.overlays(predictions, batch))
            render.write_png(opened.workdir / f"pictures/{split}_joints.png", drawn)
    return found


def _spread(batch: Batch) -> Batch:
    """Returns a few frames of a batch, evenly spread."""
    valid = np.flatnonzero(batch["valid"])
    chosen = valid[
        np.linspace(0, len(valid) - 1, min(OVERLAYS, len(valid))).astype(int)
    ]
    return {name: np.asarray(value)[chosen] for name, value in batch.items()}


def _overlay_grid(found: Overlays) -> np.ndarray:
    """Draws the truth in the upper row and the prediction below."""
    rows = []
    for joints in (found.target, found.predicted):
        for i, image in enumerate(found.images):
            # Small crops are enlarged, or a dot would hide a limb.
            factor = max(1, round(OVERLAY_SIDE / image.shape[0]))
            large, placed = render.enlarge(image, joints[i], factor=factor)
            shown = found.valid[i] if joints is found.target else None
            rows.append(
                render.draw_skeleton(large, placed, chains=found.chains, valid=shown)
            )
    return render.image_grid(np.stack(rows), columns=len(found.images))


def _row_name(opened: Opened) -> str:
    return opened.workdir.name


def _with_predict(task: Task, predict: Any) -> Task:
    return dataclasses.replace(task, predict=predict)


def _report(
    run: Run,
    opened: Opened,
    split: str,
    step: int,
    task: Task,
    rows: Mapping[str, Mapping[str, float]],
    values: Mapping[str, np.ndarray],
    data: TaskData,
) -> None:
    directory = opened.workdir / "evaluation"
    directory.mkdir(exist_ok=True)
    model, *others = rows
    plain, parts = split_figures(rows[model])
    result = {
        "run": opened.workdir.name,
        "data": opened.data_used,
        "data_set": data.description,
        "note": data_note(opened),
        "split": split,
        "step": step,
        "checkpoint": run.checkpoint,
        "figures": plain,
        "per_joint": parts,
        "baselines": {name: split_figures(rows[name])[0] for name in others},
    }
    write_json(directory / f"{split}.json", result)
    np.savez(directory / f"{split}_frames.npz", **dict(values))  # pyright: ignore[reportArgumentType]  names are keys
    columns = opened.system.columns
    shown = {
        name: {label: figures.get(key) for key, label in columns.items()}
        for name, figures in rows.items()
    }
    table = render.figure_table(shown)
    title = (
        f"{split} split, checkpoint {run.checkpoint} (step {step}), {data.description}"
    )
    notes = [result["note"], unbeaten(rows, task.selection)]
    lines = [title, table, *(f"({note})" for note in notes if note)]
    print("\n" + "\n".join(lines))
    render.write_text(directory / f"{split}.txt", "\n".join(lines) + "\n")
    render.write_evaluation_plots(directory, result, values)


def unbeaten(
    rows: Mapping[str, Mapping[str, float]], selection: tuple[str, str] | None
) -> str:
    """Says which baselines the model, the first row, is not better than, or ''."""
    if selection is None:
        return ""
    figure, mode = selection
    model, *others = rows
    sign = 1.0 if mode == "max" else -1.0
    worst = -np.inf
    own = sign * rows[model].get(figure, np.nan)
    better = [n for n in others if not own > sign * rows[n].get(figure, worst)]
    if not better:
        return ""
    return (
        f"not better than the {' and the '.join(better)} in {figure} yet: more steps "
        "are needed; the README of the system in experiments/ has longer runs"
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
    figures: Mapping[str, float],
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
