"""What hooks are told. No event has a leader's value or a secret in it.

Seconds are those of the client's clock. Later versions may add events, and fields to those that there are.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from aioelection.errors import LossReason

Cause = Literal["late", "broken", "disproven"]
Request = Literal["renewal", "other"]
Stream = Literal["renewals", "watches"]


class Outcome(enum.Enum):
    """How a campaign ended."""

    WON = "won"
    CONFLICT = "conflict"
    """The single attempt of ``wait=False`` did not win."""
    CANCELLED = "cancelled"
    FAILED = "failed"
    """With an error: etcd did not answer or refused it, its lease expired, the client was closed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ElectionEvent:
    """What happened concerns the election for ``key``; ``purpose`` is what its leadership was given."""

    key: bytes
    purpose: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignBegan(ElectionEvent):
    """A candidate stands."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignEnded(ElectionEvent):
    """A candidate stands no more."""

    outcome: Outcome
    seconds: float
    """For how long it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermEvent(ElectionEvent):
    """It concerns one term, that with the fencing token ``token``."""

    token: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TermWon(TermEvent):
    """A candidate was elected."""

    ttl: int
    """Seconds for which its lease was granted."""
    remaining: Callable[[], float] = field(repr=False, compare=False)
    """Gives the seconds until the deadline, 0 once the term has ended; may be called later, and in any thread."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermSuspended(TermEvent):
    """Renewals fail, or have been stopped for bad health; the deadline has not been reached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermResumed(TermEvent):
    """A renewal came through again before the deadline."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TermEnded(TermEvent):
    """A term is over: ``check()`` is false, ``lost`` is set, the body was cancelled, though it may not have ended."""

    reason: LossReason
    seconds: float
    """For how long it lasted."""

    @property
    def lost(self) -> bool:
        """Whether it ended against the holder's will: not by resigning, and not by closing the client."""
        return self.reason not in (LossReason.RESIGNED, LossReason.CLOSED)


@dataclass(frozen=True, slots=True, kw_only=True)
class BodyOverran(TermEvent):
    """The body still runs 0.1 s after its term was lost, though another may lead."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalEvent:
    """It concerns the renewals of one lease, which has a purpose of its own.

    ``key`` is that of the leadership on it, ``None`` where none or more than one is.
    """

    lease_id: int
    purpose: str
    key: bytes | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalSent(RenewalEvent):
    """A renewal goes to etcd."""

    interval: float | None
    """Seconds since the one before it, ``None`` for the first: a third of the TTL while all is well. A longer one tells
    of a delay on this side: of a loop, or a machine, that is too busy."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalAnswered(RenewalEvent):
    """A member has answered a renewal, the first to do so. That the answer counts remains to be proven."""

    seconds: float
    """From its sending to the answer."""
    interval: float | None
    """Seconds since the answer before it; ``None`` for the first."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RenewalFailed(RenewalEvent):
    """A renewal has failed, and another is sent at once."""

    cause: Cause
    """No answer came in its time, its stream broke, or the answer came from an etcd leader that had been replaced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hedged:
    """An answer was late: another member was asked as well."""

    request: Request
    endpoint: str
    """That was late."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamBroken:
    """A stream ended before its time; another is opened, and nothing is missed."""

    stream: Stream
    endpoint: str
    error: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LoopStalled:
    """The event loop stood still for 0.05 s or longer while leases were held."""

    seconds: float


Event = (
    CampaignBegan
    | CampaignEnded
    | TermWon
    | TermSuspended
    | TermResumed
    | TermEnded
    | BodyOverran
    | RenewalSent
    | RenewalAnswered
    | RenewalFailed
    | Hedged
    | StreamBroken
    | LoopStalled
)
"""What a hook is called with."""

Hook = Callable[[Event], object]
"""Called for every event, at once, in the event loop: it must not block. What it returns does not matter."""


def text(key: bytes) -> str:
    """A key for people to read: what is no UTF-8 is escaped."""
    return key.decode(errors="backslashreplace")
