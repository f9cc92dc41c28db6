"""Which member is asked next: health is what calls have met.

A member that failed rests for a while that grows with each failure in a row, and is asked again after it, or at once
if there is nobody else. Endpoints that the user named are never forgotten; those that were learnt from the cluster are
when it no longer names them.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass

from aioelection._core.endpoints import Endpoint

FIRST_REST = 0.5
"""Seconds for which a member rests after a failure; twice as long after the next."""

LONGEST_REST = 8.0


@dataclass(slots=True)
class Health:
    """What is known of one endpoint."""

    failures: int = 0
    """In a row."""
    resting_until: float = float("-inf")
    member_id: int = 0
    """The member that answered there last; 0 if none has."""


class Roster:
    """The known endpoints in the order in which they are preferred, the one in use first."""

    def __init__(self, named: Iterable[Endpoint]) -> None:
        self._named = tuple(named)
        self._health = {endpoint: Health() for endpoint in self._named}
        self._current = self._named[0]

    @property
    def current(self) -> Endpoint:
        """The endpoint in use."""
        return self._current

    def health(self, endpoint: Endpoint) -> Health:
        return self._health.get(endpoint) or Health()

    def prefer(self, endpoint: Endpoint) -> None:
        """Use this one from now on."""
        if endpoint in self._health:
            self._current = endpoint

    def answered(self, endpoint: Endpoint, member_id: int) -> None:
        """The endpoint serves."""
        if endpoint in self._health:
            self._health[endpoint] = Health(member_id=member_id)

    def failed(self, endpoint: Endpoint, now: float) -> None:
        """The endpoint did not serve: it rests, and if it was in use, the next takes its place."""
        health = self._health.get(endpoint)
        if health is None:
            return
        health.failures += 1
        health.resting_until = now + min(LONGEST_REST, FIRST_REST * 2.0 ** min(health.failures - 1, 10))
        if endpoint == self._current:
            self._current = self.another((endpoint,), now)

    def another(self, busy: Collection[Endpoint], now: float) -> Endpoint:
        """Whom to ask beside those: a member of its own, not resting, in turn after the one in use.

        Where nobody is such, the best that there is, which may be one of those.
        """
        line = list(self._health)
        start = line.index(self._current)
        turn = [*line[start + 1 :], *line[: start + 1]]
        members = {self._health[each].member_id for each in busy if each in self._health} - {0}

        def rank(endpoint: Endpoint) -> tuple[bool, bool, bool, float]:
            health = self._health[endpoint]
            resting = health.resting_until > now
            return (
                endpoint in busy,
                health.member_id in members,
                resting,
                health.resting_until if resting else 0.0,
            )

        return min(turn, key=rank)

    def resting(self) -> list[Endpoint]:
        """Those that failed when they were last asked."""
        return [endpoint for endpoint, health in self._health.items() if health.failures]

    def update(self, learnt: Iterable[Endpoint]) -> list[Endpoint]:
        """The cluster tells these endpoints; returns those that are forgotten for it."""
        keep = dict.fromkeys((*self._named, *learnt))
        gone = [endpoint for endpoint in self._health if endpoint not in keep]
        for endpoint in keep:
            self._health.setdefault(endpoint, Health())
        for endpoint in gone:
            del self._health[endpoint]
        if self._current not in self._health:
            self._current = next(iter(self._health))
        return gone

    def __iter__(self) -> Iterator[Endpoint]:
        return iter(tuple(self._health))

    def __len__(self) -> int:
        return len(self._health)
