"""One leadership's inner state: where it stands, who is told of it, and the term that it holds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anyio

from aioelection._core.machine import Event, Machine, State
from aioelection._shell.hub import CLEAN_UP
from aioelection.client import Client
from aioelection.errors import InvalidState, LossReason
from aioelection.term import Term
from aioelection.transitions import Audience, Transition, Transitions

if TYPE_CHECKING:
    from aioelection._shell.candidate import Candidate
    from aioelection._shell.tenure import Tenure
    from aioelection.lease import Lease


class Seat:
    """Shared by a ``Leadership`` and what works for it: its campaign, its candidate, its tenure."""

    def __init__(self, client: Client, key: bytes, purpose: str) -> None:
        self.client = client
        self.hub = client.hub
        self.key = key
        self.purpose = purpose
        self.machine = Machine()
        self.candidate: Candidate | None = None
        """Who stands now, if anybody."""
        self.tenure: Tenure | None = None
        """The last term that was won, until ``reset`` or the next."""
        self.lease: Lease | None = None
        """The lease that the user set for campaigns to come."""
        self.highest_token = 0
        """The highest fencing token seen here, of whichever leader: a later term has a higher one, unless etcd's
        revisions went back."""
        self._audience = Audience()
        self.hub.seats.add(self)

    @property
    def state(self) -> State:
        return self.machine.state

    @property
    def in_body(self) -> bool:
        """Whether the current task runs the body of the term held here."""
        return self.tenure is not None and self.tenure.in_body

    def move(self, event: Event, reason: LossReason | None = None, term: Term | None = None) -> None:
        """Something happened: go on to the next state, and tell it."""
        previous = self.machine.handle(event)
        self._audience.publish(Transition(previous, self.state, reason, term))

    def move_if_allowed(self, event: Event, reason: LossReason | None = None, term: Term | None = None) -> bool:
        """The same for what may have been overtaken by a loss or a close; returns whether it was not."""
        if allowed := self.machine.allows(event):
            self.move(event, reason, term)
        return allowed

    def transitions(self) -> Transitions:
        term = self.tenure.term if self.tenure is not None and self.state.leads else None
        subscriber = self._audience.subscribe(Transition(self.state, self.state, None, term))
        if self.hub.closed:
            subscriber.close()
        return subscriber

    def check_vacant(self) -> None:
        """Raise ``InvalidState`` unless a campaign may begin."""
        self.hub.check_use()
        if self.candidate is not None:
            raise InvalidState(f"a campaign for {self.key!r} is under way on this leadership")
        if not self.machine.allows(Event.STAND) or (self.tenure is not None and self.tenure.body is not None):
            raise InvalidState(f"this leadership is {self.state.value} for {self.key!r}, or its body has not ended")

    def client_closed(self) -> None:
        """The client is being closed: what is held is lost, what waits is woken."""
        if self.tenure is not None:
            self.tenure.end(LossReason.CLOSED)
        if self.candidate is not None:
            self.candidate.interrupt()
        self.move_if_allowed(Event.CLOSE)
        self._audience.close()

    async def vacated(self, caller: asyncio.Task[Any] | None) -> None:
        """Wait until the client's closing finds nothing held here any more, as far as it can wait for that."""
        if self.candidate is not None:
            with anyio.move_on_after(2 * CLEAN_UP):
                await self.candidate.gone.wait()
        if self.tenure is not None:
            await self.tenure.vacated(caller)

    def forked(self) -> None:
        """In the child of a fork: the term is the parent's."""
        if self.tenure is not None:
            self.tenure.forked()
