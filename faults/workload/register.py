"""A register outside etcd, that knows nothing of leases: written to through a ``FenceGuard``, and without one."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import Callable
from typing import Self

from aioelection import FenceGuard, StaleToken
from faults.records import Record, Register, now


class RegisterServer:
    """Takes lines of ``[who, token, number]``, each for both registers, and answers each with a byte."""

    def __init__(self, tell: Callable[[Record], None]) -> None:
        self._tell = tell
        self._guard = FenceGuard()
        self._writers: set[asyncio.StreamWriter] = set()

    @property
    def port(self) -> int:
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            with contextlib.suppress(OSError):
                while (line := await reader.readline()).endswith(b"\n"):
                    self._take(*json.loads(line))
                    writer.write(b".")
        finally:
            self._writers.discard(writer)
            writer.transport.abort()

    def _take(self, who: str, token: int, number: int) -> None:
        accepted = True
        try:
            self._guard.check(token)
        except StaleToken:
            accepted = False
        at = now()
        self._tell(Register(at, who, token, number, guarded=True, accepted=accepted))
        self._tell(Register(at, who, token, number, guarded=False, accepted=True))
