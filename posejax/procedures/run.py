"""A run: config, data and work directory, checked before anything is computed.

The work directory holds `config.json` (the config as it ran) and `run.json` (how it was
started: data, overrides, versions). Both are enough for `evaluate` and `predict`.
"""

import dataclasses
import difflib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Callable
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from posejax.checks import require_choice
from posejax.tasks import TASKS, System
from posejax.typing import Config

DATA_DIR = "data"
DATA_CHOICES = ("auto", "prepared", "sample")
SAMPLE_WARNING = (
    "the prepared data set {name!r} is not in {data_dir}: running on the embedded "
    "sample of drawn people instead. Figures of this run say nothing about real "
    "data. Prepare it with: python -m datasets.prepare {name} --manual_dir DIR "
    "--data_dir {data_dir}"
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One call of the command line.

    Attributes:
      config: The config as given, or None to take the work directory's.
      overrides: `--config.a.b` values given by name, applied last.
      name: Name of the config file, with its variant.
      workdir: Directory of the run, or None for `runs/<name>-<data>`.
      data: 'auto', 'prepared' or 'sample'.
      data_dir: Folder of the prepared data sets and imported weights, or None for the
        one that the work directory names, else `data`.
      checkpoint: 'last' or 'best'.
      input: File or folder to predict on or to import.
      boxes: File of person boxes for `input`, or None.
      output: Where predictions are written, or None for a folder in `workdir`.
      prepare_sample: Builds an embedded data set: (name, config, data_dir).
    """

    config: Config | None
    overrides: dict[str, Any]
    name: str
    workdir: str | None
    data: str
    data_dir: str | None
    checkpoint: str
    input: str | None
    boxes: str | None
    output: str | None
    prepare_sample: Callable[[str, str, str], None]


@dataclasses.dataclass(frozen=True)
class Opened:
    """A run whose config is final and whose work directory exists."""

    config: Config
    workdir: pathlib.Path
    system: System
    data_dir: str
    data_used: str
    warning: str | None


def join_processes(
    coordinator: str | None, num_processes: str | None, process_id: str | None
) -> None:
    """Joins the other processes of a run, before anything else is asked of JAX.

    Args:
      coordinator: `host:port` of process 0; None asks the pod or Slurm.
      num_processes: How many there are, as text.
      process_id: Number of this one, from 0, as text.

    Raises:
      ValueError: only some of the three are known, or one is no number.
    """
    import jax

    if coordinator is None:
        jax.distributed.initialize()
        return
    if num_processes is None or process_id is None:
        raise ValueError(
            "JAX_COORDINATOR_ADDRESS is set, but not both of JAX_NUM_PROCESSES and "
            "JAX_PROCESS_ID; set all three."
        )
    jax.distributed.initialize(coordinator, int(num_processes), int(process_id))


def system_of(run: Run) -> str:
    """Returns the name of the run's system, from its config or its work directory."""
    config = run.config
    if config is None:
        config = read_config(_existing_config(run))
    return config.system


def _existing_config(run: Run) -> pathlib.Path:
    if run.workdir is None:
        raise FileNotFoundError(
            "neither --config nor --workdir is given; name the config to run, or the "
            "work directory of an earlier run."
        )
    path = pathlib.Path(run.workdir).absolute() / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"--workdir {run.workdir!r} holds no config.json; give the directory of an "
            "earlier run, or --config."
        )
    return path


def apply_sample(config: Config, overrides: dict[str, Any]) -> Config:
    """Returns the config with the fields of its `sample` section put in place.

    Values given on the command line win over the section's.
    """
    merged = ConfigDict(config.to_dict())
    section = merged.sample
    del merged["sample"]
    merged.lock()
    merged.update(section)
    for path, value in overrides.items():
        if not path.startswith("sample."):
            merged.update_from_flattened_dict({path: value})
    return merged


def without_sample(config: Config) -> Config:
    """Returns the config without its `sample` section."""
    merged = ConfigDict(config.to_dict())
    if "sample" in merged:
        del merged["sample"]
    return merged.lock()


def _choose_data(
    run: Run, config: Config, data_dir: str
) -> tuple[Config, str, str | None]:
    """Returns the final config, the data that is used, and a warning or None."""
    from posejax.data.source import is_prepared

    require_choice("--data", run.data, DATA_CHOICES)
    name = config.data.name
    prepared = is_prepared(data_dir, name, config=config.data.config)
    if run.data == "prepared" or (run.data == "auto" and prepared):
        if not prepared:
            raise FileNotFoundError(
                f"--data prepared: data set {name!r} is not in {data_dir!r}; run "
                f"`python -m datasets.prepare {name} --config {config.data.config} "
                f"--manual_dir DIR --data_dir {data_dir}`, or use --data sample."
            )
        return without_sample(config), "prepared", None
    warning = None
    if run.data == "auto":
        import jax

        if jax.distributed.is_initialized() and jax.process_count() > 1:
            raise FileNotFoundError(
                f"data set {name!r} is not in {data_dir!r}, and a run of several "
                "processes never falls back to the sample; prepare it, or ask for "
                "--data sample."
            )
        warning = SAMPLE_WARNING.format(name=name, data_dir=data_dir)
    return apply_sample(config, run.overrides), "sample", warning


