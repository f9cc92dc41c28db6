"""``etcdctl elect``: etcd's Go client and its ``concurrency`` package. Each candidacy is a process."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from contextlib import AsyncExitStack

from benchmarks.figure import NotHere, Place
from benchmarks.processes import kill


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> Etcdctl:
    if not os.access(place.etcdctl, os.X_OK):
        raise NotHere("there is no etcdctl")
    etcdctl = Etcdctl([place.etcdctl, f"--endpoints={place.endpoint}", "elect", key, "benchmark"])
    stack.callback(etcdctl.kill)
    return etcdctl


class Etcdctl:
    def __init__(self, command: list[str]) -> None:
        self._command = command
        self._process: asyncio.subprocess.Process | None = None

    async def stand(self) -> float:
        self._process = await asyncio.create_subprocess_exec(
            *self._command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
        )
        assert self._process.stdout is not None
        await self._process.stdout.readline()  # its key
        elected = time.monotonic()
        await self._process.stdout.readline()  # its value
        return elected

    async def resign(self) -> float:
        assert self._process is not None
        began = time.monotonic()
        self._process.send_signal(signal.SIGINT)
        await self._process.wait()
        return began

    def kill(self) -> None:
        if self._process is not None:
            kill(self._process)
