"""An event that takes no room until somebody waits for it: there may be ten thousand terms, with several each."""

from __future__ import annotations

import asyncio


class Signal:
    """Like ``asyncio.Event``, which takes 800 bytes (measured on Python 3.11)."""

    __slots__ = ("_event", "_set")

    def __init__(self) -> None:
        self._set = False
        self._event: asyncio.Event | None = None

    def is_set(self) -> bool:
        return self._set

    def set(self) -> None:
        self._set = True
        if self._event is not None:
            self._event.set()

    def clear(self) -> None:
        self._set = False
        if self._event is not None:
            self._event.clear()

    async def wait(self) -> None:
        if not self._set:
            if self._event is None:
                self._event = asyncio.Event()
            await self._event.wait()
