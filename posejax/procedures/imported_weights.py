"""What each `import_weights` needs: a file, a new work directory, and weights saved."""

import os
import pathlib

import jax
import jax.numpy as jnp
import optax
from absl import logging

from posejax import training
from posejax.procedures.run import DATA_DIR, Run, claim, without_sample
from posejax.typing import Config, Tree


def input_file(run: Run, what: str) -> str:
    """Returns the file that `--input` names.

    Args:
      run: What was typed.
      what: Which files can be imported, for the error.

    Raises:
      FileNotFoundError: none is named, or there is none of that name.
    """
    if run.input is None or not os.path.isfile(run.input):
        raise FileNotFoundError(f"--input is {run.input!r}; name a file: {what}.")
    return run.input


def new_workdir(run: Run) -> tuple[Config, pathlib.Path]:
    """Returns the config of the published run and the directory to import into.

    Raises:
      FileNotFoundError: no config or no work directory is named.
      ValueError: the work directory holds a checkpoint already.
    """
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
    return config, workdir


def save_imported(
    run: Run,
    config: Config,
    workdir: pathlib.Path,
    *,
    params: Tree,
    batch_stats: Tree,
    optimizer: optax.GradientTransformation,
) -> None:
    """Claims a work directory and saves weights into it as step 0.

    Args:
      run: What was typed.
      config: The config of the run that the weights are of.
      workdir: Where to.
      params: Parameters of the networks, by name.
      batch_stats: Their running statistics.
      optimizer: The run's; its state starts anew.

    Raises:
      ValueError: the work directory is in use, or holds another run.
    """
    save_variables(
        run,
        config,
        workdir,
        params=params,
        model_state={"batch_stats": batch_stats},
        optimizer=optimizer,
    )


def save_variables(
    run: Run,
    config: Config,
    workdir: pathlib.Path,
    *,
    params: Tree,
    model_state: Tree,
    optimizer: optax.GradientTransformation,
) -> None:
    """Does what `save_imported` does, for a whole state of any layout.

    Args:
      run: What was typed.
      config: The config of the run that the weights are of.
      workdir: Where to.
      params: Parameters, as the system's `init` lays them out.
      model_state: The rest of its variables.
      optimizer: The run's; its state starts anew.

    Raises:
      ValueError: the work directory is in use, or holds another run.
    """
    imported = training.TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        model_state=model_state,
        opt_state=optimizer.init(params),
        key=jax.random.key_data(jax.random.key(config.seed)),
    )
    claim(run, workdir, config, run.data_dir or DATA_DIR, "prepared")
    with training.Checkpoints(workdir / "checkpoints") as checkpoints:
        checkpoints.save(imported)
    logging.info("imported %s into %s", run.input, workdir)
