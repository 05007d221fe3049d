r"""The claim of PosturePose on free motion capture: five rows, several seeds.

The folder of raw files is `mocap_bandai.npz`, `mocap_cmu.npz` and the cast, which says
who of Human3.6M's subjects plays which style:

  mkdir raw && ln -s DIR/mocap_bandai/mocap_bandai.npz DIR/mocap_cmu/mocap_cmu.npz raw
  python -m experiments.posture_pose.mocap --print_cast > raw/subjects.json
  python -m datasets.prepare mocap --manual_dir raw --data_dir data
  python -m experiments.posture_pose.mocap --data_dir data --output runs/mocap

Seed by seed, each row is an ordinary run of posejax in a work directory of its own,
`<output>/<row>-seed<seed>`. The same command after an interruption goes on where it
stopped; `mocap.json` and `mocap.md` in the output folder hold what is finished.
"""

import argparse
import dataclasses
import datetime
import json
import pathlib
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from absl import logging
from ml_collections import ConfigDict

from configs import posture_pose_gt_1, videopose3d_semi
from configs.bases.posture_pose import UNLABELLED_TERMS
from experiments.benchmarks import measure
from experiments.posture_pose import table
from posejax import render
from posejax.checks import require_at_least, require_choice
from posejax.console import plain_log
from posejax.data.source import prepared_directory
from posejax.procedures import verb
from posejax.procedures.run import (
    Run,
    config_difference,
    read_config,
    without_sample,
)

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA_SET, BUILDER_CONFIG = "mocap", "poses"

# Who plays which style. Every subject walks, runs and bows; no style, body or clip of
# the test subjects is seen in training. S8 and S7 are short: there are only five styles
# of Bandai Namco's second set, and the test has two of them.
CAST: Mapping[str, str] = {
    **dict.fromkeys(("BN2_normal", "BN1_normal", "BN1_tired"), "S1"),
    **dict.fromkeys(("BN2_active", "BN1_active", "BN1_happy"), "S5"),
    **dict.fromkeys(("BN2_exhausted", "BN1_old", "BN1_not-confident"), "S6"),
    **dict.fromkeys(("CMU", "BN1_sad", "BN1_angry"), "S7"),
    **dict.fromkeys(("BN1_proud", "BN1_giant", "BN1_chimpira"), "S8"),
    **dict.fromkeys(("BN2_masculine", "BN1_masculinity", "BN1_childish"), "S9"),
    **dict.fromkeys(("BN2_youthful", "BN1_feminine", "BN1_musical"), "S11"),
}

