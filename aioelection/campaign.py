"""A campaign, awaited or entered: the two ways in which a term is won, and the one in which ``async with`` ends it."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Generator
from types import TracebackType
from typing import Any, Literal

import anyio
from anyio.lowlevel import checkpoint_if_cancelled

from aioelection._shell.candidate import Candidate
from aioelection._shell.health import Health
from aioelection._shell.report import campaigning
from aioelection._shell.seat import Seat
from aioelection._shell.tenure import Tenure
from aioelection.errors import ElectionError, InvalidState, LeadershipLost, LossReason
from aioelection.term import Term

OnLoss = Literal["cancel", "event"]


class Campaign(Coroutine[Any, Any, Term]):
    """What ``Leadership.campaign`` gives: to be awaited, run as a task, or entered with ``async with``; once.

    Awaited, it gives the term as soon as it is won. Nothing renews the lease then until ``Leadership.keep`` runs, and
    the term is lost at the deadline. Entered, it keeps the term while the body runs, cancels the body when the term is
    lost, and resigns when the body has ended.
    """

    def __init__(self, seat: Seat, candidate: Candidate, on_loss: OnLoss, health: Health | None) -> None:
        self._seat = seat
        self._candidate: Candidate | None = candidate
        """``None`` once it stands, for good: it is not needed any more."""
        self._on_loss = on_loss
        self._health = health
        self.quietly = False
        """For ``run``: a key that cannot be released when the body has ended is swept later, and nothing is raised."""
        self._winning: Coroutine[Any, Any, Term] | None = None
        self._stay: _Stay | None = None

    # ------------------------------------------------------------------ awaited

    def __await__(self) -> Generator[Any, Any, Term]:
        return self._win().__await__()

    def send(self, value: Any) -> Any:
        return self._started().send(value)

    def throw(self, *error: Any) -> Any:
        return self._started().throw(*error)

    def close(self) -> None:
        if self._winning is not None:
            self._winning.close()

    def _started(self) -> Coroutine[Any, Any, Term]:
        if self._winning is None:
            self._winning = self._win()
        return self._winning

    async def _win(self) -> Term:
        return (await self._elected()).term

    async def _elected(self) -> Tenure:
        candidate, self._candidate = self._candidate, None
        if candidate is None:
            raise InvalidState("a campaign is used once; call campaign() again")
        self._seat.check_vacant()
        with campaigning(self._seat):
            tenure = await candidate.elect()
        if self._health is not None:
            tenure.renew_while_well(self._health)
        return tenure

    # ------------------------------------------------------------------ entered

    async def __aenter__(self) -> Term:
        self._stay = _Stay(await self._elected(), cancel_on_loss=self._on_loss == "cancel", quietly=self.quietly)
        return self._stay.tenure.term

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> bool:
        assert self._stay is not None
        return await self._stay.end(error)


class _Stay:
    """The body's time inside ``async with``, and how it ends.

    Decided on entry to ``__aexit__``, in this order: a cancellation from outside goes first; then what the body raised
    of itself, unchanged; then, unless losses are told by event, the loss of the term, or its resignation by another
    task. A loss after that is taken for the resignation that it has become.
    """

    def __init__(self, tenure: Tenure, *, cancel_on_loss: bool, quietly: bool) -> None:
        self.tenure = tenure
        self._cancel_on_loss = cancel_on_loss
        self._quietly = quietly
        self._scope = anyio.CancelScope()
        self._scope.__enter__()
        self._body = tenure.enter_body(self._scope, cancel_on_loss=cancel_on_loss)

    async def end(self, error: BaseException | None) -> bool:
        lost = self._decide()
        raised = error
        try:
            error, ours = await self._leave_scope(error)
            by_others = self._body.was_cancelled_by_others(raised)
            outer = await self._outer_scope_cancelled()
        finally:  # whatever is wrong with the scope, such as that another task leaves it: the key goes
            refused = await self._release(lost=lost is not None)
        if outer is not None:
            raise outer
        if error is not None and (by_others or not ours):
            return False
        if lost is not None and (self._cancel_on_loss or lost is LossReason.RESIGNED):
            raise LeadershipLost(lost, self.tenure.term.leader_key) from None
        if refused is not None and lost is None:
            raise refused
        return True

    def _decide(self) -> LossReason | None:
        """Why the term was lost while the body ran; ``None`` if the body's end, or its own resignation, ended it."""
        self.tenure.guard.settle()
        reason = self.tenure.term.loss_reason
        self.tenure.leave_body()
        self.tenure.end(LossReason.RESIGNED)
        return None if self._body.resigned else reason

    async def _leave_scope(self, error: BaseException | None) -> tuple[BaseException | None, bool]:
        """Leave the body's scope; return the error, and whether it is the cancellation that we asked for.

        A gRPC call of the user's that our scope cancels raises a ``CancelledError`` without the scope's mark. The
        checkpoint raises the marked one in its stead.
        """
        self._body.uncount_leftovers(error)
        if isinstance(error, asyncio.CancelledError) and self._scope.cancel_called:
            try:
                await checkpoint_if_cancelled()
            except asyncio.CancelledError as marked:
                error = marked
        try:
            ours = self._scope.__exit__(type(error) if error else None, error, error.__traceback__ if error else None)
        except BaseExceptionGroup as rest:  # our cancellation was taken out of a group
            return rest, False
        return error, ours

    async def _outer_scope_cancelled(self) -> BaseException | None:
        """The cancellation of an anyio scope around the body, if there is one: it lasts, whatever the body did."""
        try:
            await checkpoint_if_cancelled()
        except asyncio.CancelledError as marked:
            return marked
        return None

    async def _release(self, *, lost: bool) -> ElectionError | None:
        """Release the key. A lease of our own may be left to expire; a key on a shared one must be told of."""
        if self.tenure.owns_lease or lost or self._quietly:
            await self.tenure.release_or_leave()
            return None
        try:
            await self.tenure.release()
        except ElectionError as error:
            return error
        return None
