"""Whether a command can be started, before anybody stands for it; what only starting it can tell is told then."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

from aioelection.cli import _status as status


def why_not(program: str) -> OSError | None:
    """Why this program cannot be started; ``None`` where nothing is known against it."""
    if shutil.which(program) is not None:
        return None
    there = Path(program).exists() if "/" in program else shutil.which(program, os.F_OK) is not None
    number = errno.EACCES if there else errno.ENOENT
    return OSError(number, os.strerror(number))


def status_of(error: OSError) -> int:
    """As shells have it."""
    return status.NOT_FOUND if error.errno == errno.ENOENT else status.NOT_EXECUTABLE
