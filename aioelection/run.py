"""Leading whenever possible, for the life of a service."""

from __future__ import annotations

import inspect
import logging
import random
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, NoReturn

from aioelection._aio.clock import Clock
from aioelection._aio.tasks import first_of
from aioelection._core.backoff import backoff
from aioelection._core.campaign_times import WINDOW
from aioelection._shell.report import fields
from aioelection.campaign import Campaign
from aioelection.errors import InvalidConfiguration, LeadershipLost
from aioelection.resignation import heed
from aioelection.term import Term

if TYPE_CHECKING:
    from aioelection.leadership import Leadership

Serve = Callable[[Term], Awaitable[object]]

log = logging.getLogger("aioelection")


def heeding_requests(serve: Serve, leadership: Leadership) -> Serve:
    """The same, but resigned when somebody asks for it while it serves."""

    async def serve_until_asked(term: Term) -> None:
        heeding = leadership.client.hub.spawn(heed(leadership, term))
        try:
            await _awaitable(serve, serve(term))
        finally:
            heeding.cancel()  # one that resigns at this moment has ended the term already: what is left is the release

    return serve_until_asked


async def run_for_ever(
    ready: Callable[[], Awaitable[None]],
    campaign: Callable[[], Campaign],
    serve: Serve,
    clock: Clock,
    limiter: Limiter,
) -> NoReturn:
    """Campaign, serve until the term is over, and stand again after a moment, so that another may go first."""
    while True:
        await ready()
        raised: LeadershipLost | None = None
        try:
            async with campaign() as term:
                limiter.won(term)
                try:
                    await _awaitable(serve, serve(term))
                except LeadershipLost as error:
                    if error.leader_key != term.leader_key:  # another leadership's, which serve let through
                        raised = error
                    raise
        except LeadershipLost as loss:
            if loss is raised:
                raise
            log.info("%s; standing again", loss, extra={**limiter.which, "reason": loss.reason.value})
        await clock.sleep(backoff(1, random.random(), first=0.2))


def _awaitable(serve: Serve, given: Awaitable[object]) -> Awaitable[object]:
    if not inspect.isawaitable(given):
        raise InvalidConfiguration(f"serve must be an async function, but {serve!r} returned {given!r}")
    return given


class Limiter:
    """Keeps a candidate that wins and fails again and again from being the only one that ever leads.

    After PD, which gives up leading when it was elected too often within five minutes.
    """

    def __init__(self, leadership: Leadership, clock: Clock, limit: int | None) -> None:
        self._leadership = leadership
        self.which = fields(leadership.leader_key, leadership.purpose)
        """What log records have beside their texts."""
        self._clock = clock
        self._limit = limit
        self._token = 0

    def won(self, term: Term) -> None:
        """Count it."""
        self._token = term.fencing_token
        self._leadership.add_campaign_times()

    async def stand_back(self) -> None:
        """After more wins than allowed, wait until another leads, or for as long as wins are counted."""
        wins = self._leadership.campaign_times_num
        if self._limit is None or wins <= self._limit:
            return
        key = self._leadership.leader_key
        told = (key, wins, WINDOW, self._limit)
        log.warning("%r was won %d times in %d s, more than %d: standing back", *told, extra=self.which)
        await first_of(self._another_leads(), self._clock.sleep(WINDOW))
        self._leadership.reset_campaign_times()
        log.info("standing for %r again", key, extra=self.which)

    async def _another_leads(self) -> None:
        async for leader in self._leadership.observe():
            if leader is not None and leader.create_revision != self._token:
                return
        # The client was closed: standing tells so.
