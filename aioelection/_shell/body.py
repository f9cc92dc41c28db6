"""The body of ``async with``, as its term sees it: it is stopped, and it is waited for."""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import TYPE_CHECKING, Any

import anyio

from aioelection._aio.signal import Signal
from aioelection._shell.report import fields_of
from aioelection.errors import LossReason

if TYPE_CHECKING:
    from aioelection._shell.hub import Hub
    from aioelection._shell.report import TermReport
    from aioelection.term import Term

OVERRUN = 0.1
"""Seconds for which a body may go on after a loss before that is reported."""

log = logging.getLogger("aioelection")


class Body:
    """Runs in the task that made this, inside ``scope``, until ``leave``."""

    def __init__(
        self, hub: Hub, term: Term, scope: anyio.CancelScope, report: TermReport, *, cancel_on_loss: bool
    ) -> None:
        self._hub = hub
        self._term = term
        self._report = report
        self._task: asyncio.Task[Any] | None = asyncio.current_task()
        self._scope: anyio.CancelScope | None = scope
        self._cancel_on_loss = cancel_on_loss
        self._cancelling = self._task.cancelling() if self._task else 0
        """How many cancellations of the task there had been before anybody asked for one here."""
        self._counted_before = 0
        """How many more there had been when ours was: by others, whom the body may be answering still, or by none."""
        self._others_under_way = False
        """One of them was on its way at that moment."""
        self._overrun_since: float | None = None
        """When it went on although the term was lost."""
        self.ended = Signal()
        self.resigned = False
        """It gave up the term itself."""
        if term.loss_reason is not None:
            self.stop(term.loss_reason)

    def runs_in(self, task: asyncio.Task[Any] | None) -> bool:
        return self._task is not None and self._task is task and not self.ended.is_set()

    def leave(self) -> None:
        self._scope = None
        self.ended.set()
        if self._overrun_since is not None and (over := self._hub.clock.now() - self._overrun_since) > OVERRUN:
            log.error("%r: its body ended %.1f s after the loss", self._term, over, extra=fields_of(self._term))

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
            if self._task is not None:
                self._counted_before = self._task.cancelling() - self._cancelling
                self._others_under_way = self._counted_before > 0 and _is_being_cancelled(self._task)
            self._scope.cancel()

    def uncount_leftovers(self, error: BaseException | None) -> None:
        """Before Python 3.13 an ``asyncio.TaskGroup`` that failed while it waited for its tasks leaves its own
        cancellation of its parent in the count. Where it is that which was counted before ours, take it back: it would
        pass for somebody else's cancellation, which goes before a loss.
        """
        if sys.version_info >= (3, 13):
            return
        if self._task is not None and not self._others_under_way and _is_a_scopes(error) and not _hides_a_tasks(error):
            for _ in range(self._counted_before):
                self._task.uncancel()

    def was_cancelled_by_others(self, error: BaseException | None) -> bool:
        """Whether ``error``, with which the body ended, came from somebody else's ``task.cancel()``, or hides that.

        To be asked when the scope has been left, and its own cancellations are not counted any more. One that the body
        swallowed is the body's affair.
        """
        cancelled = isinstance(error, asyncio.CancelledError)
        return cancelled and self._task is not None and self._task.cancelling() > self._cancelling

    def is_overdue(self) -> None:
        """The key may be another's from now on, though it is not released while the body goes on."""
        if not self.ended.is_set() and self._overrun_since is None:
            self._overrun_since = self._hub.clock.now()
            self._hub.spawn(self._report_overrun(self._overrun_since + OVERRUN))

    async def _report_overrun(self, at: float) -> None:
        if not await self._hub.clock.wait(self.ended, at):
            self._hub.overruns += 1
            self._report.overran()
            log.error("%r: its body still runs; another may lead", self._term, extra=fields_of(self._term))


def _is_being_cancelled(task: asyncio.Task[Any]) -> bool:
    """Whether a cancellation is on its way to the task, or passing through it at this moment."""
    if task is asyncio.current_task():
        return isinstance(sys.exc_info()[1], asyncio.CancelledError)
    waiter: Any = task._fut_waiter  # type: ignore[attr-defined]
    if waiter is None:
        return bool(task._must_cancel)  # type: ignore[attr-defined]
    if isinstance(waiter, asyncio.Task):
        return bool(waiter.cancelling())
    return waiter.cancelled() or bool(getattr(waiter, "_cancel_requested", False))  # the latter: asyncio.gather's


def _is_a_scopes(error: BaseException | None) -> bool:
    """Whether it bears the mark of an anyio scope."""
    return isinstance(error, asyncio.CancelledError) and "cancel scope" in str(error)


def _hides_a_tasks(error: BaseException | None) -> bool:
    """Whether a ``CancelledError`` without a scope's mark was passing through when this one was raised."""
    hidden = error.__context__ if error is not None else None
    while hidden is not None:
        if not (_is_a_scopes(hidden) or isinstance(hidden, BaseExceptionGroup)):
            return True
        hidden = hidden.__context__
    return False
