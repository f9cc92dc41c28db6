"""kazoo's election, on a ZooKeeper. It lives in threads: each instant is taken in the thread where it happens."""

from __future__ import annotations

import asyncio
import threading
import time
from contextlib import AsyncExitStack
from typing import Any

from benchmarks.figure import NotHere, Place


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> Kazoo:
    try:
        from kazoo.client import KazooClient  # noqa: PLC0415 (it may be missing)
    except ImportError as error:
        raise NotHere(str(error)) from None
    if ":" not in place.zookeeper:
        raise NotHere(place.zookeeper)
    client = KazooClient(place.zookeeper)
    await asyncio.to_thread(client.start)
    stack.callback(client.close)
    stack.callback(client.stop)
    return Kazoo(client, key)


class Kazoo:
    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._key = key
        self._ending = threading.Event()
        self._resigned = 0.0
        self._ended: asyncio.Future[None] | None = None

    async def stand(self) -> float:
        loop = asyncio.get_running_loop()
        elected: asyncio.Future[float] = loop.create_future()
        self._ending.clear()
        election = self._client.Election(self._key, "benchmark")

        def lead() -> None:
            loop.call_soon_threadsafe(elected.set_result, time.monotonic())
            self._ending.wait()
            self._resigned = time.monotonic()

        self._ended = loop.run_in_executor(None, election.run, lead)
        return await elected

    async def resign(self) -> float:
        assert self._ended is not None
        self._ending.set()
        await self._ended
        return self._resigned
