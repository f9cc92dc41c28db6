"""The renewal pump: one stream renews every lease of a client, and another takes over before it can hurt.

A tick: the pump wakes when a lease is due, notes the time, sends; the reply is matched to that time, and goes to the
ledger; a read proves it, and the lease's deadline moves, counted from the *sending*.

A lane is one stream to one member; the newest is the one to send on. When an answer on it is late, a new lane is opened
to the next member and asked the same, while the old one may still answer; when no answer comes in an attempt's whole
time, likewise. Each time it is a *fresh* stream: a renewal that a follower has forwarded to a frozen leader blocks its
whole stream for seconds, on every follower (measured on 3.5.1).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import Counter
from typing import Protocol

from aioelection._aio.clock import Clock
from aioelection._aio.tasks import Tasks, first_of
from aioelection._core.agenda import Agenda
from aioelection._core.backoff import backoff
from aioelection._core.deadline import Deadline
from aioelection._core.events import Hedged, StreamBroken
from aioelection._core.hedge import HedgeDelay
from aioelection._core.ledger import Ledger
from aioelection._transport.pool import ATTEMPT, LINGER, LONGEST_PAUSE, Pool
from aioelection._transport.port import Connection, KeepAliveReply, KeepAliveStream
from aioelection._transport.report import RenewalReport, Reportable
from aioelection.errors import ElectionError

MOST_LANES = 4
"""Streams that are listened to at once; the oldest goes first."""

log = logging.getLogger("aioelection.keepalive")


class Renewable(Reportable, Protocol):
    """A lease, as the pump sees it."""

    @property
    def deadline(self) -> Deadline: ...

    @property
    def barrier_key(self) -> bytes:
        """A key that may be read to prove the lease's acknowledgements."""

    def acknowledged(self, sent: float, ttl: int) -> None:
        """A renewal sent at ``sent`` was acknowledged, by whoever leads etcd."""

    def renewal_failed(self) -> None:
        """A renewal was not answered in its time; another attempt follows."""

    def missing(self) -> None:
        """A member answered that it does not know the lease."""


