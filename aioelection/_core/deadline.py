"""What may be believed of one lease, and until when.

etcd counts a lease's time from the moment it *handles* a grant or a renewal; we cannot know that moment, but it is
never before the request was sent. So the lease is believed for its granted TTL from the *send* time, shortened for a
clock of ours that runs slow by up to ``RATE_ERROR`` and by a fixed ``MARGIN``. Expiry is final: an acknowledgement
that is read after the deadline revives nothing, whatever time it would have bought.
"""

from __future__ import annotations

RATE_ERROR = 0.005
"""The relative error of the clock's *rate* that exclusion survives (design rule 1)."""

MARGIN = 0.1
"""Seconds taken off on top, for the way from a clock reading to the act that relies on it."""

LONGEST_ATTEMPT = 1.0
"""Seconds after which an unanswered renewal counts as failed, at most."""

GATHERING = 0.05
"""Seconds for which acknowledgements are gathered, at most, before one read proves them all."""

NEVER = float("-inf")
FOREVER = float("inf")


def believed_until(sent: float, ttl: int) -> float:
    """The last instant at which a lease of ``ttl`` seconds, asked for at ``sent``, is certainly alive."""
    return sent + ttl * (1 - RATE_ERROR) - MARGIN


def renewal_interval(ttl: int) -> float:
    """Seconds from one renewal to the next: two may fail in a row before the third decides."""
    return ttl / 3


def attempt_timeout(ttl: int) -> float:
    """Seconds that one renewal may take before another way is tried."""
    return min(LONGEST_ATTEMPT, ttl / 6)


class Deadline:
    """The local instant after which a lease is treated as lost, and when it is to be renewed.

    ``at`` only ever grows while the lease is believed, and is ``NEVER`` once it is not: readers in any thread need one
    comparison, ``now < deadline.at``.
    """

    __slots__ = ("at", "next_renewal", "ttl")

    def __init__(self) -> None:
        self.at = NEVER
        self.ttl = 0
        self.next_renewal = FOREVER

    def granted(self, sent: float, ttl: int) -> None:
        """A grant that was sent at ``sent`` was answered with ``ttl`` seconds."""
        self.at = believed_until(sent, ttl)
        self.ttl = ttl
        self.next_renewal = sent + renewal_interval(ttl)

    def sending(self, now: float) -> None:
        """A renewal is being sent; should it stay unanswered, the next one is due after an attempt's time."""
        if self.at > NEVER:
            self.next_renewal = now + attempt_timeout(self.ttl)

    def answered(self, sent: float) -> None:
        """The renewal sent at ``sent`` was answered, for what the answer is worth: the next is due in its time."""
        if self.at > NEVER:
            self.next_renewal = sent + renewal_interval(self.ttl)

    def failed(self, now: float) -> None:
        """A renewal was lost on its way: another is due at once."""
        if self.at > NEVER:
            self.next_renewal = min(self.next_renewal, now)

    def proof_delay(self, now: float) -> float:
        """Seconds for which the proof of an acknowledgement may wait for others: fewer when the end is near."""
        return min(GATHERING, self.remaining(now) / 20)

    def acknowledged(self, sent: float, ttl: int, now: float) -> bool:
        """A renewal sent at ``sent`` was acknowledged; ``False`` if that comes too late to count."""
        if self.expired(now):
            self.expire()
            return False
        self.at = max(self.at, believed_until(sent, ttl))
        self.ttl = ttl
        self.next_renewal = sent + renewal_interval(ttl)
        return True

    def expire(self) -> None:
        """End the belief for good: no renewal is due any more either."""
        self.at = NEVER
        self.next_renewal = FOREVER

    def expired(self, now: float) -> bool:
        return now >= self.at

    def remaining(self, now: float) -> float:
        """Seconds of belief left, never below 0."""
        return max(0.0, self.at - now)

    def __repr__(self) -> str:
        return f"<Deadline at={self.at:.3f} ttl={self.ttl}>"
