"""Telling hooks of campaigns and terms, and what a log line says of a term besides its text."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypedDict

from aioelection._core.events import (
    BodyOverran,
    CampaignBegan,
    CampaignEnded,
    Outcome,
    TermEnded,
    TermResumed,
    TermSuspended,
    TermWon,
    text,
)
from aioelection.errors import CampaignConflict, LossReason

if TYPE_CHECKING:
    from aioelection._shell.hub import Hub
    from aioelection._shell.seat import Seat
    from aioelection.term import Term


def fields(key: bytes, purpose: str) -> dict[str, object]:
    """What a log record on an election has beside its text, as ``extra``."""
    return {"key": text(key), "purpose": purpose}


def fields_of(term: Term) -> dict[str, object]:
    """The same for one on a term."""
    reason = None if term.loss_reason is None else term.loss_reason.value
    return {**fields(term.leader_key, term.purpose), "token": term.fencing_token, "reason": reason}


@contextmanager
def campaigning(seat: Seat) -> Iterator[None]:
    """Tells that a campaign began, and how the block, in which it stands, ended."""
    hooks, clock = seat.hub.hooks, seat.hub.clock
    if hooks is None:
        yield
        return
    hooks.tell(CampaignBegan(key=seat.key, purpose=seat.purpose))
    since, outcome = clock.now(), Outcome.FAILED
    try:
        yield
        outcome = Outcome.WON
    except CampaignConflict:
        outcome = Outcome.CONFLICT
        raise
    except (asyncio.CancelledError, GeneratorExit):
        outcome = Outcome.CANCELLED
        raise
    finally:
        seconds = clock.now() - since
        hooks.tell(CampaignEnded(key=seat.key, purpose=seat.purpose, outcome=outcome, seconds=seconds))


class _Which(TypedDict):
    key: bytes
    purpose: str
    token: int


class TermReport:
    """Tells what becomes of one term; does nothing where there are no hooks."""

    __slots__ = ("_hub", "_term", "_won_at")

    def __init__(self, hub: Hub, term: Term) -> None:
        self._hub = hub
        self._term = term
        self._won_at = 0.0

    def won(self, ttl: int) -> None:
        if (hooks := self._hub.hooks) is not None:
            self._won_at = self._hub.clock.now()
            hooks.tell(TermWon(**self._which(), ttl=ttl, remaining=self._term.remaining))

    def suspended(self) -> None:
        if (hooks := self._hub.hooks) is not None:
            hooks.tell(TermSuspended(**self._which()))

    def resumed(self) -> None:
        if (hooks := self._hub.hooks) is not None:
            hooks.tell(TermResumed(**self._which()))

    def ended(self, reason: LossReason) -> None:
        if (hooks := self._hub.hooks) is not None:
            seconds = self._hub.clock.now() - self._won_at
            hooks.tell(TermEnded(**self._which(), reason=reason, seconds=seconds))

    def overran(self) -> None:
        if (hooks := self._hub.hooks) is not None:
            hooks.tell(BodyOverran(**self._which()))

    def _which(self) -> _Which:
        term = self._term
        return {"key": term.leader_key, "purpose": term.purpose, "token": term.fencing_token}
