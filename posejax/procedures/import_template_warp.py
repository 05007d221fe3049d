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
from posejax.procedures.run import DATA_DIR, Run, claim, without_sample
from posejax.tasks.template_warp import make_task, vgg_path
from posejax.templates import SCHEMES


def import_template_warp(run: Run) -> Mapping[str, Any]:
    """Imports `run.input`; what it is is seen from the entries it holds.

    Raises:
      FileNotFoundError: there is no such file, or no work directory is named.
      ValueError: the file holds something else, or tensors are missing, unused or of
        another shape (all are named), or the work directory is in use.
    """
    if run.input is None or not os.path.isfile(run.input):
        raise FileNotFoundError(
            f"--input is {run.input!r}; name a file: a checkpoint (.tar) of the "
            "published code, or torchvision's vgg19-dcbb9e9d.pth."
        )
    content = importers.read_torch_file(run.input)
    if any(str(name).startswith("features.") for name in content):
        return _import_vgg(run, content)
    return _import_checkpoint(run, content, run.input)


def _import_vgg(run: Run, content: Mapping[str, Any]) -> Mapping[str, Any]:
    path = pathlib.Path(vgg_path(run.data_dir or DATA_DIR))
    params = importers.import_vgg(content)
    path.parent.mkdir(parents=True, exist_ok=True)
    importers.save_vgg_npz(path, params)
    logging.info("VGG-19 features written to %s", path)
    return {"written": str(path)}


def _import_checkpoint(
    run: Run, content: Mapping[str, Any], path: str
) -> Mapping[str, Any]:
    if run.config is None or run.workdir is None:
        raise FileNotFoundError(
            "importing a checkpoint needs --config (the run it was made by) and "
            "--workdir (a new directory for it)."
        )
    config = without_sample(run.config)
    workdir = pathlib.Path(run.workdir).absolute()
    with training.Checkpoints(workdir / "checkpoints", read_only=True) as checkpoints:
        latest = checkpoints.latest_step()
    if latest is not None:
        raise ValueError(
            f"--workdir {str(workdir)!r} holds a checkpoint already (step {latest}); "
            "import into a new directory."
        )
    if config.regressor == "shape_template":
        regressor = importers.load_shape_template_checkpoint(path)
        params = {"regressor": regressor.params}
        stats = {"regressor": regressor.model_state}
    else:
        try:
            params, stats = importers.import_template_warp(
                content,
                num_outputs=SCHEMES[config.scheme].num_outputs,
                image_size=config.image_size,
            )
        except ValueError as error:
            raise ValueError(f"--input {path}: {error}") from None
    claim(run, workdir, config, run.data_dir or DATA_DIR, "prepared")
    imported = training.TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state={"batch_stats": stats},
        opt_state=make_task(config).optimizer.init(params),
        key=jax.random.key_data(jax.random.key(config.seed)),
    )
    with training.Checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(imported)
    logging.info("imported %s into %s", run.input, workdir)
    return {"written": str(workdir)}
