r"""Trains, evaluates and runs the systems of posejax.

  python -m posejax.main --config configs/mse_natural.py
  python -m posejax.main --mode evaluate --workdir runs/mse_natural-sample
  python -m posejax.main --mode predict --workdir runs/mse_natural-sample --input VIDEO
  python -m posejax.main --mode import_weights --config configs/mse_natural.py \
      --workdir runs/published --input CHECKPOINT.tar

Any field of the config can be set: --config.batch_size=16 (after --config).
"""

import logging as std_logging
import os
import re
import sys

from absl import app, flags, logging
from ml_collections import config_flags

from posejax.checks import require_choice

_MODES = "train | evaluate | predict | import_weights"
_CONFIG = config_flags.DEFINE_config_file(
    "config", None, "File of the run, with an optional variant: FILE[:variant]."
)
_WORKDIR = flags.DEFINE_string(
    "workdir", None, "Directory of the run; default: runs/<config>-<data>."
)
_MODE = flags.DEFINE_string("mode", "train", f"What to do: {_MODES}.")
_DATA = flags.DEFINE_string(
    "data", "auto", "auto | prepared | sample: the prepared set, or drawn people."
)
_DATA_DIR = flags.DEFINE_string(
    "data_dir", None, "Folder of prepared data sets and weights; default: data."
)
_CHECKPOINT = flags.DEFINE_string(
    "checkpoint", "last", "last | best: which checkpoint evaluate and predict use."
)
_INPUT = flags.DEFINE_string(
    "input", None, "predict: image, folder or video; import_weights: checkpoint file."
)
_BOXES = flags.DEFINE_string(
    "boxes", None, "predict: person boxes of the input (JSON lines or MOT)."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "predict: where to write; default: <workdir>/predictions/<input>."
)


def _prepare_sample(name: str, builder_config: str, data_dir: str) -> None:
    try:
        from datasets.prepare import prepare
    except ImportError:
        raise FileNotFoundError(
            "the embedded sample is drawn by the folder `datasets` of the repository, "
            "which is not here; run from the root of a clone of posejax."
        ) from None
    prepare(name, config=builder_config, data_dir=data_dir)


def _plain_log() -> None:
    """Keeps the log to what posejax says and what other libraries warn of."""
    handler = logging.get_absl_handler()
    handler.setFormatter(std_logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))
    ours = f"{os.sep}posejax{os.sep}", f"{os.sep}datasets{os.sep}"

    def wanted(record: std_logging.LogRecord) -> bool:
        told = any(part in record.pathname for part in ours)
        told = told and "site-packages" not in record.pathname
        return told or record.levelno >= std_logging.WARNING

    handler.addFilter(wanted)
    logging.set_verbosity(logging.INFO)


def _main(_: list[str]) -> None:
    _plain_log()
    from posejax import procedures
    from posejax.procedures.run import Run, system_of

    require_choice("--mode", _MODE.value, procedures.MODES)
    require_choice("--checkpoint", _CHECKPOINT.value, ("last", "best"))
    flag = flags.FLAGS["config"]
    given = flag.present > 0
    path = (config_flags.get_config_filename(flag) or "") if given else ""
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
    verbs = procedures.VERBS[system_of(run)]
    require_choice("--mode", _MODE.value, verbs)
    verbs[_MODE.value](run)


def _text(error: Exception) -> str:
    """Returns what is wrong in one line, without the libraries' wrapping."""
    text = str(error.args[0] if error.args else error)
    text = " ".join(text.rpartition("Error: ")[2].replace("\\n", " ").split())
    match = re.search(r"(\w+)\W+Did you mean \W*(\w+)", text)
    if match and isinstance(error, (KeyError, AttributeError)):
        return f"the config has no field {match[1]!r}; did you mean {match[2]!r}?"
    if "No such file" in text and "config" in text:
        return f"--config: {text.rpartition('] ')[2]}; give the path of a config file."
    return text


def _one_line(function, *kinds):
    """Turns an error of the user's into one line and exit status 2."""

    def call(*args):
        try:
            return function(*args)
        except kinds as error:
            if os.environ.get("POSEJAX_TRACEBACK"):
                raise
            print(f"posejax: {_text(error)}", file=sys.stderr)
            sys.exit(2)

    return call


if __name__ == "__main__":
    _parse = _one_line(
        flags.FLAGS,
        flags.Error,
        KeyError,
        AttributeError,
        ValueError,
        TypeError,
        OSError,
    )
    app.run(_one_line(_main, ValueError, OSError), flags_parser=_parse)
