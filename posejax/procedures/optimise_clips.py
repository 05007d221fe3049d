"""The verbs of flow_pose: joint optimisation of clips, and tables of what was found.

Clips are independent: each is finished, and on disk, before the next begins. A run that
is started again goes on with the clips that are not finished. Several processes share
the clips, and so do the devices of a process.
"""

import concurrent.futures
import dataclasses
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from absl import logging
from jax.sharding import Mesh

from posejax import render
from posejax.checks import require_choice
from posejax.data.clips import Clip
from posejax.procedures.alternate import (
    Programs,
    Weights,
    joint_optimise,
    make_programs,
)
from posejax.procedures.clip_results import (
    clip_figures,
    figure_tables,
    mean_figures,
    total_counts,
    write_clip,
)
from posejax.procedures.evaluate import write_json
from posejax.procedures.run import DATA_CHOICES, DATA_DIR, Opened, Run, open_run
from posejax.tasks import flow_pose
from posejax.tasks.flow_pose_bodies import fit_body_priors
from posejax.tasks.flow_pose_data import FILES, ClipSet, clip_set

SAMPLE_WARNING = (
    "config.data.root is '': running on the embedded sample of drawn people instead. "
    "Figures of this run say nothing about real data. Name the folder with videos, "
    "estimates and labels: --config.data.root=DIR"
)
FIGURES = "figures.json"  # of a clip; written last, so a clip that has it is finished


def optimise_clips(run: Run) -> Mapping[str, Any]:
    """Optimises every clip of a config; returns the figures of all of them.

    Raises:
      FileNotFoundError: clips, weights or the poses of a prior are not there.
      ValueError: a bad value, a clip whose parts do not belong together, or a work
        directory of another config.
    """
    opened = open_clips(run)
    if opened.warning:
        logging.warning("%s", opened.warning)
    clips = clip_set(opened.config, opened.data_dir)
    optimise_set(clips, opened)
    figures = report(opened, clips.names)
    if opened.warning:
        logging.warning("%s", opened.warning)
    return figures


def open_clips(run: Run) -> Opened:
    """Opens a run whose clips may be files as they are handed out.

    Of such, nothing is prepared: `config.data.root` says where they are. Without it,
    `--data auto` runs on the embedded sample.

    Raises:
      FileNotFoundError: the clips are not there; no work directory is made then.
      ValueError: as `open_run`.
    """
    config = run.config
    if config is None or run.data == "sample" or config.data.name not in FILES:
        return open_run(run)
    if run.data == "auto" and not config.data.root:
        opened = open_run(dataclasses.replace(run, data="sample"))
        return dataclasses.replace(opened, warning=SAMPLE_WARNING)
    require_choice("--data", run.data, DATA_CHOICES)
    clip_set(config, run.data_dir or DATA_DIR)
    return open_run(dataclasses.replace(run, data="prepared"), needs_data=False)


def evaluate_clips(run: Run) -> Mapping[str, Any]:
    """Prints the tables of the clips that a work directory holds."""
    opened = open_run(run, needs_data=False)
    return report(opened, finished_clips(opened.workdir))


def optimise_set(clips: ClipSet, opened: Opened) -> None:
    """Optimises the clips of this process that are not finished yet.

    Args:
      clips: The clips.
      opened: The run.
    """
    config = opened.config
    done = set(finished_clips(opened.workdir))
    share = clips.names[jax.process_index() :: jax.process_count()]
    left = [name for name in share if name not in done]
    logging.info("%d clips, %d of them finished", len(share), len(share) - len(left))
    priors = None
    if flow_pose.asked_priors(config):
        priors = fit_body_priors(config, opened.data_dir)
    weights = Weights(*flow_pose.initial_weights(config))
    devices = jax.local_devices()[: max(1, len(left))]
    waiting = iter(left)  # `next` on it is one step of the interpreter

    def work(device: Any) -> None:
        mesh = Mesh(np.array([device]), ("data",))
        with jax.default_device(device):
            programs = make_programs(config, priors, mesh=mesh)
            for name in waiting:
                optimise_clip(clips.read(name), opened, programs, weights)

    if len(devices) == 1:
        work(devices[0])
    else:
        with concurrent.futures.ThreadPoolExecutor(len(devices)) as threads:
            list(threads.map(work, devices))