class KeepAlivePump:
    """Renews the leases that were added; its task lives while there are any, and a moment longer."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._leases: dict[int, Renewable] = {}
        self._agenda: Agenda[int] = Agenda(self._due)
        self._ledger: Ledger[int] = Ledger()
        self._delay = HedgeDelay()
        self._lanes: list[Lane] = []
        """Oldest first."""
        self._distrusted = False
        """The newest lane's member has acknowledged what was not so: the next renewal takes another."""
        self._idle_since = 0.0
        self._failures = 0
        self._not_before = 0.0
        """When the next lane may be opened, after nobody could be reached."""
        self._wake = asyncio.Event()
        self._unproven = asyncio.Event()
        self._tasks = Tasks()
        self._task: asyncio.Task[None] | None = None
        self._report = None if pool.hooks is None else RenewalReport(pool.hooks)
        self.renewals = 0
        self.hedges = 0
        self.disproven = 0
        self.reconnects = 0

    def add(self, lease: Renewable) -> None:
        self._leases[lease.id] = lease
        self.hurry(lease)
        if self._task is None or self._task.done():
            self._task = asyncio.ensure_future(self._run())

    def hurry(self, lease: Renewable) -> None:
        """The lease is due earlier than it was."""
        self._agenda.add(lease.id)
        self._wake.set()

    def remove(self, lease: Renewable) -> None:
        if self._leases.get(lease.id) is lease:
            del self._leases[lease.id]
            self._agenda.discard(lease.id)
            self._ledger.drop(lease.id)
            self._idle_since = self._clock.now()
            self._wake.set()
            if self._report is not None:
                self._report.forget(lease.id)

    def __len__(self) -> int:
        return len(self._leases)

    @property
    def open_streams(self) -> int:
        return len(self._lanes)

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    # ------------------------------------------------------------------ the pump's own task

    def _due(self, lease_id: int) -> float:
        lease = self._leases.get(lease_id)
        return float("inf") if lease is None else lease.deadline.next_renewal

    async def _run(self) -> None:
        while self._leases:
            try:
                await first_of(self._tick(), self._prove())
            finally:
                self._lanes.clear()
                await self._tasks.aclose()  # a lease that is added meanwhile is served by the next round

    async def _tick(self) -> None:
        while self._leases or self._clock.now() < self._idle_since + LINGER:
            self._wake.clear()
            now = self._clock.now()
            if now >= self._not_before:
                self._send_due(now)
                self._hedge(now)
            await self._clock.wait(self._wake, self._next_tick())

    def _next_tick(self) -> float | None:
        if not self._leases:
            return self._idle_since + LINGER
        due = self._agenda.next()
        lane = self._lanes[-1] if self._lanes else None
        if lane is not None and lane.waiting_since is not None and not lane.hedged:
            late = lane.waiting_since + self._delay.seconds
            due = late if due is None else min(due, late)
        return due if due is None else max(due, self._not_before)

    def _send_due(self, now: float) -> None:
        due = self._agenda.take_due(now)
        if not due:
            return
        lane = self._lanes[-1] if self._lanes else None
        failed = [] if lane is None else [lease_id for lease_id in due if lease_id in lane.unanswered]
        for lease_id in failed:
            if (lease := self._leases.get(lease_id)) is not None:  # whoever is told, a hook too, may remove leases
                lease.renewal_failed()
                if self._report is not None:
                    self._report.failed(lease, "late")
        if lane is None or failed or self._distrusted:
            lane = self._open_lane()
        for lease_id in due:
            if (lease := self._leases.get(lease_id)) is None:
                continue
            lease.deadline.sending(now)
            self._agenda.add(lease_id)
            lane.send(lease_id, now)
            if self._report is not None:
                self._report.sent(lease, now)

    def _hedge(self, now: float) -> None:
        """Ask the next member as well for what is late; once an attempt, since each time costs a stream."""
        lane = self._lanes[-1] if self._lanes else None
        if lane is None or lane.hedged or lane.waiting_since is None:
            return
        if now >= lane.waiting_since + self._delay.seconds:
            self.hedges += 1
            if self._pool.hooks is not None:
                self._pool.hooks.tell(Hedged(request="renewal", endpoint=str(lane.connection.endpoint)))
            other = self._open_lane()
            lane.hedged_at = other.hedged_at = now
            for lease_id in lane.unanswered:
                other.send(lease_id, now)

    def _open_lane(self) -> Lane:
        if self._lanes:
            self._pool.failed(self._lanes[-1].connection)
        self._distrusted = False
        lane = Lane(self._pool.connection())
        self._lanes.append(lane)
        lane.task = self._tasks.start(self._serve(lane))
        for oldest in self._lanes[:-MOST_LANES]:
            self._close_lane(oldest)
        return lane

    def _close_lane(self, lane: Lane) -> None:
        self._lanes.remove(lane)
        if lane.task is not None:
            lane.task.cancel()

    # ------------------------------------------------------------------ lanes

    async def _serve(self, lane: Lane) -> None:
        try:
            stream = await lane.connection.keep_alive(timeout=ATTEMPT)
            try:
                await first_of(lane.write(stream), self._read(lane, stream))
            finally:
                stream.close()
        except ElectionError as error:
            self._broke(lane, error)

    async def _read(self, lane: Lane, stream: KeepAliveStream) -> None:
        while True:
            self._replied(lane, await stream.receive())

    def _replied(self, lane: Lane, reply: KeepAliveReply) -> None:
        sent = lane.answered(reply.lease_id)
        lease = self._leases.get(reply.lease_id)
        if sent is None or lease is None:
            return  # another lane was faster, or the lease is of no interest any more
        self.renewals += 1
        self._failures = 0
        self._not_before = 0.0
        self._delay.took(self._clock.now() - sent)
        self._settle(lane, reply.lease_id)
        if self._report is not None:
            self._report.answered(lease, sent, self._clock.now())
            if self._leases.get(reply.lease_id) is not lease:
                return  # a hook has removed it
        if reply.ttl <= 0:
            lease.missing()
            return
        lease.deadline.answered(sent)
        self._ledger.hold(reply.lease_id, sent, reply.ttl, reply.header.raft_term)
        self._unproven.set()

    def _settle(self, lane: Lane, lease_id: int) -> None:
        """A lane has answered: older ones are not needed any more, and newer ones need not answer the same."""
        place = self._lanes.index(lane) if lane in self._lanes else 0
        for newer in self._lanes[place + 1 :]:
            newer.waive(lease_id)
        for older in self._lanes[:place]:
            self._close_lane(older)

    def _broke(self, lane: Lane, error: ElectionError) -> None:
        """What was unanswered on the lane, and is on no other, is due at once."""
        log.info("renewals interrupted: %s", error)
        if lane not in self._lanes:
            return
        self._lanes.remove(lane)
        self._pool.failed(lane.connection)
        self.reconnects += 1
        if self._pool.hooks is not None:
            endpoint = str(lane.connection.endpoint)
            self._pool.hooks.tell(StreamBroken(stream="renewals", endpoint=endpoint, error=str(error)))
        self._failures += 1
        now = self._clock.now()
        if self._failures >= len(self._pool.roster):
            self._not_before = now + backoff(self._failures, random.random(), longest=LONGEST_PAUSE)
        for lease_id in lane.unanswered:
            lease = self._leases.get(lease_id)
            if lease is not None and not any(lease_id in other.unanswered for other in self._lanes):
                lease.deadline.failed(now)
                self._agenda.add(lease_id)
                lease.renewal_failed()
                if self._report is not None:
                    self._report.failed(lease, "broken")
        self._wake.set()

    # ------------------------------------------------------------------ proof

    async def _prove(self) -> None:
        """Read some key while acknowledgements are held; the reads of others, which tell too, may come first.

        A thousand leases are renewed one by one, and a read for each would cost more than the renewals.
        """
        while True:
            await self._unproven.wait()
            self._unproven.clear()
            while (first := self._ledger.oldest()) is not None:
                await asyncio.sleep(self._leases[first].deadline.proof_delay(self._clock.now()))
                if (lease_id := self._ledger.oldest()) is not None:
                    await self._ask_for_proof(self._leases[lease_id])

    async def _ask_for_proof(self, lease: Renewable) -> None:
        try:
            await self._pool.get(lease.barrier_key, timeout=ATTEMPT)
        except ElectionError as error:
            log.info("renewals cannot be proven: %s", error)
            await asyncio.sleep(LONGEST_PAUSE)

    def asking(self) -> int:
        """A linearizable request of this client is being sent."""
        return self._ledger.asking()

    def answered(self, number: int, raft_term: int) -> None:
        """It was answered: acknowledgements that arrived before it was sent are proven or disproven."""
        proven, disproven = self._ledger.answered(number, raft_term)
        for lease_id, held in proven:
            if (lease := self._leases.get(lease_id)) is not None:
                lease.acknowledged(held.sent, held.ttl)
        for lease_id in disproven:
            if (lease := self._leases.get(lease_id)) is not None:
                self.disproven += 1
                if self._report is not None:
                    self._report.failed(lease, "disproven")
                self._distrusted = True
                lease.deadline.failed(self._clock.now())
                self.hurry(lease)


