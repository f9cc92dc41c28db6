"""A process that follows who leads. SIGTERM ends it."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from pathlib import Path

import typer

from aioelection import connect, observe
from faults.records import Observed, now, write


async def _main(endpoints: str, key: str, name: str, log: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with log.open("a") as file, contextlib.suppress(asyncio.CancelledError):
        async with connect(endpoints, discover=False, connect_timeout=15) as client:
            async for leader in observe(client, key):
                write(file, Observed(now(), name, leader.create_revision if leader else 0))


def main(endpoints: str = "", key: str = "", name: str = "", log: Path = Path()) -> None:
    """Follow for ever."""
    asyncio.run(_main(endpoints, key, name, log))


if __name__ == "__main__":
    typer.run(main)
