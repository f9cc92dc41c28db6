"""A process that writes down the truth of the key: every event from its first revision. SIGTERM ends it.

It shares no code with the library. A watch on each member at once: a frozen member holds nothing up, and whichever
tells of an event first is believed; each tells of all events in order, so that none is missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

import aetcd
import grpc
import typer

from faults.records import Truth, now, write

rpc = aetcd.rpc


class Recorder:
    """What was seen so far."""

    def __init__(self, key: str, log: IO[str]) -> None:
        self._key = key.encode()
        self._log = log
        self._last = 0
        self._token = 0

    async def watch(self, endpoint: str) -> None:
        """Watch on this member, and again after a while whenever it breaks."""
        options = [("grpc.max_reconnect_backoff_ms", 500), ("grpc.use_local_subchannel_pool", 1)]
        compacted = 0
        async with grpc.aio.insecure_channel(urlsplit(endpoint).netloc, options=options) as channel:
            while True:
                with contextlib.suppress(grpc.RpcError):
                    compacted = await self._watch_once(rpc.WatchStub(channel), max(self._last + 1, compacted))
                await asyncio.sleep(0.1)

    async def _watch_once(self, stub: Any, revision: int) -> int:
        """Until it is cancelled; returns the revision below which history is gone."""
        creation = rpc.WatchCreateRequest(key=self._key, start_revision=revision, prev_kv=True)
        async for reply in stub.Watch(_open(rpc.WatchRequest(create_request=creation))):
            for event in reply.events:
                self._told(event)
            if reply.canceled:
                return int(reply.compact_revision)
        return 0

    def _told(self, event: Any) -> None:
        kv = event.kv
        if kv.mod_revision <= self._last:
            return
        deleted = event.type == 1
        self._last = kv.mod_revision
        # What was there before may have been compacted.
        token = (event.prev_kv.create_revision or self._token) if deleted else kv.create_revision
        self._token = token
        lease = event.prev_kv.lease if deleted else kv.lease
        write(self._log, Truth(now(), kv.mod_revision, token, deleted, lease, "" if deleted else kv.value.decode()))


async def _open(request: Any) -> AsyncIterator[Any]:
    """A stream of one request that stays open."""
    yield request
    await asyncio.Event().wait()


async def _main(endpoints: str, key: str, log: Path) -> None:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    with log.open("a") as file, contextlib.suppress(asyncio.CancelledError):
        recorder = Recorder(key, file)
        await asyncio.gather(*(recorder.watch(each) for each in endpoints.split(",")))


def main(endpoints: str = "", key: str = "", log: Path = Path()) -> None:
    """Watch for ever."""
    asyncio.run(_main(endpoints, key, log))


if __name__ == "__main__":
    typer.run(main)
