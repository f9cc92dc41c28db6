"""The candidates' processes."""

from __future__ import annotations

import asyncio
import itertools
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from aioelection.cli._board import Board, Say
from aioelection.cli._reports import decode, now

END_TIMEOUT = 5.0
"""Seconds for a candidate that was asked to stop."""


class Candidates:
    """Candidate processes, started, signalled and heard, for the life of an ``async with`` block; then none is left.

    They have sessions of their own: a Ctrl-C in the terminal is for the demo. Each ends when its standard input does,
    so that none survives the demo, whatever becomes of it.
    """

    def __init__(self, board: Board, say: Say, endpoints: Sequence[str], leader_key: str, lease_timeout: int) -> None:
        self._board = board
        self._say = say
        self._arguments = (",".join(endpoints), leader_key, str(lease_timeout))
        self._names = (f"node-{number}" for number in itertools.count(1))
        self._processes: dict[str, Process] = {}
        self._listening: dict[str, asyncio.Task[None]] = {}

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
        await asyncio.gather(*self._listening.values(), return_exceptions=True)

    async def start(self) -> str:
        """Start another candidate and return its name."""
        name = next(self._names)
        command = (sys.executable, "-m", "aioelection.cli._candidate", name, *self._arguments)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=PIPE, stdout=PIPE, stderr=PIPE, start_new_session=True
        )
        self._processes[name] = process
        self._board.started(name, process.pid)
        self._listening[name] = asyncio.create_task(self._listen(name, process))
        return name

    def signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal; to a process that is gone, nothing."""
        process = self._processes[name]
        if process.returncode is None:
            process.send_signal(number)

    async def ended(self, name: str) -> None:
        """Wait until it has ended and all that it said was heard; after a time, kill it."""
        _, still = await asyncio.wait([self._listening[name]], timeout=END_TIMEOUT)
        if still:
            self._say(now(), name, f"has not ended in {END_TIMEOUT:g} s")
            self.signal(name, signal.SIGKILL)
        await self._listening[name]

    async def stop(self) -> None:
        """Ask all to stop, the leader last: it need not be followed any more."""
        leader = self._board.leader
        last = leader.holder if leader is not None else None
        for name in sorted(self._processes, key=lambda name: name == last):
            if name == last:
                await asyncio.gather(*(self.ended(other) for other in self._processes if other != last))
            self.signal(name, signal.SIGTERM)
        await asyncio.gather(*(self.ended(name) for name in self._processes))

    async def _listen(self, name: str, process: Process) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        complaining = asyncio.create_task(self._pass_on(name, process.stderr))
        async for line in process.stdout:
            self._board.heard(name, decode(line))
        await complaining
        self._board.ended(name, await process.wait())

    async def _pass_on(self, name: str, errors: asyncio.StreamReader) -> None:
        async for line in errors:
            self._say(now(), name, line.decode(errors="replace").rstrip())
