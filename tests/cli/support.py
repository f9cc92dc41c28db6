"""Sidecars, here and in processes of their own, and what their commands write of themselves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from aioelection import Client, Leadership
from aioelection.cli._sidecar import Job, Sidecar
from aioelection.cli._systemd import Notifier
from tests.support import TTL, eventually

STARTED = 30.0
"""Seconds that a process may take to start: Python, gRPC and an election, on a machine with much else to do."""

ROOT = Path(__file__).parents[2]
WORKER = Path(__file__).with_name("worker.py")


@dataclass(frozen=True)
class Line:
    """What a worker wrote: when it was at work, in which term, and who of its processes it was."""

    token: int
    at: float
    what: str


class Diary:
    """What all workers of a key have written."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def command(self, *words: str) -> tuple[str, ...]:
        return (sys.executable, "-I", "-S", str(WORKER), str(self.path), *words)

    def lines(self, token: int | None = None) -> list[Line]:
        if not self.path.exists():
            return []
        split = [line.split() for line in self.path.read_text().splitlines()]
        lines = [Line(int(each[0]), float(each[1]), each[2]) for each in split]
        return [each for each in lines if token in (None, each.token)]

    def who(self, token: int | None = None) -> set[str]:
        return {line.what for line in self.lines(token)}

    @property
    def tokens(self) -> list[int]:
        return sorted({line.token for line in self.lines()})

    def last(self, token: int) -> float:
        return max(line.at for line in self.lines(token))

    def first(self, token: int) -> float:
        return min(line.at for line in self.lines(token))

    def longest_overlap(self) -> float:
        """Seconds for which two terms' workers were at work; negative: the shortest time between two terms."""
        pairs = zip(self.tokens, self.tokens[1:], strict=False)
        return max(self.last(one) - self.first(other) for one, other in pairs)


@contextlib.asynccontextmanager
async def running(client: Client, key: str, argv: tuple[str, ...], **job: Any) -> AsyncIterator[Running]:
    """A sidecar in this process."""
    arguments: dict[str, Any] = {"ttl": TTL, "value": "in process"} | job
    sidecar = Sidecar(Leadership(client, key), Job(argv, **arguments), Notifier({}))
    task = asyncio.ensure_future(sidecar.run())
    try:
        yield Running(sidecar, task)
    finally:
        sidecar.stop(signal.SIGTERM)
        sidecar.stop(signal.SIGTERM)
        await asyncio.wait([task])


@dataclass(frozen=True)
class Running:
    """A sidecar that runs here."""

    sidecar: Sidecar
    task: asyncio.Task[int]

    async def ended(self, within: float = 10.0) -> int:
        async with asyncio.timeout(within):
            return await asyncio.shield(self.task)


class Process:
    """A sidecar in a process of its own, with all that it starts."""

    def __init__(self, folder: Path, key: str, endpoint: str, *arguments: str, env: dict[str, str] | None = None):
        self._mark = f"AIOELECTION_TEST_SIDECAR={uuid.uuid4().hex}"
        self.errors = folder / f"{uuid.uuid4().hex}.stderr"
        options = ("--endpoints", endpoint, "--no-discover", "--ttl", str(TTL))
        name, value = self._mark.split("=")
        with self.errors.open("wb") as errors:
            self.popen = subprocess.Popen(
                [sys.executable, "-m", "aioelection", "run", key, *options, *arguments],
                stdin=subprocess.DEVNULL,
                stderr=errors,
                cwd=ROOT,
                env=os.environ | {name: value, "PYTHONWARNINGS": "default"} | (env or {}),
            )

    def signal(self, number: int) -> None:
        self.popen.send_signal(number)

    async def ended(self, within: float = 10.0) -> int:
        await eventually(lambda: self.popen.poll() is not None, within)
        said = self.errors.read_text()
        assert all(line.startswith("aioelection: ") for line in said.splitlines()), said
        return int(self.popen.returncode)

    def all(self) -> dict[int, str]:
        """Its processes that run, whoever is their parent now, with their command lines."""
        found = {}
        for folder in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):  # it has just ended, or is another user's
                if self._mark.encode() in (folder / "environ").read_bytes():
                    found[int(folder.name)] = (folder / "cmdline").read_text().replace("\0", " ")
        return found

    async def guardian(self) -> int:
        """Its guardian's process number, once there is one."""

        def found() -> list[int]:
            return [pid for pid, command in self.all().items() if "_guardian.py" in command]

        (pid,) = await eventually(found)
        return int(pid)


@contextlib.contextmanager
def process(*arguments: Any, **options: Any) -> Iterator[Process]:
    """One that is killed in the end, with all that it has started."""
    started = Process(*arguments, **options)
    try:
        yield started
    finally:
        started.popen.kill()
        started.popen.wait()
        for pid in started.all():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
