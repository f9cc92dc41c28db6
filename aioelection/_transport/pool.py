"""The connections to a cluster's members, and asking whichever of them serves.

What changes nothing, or changes it to the same end, is asked of the next member too when an answer is late or fails,
and the first answer counts. A transaction or a grant goes to one member at a time, and to another only when it was
certainly not applied.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Collection, Iterable
from contextlib import suppress
from typing import Protocol, TypeVar

from aioelection._aio.clock import Clock
from aioelection._aio.hooks import Hooks
from aioelection._core.backoff import backoff
from aioelection._core.endpoints import Endpoint
from aioelection._core.events import Hedged
from aioelection._core.hedge import HedgeDelay
from aioelection._core.ops import Txn
from aioelection._core.roster import Roster
from aioelection._transport.port import (
    Connection,
    GetReply,
    GrantReply,
    LeaseInfo,
    LeaseNotFound,
    MemberList,
    Overloaded,
    Reply,
    Transport,
    TxnReply,
)
from aioelection.errors import ElectionError, InvalidState, OutcomeUnknown, Unavailable

R = TypeVar("R", bound=Reply)
Request = Callable[[Connection, float], Awaitable[R]]

ATTEMPT = 1.0
"""Seconds that one member gets to answer what another can be asked as well."""

LINGER = 1.0
"""Seconds for which a stream stays open when it has nothing to serve: who stands again soon finds it there, and its
closing is not in the way of a hand-over."""

LONGEST_PAUSE = 0.3
"""Seconds before all are asked again, at most, when none has served."""


class Witness(Protocol):
    """Who is told of every linearizable request: its answer proves what was acknowledged before it was sent."""

    def asking(self) -> int: ...

    def answered(self, number: int, raft_term: int) -> None: ...


class Pool:
    """One connection for each endpoint, opened when it is first used. Timeouts are in seconds, over all members."""

    def __init__(
        self, transport: Transport, endpoints: tuple[Endpoint, ...], clock: Clock, hooks: Hooks | None = None
    ) -> None:
        self.hooks = hooks
        self.roster = Roster(endpoints)
        self.witness: Witness | None = None
        self.hedges = 0
        self._transport = transport
        self._clock = clock
        self._delay = HedgeDelay()
        self._connections: dict[Endpoint, Connection] = {}
        self._closed = False
        self._refused = ""

    def refuse(self, reason: str) -> None:
        """Send nothing any more: ``InvalidState`` is raised instead."""
        self._refused = reason

    def connection(self, endpoint: Endpoint | None = None) -> Connection:
        """The connection to that endpoint, or to the one in use."""
        if self._closed:
            raise Unavailable("the client is closed")
        if self._refused:
            raise InvalidState(self._refused)
        endpoint = endpoint or self.roster.current
        if endpoint not in self._connections:
            self._connections[endpoint] = self._transport.open(endpoint)
        return self._connections[endpoint]

    def failed(self, connection: Connection) -> None:
        """The member did not serve, or was late: another is used from now on."""
        self.roster.failed(connection.endpoint, self._clock.now())

    async def get(self, key: bytes, *, timeout: float) -> GetReply:
        number = self.witness.asking() if self.witness else 0
        reply = await self._from_any(lambda connection, left: connection.get(key, timeout=left), timeout)
        if self.witness:
            self.witness.answered(number, reply.header.raft_term)
        return reply

    async def txn(self, txn: Txn, *, timeout: float) -> TxnReply:
        number = self.witness.asking() if self.witness else 0
        reply = await self._once(lambda connection, left: connection.txn(txn, timeout=left), timeout)
        if self.witness:
            self.witness.answered(number, reply.header.raft_term)
        return reply

    async def grant(self, lease_id: int, ttl: int, *, timeout: float) -> GrantReply:
        return await self._once(lambda connection, left: connection.grant(lease_id, ttl, timeout=left), timeout)

    async def revoke(self, lease_id: int, *, timeout: float) -> bool:
        """A lease that is gone already is revoked well enough; returns whether it was there."""
        try:
            await self._from_any(lambda connection, left: connection.revoke(lease_id, timeout=left), timeout)
        except LeaseNotFound:
            return False
        return True

    async def lease_info(self, lease_id: int, *, timeout: float) -> LeaseInfo:
        return await self._from_any(lambda connection, left: connection.lease_info(lease_id, timeout=left), timeout)

    async def members(self, *, timeout: float) -> MemberList:
        return await self._from_any(lambda connection, left: connection.members(timeout=left), timeout)

    async def probe(self, endpoint: Endpoint) -> None:
        """Ask one member for its status, to know how it fares."""
        with suppress(ElectionError):
            await self._ask(
                self.connection(endpoint), lambda connection, left: connection.status(timeout=left), ATTEMPT
            )

    async def _once(self, request: Request[R], timeout: float) -> R:
        """Ask one member, and another only when the first certainly did nothing."""
        deadline = self._clock.now() + timeout
        failures = 0
        while True:
            connection = self.connection()
            try:
                return await self._ask(connection, request, max(0.001, deadline - self._clock.now()))
            except Overloaded:
                raise
            except Unavailable:
                failures += 1
                pause = pause_after(failures // len(self.roster))
                if self._clock.now() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)

    async def _from_any(self, request: Request[R], timeout: float) -> R:
        """Ask the member in use, and the next as well when its answer is late or fails."""
        deadline = self._clock.now() + timeout
        asked: dict[asyncio.Task[R], Connection] = {}
        tried: set[Endpoint] = set()
        rounds = 0
        try:
            while True:
                if more := len(tried) < len(self.roster):
                    connection = self.connection(self.roster.another(tried, self._clock.now()) if tried else None)
                    tried.add(connection.endpoint)
                    left = max(0.001, min(ATTEMPT, deadline - self._clock.now()))
                    asked[asyncio.ensure_future(self._ask(connection, request, left))] = connection
                    more = len(tried) < len(self.roster)
                late = self._delay.seconds if more else None
                done, waiting = await asyncio.wait(asked, timeout=late, return_when=asyncio.FIRST_COMPLETED)
                failure: ElectionError | None = None
                for question in done:
                    del asked[question]
                    try:
                        return question.result()
                    except (Unavailable, OutcomeUnknown) as error:
                        failure = error
                if failure is None:
                    self._late(asked.values())
                elif not waiting and not more:
                    rounds += 1
                    pause = pause_after(rounds)
                    if self._clock.now() + pause >= deadline:
                        raise failure
                    await asyncio.sleep(pause)
                    tried.clear()
        finally:
            await _cancel(asked.keys())

    async def _ask(self, connection: Connection, request: Request[R], timeout: float) -> R:
        """One question to one member; what it meets tells the member's health."""
        asked = self._clock.now()
        try:
            reply = await request(connection, timeout)
        except Overloaded:
            raise
        except (Unavailable, OutcomeUnknown):
            self.failed(connection)
            raise
        self._delay.took(self._clock.now() - asked)
        self.roster.answered(connection.endpoint, reply.header.member_id)
        return reply

    def _late(self, asked: Iterable[Connection]) -> None:
        """Nobody has answered in the usual time: another is asked as well, and used from now on."""
        self.hedges += 1
        late = list(asked)
        for connection in late:
            self.failed(connection)
        if self.hooks is not None:
            self.hooks.tell(Hedged(request="other", endpoint=str(late[-1].endpoint)))

    async def update(self, learnt: Iterable[Endpoint]) -> None:
        """The cluster tells these endpoints: connections to those that are gone are closed."""
        for endpoint in self.roster.update(learnt):
            if (connection := self._connections.pop(endpoint, None)) is not None:
                await connection.aclose()

    async def aclose(self) -> None:
        """Close every connection; what is under way on them ends with ``Unavailable`` or ``OutcomeUnknown``."""
        self._closed = True
        connections = [*self._connections.values()]
        self._connections.clear()
        await asyncio.gather(*(connection.aclose() for connection in connections))


def pause_after(rounds: int) -> float:
    """Seconds to wait when everybody was asked that many times; none before."""
    return backoff(rounds, random.random(), longest=LONGEST_PAUSE) if rounds else 0.0


async def _cancel(tasks: Collection[asyncio.Task[R]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
