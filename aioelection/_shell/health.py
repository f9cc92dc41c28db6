"""Asking the application whether it is well: a service that hangs while its event loop runs must not lead for ever."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable

Health = Callable[[], Awaitable[object] | object]
"""Called in the event loop: ``False``, an exception, or no answer in time means that the service is not well."""

log = logging.getLogger("aioelection")


class HealthProbe:
    """One question at a time: one that hangs is waited for, not asked again."""

    def __init__(self, health: Health) -> None:
        self._health = health
        self._asked: asyncio.Task[bool] | None = None

    async def well(self, within: float) -> bool:
        """Whether the answer is good, and comes within so many seconds."""
        if self._asked is None:
            self._asked = asyncio.ensure_future(self._ask())
        await asyncio.wait([self._asked], timeout=within)
        if not self._asked.done():
            return False
        asked, self._asked = self._asked, None
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
            log.warning("health failed: %r", error)
            return False
        return answer is not False
