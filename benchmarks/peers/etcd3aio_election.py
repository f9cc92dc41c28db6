"""etcd3aio's election."""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import urlsplit

from benchmarks.figure import NotHere, Place

TTL = 60  # not bare's: that module brings aetcd, which cannot be in one process with etcd3aio


async def candidate(stack: AsyncExitStack, place: Place, key: str) -> Etcd3aio:
    try:
        from etcd3aio import Etcd3Client  # noqa: PLC0415 (it may be missing)
    except ImportError as error:
        raise NotHere(str(error)) from None
    client = await stack.enter_async_context(Etcd3Client([urlsplit(place.endpoint).netloc]))
    return Etcd3aio(client, key)


class Etcd3aio:
    def __init__(self, client: Any, key: str) -> None:
        self._client = client
        self._key = key
        self._election: Any = None

    async def stand(self) -> float:
        self._election = self._client.election(self._key, value=b"benchmark", ttl=TTL)
        await self._election.__aenter__()
        return time.monotonic()

    async def resign(self) -> float:
        began = time.monotonic()
        await self._election.__aexit__(None, None, None)
        return began