def open_run(run: Run, *, needs_data: bool = True) -> Opened:
    """Makes the config final and creates or checks the work directory.

    Args:
      run: The call.
      needs_data: Whether the embedded sample is drawn if the run uses it.

    Raises:
      ValueError: the work directory belongs to another config (with the difference).
      FileNotFoundError: the data set is missing, or there is no config at all.
    """
    if run.config is None:
        return reopen(run, needs_data=needs_data)
    data_dir = run.data_dir or DATA_DIR
    config, data_used, warning = _choose_data(run, run.config, data_dir)
    workdir = pathlib.Path(run.workdir or f"runs/{run.name}-{data_used}").absolute()
    if needs_data:
        ensure_data(run, config, data_dir, data_used)
    claim(workdir, config)
    describe(run, workdir, config, data_dir, data_used)
    return Opened(config, workdir, TASKS[config.system](), data_dir, data_used, warning)


def describe(
    run: Run, workdir: pathlib.Path, config: Config, data_dir: str, data_used: str
) -> None:
    """Writes `run.json`: how the run was started and with which packages."""
    _write_json(
        workdir / "run.json",
        {
            "name": run.name,
            "data": data_used,
            "data_set": config.data.name,
            "data_dir": os.path.abspath(data_dir),
            "overrides": run.overrides,
            "versions": versions(),
        },
    )


def reopen(run: Run, *, needs_data: bool = True) -> Opened:
    """Opens an existing work directory with the config that it holds."""
    path = _existing_config(run)
    workdir = path.parent
    config = read_config(path)
    started = json.loads((workdir / "run.json").read_text())
    data_dir = run.data_dir or started["data_dir"]
    if needs_data:
        ensure_data(run, config, data_dir, started["data"])
    return Opened(
        config, workdir, TASKS[config.system](), data_dir, started["data"], None
    )


def read_config(path: pathlib.Path) -> Config:
    """Reads a `config.json`; lists become the tuples that they were."""

    def tuples(value):
        if isinstance(value, dict):
            return {name: tuples(item) for name, item in value.items()}
        return tuple(value) if isinstance(value, list) else value

    return ConfigDict(tuples(json.loads(path.read_text()))).lock()


def ensure_data(run: Run, config: Config, data_dir: str, data_used: str) -> None:
    """Builds the embedded sample if this run uses it and it is not there yet."""
    from posejax.data.source import is_prepared

    name, builder = config.data.name, config.data.config
    if data_used == "sample" and not is_prepared(data_dir, name, config=builder):
        logging.info("drawing the embedded sample %s/%s (once)", name, builder)
        run.prepare_sample(name, builder, data_dir)


def claim(workdir: pathlib.Path, config: Config) -> None:
    """Writes `config.json` into a new work directory, or compares it with an old one.

    Raises:
      ValueError: the directory holds another config; the message is the difference.
      PermissionError: the directory cannot be written.
    """
    text = json.dumps(config.to_dict(), indent=2, sort_keys=True) + "\n"
    path = workdir / "config.json"
    if path.is_file():
        difference = config_difference(path.read_text(), text)
        if difference:
            raise ValueError(
                f"--workdir {str(workdir)!r} holds a run of another config; use "
                f"another directory or the same config. Difference (-there, +here): "
                f"{'; '.join(difference)}"
            )
        return
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(
            f"--workdir {str(workdir)!r} cannot be created ({error.strerror}); choose "
            "a directory you may write."
        ) from None
    _write_json(path, json.loads(text))


def config_difference(old: str, new: str) -> list[str]:
    """Returns the fields that differ between two JSON configs, as '-a.b: 1', '+...'."""

    def flat(text):
        def walk(value, path):
            if isinstance(value, dict):
                for name, item in value.items():
                    yield from walk(item, f"{path}.{name}" if path else name)
            else:
                yield f"{path}: {json.dumps(value)}"

        return sorted(walk(json.loads(text), ""))

    lines = difflib.unified_diff(flat(old), flat(new), lineterm="", n=0)
    return [line for line in lines if not line.startswith(("---", "+++", "@@"))]


def versions() -> dict[str, str]:
    """Returns the versions of the packages that decide a run's numbers."""
    names = ("posejax", "jax", "jaxlib", "flax", "optax", "numpy", "opencv-python")
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed as a package"
    return found


def _write_json(path: pathlib.Path, value: Any) -> None:
    temporary = path.with_suffix(f".json.{os.getpid()}")  # processes share a folder
    try:
        temporary.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")
        os.replace(temporary, path)
    except OSError as error:
        raise PermissionError(
            f"{str(path)!r} cannot be written ({error.strerror}); free space or choose "
            "a directory you may write."
        ) from None
