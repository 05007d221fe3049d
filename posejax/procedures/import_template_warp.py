"""The verb `import_weights` of template_warp: published files to posejax's own.

A checkpoint of the published code becomes a work directory that `evaluate` and
`predict` take; torchvision's VGG-19 file becomes `<data_dir>/weights/vgg19.npz`.
"""

import pathlib
from collections.abc import Mapping
from typing import Any

from absl import logging

from posejax import importers
from posejax.procedures.imported_weights import input_file, new_workdir, save_imported
from posejax.procedures.run import DATA_DIR, Run
from posejax.tasks.template_warp import make_task, vgg_path
from posejax.templates import SCHEMES


def import_template_warp(run: Run) -> Mapping[str, Any]:
    """Imports `run.input`; what it is is seen from the entries it holds.

    Raises:
      FileNotFoundError: there is no such file, or no work directory is named.
      ValueError: the file holds something else, or tensors are missing, unused or of
        another shape (all are named), or the work directory is in use.
    """
    path = input_file(
        run,
        "a checkpoint (.tar) of the published code, or torchvision's "
        "vgg19-dcbb9e9d.pth",
    )
    content = importers.read_torch_file(path)
    if any(str(name).startswith("features.") for name in content):
        return _import_vgg(run, content)
    return _import_checkpoint(run, content, path)


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
    config, workdir = new_workdir(run)
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
    optimizer = make_task(config).optimizer
    save_imported(
        run, config, workdir, params=params, batch_stats=stats, optimizer=optimizer
    )
    return {"written": str(workdir)}
