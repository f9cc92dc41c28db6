"""Acknowledgements of renewals, held until it is proven that they came from etcd's real leader.

A member that was frozen while it led acknowledges, when it goes on, renewals that waited on it, from its old Raft term;
the leases may have been expired by a new leader meanwhile, and their keys may be another's. (Measured on etcd 3.5.1 and
3.5.30: believing such an acknowledgement left a client "valid" up to 11 s after its key was gone.) So an
acknowledgement counts only once a linearizable request, sent *after* it arrived, is answered with the same Raft term:
then the leader that renewed the lease still led when the request was handled. One answer proves every acknowledgement
that arrived before its request was sent.
"""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Acknowledgement:
    """A renewal sent at ``sent`` was acknowledged for ``ttl`` seconds, in a member's Raft term."""

    sent: float
    ttl: int
    raft_term: int
    after: int
    """The number of the last request that was sent before this arrived."""


class Ledger(Generic[T]):
    """The acknowledgements of each lease that are not proven yet.

    Requests are numbered as they are sent: unlike a clock's readings, two numbers are never equal.
    """

    def __init__(self) -> None:
        self._sent = 0
        self._held: dict[T, list[Acknowledgement]] = {}

    def asking(self) -> int:
        """A linearizable request is being sent: the number by which its answer is recognised."""
        self._sent += 1
        return self._sent

    def hold(self, lease: T, sent: float, ttl: int, raft_term: int) -> None:
        """An acknowledgement has arrived."""
        self._held.setdefault(lease, []).append(Acknowledgement(sent, ttl, raft_term, self._sent))

    def drop(self, lease: T) -> None:
        """The lease is of no interest any more."""
        self._held.pop(lease, None)

    def oldest(self) -> T | None:
        """A lease of which an acknowledgement is held; ``None`` if there is none."""
        return next(iter(self._held), None)

    def answered(self, number: int, raft_term: int) -> tuple[list[tuple[T, Acknowledgement]], list[T]]:
        """The request of that number was answered in that Raft term.

        Returns what is proven by it, and the leases of which an acknowledgement is disproven.
        """
        proven: list[tuple[T, Acknowledgement]] = []
        disproven: list[T] = []
        for lease, held in list(self._held.items()):
            judged = [each for each in held if each.after < number]
            if not judged:
                continue
            good = [each for each in judged if each.raft_term == raft_term]
            if good:
                proven.append((lease, max(good, key=lambda each: each.sent)))
            if len(good) < len(judged):
                disproven.append(lease)
            if len(judged) == len(held):
                del self._held[lease]
            else:
                self._held[lease] = held[len(judged) :]
        return proven, disproven

    def __len__(self) -> int:
        return len(self._held)
