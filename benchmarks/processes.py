"""Processes of candidates."""

from __future__ import annotations

import asyncio
import contextlib


def kill(process: asyncio.subprocess.Process) -> None:
    """SIGKILL, if it still runs."""
    with contextlib.suppress(ProcessLookupError):
        process.kill()
