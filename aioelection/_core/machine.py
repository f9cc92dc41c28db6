"""The states of a leadership, and what leads from one to the next.

A leadership is IDLE until it stands. A candidate is CAMPAIGNING while it tries to win, and FOLLOWING while it waits
for another leader (or for its own compares) to give way. Having won it is LEADING; it is SUSPENDED while renewals fail
but the deadline has not been reached: it still leads, on what time it has left. A term ends by loss, straight to IDLE,
or by RESIGNING, in which it leads no more but its key may not be gone yet. CLOSED is for good.

An event that the table does not have raises and changes nothing. The picture in the docs is drawn from this table.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType


class State(enum.Enum):
    """Where a leadership stands."""

    IDLE = "idle"
    CAMPAIGNING = "campaigning"
    FOLLOWING = "following"
    LEADING = "leading"
    SUSPENDED = "suspended"
    RESIGNING = "resigning"
    CLOSED = "closed"

    @property
    def leads(self) -> bool:
        """Whether a leadership in this state holds a term that is neither lost nor being given up."""
        return self in (State.LEADING, State.SUSPENDED)

    @property
    def stands(self) -> bool:
        """Whether a candidate in this state waits to be elected."""
        return self in (State.CAMPAIGNING, State.FOLLOWING)


class Event(enum.Enum):
    """What can happen to a leadership."""

    STAND = "a campaign began"
    BEATEN = "another leads, or a compare does not hold"
    VACANT = "the key is gone, or the compares may hold again"
    WON = "the key is ours"
    WITHDRAWN = "the campaign was given up"
    SUSPEND = "a renewal failed"
    RESUME = "a renewal was acknowledged"
    LOST = "the term is lost"
    RESIGN = "the term is being given up"
    RELEASED = "the key is gone, or will go by itself"
    CLOSE = "the client was closed"


TABLE: Mapping[State, Mapping[Event, State]] = MappingProxyType(
    {
        State.IDLE: {
            Event.STAND: State.CAMPAIGNING,
            Event.CLOSE: State.CLOSED,
        },
        State.CAMPAIGNING: {
            Event.BEATEN: State.FOLLOWING,
            Event.WON: State.LEADING,
            Event.WITHDRAWN: State.IDLE,
            Event.CLOSE: State.CLOSED,
        },
        State.FOLLOWING: {
            Event.VACANT: State.CAMPAIGNING,
            Event.WITHDRAWN: State.IDLE,
            Event.CLOSE: State.CLOSED,
        },
        State.LEADING: {
            Event.SUSPEND: State.SUSPENDED,
            Event.LOST: State.IDLE,
            Event.RESIGN: State.RESIGNING,
            Event.CLOSE: State.CLOSED,
        },
        State.SUSPENDED: {
            Event.RESUME: State.LEADING,
            Event.LOST: State.IDLE,
            Event.RESIGN: State.RESIGNING,
            Event.CLOSE: State.CLOSED,
        },
        State.RESIGNING: {
            Event.RELEASED: State.IDLE,
            Event.CLOSE: State.CLOSED,
        },
        State.CLOSED: {},
    }
)


class IllegalEvent(Exception):
    """An event that cannot happen in this state: a fault of the library, never of its user."""


class Machine:
    """Where one leadership stands."""

    __slots__ = ("state",)

    def __init__(self) -> None:
        self.state = State.IDLE

    def allows(self, event: Event) -> bool:
        return event in TABLE[self.state]

    def handle(self, event: Event) -> State:
        """Move on, and return the state that was left."""
        previous = self.state
        try:
            self.state = TABLE[previous][event]
        except KeyError:
            raise IllegalEvent(f"{event.name} while {previous.name}") from None
        return previous

    def __repr__(self) -> str:
        return f"<Machine {self.state.name}>"
