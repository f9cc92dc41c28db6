"""An uncontended campaign on a lease that is shared, and there already."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aioelection import Leadership, Lease, connect
from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Place, Plan, Sampler, Samples
from benchmarks.figures.campaign import PAUSE
from benchmarks.peers.bare import TTL, Bare

KEY = "/benchmarks/shared/"


@asynccontextmanager
async def ours(place: Place) -> AsyncIterator[Sampler]:
    async with connect(place.endpoint) as client:
        lease = Lease(client)
        await lease.grant(TTL)
        leadership = Leadership(client, KEY + secrets.token_hex(8))

        async def sample(count: int) -> Samples:
            taken: list[float] = []
            for _ in range(count):
                began = time.monotonic()
                async with leadership.campaign(TTL, b"benchmark", lease=lease):
                    taken.append(time.monotonic() - began)
                await asyncio.sleep(PAUSE)
            return {"time": taken}

        yield sample
        await lease.close()


@asynccontextmanager
async def floor(place: Place) -> AsyncIterator[Sampler]:
    async with AsyncExitStack() as stack:
        bare = await Bare.open(stack, place.endpoint)
        lease = await bare.grant()
        key = (KEY + secrets.token_hex(8)).encode()

        async def sample(count: int) -> Samples:
            taken: list[float] = []
            for _ in range(count):
                began = time.monotonic()
                assert (await bare.create(key, b"benchmark", lease)).succeeded
                taken.append(time.monotonic() - began)
                await bare.delete(key)
                await asyncio.sleep(PAUSE)
            return {"time": taken}

        yield sample
        await bare.revoke(lease)


FIGURE = Figure(
    name="campaign_shared",
    title="Uncontended campaign on a shared lease",
    about="As above, on a lease that many leaderships share. The floor is one transaction.",
    measures=(Measure("time", "campaign to the body", "s", (Goal(1.15, FLOOR),)),),
    sides={OURS: ours, FLOOR: floor},
    full=Plan(rounds=20, samples=40),
    quick=Plan(rounds=2, samples=3),
)
