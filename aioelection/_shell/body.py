"""The body of ``async with``, as its term sees it: it is stopped, and it is waited for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import anyio

from aioelection.errors import LossReason

if TYPE_CHECKING:
    from aioelection._shell.hub import Hub
    from aioelection.term import Term

OVERRUN = 0.1
"""Seconds for which a body may go on after a loss before that is reported."""

log = logging.getLogger("aioelection")


class Body:
    """Runs in the task that made this, inside ``scope``, until ``leave``."""

    def __init__(self, hub: Hub, term: Term, scope: anyio.CancelScope, *, cancel_on_loss: bool) -> None:
        self._hub = hub
        self._term = term
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._scope: anyio.CancelScope | None = scope
        self._cancel_on_loss = cancel_on_loss
        self._overrun_since: float | None = None
        """When it went on although the term was lost."""
        self.ended = asyncio.Event()
        self.resigned = False
        """It gave up the term itself."""
        if term.loss_reason is not None:
            self.stop(term.loss_reason)

    def runs_in(self, task: asyncio.Task[Any] | None) -> bool:
        return self._task is not None and self._task is task

    def leave(self) -> None:
        self._task = self._scope = None
        self.ended.set()
        if self._overrun_since is not None and (over := self._hub.clock.now() - self._overrun_since) > OVERRUN:
            log.error("%r: its body ended %.1f s after the loss", self._term, over)

    def stop(self, reason: LossReason) -> None:
        """The term has ended: cancel the body, unless it is to be told by event, or has resigned itself.

        One that is told of losses by event is cancelled by a resignation all the same: it may be waiting for whoever
        resigns, who waits for its end.
        """
        if reason is not LossReason.RESIGNED:
            self.is_overdue()
        elif self.runs_in(asyncio.current_task()):
            self.resigned = True
        if self._scope is not None and not self.resigned and (self._cancel_on_loss or reason is LossReason.RESIGNED):
            self._scope.cancel()

    def is_overdue(self) -> None:
        """The key may be another's from now on, though it is not released while the body goes on."""
        if not self.ended.is_set() and self._overrun_since is None:
            self._overrun_since = self._hub.clock.now()
            self._hub.spawn(self._report_overrun(self._overrun_since + OVERRUN))

    async def _report_overrun(self, at: float) -> None:
        if not await self._hub.clock.wait(self.ended, at):
            self._hub.overruns += 1
            log.error("%r: its body still runs; another may lead", self._term)
