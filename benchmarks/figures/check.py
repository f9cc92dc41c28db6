"""``check()``: whether the term is valid now."""

from __future__ import annotations

import secrets
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from aioelection import Leadership, connect
from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Open, Place, Plan, Sampler, Samples
from benchmarks.peers.bare import TTL

CALLS = 20_000


def timed(call: Callable[[], object]) -> float:
    """Seconds for one call, the loop's own included."""
    numbers = range(CALLS)
    began = time.perf_counter()
    for _ in numbers:
        call()
    return (time.perf_counter() - began) / CALLS


def allocated(call: Callable[[], object]) -> int:
    """Blocks of memory that a call leaves allocated."""
    call()
    before = sys.getallocatedblocks()
    for _ in range(CALLS):
        call()
    return (sys.getallocatedblocks() - before) // CALLS


def side(chosen: Callable[[Leadership], Callable[[], object]]) -> Open:
    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Sampler]:
        async with connect(place.endpoint) as client:
            leadership = Leadership(client, f"/benchmarks/check/{secrets.token_hex(8)}")
            async with leadership.campaign(TTL, b"benchmark"):
                call = chosen(leadership)

                async def sample(count: int) -> Samples:
                    return {
                        "time": [timed(call) for _ in range(count)],
                        "allocated": [float(allocated(call)) for _ in range(count)],
                    }

                yield sample

    return opened


def of_term(leadership: Leadership) -> Callable[[], object]:
    assert leadership.term is not None
    return leadership.term.check


FIGURE = Figure(
    name="check",
    title="check()",
    about=f"The mean of {CALLS:,} calls in a loop. The floor is one bare call of the clock that has to be read.",
    measures=(
        Measure("time", "term.check()", "s", (Goal(2.5, FLOOR),)),
        Measure("allocated", "blocks of memory that a call leaves", "", (Goal(0.0),)),
    ),
    sides={
        OURS: side(of_term),
        FLOOR: side(lambda leadership: leadership.client.hub.clock.now),
        "leadership.check": side(lambda leadership: leadership.check),
    },
    full=Plan(rounds=20, samples=5),
    quick=Plan(rounds=1, samples=1),
)
