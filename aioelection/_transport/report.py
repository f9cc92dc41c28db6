"""Telling hooks of renewals, each with the time since the one before it."""

from __future__ import annotations

from typing import Protocol

from aioelection._aio.hooks import Hooks
from aioelection._core.events import Cause, RenewalAnswered, RenewalFailed, RenewalSent


class Reportable(Protocol):
    """A lease, as hooks are told of it."""

    @property
    def id(self) -> int: ...

    @property
    def purpose(self) -> str: ...

    @property
    def sole_key(self) -> bytes | None:
        """The key of the leadership on it, where there is one and no other."""


class RenewalReport:
    """Made only where there are hooks: without them a renewal costs no more than an ``if``."""

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks
        self._sent: dict[int, float] = {}
        self._answered: dict[int, float] = {}

    def sent(self, lease: Reportable, now: float) -> None:
        before, self._sent[lease.id] = self._sent.get(lease.id), now
        interval = None if before is None else now - before
        event = RenewalSent(lease_id=lease.id, purpose=lease.purpose, key=lease.sole_key, interval=interval)
        self._hooks.tell(event)

    def answered(self, lease: Reportable, sent: float, now: float) -> None:
        before, self._answered[lease.id] = self._answered.get(lease.id), now
        self._hooks.tell(
            RenewalAnswered(
                lease_id=lease.id,
                purpose=lease.purpose,
                key=lease.sole_key,
                seconds=now - sent,
                interval=None if before is None else now - before,
            )
        )

    def failed(self, lease: Reportable, cause: Cause) -> None:
        event = RenewalFailed(lease_id=lease.id, purpose=lease.purpose, key=lease.sole_key, cause=cause)
        self._hooks.tell(event)

    def forget(self, lease_id: int) -> None:
        """It is renewed no more, so that what may come later is no interval."""
        self._sent.pop(lease_id, None)
        self._answered.pop(lease_id, None)
