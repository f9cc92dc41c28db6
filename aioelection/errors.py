"""Every exception that this library raises: one root, and a branch for each thing that a caller can do about it.

No gRPC or aetcd exception reaches a caller; the original is kept as ``__cause__`` where it helps a reader. No message
contains a password, a token or a key.
"""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aioelection.leader import Leader

__all__ = [
    "CampaignConflict",
    "ElectionError",
    "InvalidConfiguration",
    "InvalidState",
    "LeadershipLost",
    "LeaseExpired",
    "LossReason",
    "NotLeader",
    "OutcomeUnknown",
    "PermissionDenied",
    "StaleToken",
    "TokenWentBack",
    "Unauthenticated",
    "Unavailable",
]


class LossReason(enum.Enum):
    """Why a term ended."""

    EXPIRED = "expired"
    """The deadline passed before a renewal was acknowledged."""
    STALLED = "stalled"
    """The deadline passed while the event loop stood still, for a renewal interval or longer: something blocked it, or
    the machine was suspended."""
    UNHEALTHY = "unhealthy"
    """The ``health`` callable had failed or not answered, and renewal had been stopped, until the deadline passed."""
    REVOKED = "revoked"
    """Somebody else revoked the lease, or etcd no longer knows it."""
    DELETED = "deleted"
    """Somebody else deleted the leader key."""
    OVERWRITTEN = "overwritten"
    """Somebody else wrote to the leader key."""
    RESIGNED = "resigned"
    """The holder resigned, reset the leadership or deleted its key."""
    REFUSED = "refused"
    """etcd refused to let the holder go on watching its key (credentials or permissions were withdrawn)."""
    CLOSED = "closed"
    """The client was closed."""
    FORKED = "forked"
    """The process forked: the child never holds its parent's term."""


class ElectionError(Exception):
    """The root of every exception of this library."""


class InvalidConfiguration(ElectionError, ValueError):
    """A value that cannot work; nothing was sent. The message names the value and says what is allowed."""


class InvalidState(ElectionError, RuntimeError):
    """A call that makes no sense now: a second campaign while one stands, a closed client, another event loop."""


class CampaignConflict(ElectionError):
    """A single attempt (``wait=False``) did not win: another leads, or a compare does not hold.

    ``leader`` is who leads, as etcd answered it in the same transaction, or ``None`` if nobody does.
    """

    def __init__(self, message: str, leader: Leader | None = None) -> None:
        super().__init__(message)
        self.leader = leader


class LeadershipLost(ElectionError):
    """The term has ended; ``reason`` tells why."""

    def __init__(self, reason: LossReason, leader_key: bytes = b"") -> None:
        super().__init__(f"leadership of {leader_key!r} lost: {reason.value}")
        self.reason = reason
        self.leader_key = leader_key


class NotLeader(ElectionError):
    """Only a leader may do this, and this leadership holds no valid term; nothing was sent or changed."""


class LeaseExpired(ElectionError):
    """The lease is no longer believed: its deadline passed, or etcd does not know it."""


class OutcomeUnknown(ElectionError):
    """A request was sent and not answered: it may or may not have been applied. It is not sent again."""


class StaleToken(ElectionError):
    """A resource refused a fencing token: it has seen a higher one, so that the sender leads no more.

    ``token`` is the one that was refused, ``highest`` the highest that was seen.
    """

    def __init__(self, token: int, highest: int) -> None:
        super().__init__(f"fencing token {token} is stale: {highest} was seen")
        self.token = token
        self.highest = highest


class TokenWentBack(ElectionError):
    """A campaign was won with a fencing token that is not above one seen before; the key was given up again.

    Within one history of etcd tokens only rise. So etcd was restored from an older backup, or another cluster took its
    place, and fences that have seen ``highest`` would refuse ``token``. Standing again does not help until its
    revisions are past that; a new ``Leadership`` knows nothing of it.
    """

    def __init__(self, token: int, highest: int, leader_key: bytes = b"") -> None:
        super().__init__(
            f"the fencing token of {leader_key!r} went back from {highest} to {token}:"
            " etcd was restored from an older backup, or replaced by another cluster"
        )
        self.token = token
        self.highest = highest
        self.leader_key = leader_key


class Unavailable(ElectionError, ConnectionError):
    """etcd did not answer, or answered that it cannot serve now."""


class Unauthenticated(ElectionError):
    """etcd refused the credentials."""


class PermissionDenied(ElectionError):
    """The credentials are good, but do not allow this."""