def optimise_clip(
    clip: Clip, opened: Opened, programs: Programs, weights: Weights
) -> None:
    """Optimises a clip and writes what was found."""

    def watch(line: str) -> None:
        logging.info("%s: %s", clip.name, line)

    height, width = clip.size
    watch(f"{clip.num_frames} frames of {width} x {height}")
    result = joint_optimise(clip, opened.config, programs, weights, watch=watch)
    kind, config = programs.kind, opened.config
    figures = clip_figures(clip, result, kind, config.evaluation)
    folder = clip_folder(opened.workdir, clip.name)
    write_clip(folder, clip, result, kind, config.output)
    steps = {"pose_steps": len(result.energies)}
    write_json(folder / FIGURES, {"clip": clip.name, **steps, "sums": figures})
    for line in figure_tables(mean_figures([figures])).splitlines():
        watch(line)


def clip_folder(workdir: pathlib.Path, name: str) -> pathlib.Path:
    """Returns where a clip's results are: a name with a slash is a folder in one."""
    return workdir / "clips" / name


def finished_clips(workdir: pathlib.Path) -> tuple[str, ...]:
    """Returns the names of the clips that a work directory holds, in order."""
    root = workdir / "clips"
    found = [path.parent.relative_to(root) for path in root.rglob(FIGURES)]
    return tuple(sorted(path.as_posix() for path in found))


def report(opened: Opened, names: Sequence[str]) -> Mapping[str, Any]:
    """Writes and prints the tables of the finished clips among `names`.

    `evaluation/clips.json` has the figures of all, of each action and of each clip;
    `clips.txt` and `clips.csv` are the same to read.

    Returns:
      The figures of all clips together.
    """
    rows = {name: _read_sums(opened.workdir, name) for name in names}
    rows = {name: row for name, row in rows.items() if row}
    if not rows:
        logging.warning("no finished clip has a truth to be compared with")
        return {}
    total = mean_figures(rows.values())
    actions: dict[str, list[Mapping[str, Sequence[float]]]] = {}
    for name, row in rows.items():
        actions.setdefault(_action(name), []).append(row)
    groups = {
        "mean": {"all": total},
        "action": {action: mean_figures(some) for action, some in actions.items()},
        "clip": {name: mean_figures([row]) for name, row in rows.items()},
    }
    folder = opened.workdir / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    counts = total_counts(rows.values())
    write_json(
        folder / "clips.json", {"num_clips": len(rows), "counts": counts, **groups}
    )
    text = f"{len(rows)} clips\n\n{figure_tables(total)}\n"
    render.write_text(folder / "clips.txt", text)
    render.write_text(folder / "clips.csv", "\n".join(_csv(groups)) + "\n")
    print(f"\n{text}")
    return {"clips": total}


def _read_sums(workdir: pathlib.Path, name: str) -> Mapping[str, Sequence[float]]:
    path = clip_folder(workdir, name) / FIGURES
    return json.loads(path.read_text())["sums"] if path.is_file() else {}


def _action(name: str) -> str:
    """`Walking` of `S9/Walking 1.60457274`."""
    return name.rpartition("/")[2].partition(".")[0].partition(" ")[0]


def _csv(groups: Mapping[str, Mapping[str, Mapping[str, float]]]) -> Iterator[str]:
    columns = list(groups["mean"]["all"])
    yield ",".join(["group", "name", *columns])
    for group, rows in groups.items():
        for name, figures in rows.items():
            cells = (f"{figures[c]:.6g}" if c in figures else "" for c in columns)
            yield ",".join([group, name, *cells])
