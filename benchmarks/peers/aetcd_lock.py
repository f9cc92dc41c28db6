"""aetcd's ``Lock``."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

import aetcd

from benchmarks.figure import Place
from benchmarks.peers.bare import TTL


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> AetcdLock:
    parts = urlsplit(place.endpoint)
    client = await stack.enter_async_context(aetcd.Client(parts.hostname, parts.port))
    return AetcdLock(client.lock(key.encode(), TTL))


class AetcdLock:
    def __init__(self, lock: Any) -> None:
        self._lock = lock

    async def stand(self) -> float:
        await self._lock.acquire(timeout=None)
        return time.monotonic()

    async def resign(self) -> float:
        began = time.monotonic()
        await self._lock.release()
        return began
