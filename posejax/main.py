r"""Trains, evaluates and runs the systems of posejax.

  python -m posejax.main --config configs/mse_natural.py
  python -m posejax.main --mode evaluate --workdir runs/mse_natural-sample
  python -m posejax.main --mode predict --workdir runs/mse_natural-sample --input VIDEO
  python -m posejax.main --mode import_weights --config configs/mse_natural.py \
      --workdir runs/published --input CHECKPOINT.tar

Any field of the config can be set: --config.batch_size=16 (after --config).
"""

import os

from absl import app, flags
from ml_collections import config_flags

from posejax.checks import require_choice
from posejax.console import one_line, parse_flags, plain_log
from posejax.procedures import MODES, verb

_JOINING = ("COORDINATOR_ADDRESS", "NUM_PROCESSES", "PROCESS_ID")
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "File of the run, with an optional variant: FILE[:variant]."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the run; default: runs/<config>-<data>."
)
_MODE = flags.DEFINE_string("mode", "train", f"What to do: {' | '.join(MODES)}.")
_DATA = flags.DEFINE_string(
    "data", "auto", "auto | prepared | sample: the prepared set, or drawn people."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of prepared data sets and weights; default: data."
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint",
    "last",
    "last | best: which checkpoint to evaluate, predict with or export.",
)
_INPUT = flags.DEFINE_string(
    "input",
    None,
    "predict: image, folder, video, FIRST,SECOND or file of joints; import_weights: "
    "checkpoint file.",
)
_BOXES = flags.DEFINE_string(
    "boxes", None, "predict: person boxes of the input (JSON lines or MOT)."
)
_OUTPUT = flags.DEFINE_string(
    "output",
    None,
    "predict: where to write; default: <workdir>/predictions/<input>. export_weights: "
    "the .npz.",
)
_DISTRIBUTED = flags.DEFINE_bool(
    "distributed",
    False,
    "Join the other processes of a run: a TPU pod, Slurm, or JAX_COORDINATOR_ADDRESS, "
    "JAX_NUM_PROCESSES and JAX_PROCESS_ID in the environment.",
)


def _prepare_sample(name: str, builder_config: str, data_dir: str) -> None:
    from datasets.prepare import prepare

    prepare(name, config=builder_config, data_dir=data_dir)


def _main(argv: list[str]) -> None:
    del argv  # all of it was flags
    plain_log()
    from posejax.procedures.run import Run, join_processes

    require_choice("--mode", _MODE.value, MODES)
    require_choice("--checkpoint", _CHECKPOINT.value, ("last", "best"))
    flag = flags.FLAGS["config"]
    given = flag.present > 0
    path = str(config_flags.get_config_filename(flag) or "") if given else ""
    stem, _, variant = os.path.basename(path).partition(":")
    name = os.path.splitext(stem)[0] + (f"-{variant}" if variant else "")
    run = Run(
        config=_CONFIG.value if given else None,
        overrides=config_flags.get_override_values(flag) if given else {},
        name=name,
        workdir=_WORKDIR.value,
        data=_DATA.value,
        data_dir=_DATA_DIR.value,
        checkpoint=_CHECKPOINT.value,
        input=_INPUT.value,
        boxes=_BOXES.value,
        output=_OUTPUT.value,
        prepare_sample=_prepare_sample,
    )
    call = verb(_MODE.value, run)
    if _DISTRIBUTED.value:
        named = (os.environ.get(f"JAX_{n}") for n in _JOINING)
        join_processes(*named)
    call(run)


if __name__ == "__main__":
    shown = bool(os.environ.get("POSEJAX_TRACEBACK"))
    user_errors = (flags.Error, ValueError, OSError, FloatingPointError)
    config_errors = (*user_errors, LookupError, AttributeError, TypeError)
    config_errors += (ImportError, SyntaxError)
    app.run(
        one_line(_main, *user_errors, show_traceback=shown),
        flags_parser=one_line(parse_flags, *config_errors, show_traceback=shown),
    )
