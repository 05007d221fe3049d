"""The verb `export_weights`: a checkpoint's weights as one npz with a description.

The file is small (`config.output.weights_dtype = "float16"` halves it), holds no state
of the optimiser, and is what `config.initial_weights` of a later run names.
"""

import json
import pathlib
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np
from absl import logging

from posejax import importers
from posejax.procedures.evaluate import restore
from posejax.procedures.predict_flow import open_work
from posejax.procedures.run import Opened, Run

SUFFIX = ".npz"


def export_weights(run: Run) -> Mapping[str, Any]:
    """Writes the weights of `run.workdir`'s checkpoint to `run.output`.

    Raises:
      FileNotFoundError: there is no work directory or no checkpoint.
      ValueError: the output is no new file ending in .npz, a weight is not finite or
        does not fit float16, or the checkpoint is of another network.
    """
    output = _new_file(run.output)
    opened, section = open_work(run)
    dtype = "float32" if section is None else section.get("weights_dtype", "float32")
    task = opened.system.make_task(opened.config, opened.data_dir)
    params, model_state, step = restore(run, opened, task)
    description = weights_facts(run, opened, step)
    try:
        importers.save_weights(
            output,
            jax.tree.map(np.asarray, (params, model_state)),
            description=description,
            dtype=dtype,
        )
    except ValueError as error:
        raise ValueError(f"--output {str(output)!r}: {error}") from None
    count = sum(x.size for x in jax.tree.leaves(params))
    logging.info("%d parameters of step %d as %s in %s", count, step, dtype, output)
    return {"written": str(output), "step": step}


def weights_facts(run: Run, opened: Opened, step: int) -> dict[str, Any]:
    """Returns what a file of weights says of itself.

    Args:
      run: The call.
      opened: The run.
      step: That of the checkpoint.

    Returns:
      System, variant, step, config and data of the run. Folders of this machine are
      left out: of a file that the config names, only its name is kept.
    """
    config = opened.config.to_dict()
    config.pop("output", None)  # what is written by other calls
    started = json.loads((opened.workdir / "run.json").read_text())
    named = pathlib.Path(config.get("initial_weights") or "").name
    if "initial_weights" in config:
        config["initial_weights"] = named
    return {
        "system": config["system"],
        "variant": config.get("model", {}).get("variant", ""),
        "step": step,
        "checkpoint": run.checkpoint,
        "data": started.get("data"),
        "data_set": started.get("data_set"),
        "data_version": started.get("data_version"),
        "versions": started.get("versions"),
        "config": config,
    }


def _new_file(given: str | None) -> pathlib.Path:
    """Returns the file to write."""
    if given is None or pathlib.Path(given).suffix != SUFFIX:
        raise ValueError(
            f"--output is {given!r}; name the file of weights to write, ending in "
            f"{SUFFIX}."
        )
    if pathlib.Path(given).exists():
        raise ValueError(
            f"--output {given!r} is there already; name a new file, or remove it."
        )
    return pathlib.Path(given)
