"""PD's way, over bare stubs: a follower watches; when the leader is gone, it grants a lease and tries to win."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack

from aetcd import rpc

from benchmarks.figure import Place
from benchmarks.peers.bare import Bare


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> PD:
    return PD(await Bare.open(stack, place.endpoint), key.encode())


class PD:
    def __init__(self, bare: Bare, key: bytes) -> None:
        self._bare = bare
        self._key = key
        self._lease = 0

    async def stand(self) -> float:
        while True:
            found = await self._bare.kv.Range(rpc.RangeRequest(key=self._key))
            if found.kvs:
                await self._bare.deleted(self._key, found.header.revision + 1)
            self._lease = await self._bare.grant()
            if (await self._bare.create(self._key, b"benchmark", self._lease)).succeeded:
                return time.monotonic()
            await self._bare.revoke(self._lease)

    async def resign(self) -> float:
        began = time.monotonic()
        await self._bare.revoke(self._lease)
        return began
