"""The renewal pump: one stream renews every lease of a client.

A tick: the pump wakes when a lease is due, notes the time, sends; the reply is matched to that time, and the lease's
deadline moves. The time that counts is that of *sending*. A stream on which a lease is unanswered when it is due again
is stalled, and is replaced by a fresh one on the next member: a renewal that etcd has forwarded to a frozen leader
blocks its whole stream for seconds (measured on 3.5.1).
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from typing import Protocol

from aioelection._aio.clock import Clock
from aioelection._aio.tasks import first_of
from aioelection._core.agenda import Agenda
from aioelection._core.backoff import backoff
from aioelection._core.deadline import Deadline
from aioelection._transport.pool import ATTEMPT, Pool
from aioelection._transport.port import KeepAliveStream
from aioelection.errors import ElectionError, Unavailable

LONGEST_PAUSE = 0.3
"""Seconds between attempts to reach anybody, at most."""

log = logging.getLogger("aioelection.keepalive")


class Renewable(Protocol):
    """A lease, as the pump sees it."""

    @property
    def id(self) -> int: ...

    @property
    def deadline(self) -> Deadline: ...

    def acknowledged(self, sent: float, ttl: int) -> None:
        """A renewal sent at ``sent`` was acknowledged."""

    def renewal_failed(self) -> None:
        """A renewal was not answered in its time; another attempt follows."""

    def missing(self) -> None:
        """A member answered that it does not know the lease."""


class KeepAlivePump:
    """Renews the leases that were added; its task lives exactly while there are any."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._leases: dict[int, Renewable] = {}
        self._agenda: Agenda[int] = Agenda(self._due)
        self._unanswered: dict[int, deque[float]] = {}
        """The send times of each lease on the present stream, oldest first."""
        self._answered = False
        """Whether the present stream has renewed anything yet."""
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

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
            self._unanswered.pop(lease.id, None)
            self._wake.set()

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    def _due(self, lease_id: int) -> float:
        lease = self._leases.get(lease_id)
        return float("inf") if lease is None else lease.deadline.next_renewal

    async def _run(self) -> None:
        failures = 0
        while self._leases:
            connection = self._pool.connection()
            self._unanswered.clear()
            self._answered = False
            try:
                stream = await connection.keep_alive(timeout=ATTEMPT)
                try:
                    await first_of(self._send(stream), self._receive(stream))
                finally:
                    stream.close()
            except ElectionError as error:
                log.info("renewals interrupted: %s", error)
                self._pool.failed(connection)
                failures = 1 if self._answered else failures + 1
                self._interrupted()
                await asyncio.sleep(backoff(failures, random.random(), longest=LONGEST_PAUSE))

    async def _send(self, stream: KeepAliveStream) -> None:
        while self._leases:
            self._wake.clear()
            for lease_id in self._agenda.take_due(self._clock.now()):
                if self._unanswered.get(lease_id):
                    raise Unavailable("a renewal is unanswered")
                now = self._clock.now()
                self._leases[lease_id].deadline.sending(now)
                self._agenda.add(lease_id)
                self._unanswered.setdefault(lease_id, deque()).append(now)
                await stream.send(lease_id)
            await self._clock.wait(self._wake, self._agenda.next())

    async def _receive(self, stream: KeepAliveStream) -> None:
        while True:
            reply = await stream.receive()
            waiting = self._unanswered.get(reply.lease_id)
            lease = self._leases.get(reply.lease_id)
            if not waiting or lease is None:
                continue  # the lease was removed meanwhile
            sent = waiting.popleft()
            if reply.ttl > 0:
                self._answered = True
                lease.acknowledged(sent, reply.ttl)
            else:
                lease.missing()

    def _interrupted(self) -> None:
        """The stream is gone: what was due on it, answered or not, is due at once on the next."""
        now = self._clock.now()
        for lease_id, lease in list(self._leases.items()):
            if self._unanswered.get(lease_id) or lease.deadline.next_renewal <= now:
                lease.deadline.failed(now)
                self._agenda.add(lease_id)
                lease.renewal_failed()
