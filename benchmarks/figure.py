"""What a figure is: measures, with their goals, and the sides that are measured against each other.

Nothing of the library or of a peer is imported here: a worker imports only what its side needs (two packages that
bring etcd's protobuf files cannot live in one process).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

OURS = "aioelection"
FLOOR = "floor"

Unit = Literal["s", "B", "of a core", ""]
Samples = dict[str, list[float]]
"""For each measure, by its name, what was measured."""


class NotHere(Exception):
    """This side cannot run on this machine, for that reason."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a side is measured."""

    endpoint: str
    etcdctl: str
    zookeeper: str
    """``host:port``, or else why there is none."""
    quick: bool


@dataclass(frozen=True, slots=True)
class Goal:
    """The ``statistic`` of ``side`` is at most ``limit``: times that of another side, above it, or by itself."""

    limit: float
    of: str | None = None
    """The side to compare with; several, as ``"a, b"``: with each of them."""
    statistic: Literal["median", "p99"] = "median"
    how: Literal["times", "above"] = "times"
    side: str = OURS


@dataclass(frozen=True, slots=True)
class Measure:
    name: str
    title: str
    unit: Unit
    goals: tuple[Goal, ...] = ()


Sampler = Callable[[int], Awaitable[Samples]]
"""Takes about that many samples."""

Open = Callable[[Place], AbstractAsyncContextManager[Sampler]]
"""Makes a side ready to be measured."""


@dataclass(frozen=True, slots=True)
class Plan:
    """Every side is measured in each round, one after the other, with so many samples at a time."""

    rounds: int
    samples: int


@dataclass(frozen=True, slots=True)
class Figure:
    name: str
    title: str
    about: str
    measures: tuple[Measure, ...]
    sides: Mapping[str, Open]
    full: Plan
    quick: Plan
    fresh: bool = False
    """Every round has new processes, where memory is measured or something is killed."""
    notes: Mapping[str, str] = field(default_factory=dict)
    """What is to be known of a side here."""


def side(sample: Callable[[Place, int], Awaitable[Samples]]) -> Open:
    """A side that needs nothing to be made ready."""

    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Sampler]:
        yield lambda count: sample(place, count)

    return opened
