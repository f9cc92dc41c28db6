"""An uncontended campaign, from the call to the body, with a lease of its own."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.figure import FLOOR, Figure, Goal, Measure, Open, Place, Plan, Sampler, Samples
from benchmarks.peers import PEERS, Peer

PAUSE = 0.01
"""Seconds after each, so that what is left to do of one campaign is no part of the next."""


def side(peer: Peer) -> Open:
    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Sampler]:
        async with AsyncExitStack() as stack:
            candidate = await peer.candidate(stack, place, f"/benchmarks/campaign/{secrets.token_hex(8)}")

            async def sample(count: int) -> Samples:
                taken: list[float] = []
                for _ in range(count):
                    began = time.monotonic()
                    taken.append(await candidate.stand() - began)
                    await candidate.resign()
                    await asyncio.sleep(PAUSE)
                return {"time": taken}

            yield sample

    return opened


FIGURE = Figure(
    name="campaign",
    title="Uncontended campaign",
    about="One candidate, nobody leads. From the call to the body: a lease is granted, and a transaction wins.",
    measures=(Measure("time", "campaign to the body", "s", (Goal(1.15, FLOOR),)),),
    sides={peer.name: side(peer) for peer in PEERS},
    full=Plan(rounds=12, samples=20),
    quick=Plan(rounds=2, samples=2),
    notes={"etcdctl elect": "includes the start of the process", "kazoo": "has its session already: nothing to grant"},
)
