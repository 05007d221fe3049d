"""What a person at the terminal sees: a short log, and one line for an error."""

import logging as std_logging
import os
import re
import sys
from collections.abc import Callable

from absl import logging


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
