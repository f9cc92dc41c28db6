"""A queue of things that are due at times which move: each item is looked at once a period, not once a move."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T", bound=Hashable)


class Agenda(Generic[T]):
    """Items ordered by when they are due, where ``due(item)`` may answer something later than it did before.

    An entry that comes up is asked again, and put back if its time has moved on, so that moving an item *later* costs
    nothing. An item whose time moved *earlier* must be added again.
    """

    def __init__(self, due: Callable[[T], float]) -> None:
        """``due`` answers when the item is due; infinity: not for now, it leaves the agenda."""
        self._due = due
        self._heap: list[tuple[float, int, T]] = []
        self._tickets = itertools.count()
        self._live: dict[T, tuple[float, int]] = {}
        """The one entry of each item that counts; any other that is left in the heap is dropped as it comes up."""

    def add(self, item: T) -> None:
        """Put the item on the agenda, or move it to an earlier time."""
        when = self._due(item)
        known = self._live.get(item)
        if when == float("inf") or (known is not None and known[0] <= when):
            return
        ticket = next(self._tickets)
        self._live[item] = (when, ticket)
        heapq.heappush(self._heap, (when, ticket, item))

    def discard(self, item: T) -> None:
        """Take the item off, if it is on."""
        self._live.pop(item, None)
        if len(self._heap) > 2 * len(self._live) + 16:  # else what is long forgotten would be kept until its old time
            self._heap = [(when, ticket, each) for each, (when, ticket) in self._live.items()]
            heapq.heapify(self._heap)

    def next(self) -> float | None:
        """When something is due next, or ``None`` if nothing is."""
        while self._heap:
            when, ticket, item = self._heap[0]
            if self._live.get(item) == (when, ticket):
                if self._due(item) <= when:
                    return when
                del self._live[item]
                heapq.heappop(self._heap)
                self.add(item)
            else:
                heapq.heappop(self._heap)
        return None

    def take_due(self, now: float) -> list[T]:
        """Take off and return the items that are due at ``now``, earliest first."""
        taken: list[T] = []
        while (when := self.next()) is not None and when <= now:
            item = heapq.heappop(self._heap)[2]
            del self._live[item]
            taken.append(item)
        return taken

    def __len__(self) -> int:
        return len(self._live)
