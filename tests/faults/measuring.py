"""Times and bounds: of calls, and of terms that are looked at all the while."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Iterator

from aioelection import Client, Leadership, Term
from faults.stalls import NAP, StallMeter
from tests.support import beside, eventually, now

ELECTION = 1.0
"""Seconds of etcd's election timeout."""


class Measure:
    """What a test measures."""

    def __init__(self, record: Callable[[str, object], None], meter: StallMeter) -> None:
        self._record = record
        self._meter = meter
        self._begin = time.monotonic()

    def took(self, what: str, seconds: float, bound: float, *, since: float | None = None) -> None:
        """Record it, and check it against the bound, with the stalls since that moment (the test's begin) on top."""
        stalled = self._meter.since(self._begin if since is None else since)
        self._record("measured", f"{what}: {seconds:.3f} s")
        self._record("bound", f"{bound:.3f} s")
        assert seconds <= bound + stalled, f"{what}: {seconds:.3f} s, not {bound:.3f} s (stalled {stalled:.3f} s)"

    @contextlib.contextmanager
    def within(self, bound: float, what: str) -> Iterator[None]:
        """The block takes no longer."""
        begin = time.monotonic()
        yield
        self.took(what, time.monotonic() - begin, bound, since=begin)


class Vigil:
    """Looks at a term all the while."""

    def __init__(self, client: Client, leadership: Leadership, term: Term, ttl: int) -> None:
        self.client = client
        self.leadership = leadership
        self.term = term
        self.renewals = 0
        """How often its deadline has moved."""
        self.deadline = now(client) + term.remaining()
        """The last that was believed."""
        self.longest = 0.0
        """Seconds between two renewals that counted."""
        self.lost_at: float | None = None
        self._ttl = ttl
        self._renewed_at = now(client)

    @property
    def lateness(self) -> float:
        """Seconds by which a renewal was later than due, at most."""
        return max(self.longest, now(self.client) - self._renewed_at) - self._ttl / 3

    @property
    def lost_late(self) -> float:
        """Seconds from the deadline to the loss."""
        assert self.lost_at is not None
        return self.lost_at - self.deadline

    async def renewed(self, times: int, within: float = 15.0) -> None:
        """So many renewals more have counted."""
        wanted = self.renewals + times
        await eventually(lambda: self.renewals >= wanted or self.term.lost.is_set(), within)
        self.check()

    async def due(self) -> None:
        """A renewal has counted, and the next is about to be sent."""
        await self.renewed(1)
        await asyncio.sleep(self._renewed_at + self._ttl / 3 - 0.1 - now(self.client))

    def check(self) -> None:
        assert self.term.check() and self.term.loss_reason is None, f"lost: {self.term.loss_reason}"

    async def look(self) -> None:
        async with beside(self._renewals()):
            await self.term.lost.wait()
            self.lost_at = now(self.client)

    async def _renewals(self) -> None:
        while True:
            moment, remaining = now(self.client), self.term.remaining()
            if remaining and moment + remaining > self.deadline + 0.01:
                self.longest = max(self.longest, moment - self._renewed_at)
                self.deadline = moment + remaining
                self._renewed_at = moment
                self.renewals += 1
            await asyncio.sleep(NAP)


@contextlib.asynccontextmanager
async def leading(client: Client, key: str, ttl: int) -> AsyncIterator[Vigil]:
    """Lead, and be looked at; a loss does not end the block."""
    leadership = Leadership(client, key)
    async with leadership.campaign(ttl, b"a", on_loss="event") as term:
        vigil = Vigil(client, leadership, term, ttl)
        async with beside(vigil.look()):
            yield vigil


class Server:
    """A service that leads whenever it can; each of its terms is looked at."""

    def __init__(self, client: Client, key: str, ttl: int) -> None:
        self._client = client
        self._leadership = Leadership(client, key)
        self._ttl = ttl
        self.terms: list[Vigil] = []

    @property
    def leads(self) -> bool:
        return self._leadership.check()

    async def run(self) -> None:
        await self._leadership.run(self._serve, self._ttl, b"a")

    async def _serve(self, term: Term) -> None:
        vigil = Vigil(self._client, self._leadership, term, self._ttl)
        self.terms.append(vigil)
        async with beside(vigil.look()) as looking:
            try:
                await looking
            finally:
                if vigil.lost_at is None and term.lost.is_set():
                    vigil.lost_at = now(self._client)


@contextlib.asynccontextmanager
async def serving(client: Client, key: str, ttl: int) -> AsyncIterator[Server]:
    server = Server(client, key, ttl)
    async with beside(server.run()):
        await eventually(lambda: server.leads and server.terms)
        yield server
