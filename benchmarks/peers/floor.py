"""The floor: what any election over etcd has to exchange, and nothing else."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from benchmarks.figure import Place
from benchmarks.peers.bare import Bare


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> Floor:
    return Floor(await Bare.open(stack, place.endpoint), key.encode())


class Floor:
    def __init__(self, bare: Bare, key: bytes) -> None:
        self._bare = bare
        self._key = key
        self._lease = 0

    async def stand(self) -> float:
        self._lease = await self._bare.grant()
        while not (outcome := await self._bare.create(self._key, b"benchmark", self._lease)).succeeded:
            await self._bare.deleted(self._key, outcome.header.revision + 1)
        return time.monotonic()

    async def resign(self) -> float:
        began = time.monotonic()
        await self._bare.delete(self._key)
        await self._bare.revoke(self._lease)
        return began
