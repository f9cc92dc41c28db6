"""Looks after the connections that are not in use: which members there are, and whether those that failed are back."""

from __future__ import annotations

import asyncio
import logging

from aioelection._aio.clock import Clock
from aioelection._aio.tasks import Tasks
from aioelection._core.endpoints import Endpoint
from aioelection._transport.pool import ATTEMPT, Pool
from aioelection.errors import ElectionError

LEARN = 10.0
"""Seconds from one look at the member list to the next; at once when a member fails that was in use."""

PROBE = 2.0
"""Seconds between probes of members that are not in use."""

log = logging.getLogger("aioelection")


class Caretaker:
    """One task for as long as a client is connected."""

    def __init__(self, pool: Pool, clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._learn = False
        self._tasks = Tasks()

    def start(self, *, learn: bool) -> None:
        """Begin; ``learn``: take the member list from the cluster."""
        self._learn = learn
        self._tasks.start(self._run())

    async def aclose(self) -> None:
        await self._tasks.aclose()

    async def _run(self) -> None:
        learnt_from: Endpoint | None = None
        learn_at = self._clock.now()
        while True:
            now = self._clock.now()
            if self._learn and (now >= learn_at or learnt_from != self._pool.roster.current):
                learnt_from, learn_at = self._pool.roster.current, now + LEARN
                await self.learn()
            await asyncio.gather(
                *(self._probe(each) for each in self._pool.roster if each != self._pool.roster.current)
            )
            await asyncio.sleep(PROBE)

    async def learn(self) -> None:
        """Ask the cluster for its members, and take up what has changed."""
        try:
            found = await self._pool.members(timeout=ATTEMPT)
        except ElectionError as error:
            log.info("the member list cannot be read: %s", error)
            return
        if found.endpoints:
            await self._pool.update(found.endpoints)

    async def _probe(self, endpoint: Endpoint) -> None:
        if self._pool.roster.health(endpoint).resting_until <= self._clock.now():
            await self._pool.probe(endpoint)
