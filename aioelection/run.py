"""Leading whenever possible, for the life of a service."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import NoReturn

from aioelection._aio.clock import Clock
from aioelection._core.backoff import backoff
from aioelection.campaign import Campaign
from aioelection.errors import LeadershipLost
from aioelection.term import Term

Serve = Callable[[Term], Awaitable[object]]

log = logging.getLogger("aioelection")


async def run_for_ever(campaign: Callable[[], Campaign], serve: Serve, clock: Clock) -> NoReturn:
    """Campaign, serve until the term is over, and stand again after a moment, so that another may go first."""
    while True:
        try:
            async with campaign() as term:
                await serve(term)
        except LeadershipLost as loss:
            log.info("%s; standing again", loss)
        await clock.sleep(backoff(1, random.random(), first=0.2))
