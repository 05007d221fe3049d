"""What a person at the terminal sees: a short log, and one line for an error."""

import difflib
import errno
import logging as std_logging
import os
import re
import sys
from collections.abc import Callable, Sequence

from absl import flags, logging
from ml_collections import ConfigDict, config_flags

_FULL = "free space where --workdir, --data_dir and --output lie, then start again"
_CLOSED = "change its permissions or choose another place"
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.ENOTDIR: "a part of that path is a file; choose another place",
}


def plain_log() -> None:
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


def parse_flags(argv: Sequence[str]) -> list[str]:
    """Parses the flags of the command line.

    Raises:
      AttributeError: the config lacks a field that is set; names the legal ones.
    """
    try:
        return flags.FLAGS(argv)
    except (AttributeError, KeyError):
        line = _missing_field(argv)
        if line is None:
            raise
        raise AttributeError(line) from None


def _missing_field(argv: Sequence[str]) -> str | None:
    """Returns what is wrong with the first field that the config lacks."""
    alone = flags.FlagValues()
    config_flags.DEFINE_config_file("config", flag_values=alone, sys_argv=[])
    alone(argv, known_only=True)
    for argument in argv[1:]:
        match = re.match(r"--?(?:no)?config\.([\w.]+)", argument)
        section, path = alone["config"].value, "config"
        for name in match[1].split(".") if match else ():
            if not isinstance(section, ConfigDict):
                return f"{path} is {section!r}, no section; it has no field {name!r}."
            if name not in section:
                close = difflib.get_close_matches(name, list(section), n=1)
                legal = ", ".join(repr(field) for field in sorted(section))
                near = f"did you mean {close[0]!r}?" if close else f"it has {legal}."
                return f"{path} has no field {name!r}; {near}"
            section, path = section[name], f"{path}.{name}"
    return None


def _text(error: Exception) -> str:
    """Returns what is wrong in one line, without the libraries' wrapping."""
    if isinstance(error, OSError) and error.strerror:
        return _of_system(error)
    if isinstance(error, (SyntaxError, ImportError)):
        return f"--config: {error}"
    text = str(error.args[0] if error.args else error)
    if "Error whilst parsing config file" in text:  # and the whole traceback
        text = re.split(r"\n[\w.]*Error: ", text)[-1]
    text = " ".join(text.split())
    if text.startswith("Configuration is not available"):
        return f"--config: {text.rpartition('] ')[2]}; give the path of a config file."
    return text


def _of_system(error: OSError) -> str:
    """Returns an error of the operating system with the file and what to do."""
    text, number = str(error.strerror), error.errno or 0
    if text == os.strerror(number):  # else posejax's own words
        text += f"; {_REMEDIES.get(number, 'check the paths that were given')}."
    return text if error.filename is None else f"{str(error.filename)!r}: {text}"


def one_line(
    function: Callable, *kinds: type[Exception], show_traceback: bool = False
) -> Callable:
    """Turns an error of the user's into one line and exit status 2."""

    def call(*args):
        try:
            return function(*args)
        except kinds as error:
            if show_traceback:
                raise
            print(f"posejax: {_text(error)}", file=sys.stderr)
            sys.exit(2)

    return call
