"""What a watch tells, kept in order for a coroutine that reads it."""

from __future__ import annotations

from collections import deque

from aioelection._aio.clock import Clock
from aioelection._aio.signal import Signal
from aioelection._core.facts import Fact


class Mailbox:
    """Facts in order. Whoever opens one reads it: there is no bound."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._facts: deque[Fact] = deque()
        self._news = Signal()

    def put(self, fact: Fact) -> None:
        self._facts.append(fact)
        self._news.set()

    def clear(self) -> None:
        """Forget what was told before."""
        self._facts.clear()

    def interrupt(self) -> None:
        """Have the reader look up once, fact or no fact."""
        self._news.set()

    async def get(self, until: float | None = None) -> Fact | None:
        """The next fact; ``None`` at that instant, or after an interruption."""
        if not self._facts:
            await self._clock.wait(self._news, until)
        self._news.clear()
        return self._facts.popleft() if self._facts else None
