"""Networks that are broken in a way of their own."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from aioelection import Client, connect
from aioelection.embedded import Etcd
from tests.support import Proxy, eventually


class SlowProxy(Proxy):
    """A link that is long, not narrow: all that passes arrives ``delay`` seconds later."""

    def __init__(self, endpoint: str, delay: float) -> None:
        super().__init__(endpoint)
        self._delay = delay

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, data = await under_way.get()
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    writer.write(data)
                    await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    under_way.put_nowait((time.monotonic() + self._delay, data))
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])


@contextlib.asynccontextmanager
async def behind_proxies(etcd: Etcd) -> AsyncIterator[tuple[Client, dict[str, Proxy]]]:
    """A client, and the links to each member that it uses, by their endpoints."""
    async with contextlib.AsyncExitStack() as stack:
        entered = [await stack.enter_async_context(Proxy(each)) for each in etcd.endpoints]
        proxies = {proxy.endpoint: proxy for proxy in entered}
        client = await stack.enter_async_context(connect(list(proxies), discover=False))
        await eventually(lambda: all(each.member_id for each in client.statistics().endpoints))
        yield client, proxies
        for proxy in entered:
            proxy.cut()
