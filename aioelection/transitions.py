"""What happens to a leadership, told in order to whoever asked."""

from __future__ import annotations

import asyncio
import weakref
from collections import deque
from dataclasses import dataclass
from typing import Protocol

from aioelection._core.machine import State
from aioelection.errors import LossReason
from aioelection.term import Term

BACKLOG = 1000
"""How many transitions a subscriber may be behind before it is given the latest only."""


class Closeable(Protocol):
    """An iterator that ends when the client does."""

    def close(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Transition:
    """A leadership went from one state to another.

    ``reason`` is set where a term ended, ``term`` is the term that began, goes on or ended, and ``missed`` counts the
    transitions before this one that a slow subscriber was not given.
    """

    previous: State
    current: State
    reason: LossReason | None = None
    term: Term | None = None
    missed: int = 0


class Transitions:
    """An async iterator of transitions: the present state first, then every change; it ends when the client closes.

    It is subscribed from its making on, needs no clean-up, and may be left at any time. A subscriber that falls 1,000
    behind gets the latest, with what it did not get counted in ``missed``.
    """

    def __init__(self, present: Transition) -> None:
        self._backlog = deque([present])
        self._missed = 0
        self._closed = False
        self._news = asyncio.Event()
        self._news.set()

    def __aiter__(self) -> Transitions:
        return self

    async def __anext__(self) -> Transition:
        while not self._backlog:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        told = self._backlog.popleft()
        if self._missed:
            told = Transition(told.previous, told.current, told.reason, told.term, self._missed)
            self._missed = 0
        return told

    def publish(self, transition: Transition) -> None:
        if len(self._backlog) >= BACKLOG:
            self._missed += len(self._backlog)
            self._backlog.clear()
        self._backlog.append(transition)
        self._news.set()

    def close(self) -> None:
        """What is already told can still be read; then the iteration ends."""
        self._closed = True
        self._news.set()


class Audience:
    """The subscribers of one leadership, held weakly: who no longer listens is forgotten."""

    def __init__(self) -> None:
        self._subscribers: weakref.WeakSet[Transitions] | None = None
        """``None`` until there is one."""

    def subscribe(self, present: Transition) -> Transitions:
        transitions = Transitions(present)
        if self._subscribers is None:
            self._subscribers = weakref.WeakSet()
        self._subscribers.add(transitions)
        return transitions

    def publish(self, transition: Transition) -> None:
        for subscriber in list(self._subscribers or ()):
            subscriber.publish(transition)

    def close(self) -> None:
        for subscriber in list(self._subscribers or ()):
            subscriber.close()
