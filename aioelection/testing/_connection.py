"""The library's port over the in-memory etcd."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from aioelection._aio.tasks import Tasks
from aioelection._core.endpoints import Endpoint
from aioelection._core.ops import Compare, Get, Operation, Txn
from aioelection._transport.port import (
    GetReply,
    GrantReply,
    LeaseInfo,
    MemberList,
    Overloaded,
    RevokeReply,
    Status,
    TxnReply,
    Words,
)
from aioelection.errors import ElectionError, InvalidConfiguration, OutcomeUnknown, Unavailable
from aioelection.testing._link import Gates, Link, Method
from aioelection.testing._members import Broken, Cluster, Member
from aioelection.testing._streams import MemoryKeepAliveStream, MemoryWatchStream

T = TypeVar("T")

AnyStream = MemoryKeepAliveStream | MemoryWatchStream

VERSION = "3.5.13"


class MemoryTransport:
    """The port's ``Transport``: one client's links to the members."""

    def __init__(self, cluster: Cluster, gates: Gates, tasks: Tasks, delay: float, words: Words) -> None:
        self.links = {member: Link(delay) for member in cluster.members}
        self._cluster = cluster
        self._gates = gates
        self._tasks = tasks
        self._words = words

    def open(self, endpoint: Endpoint) -> MemoryConnection:
        for member in self._cluster.members:
            if member.endpoint == endpoint:
                return MemoryConnection(self._cluster, member, self.links[member], self._gates, self._tasks)
        raise InvalidConfiguration(f"{endpoint} is no member of this in-memory etcd")

    def compares(self, values: Sequence[object]) -> tuple[Compare, ...]:
        return self._words.compares(values)

    def operations(self, values: Sequence[object]) -> tuple[Operation, ...]:
        return self._words.operations(values)


class MemoryConnection:
    """The port's ``Connection``. A request that was sent is handled whatever becomes of the caller."""

    def __init__(self, cluster: Cluster, member: Member, link: Link, gates: Gates, tasks: Tasks) -> None:
        self._cluster = cluster
        self._member = member
        self._link = link
        self._gates = gates
        self._tasks = tasks
        self._closed = False
        self._streams: list[AnyStream] = []
        self._ends: dict[Callable[[ElectionError], None], None] = {}

    @property
    def endpoint(self) -> Endpoint:
        return self._member.endpoint

    async def status(self, *, timeout: float) -> Status:
        def status() -> Status:
            return Status(self._member.header(), VERSION, self._cluster.leaderless(self._member))

        return await self._call("status", status, timeout, local=True)

    async def get(self, key: bytes, *, timeout: float) -> GetReply:
        def get() -> GetReply:
            return GetReply(self._member.header(), self._cluster.store.get(key))

        return await self._call("get", get, timeout)

    async def txn(self, txn: Txn, *, timeout: float) -> TxnReply:
        def apply() -> TxnReply:
            if _writes(txn):
                self._check_space()
            result = self._cluster.commit(lambda store: store.txn(txn))
            return TxnReply(self._member.header(), result)

        return await self._call("txn", apply, timeout, writes=True)

    async def grant(self, lease_id: int, ttl: int, *, timeout: float) -> GrantReply:
        def grant() -> GrantReply:
            self._check_space()
            lease = self._cluster.grant(lease_id, ttl)
            return GrantReply(self._member.header(), lease.id, lease.ttl)

        return await self._call("grant", grant, timeout, writes=True)

    async def revoke(self, lease_id: int, *, timeout: float) -> RevokeReply:
        def revoke() -> RevokeReply:
            self._cluster.revoke(lease_id)
            return RevokeReply(self._member.header())

        return await self._call("revoke", revoke, timeout, writes=True)

    async def lease_info(self, lease_id: int, *, timeout: float) -> LeaseInfo:
        def info() -> LeaseInfo:
            return LeaseInfo(self._member.header(), self._cluster.lease_left(lease_id))

        return await self._call("lease_info", info, timeout)

    async def members(self, *, timeout: float) -> MemberList:
        def members() -> MemberList:
            return MemberList(self._member.header(), tuple(each.endpoint for each in self._cluster.members))

        return await self._call("members", members, timeout, local=True)

    async def keep_alive(self, *, timeout: float) -> MemoryKeepAliveStream:
        self._check_open()
        stream = MemoryKeepAliveStream(self._cluster, self._member, self._link, self._tasks.start, self._gates)
        self._opened(stream)
        return stream

    async def watch(self, *, timeout: float) -> MemoryWatchStream:
        self._check_open()
        stream = MemoryWatchStream(self._cluster, self._member, self._link, self._tasks.start, self._gates)
        self._opened(stream)
        return stream

    async def aclose(self) -> None:
        self._closed = True
        for end in list(self._ends):
            end(Unavailable(f"{self.endpoint}: the connection was closed"))
        for stream in self._streams:
            stream.close()

    def _opened(self, stream: AnyStream) -> None:
        self._streams = [*(each for each in self._streams if not each.ended), stream]

    def _check_open(self) -> None:
        if self._closed:
            raise Unavailable(f"{self.endpoint}: the connection is closed")

    def _check_space(self) -> None:
        if self._cluster.no_space:
            raise Overloaded(f"{self.endpoint}: etcdserver: mvcc: database space exceeded")

    async def _call(
        self, method: Method, handle: Callable[[], T], timeout: float, *, writes: bool = False, local: bool = False
    ) -> T:
        """One exchange; ``writes``: unanswered, it may have been applied; ``local``: it needs no quorum."""
        self._check_open()
        if self._link.is_cut:
            raise Unavailable(f"{self.endpoint}: connection refused")
        unanswered = OutcomeUnknown if writes else Unavailable
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

        def end(error: ElectionError) -> None:
            if not answer.done():
                answer.set_exception(unanswered(str(error)))

        self._ends[end] = self._link.on_cut[end] = None
        self._tasks.start(self._carry(method, handle, answer, end, local))
        try:
            async with asyncio.timeout(timeout):
                return await answer
        except TimeoutError:
            raise unanswered(f"{self.endpoint}: deadline exceeded") from None
        finally:
            del self._ends[end]
            self._link.on_cut.pop(end, None)
            if answer.done() and not answer.cancelled():
                answer.exception()  # told to nobody, if the caller was cancelled at the same time

    async def _carry(
        self,
        method: Method,
        handle: Callable[[], T],
        answer: asyncio.Future[T],
        end: Callable[[ElectionError], None],
        local: bool,
    ) -> None:
        """The request's way to the member, and the reply's back."""
        link, member = self._link, self._member
        await asyncio.sleep(link.delay)
        if link.drops("requests"):
            return
        reply: T | ElectionError = Unavailable(f"{self.endpoint}: connection refused")
        if member.running:
            if not await self._gates.passed(method, "before", link):
                return
            try:
                reply = await self._handled(handle, local)
            except ElectionError as error:
                reply = error
            except Broken as broken:
                if not link.drops("replies"):
                    end(Unavailable(str(broken)))
                return
            if not await self._gates.passed(method, "after", link):
                return
        if link.drops("replies"):
            return
        await asyncio.sleep(link.delay)
        if answer.done():
            return
        if isinstance(reply, ElectionError):
            answer.set_exception(reply)
        else:
            answer.set_result(reply)

    async def _handled(self, handle: Callable[[], T], local: bool) -> T:
        wait: Callable[[Member], Awaitable[None]] = self._cluster.awake if local else self._cluster.serving
        await wait(self._member)
        return handle()


def _writes(txn: Txn) -> bool:
    """Whether any branch of it would."""
    both = (*txn.success, *txn.failure)
    return any(_writes(each) if isinstance(each, Txn) else not isinstance(each, Get) for each in both)
