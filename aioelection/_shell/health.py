"""Asking the application whether it is well: a service that hangs while its event loop runs must not lead for ever."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from aioelection._core.deadline import renewal_interval
from aioelection._shell.report import fields, fields_of

if TYPE_CHECKING:
    from aioelection._aio.clock import Clock
    from aioelection._shell.lease_life import LeaseLife
    from aioelection._shell.seat import Seat
    from aioelection.term import Term

Health = Callable[[], Awaitable[object] | object]
"""Called in the event loop: ``False``, an exception, or no answer in time means that the service is not well."""

log = logging.getLogger("aioelection")


class HealthProbe:
    """One question at a time: one that hangs is waited for, not asked again."""

    def __init__(self, health: Health, failed: Callable[[BaseException], None]) -> None:
        self._health = health
        self._failed = failed
        self._asked: asyncio.Task[bool] | None = None

    async def well(self, within: float) -> bool:
        """Whether the answer is good, and comes within so many seconds."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask())
        await asyncio.wait([self._asked], timeout=within)
        if not self._asked.done():
            return False
        asked, self._asked = self._asked, None
        if not asked.cancelled() and (error := asked.exception()) is not None:
            self._failed(error)  # no Exception: those are told where they are met
            return False
        return not asked.cancelled() and asked.result()

    def close(self) -> None:
        if self._asked is not None:
            self._asked.cancel()

    async def _ask(self) -> bool:
        try:
            answer = self._health()
            if inspect.isawaitable(answer):
                answer = await answer
        except Exception as error:  # noqa: BLE001 (whatever is wrong: the service is not well)
            self._failed(error)
            return False
        return answer is not False


async def until_well(seat: Seat, health: Health, interval: float) -> None:
    """Wait until the application is well: one that is not would win again and again, and lead to no end."""
    which = fields(seat.key, seat.purpose)

    def failed(error: BaseException) -> None:
        log.warning("%r: health failed: %r", seat.key, error, extra=which)

    stood_back = False
    with contextlib.closing(HealthProbe(health, failed)) as probe:
        while not await probe.well(interval):
            seat.hub.check_use()  # it may have been closed meanwhile
            if not stood_back:
                log.warning("not standing for %r: not well", seat.key, extra=which)
            stood_back = True
            await seat.hub.clock.sleep(interval / 4)
    if stood_back:
        log.warning("standing for %r again: well", seat.key, extra=which)


class RenewalWhileWell:
    """Keeps a lease alive for as long as the application is well: it is asked at each renewal's time."""

    def __init__(
        self, clock: Clock, term: Term, lease: LeaseLife, health: Health, changed: Callable[[bool], None]
    ) -> None:
        self._clock = clock
        self._term = term
        self._lease = lease
        self._health = health
        self._changed = changed
        self.stopped = False
        """The application is not well, and renewal has stopped."""

    async def run(self) -> None:
        """Returns when the application was not well until the deadline, as it was when renewal stopped."""
        interval = renewal_interval(self._lease.deadline.ttl)
        with contextlib.closing(HealthProbe(self._health, self._failed)) as probe:
            while True:
                if not self.stopped:  # else an earlier ``keep`` was cancelled while the application was not well
                    with self._lease.kept():
                        while await probe.well(interval):
                            await self._clock.sleep(interval)
                    self._stop(True)
                if not await self._recovers(probe, interval):
                    return
                self._stop(False)

    def _failed(self, error: BaseException) -> None:
        log.warning("%r: health failed: %r", self._term, error, extra=fields_of(self._term))

    def _stop(self, stopped: bool) -> None:
        self.stopped = stopped
        log.warning(
            "%r: renewal has stopped: not well" if stopped else "%r: renewed again: well",
            self._term,
            extra=fields_of(self._term),
        )
        self._changed(not stopped)

    async def _recovers(self, probe: HealthProbe, interval: float) -> bool:
        deadline = self._lease.deadline.at
        while (left := deadline - self._clock.now()) > 0:
            if await probe.well(min(interval, left)):
                return True
            await self._clock.sleep(min(interval / 4, left))
        return False
