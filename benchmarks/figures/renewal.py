"""The CPU that one renewal takes."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from aetcd import rpc
from prometheus_client import CollectorRegistry

from aioelection import Client, Lease, connect
from aioelection.instrument.prometheus import PrometheusHook
from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Place, Plan, Sampler, Samples
from benchmarks.peers.bare import TTL, Bare

EXCHANGES = 100
"""Renewals, one after the other, for one sample: the process's clock is too coarse for one."""


async def cpu(exchange: Callable[[], Awaitable[object]]) -> float:
    """Seconds of CPU, of all threads of this process, for one exchange."""
    began = time.process_time()
    for _ in range(EXCHANGES):
        await exchange()
    return (time.process_time() - began) / EXCHANGES


@asynccontextmanager
async def ours(place: Place) -> AsyncIterator[Sampler]:
    async with connect(place.endpoint) as client, renewing(client) as sampler:
        yield sampler


@asynccontextmanager
async def with_metrics(place: Place) -> AsyncIterator[Sampler]:
    hook = PrometheusHook(CollectorRegistry())
    async with connect(place.endpoint, hooks=hook) as client, renewing(client) as sampler:
        yield sampler


@asynccontextmanager
async def renewing(client: Client) -> AsyncIterator[Sampler]:
    lease = Lease(client)
    await lease.grant(TTL)
    keeping = asyncio.ensure_future(lease.keep_alive())
    await asyncio.sleep(0)
    renewals = Renewals(client, lease)
    await renewals.answered()

    async def read() -> None:
        await client.hub.pool.get(b"/benchmarks/renewal", timeout=1.0)

    async def sample(count: int) -> Samples:
        found: Samples = {"renewal": [], "with the read": []}
        for _ in range(count):
            reading, before = await cpu(read), renewals.reads
            alone = await cpu(renewals.answered) - reading * (renewals.reads - before) / EXCHANGES
            found["renewal"].append(alone)
            found["with the read"].append(alone + reading)
        return found

    yield sample
    await lease.close()
    await keeping


class Renewals:
    """Has the pump renew a lease at once, and waits until that is answered; proofs come as they do."""

    def __init__(self, client: Client, lease: Lease) -> None:
        self._pump = client.hub.renewals
        self._clock = client.hub.clock
        self._life = lease.life
        self._answered = asyncio.Event()
        self.reads = 0
        """Requests so far that prove what was acknowledged before."""
        _tell(self._pump, "_replied", self._answered.set)
        _tell(self._pump, "asking", self._count)

    async def answered(self) -> None:
        self._answered.clear()
        self._life.deadline.failed(self._clock.now())
        self._pump.hurry(self._life)
        await self._answered.wait()

    def _count(self) -> None:
        self.reads += 1


def _tell(whom: object, method: str, then: Callable[[], None]) -> None:
    """Have ``then`` called after each call of that method."""
    before = getattr(whom, method)

    def told(*args: Any) -> Any:
        result = before(*args)
        then()
        return result

    setattr(whom, method, told)


@asynccontextmanager
async def floor(place: Place) -> AsyncIterator[Sampler]:
    async with AsyncExitStack() as stack:
        bare = await Bare.open(stack, place.endpoint)
        lease = await bare.grant()
        stream = bare.lease.LeaseKeepAlive()

        async def renew() -> None:
            await stream.write(rpc.LeaseKeepAliveRequest(ID=lease))
            await stream.read()

        async def read() -> None:
            await bare.kv.Range(rpc.RangeRequest(key=b"/benchmarks/renewal"))

        await renew()

        async def sample(count: int) -> Samples:
            found: Samples = {"renewal": [], "with the read": []}
            for _ in range(count):
                alone = await cpu(renew)
                found["renewal"].append(alone)
                found["with the read"].append(alone + await cpu(read))
            return found

        yield sample
        stream.cancel()
        await bare.revoke(lease)


FIGURE = Figure(
    name="renewal",
    title="A renewal",
    about=f"CPU of the whole process for one renewal of one lease, the mean of {EXCHANGES}. The reads that prove the "
    "acknowledgements, one for all that came within 50 ms, are counted apart: a read is measured alone in the same "
    "round. The floor writes to and reads from an open stream. The third has a `PrometheusHook`.",
    measures=(
        Measure("renewal", "CPU of a renewal, without the read", "s", (Goal(1.5, FLOOR),)),
        Measure("with the read", "CPU of a renewal and of one read for it alone", "s"),
    ),
    sides={OURS: ours, FLOOR: floor, "with Prometheus": with_metrics},
    full=Plan(rounds=20, samples=2),
    quick=Plan(rounds=1, samples=1),
)
