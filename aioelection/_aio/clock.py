"""The clock that leases are judged by, and waiting on it.

What is believed is measured on a clock that counts the time a machine is suspended, where there is one: a laptop that
slept for a minute has lost its leases. Event loops wake by a clock that may stand still meanwhile, so that a long wait
is cut into slices, and the real clock is looked at after each.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable

from aioelection._aio.signal import Signal

SLICE = 0.5
"""Seconds: how long a jump of the clock can go unnoticed."""


class Clock:
    """Reads the time in seconds, by ``now`` if it is given; only differences mean anything."""

    def __init__(self, now: Callable[[], float] | None = None) -> None:
        clock_id = getattr(time, "CLOCK_BOOTTIME", None)
        real = time.monotonic if clock_id is None else functools.partial(time.clock_gettime, clock_id)
        self.now: Callable[[], float] = now or real

    async def wait(self, event: asyncio.Event | Signal, until: float | None = None) -> bool:
        """Wait until the event is set, or until that instant; return whether the event is set."""
        while not event.is_set():
            left = SLICE if until is None else until - self.now()
            if left <= 0:
                break
            try:
                async with asyncio.timeout(None if until is None else min(left, SLICE)):
                    await event.wait()
            except TimeoutError:
                continue
        return event.is_set()

    async def sleep(self, seconds: float) -> None:
        await self.wait(asyncio.Event(), self.now() + seconds)
