"""What the contract's tests need of an etcd, for either kind."""

from __future__ import annotations

import asyncio
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from typing import Self

from aioelection import Client, connect
from aioelection._core.endpoints import parse_endpoints
from aioelection._core.ops import Operation, Put, Txn
from aioelection._transport.aetcd import AetcdTransport
from aioelection._transport.port import Connection, KeepAliveStream, Overloaded, Transport, TxnReply, WatchStream
from aioelection.embedded import Etcd
from aioelection.testing import MemoryEtcd
from tests.support import freeze

TIMEOUT = 5.0
QUOTA = 2_000_000
"""Bytes that a cluster to be broken has room for."""


class Side(ABC):
    """An etcd, and connections to its members by number; all are closed in the end."""

    transport: Transport
    urls: list[str]
    slack: float
    """Seconds that an answer may take on top of etcd's own times."""

    def __init__(self) -> None:
        self.key = f"/{uuid.uuid4().hex}/".encode()
        """A prefix that no other test has."""
        self._connections: dict[int, Connection] = {}
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        for connection in self._connections.values():
            await connection.aclose()
        await self._stack.aclose()

    def connection(self, number: int = 0) -> Connection:
        if number not in self._connections:
            self._connections[number] = self.transport.open(parse_endpoints(self.urls[number])[0])
        return self._connections[number]

    # ------------------------------------------------------------------ shorthand

    async def txn(self, *operations: Operation, number: int = 0) -> TxnReply:
        return await self.connection(number).txn(Txn((), operations), timeout=TIMEOUT)

    async def put(self, key: bytes, value: bytes = b"", lease_id: int = 0) -> int:
        return (await self.txn(Put(key, value, lease_id))).header.revision

    async def grant(self, ttl: int, lease_id: int = 0) -> int:
        return (await self.connection().grant(lease_id, ttl, timeout=TIMEOUT)).lease_id

    async def keep_alive(self, number: int = 0) -> KeepAliveStream:
        stream = await self.connection(number).keep_alive(timeout=TIMEOUT)
        self._stack.callback(stream.close)
        return stream

    async def watch(self, number: int = 0) -> WatchStream:
        stream = await self.connection(number).watch(timeout=TIMEOUT)
        self._stack.callback(stream.close)
        return stream

    # ------------------------------------------------------------------ what differs

    @abstractmethod
    def client(self) -> AbstractAsyncContextManager[Client]: ...

    @abstractmethod
    async def compact(self, revision: int) -> None: ...

    @abstractmethod
    async def leader(self) -> int: ...

    @abstractmethod
    async def move_leader(self, number: int) -> None: ...

    @abstractmethod
    async def set_no_space(self, raised: bool) -> None: ...

    @abstractmethod
    async def kill(self, number: int) -> None: ...

    @abstractmethod
    async def start(self, number: int) -> None: ...

    @abstractmethod
    async def pause(self, number: int) -> None: ...

    @abstractmethod
    def resume(self, number: int) -> None: ...


class MemorySide(Side):
    slack = 0.01

    def __init__(self, members: int) -> None:
        super().__init__()
        self.etcd = MemoryEtcd(members)
        self.transport = self.etcd.transport()
        self.urls = [member.client_url for member in self.etcd.members]
        self._stack.push_async_exit(self.etcd)

    def client(self) -> AbstractAsyncContextManager[Client]:
        return self.etcd.client()

    async def compact(self, revision: int) -> None:
        self.etcd.compact(revision)

    async def leader(self) -> int:
        while self.etcd.leader is None or not self.etcd.leader.fit:
            await asyncio.sleep(0.05)
        return self.etcd.members.index(self.etcd.leader)

    async def move_leader(self, number: int) -> None:
        self.etcd.move_leader(self.etcd.members[number])

    async def set_no_space(self, raised: bool) -> None:
        self.etcd.no_space = raised

    async def kill(self, number: int) -> None:
        self.etcd.kill(self.etcd.members[number])

    async def start(self, number: int) -> None:
        self.etcd.start(self.etcd.members[number])

    async def pause(self, number: int) -> None:
        self.etcd.pause(self.etcd.members[number])

    def resume(self, number: int) -> None:
        self.etcd.resume(self.etcd.members[number])


class RealSide(Side):
    slack = 0.5

    def __init__(self, urls: list[str], ctl: Callable[..., str] | None, etcd: Etcd | None = None) -> None:
        super().__init__()
        self.transport = AetcdTransport()
        self.urls = urls
        self._ctl = ctl
        self._etcd = etcd

    def client(self) -> AbstractAsyncContextManager[Client]:
        return connect(self.urls)

    async def compact(self, revision: int) -> None:
        if self._ctl is not None:
            await asyncio.to_thread(self._ctl, "compact", "--physical", str(revision))
        else:
            await self._cluster.ctl("compact", "--physical", str(revision))

    @property
    def _cluster(self) -> Etcd:
        assert self._etcd is not None, "for a cluster of the test's own"
        return self._etcd

    async def leader(self) -> int:
        return self._cluster.members.index(await self._cluster.leader())

    async def move_leader(self, number: int) -> None:
        await self._cluster.leader()
        await self._cluster.ctl("move-leader", f"{self._cluster.members[number].id:x}")

    async def set_no_space(self, raised: bool) -> None:
        filler = self.key + b"filler"
        if raised:
            with suppress(Overloaded):
                while True:
                    await self.put(filler, bytes(QUOTA // 10))
            while not await self._cluster.ctl("alarm", "list"):
                await asyncio.sleep(0.05)
            return
        revision = (await self.connection().get(filler, timeout=TIMEOUT)).header.revision
        await self.compact(revision)
        await self._cluster.ctl("defrag", "--cluster")
        await self._cluster.ctl("alarm", "disarm")

    async def kill(self, number: int) -> None:
        await self._cluster.members[number].kill()

    async def start(self, number: int) -> None:
        await self._cluster.members[number].start()

    async def pause(self, number: int) -> None:
        await freeze(self._cluster.members[number])

    def resume(self, number: int) -> None:
        self._cluster.members[number].resume()
