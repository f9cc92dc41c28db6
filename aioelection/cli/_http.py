"""As much of HTTP as load balancers and probes ask for: GET and HEAD of a few paths, one answer for each connection."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

PATIENCE = 5.0
"""Seconds for a request to arrive and its answer to be taken."""


class Answer(NamedTuple):
    """What one path answers."""

    status: HTTPStatus
    body: bytes
    content_type: str = "application/json"


Routes = Mapping[str, Callable[[], Answer]]


@contextlib.asynccontextmanager
async def serving(host: str, port: int, routes: Routes) -> AsyncIterator[int]:
    """Serve while the block runs; gives the port. Raises ``OSError`` where it cannot listen."""
    connections: set[asyncio.Task[None]] = set()

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_answer(reader, writer, routes))
        connections.add(task)
        task.add_done_callback(connections.discard)

    server = await asyncio.start_server(accept, host or None, port, limit=16384)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in connections:
            task.cancel()
        if connections:
            await asyncio.wait(connections)


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, routes: Routes) -> None:
    try:
        with contextlib.suppress(OSError, EOFError, asyncio.LimitOverrunError, TimeoutError):
            async with asyncio.timeout(PATIENCE):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, routes))
                await writer.drain()
                writer.write_eof()
                await reader.read()  # until it has hung up: a reset may overtake the answer
    finally:
        writer.transport.abort()


def _response(head: bytes, routes: Routes) -> bytes:
    method, _, rest = head.decode("latin-1").partition("\r\n")[0].partition(" ")
    path = rest.partition(" ")[0].partition("?")[0]
    if path not in routes:
        answer = Answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
    elif method not in ("GET", "HEAD"):
        answer = Answer(HTTPStatus.METHOD_NOT_ALLOWED, b"", "text/plain")
    else:
        answer = routes[path]()
    lines = (
        f"HTTP/1.1 {answer.status.value} {answer.status.phrase}",
        f"Content-Type: {answer.content_type}",
        f"Content-Length: {len(answer.body)}",
        "Cache-Control: no-store",
        "Connection: close",
        "\r\n",
    )
    return "\r\n".join(lines).encode() + (b"" if method == "HEAD" else answer.body)