_BASIS = ("reprojection", "root")
_PRIORS = ("symmetry", "bone_proportion", "joint_mobility")
_VIEWS = ("view_pose", "view_posture")


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table: which terms of unlabelled windows count.

    Attributes:
      label: What the table calls it.
      terms: Names of the terms; all others have weight 0.
      weights_of: The config file whose weights they have.
    """

    label: str
    terms: tuple[str, ...]
    weights_of: Callable[[], ConfigDict] = posture_pose_gt_1.get_config


# As published, the priors and the losses between views are added to the reprojection
# and to the loss that keeps the root at the origin; `reprojection` is these two alone.
ROWS: Mapping[str, Row] = {
    "supervised": Row("supervised only", ()),
    "priors": Row("+BSE+BPC+JMC", _BASIS + _PRIORS),
    "views": Row("+MvP&P", _BASIS + _VIEWS),
    "all": Row("all", _BASIS + _PRIORS + _VIEWS),
    "videopose3d": Row(
        "VideoPose3D semi-supervised",
        ("reprojection", "bone_length"),
        videopose3d_semi.get_config,
    ),
    "reprojection": Row("reprojection and root only", _BASIS),
}
DEFAULT_ROWS = ("supervised", "priors", "views", "all", "videopose3d")
REFERENCE = "supervised"


@dataclasses.dataclass(frozen=True)
class Setting:
    """What all rows of an experiment have in common, beside the published config.

    Attributes:
      num_steps: Steps of a run.
      fraction: Share of each labelled recording that is labelled.
    """

    num_steps: int = 3000
    fraction: float = 0.1


# The published run has about 195 000 steps and lowers its rate every 500 of them.
_DECAYS = 390


def run_config(row: str, seed: int, setting: Setting) -> ConfigDict:
    """Returns the config of one run; rows differ in `weights`, seeds in `seed`.

    Args:
      row: Name of a row, a key of `ROWS`.
      seed: Of parameters, order, groups of views and prior noise.
      setting: What all runs have in common.

    Raises:
      ValueError: For an unknown row, no steps, or a fraction out of its range.
    """
    require_choice("--rows", row, ROWS)
    require_at_least("--num_steps", setting.num_steps, 1)
    if not 0 < setting.fraction <= 1:
        raise ValueError(
            f"--fraction is {setting.fraction}; expected a share above 0, at most 1."
        )
    config = posture_pose_gt_1.get_config("mocap")
    config.seed = seed
    config.num_steps = setting.num_steps
    config.data.labelled.fraction = setting.fraction
    # Six frames a second: neighbours in time hardly differ, and one frame is lifted.
    config.data.downsample = 5
    config.model.channels = 256
    config.batch_size = 128
    config.views.num_groups = 64
    every = max(1, setting.num_steps // _DECAYS)
    config.optimizer.decay_every = config.batch_norm.update_every = every
    # A clip is 20 frames long on average; longer segments are mostly padding.
    config.evaluation.segment, config.evaluation.batch_size = 32, 64
    config.evaluation.every = setting.num_steps
    config.log.every = 10
    config.log.checkpoint_every = max(1, setting.num_steps // 4)
    published = ROWS[row].weights_of().weights
    for term in UNLABELLED_TERMS:
        config.weights[term] = published[term] if term in ROWS[row].terms else 0.0
    return config


def work_directory(output: pathlib.Path, row: str, seed: int) -> pathlib.Path:
    """Returns where a run lies."""
    return output / f"{row}-seed{seed}"


def check_data(data_dir: pathlib.Path) -> None:
    """Checks that the data set is prepared, with this experiment's cast.

    Raises:
      FileNotFoundError: If it is not prepared; says how to.
      ValueError: If somebody plays what this experiment gives to another.
    """
    how = (
        "`python -m experiments.posture_pose.mocap --print_cast > raw/subjects.json` "
        "and `python -m datasets.prepare mocap --manual_dir raw --data_dir "
        f"{data_dir}`, where raw also holds mocap_bandai.npz and mocap_cmu.npz"
    )
    found = prepared_directory(str(data_dir), DATA_SET, config=BUILDER_CONFIG)
    if found is None:
        raise FileNotFoundError(
            f"data set {DATA_SET!r} is not prepared in {data_dir}; run {how}."
        )
    metadata = json.loads((found / "metadata.json").read_text(encoding="utf-8"))
    for folders in metadata["folders"].values():
        for folder in folders:
            # "<subject>/<activity> <source> <clip>"
            subject, _, action = str(folder["name"]).partition("/")
            source = action.split(" ")[1] if " " in action else action
            if CAST.get(source) != subject:
                wanted = CAST.get(source, "nobody")
                raise ValueError(
                    f"{found} has {source} played by {subject}; this experiment's cast "
                    f"says {wanted}: prepare the data in another folder with {how}."
                )


def train_and_evaluate(
    config: ConfigDict, workdir: pathlib.Path, data_dir: pathlib.Path
) -> Mapping[str, Any]:
    """Trains, resuming where the work directory left off, and evaluates.

    Returns:
      The figures by split; nothing if the training was told to stop.
    """
    run = Run(
        config=config,
        overrides={},
        name=workdir.name,
        workdir=str(workdir),
        data="prepared",
        data_dir=str(data_dir),
        checkpoint="last",
        input=None,
        boxes=None,
        output=None,
        prepare_sample=_no_sample,
    )
    return verb("train", run)(run)  # evaluates at its end


def _no_sample(name: str, config: str, data_dir: str) -> None:
    raise FileNotFoundError(f"{name}/{config} in {data_dir} is no sample to be drawn.")


Runner = Callable[[ConfigDict, pathlib.Path, pathlib.Path], Mapping[str, Any]]


def run_all(
    output: pathlib.Path,
    data_dir: pathlib.Path,
    *,
    rows: Sequence[str],
    seeds: int,
    setting: Setting,
    runner: Runner = train_and_evaluate,
) -> bool:
    """Runs what is not finished, all rows of one seed after the other.

    Args:
      output: Folder of the work directories and of the tables, which are written
        anew after each run.
      data_dir: Folder of the prepared data.
      rows: Names of rows.
      seeds: Number of seeds, from 0.
      setting: What all runs have in common.
      runner: Does one run.

    Returns:
      Whether all are finished; False if a run was told to stop.
    """
    for seed in range(seeds):
        for row in rows:
            workdir = work_directory(output, row, seed)
            config = run_config(row, seed, setting)
            _require_same(workdir, config)
            if table.read_finished(workdir, num_steps=setting.num_steps):
                print(f"{workdir.name}: finished before")
                continue
            print(f"{workdir.name}: {setting.num_steps} steps", flush=True)
            began = time.monotonic()
            figures = runner(config, workdir, data_dir)
            if not figures:
                return False
            _add_time(workdir, time.monotonic() - began)
            write_tables(output, rows=rows, seeds=seeds, setting=setting)
    return True


def _require_same(workdir: pathlib.Path, config: ConfigDict) -> None:
    """A finished run of another setting must not enter the table."""
    path = workdir / "config.json"
    if not (workdir / "evaluation").is_dir() or not path.is_file():
        return
    here = without_sample(config).to_dict()
    difference = config_difference(read_config(path).to_dict(), here)
    if difference:
        raise ValueError(
            f"{workdir} holds a run of another setting; use another --output or the "
            f"same setting. Difference (-there, +here): {'; '.join(difference)}"
        )


def _add_time(workdir: pathlib.Path, seconds: float) -> None:
    """Adds to the time of a run, of which this may be the last part only."""
    path = workdir / "seconds.json"
    parts = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
    render.write_text(path, json.dumps([*parts, round(seconds, 1)]) + "\n")


def _seconds(workdir: pathlib.Path) -> float | None:
    path = workdir / "seconds.json"
    if not path.is_file():
        return None
    return sum(json.loads(path.read_text(encoding="utf-8")))


def write_tables(
    output: pathlib.Path, *, rows: Sequence[str], seeds: int, setting: Setting
) -> str:
    """Writes `mocap.json` and `mocap.md` of the finished runs; returns the table."""
    found: dict[str, dict[int, table.Evaluation]] = {row: {} for row in rows}
    seconds: dict[str, float | None] = {}
    for row in rows:
        for seed in range(seeds):
            workdir = work_directory(output, row, seed)
            _require_same(workdir, run_config(row, seed, setting))
            run = table.read_finished(workdir, num_steps=setting.num_steps)
            if run is not None:
                found[row][seed] = run
                seconds[workdir.name] = _seconds(workdir)
    first = next((run for runs in found.values() for run in runs.values()), None)
    result = {
        "date": datetime.date.today().isoformat(),
        "commit": measure.commit_of(ROOT),
        "machine": measure.machine(),
        "setting": dataclasses.asdict(setting),
        "data_set": first and first["data_set"],
        "seeds": seeds,
        "reference": REFERENCE,
        "labels": {name: row.label for name, row in ROWS.items()},
        "rows": table.aggregate(found, reference=REFERENCE),
        "baselines": table.baselines(found),
        "seconds": seconds,
    }
    text = table.markdown(result)
    output.mkdir(parents=True, exist_ok=True)
    render.write_text(output / "mocap.json", json.dumps(result, indent=2) + "\n")
    render.write_text(output / "mocap.md", text + "\n")
    return text


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Returns the options."""
    default = Setting()
    parser = argparse.ArgumentParser(
        prog="python -m experiments.posture_pose.mocap",
        description=(__doc__ or "").partition("\n\n")[0],
    )
    add = parser.add_argument
    add("--data_dir", type=pathlib.Path, help="folder of the prepared data")
    add("--output", type=pathlib.Path, help="folder of the runs and tables")
    add("--seeds", type=int, default=3, help="number of seeds; default: 3")
    add("--rows", nargs="+", default=DEFAULT_ROWS, help=f"some of {', '.join(ROWS)}")
    add("--num_steps", type=int, default=default.num_steps, help="steps of a run")
    add("--fraction", type=float, default=default.fraction, help="labelled share of S1")
    add("--only_table", action="store_true", help="run nothing; table what is finished")
    add("--print_cast", action="store_true", help="print subjects.json and stop")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the experiment and prints the table."""
    options = parse(arguments)
    if options.print_cast:
        print(json.dumps(CAST, indent=2))
        return
    setting = Setting(num_steps=options.num_steps, fraction=options.fraction)
    chosen = {"rows": options.rows, "seeds": options.seeds, "setting": setting}
    done = True
    try:
        if options.output is None or not (options.data_dir or options.only_table):
            raise ValueError("--data_dir and --output are needed; see --help.")
        require_at_least("--seeds", options.seeds, 1)
        for row in options.rows:
            run_config(row, 0, setting)
        if not options.only_table:
            check_data(options.data_dir)
            done = run_all(options.output, options.data_dir, **chosen)
        print("\n" + write_tables(options.output, **chosen))
    except (OSError, ValueError, FloatingPointError) as error:
        sys.exit(f"mocap: {error}")
    if not done:
        sys.exit("mocap: told to stop; the same command goes on where it stopped.")


if __name__ == "__main__":
    logging.use_absl_handler()
    plain_log()
    main()
