"""What everything on one client shares: the connections, the pumps, the clock, and the rules of use."""

from __future__ import annotations

import asyncio
import logging
import os
import weakref
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from aioelection._aio.alarm import Alarm
from aioelection._aio.clock import Clock
from aioelection._aio.hooks import Hooks
from aioelection._aio.tasks import Tasks, finish
from aioelection._core.deadline import NEVER, renewal_interval
from aioelection._core.endpoints import Endpoint
from aioelection._core.events import LoopStalled
from aioelection._shell.line import Line
from aioelection._transport.caretaker import Caretaker
from aioelection._transport.keepalive import KeepAlivePump
from aioelection._transport.pool import Pool
from aioelection._transport.port import Transport
from aioelection._transport.watch import WatchPump
from aioelection.errors import InvalidState

if TYPE_CHECKING:
    from aioelection._shell.lease_life import LeaseLife
    from aioelection._shell.seat import Seat
    from aioelection.transitions import Closeable

T = TypeVar("T")

log = logging.getLogger("aioelection")

hubs: weakref.WeakSet[Hub] = weakref.WeakSet()

REQUEST_TIMEOUT = 5.0
"""Seconds that a request may take in all, over all members that are asked."""

MOST_STANDING = 100
"""Transactions of candidates that are under way at once: ten thousand would take longer than a request may."""

FORKED = "the client was made before a fork; connect anew in the child"

CLEAN_UP = 1.0
"""Seconds that releasing a key or a lease may take before it is left to expire."""


class Hub:
    """Belongs to one event loop of one process: the first that uses it."""

    def __init__(
        self,
        transport: Transport,
        endpoints: tuple[Endpoint, ...],
        clock: Clock | None = None,
        hooks: Hooks | None = None,
    ) -> None:
        self.clock = clock or Clock()
        self.transport = transport
        self.hooks = hooks
        self.pool = Pool(transport, endpoints, self.clock, hooks)
        self.renewals = KeepAlivePump(self.pool, self.clock)
        self.pool.witness = self.renewals
        self.watches = WatchPump(self.pool)
        self.caretaker = Caretaker(self.pool, self.clock)
        self.deadlines: Alarm[LeaseLife] = Alarm(
            self.clock, lambda lease: lease.deadline.at, lambda lease: lease.expire(), self._stalled
        )
        self.overruns = 0
        self.stalls = 0
        self.longest_stall = 0.0
        self.seats: weakref.WeakSet[Seat] = weakref.WeakSet()
        self.leases: weakref.WeakSet[LeaseLife] = weakref.WeakSet()
        self.iterators: weakref.WeakSet[Closeable] = weakref.WeakSet()
        self._lines: weakref.WeakValueDictionary[bytes, Line] = weakref.WeakValueDictionary()
        self.standing = asyncio.Semaphore(MOST_STANDING)
        """Held by a candidate while its transaction is under way."""
        self.closed = False
        self._closing: asyncio.Task[None] | None = None
        self._vacated = asyncio.Event()
        """Nothing is held any more."""
        self._pid = os.getpid()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._tasks = Tasks()
        hubs.add(self)

    def check_use(self) -> None:
        """Raise ``InvalidState`` unless the client is open, and used where it was first used."""
        if self.closed:
            raise InvalidState("the client is closed")
        self.check_place()

    def check_place(self) -> None:
        """The same for what may be asked of a closed client too."""
        if os.getpid() != self._pid:
            raise InvalidState(FORKED)
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            raise InvalidState("the client is used outside of a running event loop") from None
        if self._loop is None:
            self._loop = loop
        elif self._loop is not loop:
            raise InvalidState("the client belongs to another event loop")

    def line(self, key: bytes) -> Line:
        """Where candidates for that key wait for their turn; for as long as one of them holds it."""
        return self._lines.setdefault(key, Line())

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run in a task of the hub's, out of reach of the scopes of whoever asks for it."""
        return self._tasks.start(coroutine)

    def _stalled(self, seconds: float) -> None:
        """The event loop stood still for so long while leases were held."""
        self.longest_stall = max(self.longest_stall, seconds)
        if self.hooks is not None:
            self.hooks.tell(LoopStalled(seconds=seconds))
        intervals = [renewal_interval(each.deadline.ttl) for each in self.leases if each.deadline.at > NEVER]
        if intervals and seconds >= min(intervals):
            self.stalls += 1
            log.warning(
                "the event loop stood still for %.2f s, longer than the %.2f s from one renewal to the next:"
                " something blocks it, or the machine was suspended",
                seconds,
                min(intervals),
            )

    async def aclose(self) -> None:
        """End every term and every wait, give up what is held, and close all connections; idempotent.

        Cancelled while it waits for bodies, it goes on by itself: the caller may be what such a body waits for.
        """
        if os.getpid() != self._pid:
            return  # all of it is the parent's: a child that unwinds leaves it alone
        self.check_place()
        if self._closing is None:
            self.closed = True
            self._closing = asyncio.ensure_future(self._close(asyncio.current_task()))
        elif any(seat.in_body for seat in self.seats):
            return  # the closing waits for the caller
        await self._vacated.wait()
        await finish(self._closing)

    async def _close(self, caller: asyncio.Task[Any] | None) -> None:
        seats = list(self.seats)
        for seat in seats:
            seat.client_closed()
        await self.watches.aclose()
        try:
            await asyncio.gather(*(seat.vacated(caller) for seat in seats))
        finally:
            self._vacated.set()
            await self._disconnect()

    async def _disconnect(self) -> None:
        for iterator in list(self.iterators):
            iterator.close()
        for lease in list(self.leases):
            lease.client_closed()
        self.deadlines.close()
        await self.renewals.aclose()
        await self.caretaker.aclose()
        await self._tasks.aclose()
        await self.watches.aclose()  # again: what was under way when they were closed may have watched since
        await self.pool.aclose()


def _forked() -> None:
    """A child of a fork holds no term of its parent's: asking for the pid at each ``check()`` would cost too much."""
    for hub in list(hubs):
        hub.pool.refuse(FORKED)
        for seat in list(hub.seats):
            seat.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)
