"""The library itself."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from aioelection import Leadership, connect
from aioelection.campaign import Campaign
from benchmarks.figure import Place
from benchmarks.peers.bare import TTL


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> Ours:
    return Ours(Leadership(await stack.enter_async_context(connect(place.endpoint)), key))


class Ours:
    def __init__(self, leadership: Leadership) -> None:
        self._leadership = leadership
        self._campaign: Campaign | None = None

    async def stand(self) -> float:
        self._campaign = self._leadership.campaign(TTL, b"benchmark")
        await self._campaign.__aenter__()
        return time.monotonic()

    async def resign(self) -> float:
        assert self._campaign is not None
        began = time.monotonic()
        await self._campaign.__aexit__(None, None, None)
        return began
