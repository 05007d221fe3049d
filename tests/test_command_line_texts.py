"""What the one line of an error says, without starting the command line."""

import errno
import os

import pytest

from posejax.console import one_line


def told(error: Exception, capsys) -> str:
    """Returns what the terminal shows of an error."""

    def fail():
        raise error

    with pytest.raises(SystemExit) as stop:
        one_line(fail, type(error))()
    assert stop.value.code == 2
    shown = capsys.readouterr().err
    assert shown.count("\n") == 1
    return shown


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EACCES, errno.ENOTDIR])
def test_an_error_of_the_system_names_file_reason_and_remedy(number, capsys):
    line = told(OSError(number, os.strerror(number), "runs/here"), capsys)
    assert line.startswith(f"posejax: 'runs/here': {os.strerror(number)}; ")
    assert line.endswith(".\n")


def test_a_full_disk_without_a_file_name_says_where_to_make_room(capsys):
    line = told(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), capsys)
    assert "No space left on device; free space where --workdir, --data_dir" in line


def test_words_of_our_own_stand_as_they_are(capsys):
    error = PermissionError(errno.EACCES, "data_dir x cannot be written to; choose y")
    text = "posejax: data_dir x cannot be written to; choose y\n"
    assert told(error, capsys) == text
    assert told(FileNotFoundError("no\nsuch  input"), capsys) == (
        "posejax: no such input\n"
    )


def test_a_reason_that_names_an_error_keeps_what_stands_before_it(capsys):
    text = "w.tar is damaged (EOFError: Ran out of input); copy it again."
    assert told(ValueError(text), capsys) == f"posejax: {text}\n"


def test_of_a_config_that_cannot_be_read_only_its_own_error_is_shown(capsys):
    text = (
        "flag --config=c.py: Error whilst parsing config file:\n\nTraceback (most "
        "recent call last):\n  File 'c.py', line 3\nValueError: variant is 'x'.\n"
    )
    assert told(ValueError(text), capsys) == "posejax: variant is 'x'.\n"
