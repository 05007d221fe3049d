"""The verb `train`: fits a task, resuming where its work directory left off."""

import contextlib
import json
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from posejax import training
from posejax.procedures import evaluate
from posejax.procedures.run import Opened, Run, open_run
from posejax.typing import Batch, Task, TaskData


def train(run: Run) -> Mapping[str, Any]:
    """Trains, evaluates and draws; returns the figures of the last evaluation.

    Raises:
      ValueError: bad config, or a work directory of another config.
      NonFiniteLoss: a loss term is not finite (the last good checkpoint is kept).
    """
    opened = open_run(run)
    config = opened.config
    _use_cpu_devices(config.loop.cpu_devices)
    _warn(opened)
    task = opened.system.make_task(config, opened.data_dir)
    data = opened.system.make_data(config, opened.data_dir)
    logging.info("data: %s", data.description)
    num_steps = config.num_steps or config.num_epochs * data.steps_per_epoch
    mesh = training.data_mesh()
    state, checkpoints = _start(task, data, opened, config.seed, mesh)
    step = int(state.step)
    if step >= num_steps:
        logging.info("all %d steps are done; evaluating", num_steps)
    try:
        with (
            training.Preemption() as preemption,
            checkpoints,
            training.MetricLog(opened.workdir, step=step) as log,
        ):
            training.fit(
                task,
                state,
                data.train(step),
                num_steps=num_steps,
                hooks=_hooks(
                    task, data, opened, checkpoints, log, preemption, num_steps, mesh
                ),
                mesh=mesh,
                resident=data.resident,
                steps_per_call=config.loop.steps_per_call
                or training.default_steps_per_call(),
                prefetch=config.loop.prefetch,
            )
    except training.Preempted as stop:
        logging.warning("%s", stop)
        return {}
    if jax.process_index() == 0:
        for line in falling_terms(opened.workdir / "metrics.jsonl"):
            logging.info("%s", line)
    figures = evaluate.evaluate_opened(run, opened, task=task, data=data)
    _warn(opened)
    return figures


def falling_terms(path: pathlib.Path, *, share: float = 0.05) -> list[str]:
    """Returns one line per loss term: its mean over the first and the last steps.

    Args:
      path: `metrics.jsonl`.
      share: Of all logged steps, how many are first and last.
    """
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    rows = [row for row in rows if "total" in row]
    count = max(1, round(share * len(rows)))
    lines = []
    for name in rows[0] if rows else ():
        if name in ("step", "grad_norm"):
            continue
        first, last = (
            float(np.mean([row[name] for row in part]))
            for part in (rows[:count], rows[-count:])
        )
        lines.append(
            f"{name}: {first:.4g} over the first {count} logged steps, {last:.4g} over "
            f"the last"
        )
    return lines


def _use_cpu_devices(count: int) -> None:
    """Splits the CPU into devices, unless JAX is told or has begun already."""
    if count and jax.config.jax_num_cpu_devices == -1:  # pyright: ignore
        with contextlib.suppress(RuntimeError):
            jax.config.update("jax_num_cpu_devices", count)


def _warn(opened: Opened) -> None:
    note = evaluate.data_note(opened)
    if note:
        logging.info("NOTE: %s", note)
    if opened.warning and jax.process_index() == 0:
        line = "!" * 79
        logging.warning("\n%s\nNOTE: %s\n%s", line, opened.warning, line)


def _start(
    task: Task, data: TaskData, opened: Opened, seed: int, mesh: Any
) -> tuple[training.TrainState, training.Checkpoints]:
    """Draws the initial state, or restores the last checkpoint."""
    checkpoints = training.Checkpoints(
        opened.workdir / "checkpoints", best=task.selection
    )
    batch = {**data.resident, **next(iter(data.train(0)))}
    state = training.init_state(jax.random.key(seed), task, batch)
    latest = checkpoints.latest_step()
    if latest is not None:
        state = checkpoints.restore_state(state, mesh=mesh)
        logging.info("resuming after step %d of %s", latest, opened.workdir)
    else:
        count = sum(np.prod(x.shape) for x in jax.tree.leaves(state.params))
        logging.info("training %s: %d parameters", opened.config.system, int(count))
        for path, value in jax.tree.leaves_with_path(dict(batch)):
            place = jax.tree_util.keystr(path)
            logging.info("batch%s: %s %s", place, value.dtype, value.shape)
    return state, checkpoints


def _hooks(
    task: Task,
    data: TaskData,
    opened: Opened,
    checkpoints: training.Checkpoints,
    log: training.MetricLog,
    preemption: training.Preemption,
    num_steps: int,
    mesh: Any,
) -> tuple[training.Hook, ...]:
    """Returns what happens beside training, in order."""
    config = opened.config
    epoch = data.steps_per_epoch
    evaluation = training.EvaluationHook(
        task,
        data.splits,
        log,
        every=config.evaluation.every or epoch,
        num_steps=num_steps,
        mesh=mesh,
        resident=data.resident,
    )
    hooks: list[training.Hook] = [
        training.FiniteHook(checkpoints),
        training.LogHook(
            log, every=config.log.every, examples_per_step=config.batch_size
        ),
        training.ProgressHook(num_steps, step=log.step),
        evaluation,
    ]
    if task.pictures is not None:
        hooks.append(
            training.PicturesHook(
                task.pictures,
                picture_batch(data),
                write_grids(opened.workdir / "pictures", log),
                every=config.log.pictures_every,
                num_steps=num_steps,
            )
        )
    hooks.append(
        training.CheckpointHook(
            checkpoints,
            every=config.log.checkpoint_every or epoch,
            preemption=preemption,
            evaluation=evaluation,
            log=log,
        )
    )
    return tuple(hooks)


def picture_batch(data: TaskData, *, count: int = 12) -> Batch:
    """Returns a few examples of the first evaluation split, or of the training data."""
    for batches in data.splits.values():
        batch = next(iter(batches()))
        break
    else:
        batch = next(iter(data.train(0)))
    return {**data.resident, **{name: value[:count] for name, value in batch.items()}}


def write_grids(
    directory: pathlib.Path, log: training.MetricLog
) -> Callable[[int, Mapping[str, np.ndarray]], None]:
    """Returns the function that writes each named stack as one grid, six in a row."""
    from posejax import render

    def write(step: int, pictures: Mapping[str, np.ndarray]) -> None:
        for name, images in pictures.items():
            grid = render.image_grid(np.asarray(images), columns=6)
            render.write_png(directory / f"{name}_{step:07d}.png", grid)
            log.image(name, grid, step)

    return write
