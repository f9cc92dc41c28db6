"""One watched key, those who listen to it, and the events that whoever joins later is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Self

from aioelection._core.cursors import Cursor
from aioelection._core.facts import Changed, Connected, Disconnected, Ended, Fact, Reread
from aioelection._core.ops import KeyEvent

Listener = Callable[[Fact], None]

REMEMBERED = 64
"""Events that a watch remembers for those who join later."""


class Subscription:
    """One listener to one key, from one revision on, until it is closed."""

    def __init__(self, watch: KeyWatch, next_revision: int, tell: Listener) -> None:
        self._watch = watch
        self.next_revision = next_revision
        self.tell = tell

    def close(self) -> None:
        """The listener is told nothing more."""
        self._watch.leave(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class KeyWatch:
    """One watch of one key, and those who listen to it."""

    def __init__(self, forget: Callable[[KeyWatch], None], key: bytes, next_revision: int) -> None:
        self._forget = forget
        """To be called when nobody listens any more."""
        self.cursor = Cursor(key, next_revision)
        self._remembered: list[KeyEvent] = []
        self._remembers_from = next_revision
        """All events from this revision on are remembered, or still to come."""
        self._connected = False
        self._subscriptions: dict[Subscription, None] = {}

    def __len__(self) -> int:
        return len(self._subscriptions)

    def covers(self, next_revision: int) -> bool:
        return next_revision >= self._remembers_from

    def join(self, next_revision: int, listener: Listener) -> Subscription:
        """Listen too; what is remembered is told before this returns."""
        subscription = Subscription(self, next_revision, listener)
        self._subscriptions[subscription] = None
        if self._connected:
            listener(Connected())
        for event in list(self._remembered):
            self._tell_event(subscription, event)
        return subscription

    def leave(self, subscription: Subscription) -> None:
        self._subscriptions.pop(subscription, None)
        if not self._subscriptions:
            self._forget(self)

    def events(self, events: tuple[KeyEvent, ...]) -> None:
        for event in events:
            self._remembered.append(event)
            if len(self._remembered) > REMEMBERED:
                self._remembers_from = self._remembered.pop(0).kv.mod_revision + 1
            for subscription in list(self._subscriptions):
                self._tell_event(subscription, event)

    def tell(self, fact: Fact) -> None:
        """Something that is no event."""
        match fact:
            case Connected():
                self._connected = True
            case Disconnected():
                self._connected = False
            case Reread(_, revision):
                self._remembered.clear()
                self._remembers_from = revision + 1
        for subscription in list(self._subscriptions):
            if subscription in self._subscriptions:
                subscription.tell(fact)

    def rewind(self, revision: int) -> None:
        """etcd went back to that revision: what comes after it counts, for everybody."""
        self.cursor.rewind(revision)
        for subscription in self._subscriptions:
            subscription.next_revision = min(subscription.next_revision, revision + 1)

    def end(self, fact: Ended) -> None:
        """Nothing more will come."""
        while self._subscriptions:
            subscription, _ = self._subscriptions.popitem()
            subscription.tell(fact)
        self._forget(self)

    def _tell_event(self, subscription: Subscription, event: KeyEvent) -> None:
        if event.kv.mod_revision >= subscription.next_revision and subscription in self._subscriptions:
            subscription.tell(Changed(event))
