"""The two streams of etcd's API, the client's side and the member's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from aioelection._core.cursors import WatchReply
from aioelection._core.ops import KeyEvent
from aioelection._transport.port import KeepAliveReply
from aioelection.errors import ElectionError, Unavailable
from aioelection.testing._link import Gates, Link, Pipe
from aioelection.testing._members import Broken, Cluster, Member

R = TypeVar("R")
Start = Callable[[Coroutine[Any, Any, None]], "asyncio.Task[None]"]


class _Stream(Generic[R]):
    """Whatever breaks it is ``Unavailable``; the member serves what arrives one after the other."""

    def __init__(self, cluster: Cluster, member: Member, link: Link, start: Start, gates: Gates) -> None:
        self._cluster = cluster
        self._member = member
        self._link = link
        self._gates = gates
        self._error: ElectionError | None = None
        self._requests: asyncio.Queue[Any] = asyncio.Queue()
        self._replies: asyncio.Queue[R | None] = asyncio.Queue()
        self._up = Pipe(link, "requests", self._requests.put_nowait, self._break)
        self._down = Pipe(link, "replies", self._replies.put_nowait, self._break)
        link.on_cut[self._break] = None
        member.on_break[self._lost] = None
        self._task = start(self._run())

    @property
    def ended(self) -> bool:
        return self._error is not None

    async def receive(self) -> R:
        while self._error is None:
            reply = await self._replies.get()
            if reply is not None:
                return reply
        raise self._error

    def close(self) -> None:
        self._break(Unavailable("the stream is closed"))

    def _send(self, request: Any) -> None:
        if self._error is not None:
            raise self._error
        self._up.send(request)

    def _lost(self, error: ElectionError) -> None:
        """The member has ended the stream: the client learns of it if anything comes through."""
        if self._link.drops("replies"):
            self._link.on_mend[self._break] = None
        else:
            self._break(error)

    def _break(self, error: ElectionError) -> None:
        if self._error is None:
            self._error = error
            self._replies.put_nowait(None)
        self._link.on_cut.pop(self._break, None)
        self._link.on_mend.pop(self._break, None)
        self._member.on_break.pop(self._lost, None)
        self._task.cancel()
        self._forget_all()

    def _forget_all(self) -> None:
        """Nothing more is served."""

    async def _run(self) -> None:
        try:
            await asyncio.sleep(self._link.delay)
            if self._link.is_cut or not self._member.running:
                raise Unavailable(f"{self._member.endpoint}: connection refused")
            await self._cluster.awake(self._member)
            if self._cluster.has_no_leader(self._member):
                raise Unavailable(f"{self._member.endpoint}: etcdserver: no leader")
            while self._error is None:
                request = await self._requests.get()
                await self._cluster.awake(self._member)
                await self._serve(request)
        except ElectionError as error:
            self._lost(error)
        except Broken as broken:
            self._lost(Unavailable(str(broken)))

    async def _serve(self, request: Any) -> None:
        raise NotImplementedError


class MemoryKeepAliveStream(_Stream[KeepAliveReply]):
    """A member handles one renewal after the other: one that waits for a frozen leader blocks all behind it."""

    async def send(self, lease_id: int) -> None:
        self._send(lease_id)

    async def _serve(self, request: int) -> None:
        header = self._member.header()  # as etcd does: made before the renewal
        if not await self._gates.passed("keep_alive", "before", self._link):
            return
        ttl = await self._cluster.renew(self._member, request)
        if await self._gates.passed("keep_alive", "after", self._link):
            self._down.send(KeepAliveReply(header, request, ttl))


@dataclass(frozen=True, slots=True)
class _Create:
    key: bytes
    start_revision: int


@dataclass(frozen=True, slots=True)
class _Cancel:
    watch_id: int


class MemoryWatchStream(_Stream[WatchReply]):
    """Events come from what its member has applied."""

    def __init__(self, cluster: Cluster, member: Member, link: Link, start: Start, gates: Gates) -> None:
        self._watches: dict[int, tuple[bytes, Callable[[KeyEvent], None]]] = {}
        self._next_id = 0
        super().__init__(cluster, member, link, start, gates)

    async def create(self, key: bytes, start_revision: int) -> None:
        self._send(_Create(key, start_revision))

    async def cancel(self, watch_id: int) -> None:
        self._send(_Cancel(watch_id))

    async def _serve(self, request: object) -> None:
        if not await self._gates.passed("watch", "before", self._link):
            return
        match request:
            case _Create(key, start_revision):
                self._create(key, start_revision)
            case _Cancel(watch_id):
                if watch_id in self._watches:
                    self._forget(watch_id)
                    self._answer(watch_id, canceled=True)

    def _create(self, key: bytes, start_revision: int) -> None:
        watch_id, self._next_id = self._next_id, self._next_id + 1
        self._answer(watch_id, created=True)
        applied, compacted = self._member.applied, self._cluster.store.compacted
        if 0 < start_revision < compacted:
            self._answer(watch_id, canceled=True, compact_revision=compacted)
            return
        first = start_revision or applied + 1

        def tell(event: KeyEvent) -> None:
            if event.kv.mod_revision >= first:
                self._answer(watch_id, events=(event,))

        for event in self._cluster.store.replay(key, first - 1, applied):
            tell(event)
        self._watches[watch_id] = (key, tell)
        self._member.on_event.setdefault(key, {})[tell] = None

    def _answer(self, watch_id: int, **rest: Any) -> None:
        self._down.send(WatchReply(watch_id, self._member.applied, **rest))

    def _forget(self, watch_id: int) -> None:
        key, tell = self._watches.pop(watch_id)
        listeners = self._member.on_event[key]
        del listeners[tell]
        if not listeners:
            del self._member.on_event[key]

    def _forget_all(self) -> None:
        for watch_id in list(self._watches):
            self._forget(watch_id)
