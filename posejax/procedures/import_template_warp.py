"""The verb `import_weights` of template_warp: published files to posejax's own.

A checkpoint of the published code becomes a work directory that `evaluate` and
`predict` take; torchvision's VGG-19 file becomes `<data_dir>/weights/vgg19.npz`.
"""

import os
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
from absl import logging

from posejax import importers, training
from posejax.checks import unknown
from posejax.procedures.run import DATA_DIR, Run, claim, describe, without_sample
from posejax.tasks.template_warp import make_task, vgg_path


def import_template_warp(run: Run) -> Mapping[str, Any]:
    """Imports `run.input`; what it is is seen from the entries it holds.

    Raises:
      FileNotFoundError: there is no such file, or no work directory is named.
      ValueError: the file holds something else, or tensors are missing, unused or of
        another shape (all are named).
    """
    if run.input is None or not os.path.isfile(run.input):
        raise FileNotFoundError(
            f"--input is {run.input!r}; name a file: a checkpoint (.tar) of the "
            "published code, or torchvision's vgg19-dcbb9e9d.pth."
        )
    entries = importers.read_torch_file(run.input)
    if "features.0.weight" in entries:
        return _import_vgg(run, entries)
    if {"regressor", "translator"} <= set(entries):
        return _import_checkpoint(run, entries)
    raise unknown(
        f"--input {run.input!r}: its entries", sorted(entries)[:4],
        ("regressor + translator", "features.0.weight ..."),
    )  # fmt: skip


def _import_vgg(run: Run, entries: Mapping[str, Any]) -> Mapping[str, Any]:
    path = pathlib.Path(vgg_path(run.data_dir or DATA_DIR))
    path.parent.mkdir(parents=True, exist_ok=True)
    importers.save_vgg_npz(path, importers.import_vgg(entries))
    logging.info("VGG-19 features written to %s", path)
    return {"written": str(path)}


def _import_checkpoint(run: Run, entries: Mapping[str, Any]) -> Mapping[str, Any]:
    if run.config is None or run.workdir is None:
        raise FileNotFoundError(
            "importing a checkpoint needs --config (the run it was made by) and "
            "--workdir (a new directory for it)."
        )
    config = without_sample(run.config)
    data_dir = run.data_dir or DATA_DIR
    params, stats = importers.import_template_warp(entries)
    task = make_task(config, data_dir)
    # The frozen features are no part of a published file; random ones stand in here,
    # since neither evaluate nor predict uses them.
    size = config.image_size
    frame = jnp.zeros((2, size, size, 3), jnp.uint8)
    drawn = config.copy_and_resolve_references()
    with drawn.unlocked():
        drawn.vgg.weights = "random"
    state = jax.eval_shape(
        lambda: training.init_state(
            make_task(drawn), jax.random.key(0), {"frame_1": frame, "frame_2": frame}
        )
    )
    training.require_same_structure(
        {"params": state.params, "batch_stats": state.model_state["batch_stats"]},
        {"params": params, "batch_stats": stats},
        what=f"--input {run.input!r}",
    )
    workdir = pathlib.Path(run.workdir).absolute()
    claim(workdir, config)
    describe(run, workdir, config, data_dir, "prepared")
    imported = training.TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state={"batch_stats": stats},
        opt_state=task.optimizer.init(params),
        key=jax.random.key_data(jax.random.key(config.seed)),
    )
    with training.Checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(imported)
    logging.info("imported %s into %s", run.input, workdir)
    return {"written": str(workdir)}