class Lane:
    """One stream to one member, and the renewals that are unanswered on it."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.unanswered: dict[int, float] = {}
        """When each lease's oldest unanswered renewal was sent."""
        self.hedged_at = float("-inf")
        """When another lane was asked for what was late on this one, or this one for what was late on another."""
        self.task: asyncio.Task[None] | None = None
        self._waived: Counter[int] = Counter()
        """How many of each lease's replies are still to come that nobody waits for: they come before any other."""
        self._outbox: asyncio.Queue[int] = asyncio.Queue()

    def send(self, lease_id: int, now: float) -> None:
        self.unanswered.setdefault(lease_id, now)
        self._outbox.put_nowait(lease_id)

    def answered(self, lease_id: int) -> float | None:
        """A reply has come: when what it answers was sent, if that is of interest."""
        if self._waived[lease_id]:
            self._waived[lease_id] -= 1
            return None
        return self.unanswered.pop(lease_id, None)

    def waive(self, lease_id: int) -> None:
        """Another lane has answered; the reply that still comes must not be taken for that to the next renewal."""
        if self.unanswered.pop(lease_id, None) is not None:
            self._waived[lease_id] += 1

    @property
    def hedged(self) -> bool:
        """Whether two lanes were asked for the oldest that is unanswered; what was sent since is another matter."""
        since = self.waiting_since
        return since is not None and since <= self.hedged_at

    async def write(self, stream: KeepAliveStream) -> None:
        while True:
            await stream.send(await self._outbox.get())

    @property
    def waiting_since(self) -> float | None:
        """When the oldest renewal that is unanswered was sent."""
        return next(iter(self.unanswered.values()), None)  # they were put in in the order of their times
