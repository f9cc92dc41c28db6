"""What makes a term's loss at its deadline happen by itself: one timer for all leases of a client."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from aioelection._aio.clock import SLICE, Clock
from aioelection._core.agenda import Agenda

T = TypeVar("T", bound=Hashable)


class Alarm(Generic[T]):
    """Calls ``ring(item)`` once when an item's time has come; the time may move later meanwhile.

    The loop's timer is cut into slices, since its clock may stand still while the machine is suspended.
    """

    def __init__(self, clock: Clock, due: Callable[[T], float], ring: Callable[[T], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._agenda = Agenda(due)
        self._timer: asyncio.TimerHandle | None = None

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

    def _wind(self) -> None:
        self.close()
        due = self._agenda.next()
        if due is not None:
            delay = min(max(0.0, due - self._clock.now()), SLICE)
            self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        for item in self._agenda.take_due(self._clock.now()):
            self._ring(item)
        self._wind()
