"""A link from one client to one member, to be cut, held and slowed."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal, Self
from urllib.parse import urlsplit

Direction = Literal["requests", "replies"]
BOTH: tuple[Direction, Direction] = ("requests", "replies")


class Proxy:
    """Carries bytes to ``endpoint``; ``near`` is where the client connects to."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._far = (parts.hostname, parts.port)
        self._may = {direction: asyncio.Event() for direction in BOTH}
        self._tasks: set[asyncio.Task[None]] = set()
        self._refusing = False
        self.delay = 0.0
        """Seconds by which either direction is late."""
        self.heal()

    @property
    def port(self) -> int:
        return int(self._server.sockets[0].getsockname()[1])

    @property
    def near(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def hold(self, *directions: Direction) -> None:
        """Let nothing more through; connections stay open."""
        for direction in directions:
            self._may[direction].clear()

    def refuse(self) -> None:
        """Break every connection, and refuse new ones."""
        self._refusing = True
        self.cut()

    def cut(self) -> None:
        """Break every connection; what was under way is lost."""
        for task in self._tasks:
            task.cancel()

    def heal(self) -> None:
        """Let through what was held, and all that comes."""
        self._refusing = False
        self.delay = 0.0
        for event in self._may.values():
            event.set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # A task of our own: the server would log the cancellation of its.
        task = asyncio.ensure_future(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers = [writer]
        ways: list[asyncio.Task[None]] = []
        try:
            if self._refusing:
                return
            far_reader, far_writer = await asyncio.open_connection(*self._far)
            writers.append(far_writer)
            ways.append(asyncio.ensure_future(self._carry(reader, far_writer, "requests")))
            ways.append(asyncio.ensure_future(self._carry(far_reader, writer, "replies")))
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        except OSError:
            return
        finally:
            for way in ways:
                way.cancel()
            for each in writers:
                each.transport.abort()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: Direction) -> None:
        """Read on while what was read is late: a long link is not a narrow one."""
        loop = asyncio.get_running_loop()
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()
        delivering = asyncio.ensure_future(self._deliver(under_way, writer, direction))
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    under_way.put_nowait((loop.time() + self.delay, data))
        finally:
            delivering.cancel()

    async def _deliver(
        self, under_way: asyncio.Queue[tuple[float, bytes]], writer: asyncio.StreamWriter, direction: Direction
    ) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while True:
                due, data = await under_way.get()
                if (late := due - loop.time()) > 0:
                    await asyncio.sleep(late)
                await self._may[direction].wait()
                writer.write(data)
                await writer.drain()
