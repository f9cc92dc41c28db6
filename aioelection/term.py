"""One holder's unbroken tenure, as the holder sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from aioelection._core import checks
from aioelection._core.deadline import Deadline
from aioelection.errors import LossReason, NotLeader

_OVER = Deadline()
"""What is believed of a term that has ended: nothing."""


class Term:
    """A term that was won; made by ``campaign``.

    It is valid from the moment it is given until its lease's deadline, a loss or a resignation, whichever comes first,
    and never again after that.
    """

    __slots__ = (
        "__weakref__",
        "_belief",
        "_now",
        "fencing_token",
        "leader_key",
        "leader_value",
        "loss_reason",
        "lost",
        "purpose",
    )

    def __init__(
        self,
        leader_key: bytes,
        leader_value: bytes,
        fencing_token: int,
        belief: Deadline,
        now: Callable[[], float],
        *,
        purpose: str = "",
    ) -> None:
        self.leader_key = leader_key
        self.leader_value = leader_value
        self.purpose = purpose
        """What the election is for, as the leadership was told."""
        self.fencing_token = fencing_token
        """The create revision of the leader key. It rises strictly with each term of a key, so that whatever the holder
        writes to can refuse a token below the highest that it has seen."""
        self.lost = asyncio.Event()
        """Set when the term has ended, for whatever reason."""
        self.loss_reason: LossReason | None = None
        """Why the term ended; ``None`` while it has not."""
        self._belief = belief
        self._now = now

    def check(self) -> bool:
        """Whether the term is valid now. Reads a clock and nothing else; may be called from any thread.

        At any instant it answers ``True`` in at most one process, given that clock *rates* differ from etcd's by no
        more than 0.5 %, and that only the holder or expiry removes the key. Somebody else's delete, overwrite or revoke
        is known within a second while etcd is healthy, else at the deadline; let the resource check the fencing token.
        """
        return self._now() < self._belief.at

    def remaining(self) -> float:
        """Seconds until the deadline, 0 if the term has ended; renewals move it."""
        return self._belief.remaining(self._now())

    def ensure(self, seconds: float) -> None:
        """Make sure that enough time is left, right before a side effect that takes up to ``seconds``.

        It asks the clock alone, and promises no more than the clock can: a renewal may come or not, and a side effect
        that takes longer than planned needs a fencing token all the same.

        Raises:
            NotLeader: the term has ended, or ends sooner than that unless it is renewed.
            InvalidConfiguration: ``seconds`` is no positive number.
        """
        wanted = checks.seconds(seconds, "seconds")
        left = self.remaining()
        if left < wanted:
            raise NotLeader(f"{self!r}: {left:.3f} s are left of it, not {wanted:g}")

    def disbelieve(self) -> None:
        """From here on ``check()`` is false. For the library: to give up a term, call ``leadership.resign()``."""
        self._belief = _OVER

    def __repr__(self) -> str:
        state = f"{self.remaining():.1f} s left" if self.loss_reason is None else self.loss_reason.value
        purpose = f" {self.purpose!r}" if self.purpose else ""
        return f"<Term {self.fencing_token} of {self.leader_key!r}{purpose} {state}>"
