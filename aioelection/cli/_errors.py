"""How a command ends: with a status, and with one line on standard error where something was wrong."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import typer

from aioelection.cli import _log
from aioelection.cli import _status as status
from aioelection.errors import ElectionError, InvalidConfiguration, PermissionDenied, Unauthenticated


def ask(name: str, work: Callable[[], int]) -> NoReturn:
    """Finish a command that only asks."""
    _log.for_asking()
    finish(name, work)


def finish(name: str, work: Callable[[], int]) -> NoReturn:
    """Do the command's work, and exit with the status that it gives, or that its error stands for."""
    try:
        code = work()
        sys.stdout.flush()
    except ElectionError as error:
        print(f"aioelection {name}: {' '.join(str(error).split())}", file=sys.stderr)
        code = _status_of(error)
    except KeyboardInterrupt:
        code = status.of_signal(signal.SIGINT)
    except BrokenPipeError:  # whoever read us has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = status.of_signal(signal.SIGPIPE)
    raise typer.Exit(code)


def _status_of(error: ElectionError) -> int:
    match error:
        case InvalidConfiguration():
            return status.USAGE
        case Unauthenticated() | PermissionDenied():
            return status.REFUSED
        case _:
            return status.UNAVAILABLE
