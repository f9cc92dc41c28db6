"""What makes a term's loss at its deadline happen by itself: one timer for all leases of a client.

The timer tells, by being late, that the loop stood still: something blocked it, or the machine was suspended.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from aioelection._aio.clock import Clock
from aioelection._core.agenda import Agenda
from aioelection._core.deadline import FOREVER

T = TypeVar("T", bound=Hashable)

BEAT = 0.1
"""Seconds from one look at the clock to the next: by so much a stall may be longer than it is told to be."""

NOTABLE = 0.05
"""Seconds by which a timer is late before that is worth a word."""


class Alarm(Generic[T]):
    """Calls ``ring(item)`` once when an item's time has come; the time may move later meanwhile.

    The loop's timer is cut into slices, since its clock may stand still while the machine is suspended.
    """

    def __init__(
        self, clock: Clock, due: Callable[[T], float], ring: Callable[[T], None], stalled: Callable[[float], None]
    ) -> None:
        self._clock = clock
        self._ring = ring
        self._stalled = stalled
        self._agenda = Agenda(due)
        self._timer: asyncio.TimerHandle | None = None
        self._expected = FOREVER
        """When the timer is to look next."""
        self._lateness = 0.0
        """By how much it was late since it last looked."""

    def set(self, item: T) -> None:
        self._agenda.add(item)
        self._wind()

    def unset(self, item: T) -> None:
        self._agenda.discard(item)

    def close(self) -> None:
        """Ring no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._expected = FOREVER

    def behind(self) -> float:
        """Seconds for which the loop has stood still just now; 0 if it has not."""
        return max(self._lateness, self._clock.now() - self._expected, 0.0)

    def _wind(self) -> None:
        self._measure()
        self.close()
        due = self._agenda.next()
        if due is not None:
            now = self._clock.now()
            delay = min(max(0.0, due - now), BEAT)
            self._expected = now + delay
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        self._measure()
        for item in self._agenda.take_due(self._clock.now()):
            self._ring(item)
        self._lateness = 0.0
        self._wind()

    def _measure(self) -> None:
        late = self._clock.now() - self._expected
        self._expected = FOREVER
        if late > NOTABLE:
            self._lateness = max(self._lateness, late)
            self._stalled(late)
