"""The verb `import_weights` of RAFT: a released file becomes a work directory.

`evaluate`, `predict` and `export_weights` take it. Whether the file holds the large or
the small network is seen from the names in it, and must be what the config says.
"""

from collections.abc import Mapping
from typing import Any

from posejax import importers
from posejax.procedures.imported_weights import (
    input_file,
    new_workdir,
    save_variables,
)
from posejax.procedures.run import Run
from posejax.tasks.raft import make_task


def import_raft(run: Run) -> Mapping[str, Any]:
    """Imports the network of `run.input` into `run.workdir`.

    Raises:
      FileNotFoundError: there is no such file, or no config or work directory is named.
      ValueError: the file holds something else or the other network, or tensors are
        missing, unused or of another shape (all are named), or the work directory is in
        use.
    """
    path = input_file(run, "a released checkpoint (.pth) of RAFT")
    config, workdir = new_workdir(run)
    try:
        found = importers.load_raft_checkpoint(path)
    except ValueError as error:
        raise ValueError(f"--input {error}") from None
    wanted = config.model.variant
    if found.variant != wanted:
        raise ValueError(
            f"--input {path} holds the {found.variant} RAFT network, but "
            f"config.model.variant is {wanted!r}; give "
            f"--config.model.variant={found.variant}, or take another file."
        )
    save_variables(
        run,
        config,
        workdir,
        params=found.params,
        model_state=found.model_state,
        optimizer=make_task(config).optimizer,
    )
    return {"written": str(workdir), "variant": found.variant}
