"""A run: config, data and work directory, checked before anything is computed.

The work directory holds `config.json` (the config as it ran) and `run.json` (how it was
started: data, overrides, versions). Both are enough for `evaluate` and `predict`.
"""

import contextlib
import dataclasses
import difflib
import importlib.metadata
import json
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from posejax.checks import require_choice
from posejax.tasks import TASKS, System
from posejax.typing import Config

DATA_DIR = "data"
DATA_CHOICES = ("auto", "prepared", "sample")
DRAWN = "animation"  # the section of what is drawn only: no part of a run
SAMPLE_WARNING = (
    "the prepared data set {name!r} is not in {data_dir}: running on the embedded "
    "sample of drawn people instead. Figures of this run say nothing about real "
    "data. Prepare it with: python -m datasets.prepare {name} --config {config} "
    "--manual_dir DIR --data_dir {data_dir}"
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
    """Returns the name of the run's system, from its config or its work directory.

    Raises:
      ValueError: there is no such system.
    """
    config = run.config
    if config is None:
        config = read_config(_existing_config(run))
    return require_choice("config.system", config.get("system"), TASKS)


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
    merged = without_sample(config)
    merged.update(config.sample)
    for path, value in overrides.items():
        if not path.startswith(("sample.", f"{DRAWN}.")):
            merged.update_from_flattened_dict({path: value})
    return merged


def without_sample(config: Config) -> Config:
    """Returns the config of a run: without `sample`, and without what is drawn."""
    fields = config.to_dict()
    kept = {name: fields[name] for name in fields if name not in ("sample", DRAWN)}
    return ConfigDict(kept).lock()


def choose_data(
    run: Run, config: Config, data_dir: str, *, needs_data: bool = True
) -> tuple[Config, str, str | None]:
    """Returns the final config, the data that is used, and a warning or None."""
    from posejax.data.source import is_prepared

    require_choice("--data", run.data, DATA_CHOICES)
    name, builder = config.data.name, config.data.config
    data_sets = TASKS[config.system]().data_sets
    if data_sets:
        require_choice("config.data.name", name, data_sets)
        require_choice("config.data.config", builder, data_sets[name])
    prepared = is_prepared(data_dir, name, config=builder)
    if run.data == "prepared" or (run.data == "auto" and prepared):
        if needs_data and not prepared:
            raise FileNotFoundError(
                f"--data prepared: data set {name!r} is not in {data_dir!r}; run "
                f"`python -m datasets.prepare {name} --config {builder} "
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
        warning = SAMPLE_WARNING.format(name=name, config=builder, data_dir=data_dir)
    return apply_sample(config, run.overrides), "sample", warning


def open_run(run: Run, *, needs_data: bool = True) -> Opened:
    """Makes the config final and creates or checks the work directory.

    Args:
      run: The call.
      needs_data: Whether the data must be there; the embedded sample is drawn.

    Raises:
      ValueError: the work directory belongs to another config (with the difference).
      FileNotFoundError: the data set is missing, or there is no config at all.
    """
    if run.config is None:
        return reopen(run, needs_data=needs_data)
    data_dir = run.data_dir or DATA_DIR
    system = TASKS[system_of(run)]()
    config, data_used, warning = choose_data(
        run, run.config, data_dir, needs_data=needs_data
    )
    workdir = pathlib.Path(run.workdir or f"runs/{run.name}-{data_used}").absolute()
    if needs_data:
        ensure_data(run, config, data_dir, data_used)
    claim(run, workdir, config, data_dir, data_used)
    return Opened(config, workdir, system, data_dir, data_used, warning)


def reopen(run: Run, *, needs_data: bool = True) -> Opened:
    """Opens an existing work directory with the config that it holds."""
    path = _existing_config(run)
    workdir = path.parent
    config = read_config(path)
    started = _read_json(workdir / "run.json", ("data", "data_dir"))
    data_dir = run.data_dir or started["data_dir"]
    if needs_data:
        ensure_data(run, config, data_dir, started["data"])
        _tell_version(started.get("data_version"), _data_version(config, data_dir))
    system = TASKS[system_of(run)]()
    return Opened(config, workdir, system, data_dir, started["data"], None)


def read_config(path: pathlib.Path) -> Config:
    """Reads a `config.json`; lists become the tuples that they were.

    Raises:
      ValueError: the file is damaged, or no config of a run.
    """

    def tuples(value):
        if isinstance(value, dict):
            return {name: tuples(item) for name, item in value.items()}
        return tuple(value) if isinstance(value, list) else value

    return ConfigDict(tuples(_read_json(path, ("system", "data")))).lock()


def ensure_data(run: Run, config: Config, data_dir: str, data_used: str) -> None:
    """Builds the embedded sample if this run uses it and it is not there yet.

    The builder is asked each time: it alone knows which version is drawn now.

    Raises:
      FileNotFoundError: it is not there, nor is the builder.
    """
    if data_used != "sample":
        return
    name, builder = config.data.name, config.data.config
    before = _data_version(config, data_dir)
    if before is None:
        logging.info("drawing the embedded sample %s/%s (once)", name, builder)
    try:
        run.prepare_sample(name, builder, data_dir)
    except ModuleNotFoundError as error:
        if error.name not in ("datasets", "datasets.prepare"):
            raise
        if before is None:
            raise FileNotFoundError(
                "the embedded sample is drawn by the folder `datasets` of the "
                "repository, which is not here; run from the root of a clone of it."
            ) from None
    now = _data_version(config, data_dir)
    if before not in (None, now):
        logging.info("drew version %s of the sample; version %s is old", now, before)


def _data_version(config: Config, data_dir: str) -> str | None:
    """Returns the version of the prepared data that a run reads, if there is one."""
    from posejax.data.source import prepared_directory

    name, builder = config.data.name, config.data.config
    found = prepared_directory(data_dir, name, config=builder)
    return found and found.name


def _tell_version(began: str | None, found: str | None) -> None:
    """Warns that the data are not those that the run began with."""
    if began is not None and found not in (began, None):
        logging.warning(
            "this run began with version %s of its data and now reads version %s: "
            "figures before and after do not compare", began, found,
        )  # fmt: skip


def claim(
    run: Run, workdir: pathlib.Path, config: Config, data_dir: str, data_used: str
) -> None:
    """Writes `run.json` and `config.json`, or compares the latter with an old one.

    A directory in which nothing was computed yet is taken over by another config.

    Raises:
      ValueError: the directory holds another config; the message is the difference.
      PermissionError: the directory cannot be written.
    """
    path = workdir / "config.json"
    used = path.is_file() and _is_used(workdir)
    if used:
        difference = config_difference(read_config(path).to_dict(), config.to_dict())
        if difference:
            raise ValueError(
                f"--workdir {str(workdir)!r} holds a run of another config; use "
                f"another directory or the same config. Difference (-there, +here): "
                f"{'; '.join(difference)}"
            )
    try:
        workdir.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise PermissionError(
            f"--workdir {str(workdir)!r} cannot be created ({error.strerror}); choose "
            "a directory you may write."
        ) from None
    version = _data_version(config, data_dir)
    began = version
    with contextlib.suppress(ValueError):  # missing or damaged: it is written anew
        before = _read_json(workdir / "run.json", ()) if used else {}
        began = before.get("data_version") or version
    _tell_version(began, version)
    started = {
        "name": run.name,
        "data": data_used,
        "data_set": config.data.name,
        "data_version": began,
        "data_dir": os.path.abspath(data_dir),
        "overrides": {
            k: v for k, v in run.overrides.items() if not k.startswith(f"{DRAWN}.")
        },
        "versions": versions(),
    }
    _write_json(workdir / "run.json", started)
    if not used:  # last: a directory with a config has all that is needed to open it
        _write_json(path, config.to_dict())


def _is_used(workdir: pathlib.Path) -> bool:
    """Says whether there are steps, a checkpoint or clips in the directory."""
    saved = (*workdir.glob("checkpoints/[0-9]*"), *workdir.glob("clips/*"))
    return (workdir / "metrics.jsonl").is_file() or bool(saved)


def config_difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """Returns the fields that differ between two configs, as '-a.b: 1', '+...'."""

    def flat(config):
        def walk(value, path):
            if isinstance(value, dict):
                for name, item in value.items():
                    yield from walk(item, f"{path}.{name}" if path else name)
            else:
                yield f"{path}: {json.dumps(value)}"

        return sorted(walk(config, ""))

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


def _read_json(path: pathlib.Path, fields: Sequence[str]) -> dict[str, Any]:
    """Reads a file of a work directory that must have some fields."""
    try:
        value = json.loads(path.read_text())
        missing = [name for name in fields if name not in value]
        reason = f"it lacks {', '.join(missing)}" if missing else ""
    except OSError as error:
        value, reason = {}, str(error.strerror)
    except (ValueError, TypeError) as error:
        value, reason = {}, f"it is damaged: {error}"
    if reason:
        raise ValueError(
            f"{str(path)!r} cannot be used ({reason}); train again with the run's "
            "--config, or restore the file from a copy."
        )
    return value


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
