"""The connections to a cluster's members, and asking whichever of them serves."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable
from typing import TypeVar

from aioelection._aio.clock import Clock
from aioelection._core.backoff import backoff
from aioelection._core.endpoints import Endpoint, Roster
from aioelection._core.ops import Txn
from aioelection._transport.port import (
    Connection,
    GetReply,
    GrantReply,
    LeaseInfo,
    LeaseNotFound,
    Overloaded,
    Transport,
    TxnReply,
)
from aioelection.errors import OutcomeUnknown, Unavailable

T = TypeVar("T")

ATTEMPT = 1.0
"""Seconds that one member gets to answer what another could be asked as well."""


class Pool:
    """One connection for each endpoint, opened when first used.

    What changes nothing (or changes it to the same end) is asked of the next member when one fails, until ``timeout``
    seconds are over. A transaction or a grant is sent again only when it was certainly not applied.
    """

    def __init__(self, transport: Transport, endpoints: tuple[Endpoint, ...], clock: Clock) -> None:
        self._transport = transport
        self._roster = Roster(endpoints)
        self._clock = clock
        self._connections: dict[Endpoint, Connection] = {}
        self._closed = False

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        return tuple(self._roster)

    def connection(self, endpoint: Endpoint | None = None) -> Connection:
        """The connection to that endpoint, or to the one that is used now."""
        if self._closed:
            raise Unavailable("the client is closed")
        endpoint = endpoint or self._roster.current
        if endpoint not in self._connections:
            self._connections[endpoint] = self._transport.open(endpoint)
        return self._connections[endpoint]

    def prefer(self, endpoint: Endpoint) -> None:
        self._roster.prefer(endpoint)

    def failed(self, connection: Connection) -> None:
        """The member did not serve: the next one is used from now on."""
        self._roster.failed(connection.endpoint)

    async def get(self, key: bytes, *, timeout: float) -> GetReply:
        return await self._ask(lambda c, left: c.get(key, timeout=left), timeout, repeatable=True)

    async def txn(self, txn: Txn, *, timeout: float) -> TxnReply:
        return await self._ask(lambda c, left: c.txn(txn, timeout=left), timeout, repeatable=False)

    async def grant(self, lease_id: int, ttl: int, *, timeout: float) -> GrantReply:
        return await self._ask(lambda c, left: c.grant(lease_id, ttl, timeout=left), timeout, repeatable=False)

    async def revoke(self, lease_id: int, *, timeout: float) -> bool:
        """A lease that is gone already is revoked well enough; returns whether it was there."""
        try:
            await self._ask(lambda c, left: c.revoke(lease_id, timeout=left), timeout, repeatable=True)
        except LeaseNotFound:
            return False
        return True

    async def lease_info(self, lease_id: int, *, timeout: float) -> LeaseInfo:
        return await self._ask(lambda c, left: c.lease_info(lease_id, timeout=left), timeout, repeatable=True)

    async def _ask(
        self,
        request: Callable[[Connection, float], Awaitable[T]],
        timeout: float,
        *,
        repeatable: bool,
    ) -> T:
        deadline = self._clock.now() + timeout
        failures = 0
        while True:
            connection = self.connection()
            left = max(0.001, deadline - self._clock.now())
            try:
                return await request(connection, min(left, ATTEMPT) if repeatable else left)
            except Overloaded:
                raise
            except (Unavailable, OutcomeUnknown) as error:
                self.failed(connection)
                failures += 1
                if isinstance(error, OutcomeUnknown) and not repeatable:
                    raise
                pause = 0.0 if failures < len(self._roster) else backoff(failures, random.random(), longest=0.5)
                if self._clock.now() + pause >= deadline:
                    raise
            await asyncio.sleep(pause)

    async def aclose(self) -> None:
        """Close every connection; what is under way on them ends with ``Unavailable`` or ``OutcomeUnknown``."""
        self._closed = True
        while self._connections:
            _, connection = self._connections.popitem()
            await connection.aclose()
