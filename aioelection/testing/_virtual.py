"""Virtual time: minutes of an in-memory election take milliseconds."""

from __future__ import annotations

import asyncio
import selectors


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose clock stands still while there is something to do, and else jumps to the next timer.

    Only for what happens within the loop: a thread or another process takes no virtual time, and a timeout on it ends
    at once. A loop without timers waits for its threads and sockets as any loop does.
    """

    def __init__(self) -> None:
        self._nanoseconds = 1_000 * 10**9
        super().__init__(_Jumping(self))

    def time(self) -> float:
        """Virtual seconds."""
        return self._nanoseconds / 1e9

    async def shutdown_default_executor(self, *_: object) -> None:
        """Without the time limit of Python 3.12 and newer: threads take no virtual time, and it would end at once."""
        await super().shutdown_default_executor()

    def jump(self, seconds: float) -> None:
        """Nothing is left to do until then. Whole nanoseconds, one at least: a smaller step can be lost in rounding."""
        self._nanoseconds += max(1, round(seconds * 1e9))


class _Jumping(selectors.DefaultSelector):
    """Does not wait for a timer: it lets the loop jump there."""

    def __init__(self, loop: VirtualLoop) -> None:
        super().__init__()
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(None if timeout is None else 0)
        if timeout and not ready:
            self._loop.jump(timeout)
        return ready
