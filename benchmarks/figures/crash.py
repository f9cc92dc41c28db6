"""A leader crashes: its process is killed."""

from __future__ import annotations

import asyncio
import random
import secrets
import sys
import time
from contextlib import AsyncExitStack

from aioelection import Leadership, connect
from benchmarks.figure import OURS, Figure, Goal, Measure, Place, Plan, Samples, side
from benchmarks.processes import kill

TTL = 2
"""The shortest that etcd grants."""


async def lead(endpoint: str, key: str) -> None:
    """The process that is killed."""
    async with connect(endpoint) as client, Leadership(client, key).campaign(TTL, b"benchmark"):
        print("leads", flush=True)
        await asyncio.Event().wait()


async def crashes(place: Place, count: int) -> Samples:
    """That many leaders at once, each with a key and a successor of its own, killed at different times."""
    async with AsyncExitStack() as stack:
        taken = await asyncio.gather(*(crash(place, stack) for _ in range(count)))
    return {"time": list(taken)}


async def crash(place: Place, stack: AsyncExitStack) -> float:
    key = f"/benchmarks/crash/{secrets.token_hex(8)}"
    leader = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "benchmarks.figures.crash", place.endpoint, key, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert leader.stdout is not None
        await leader.stdout.readline()
        client = await stack.enter_async_context(connect(place.endpoint))
        standing = asyncio.ensure_future(stand(Leadership(client, key)))
        await asyncio.sleep(random.uniform(0.5, 1.5) * TTL / 2)
        killed = time.monotonic()
        leader.kill()
        return await standing - killed
    finally:
        kill(leader)
        await leader.wait()


async def stand(leadership: Leadership) -> float:
    elected = 0.0
    async with leadership.campaign(TTL, b"benchmark"):
        elected = time.monotonic()
    return elected  # noqa: RET504 (a return inside would be one that may not happen, to mypy)


FIGURE = Figure(
    name="crash",
    title="Crash of a leader",
    about="A leader's process gets SIGKILL, at some moment between two renewals; T = 2 s. To the instant at which a "
    "successor in another process is inside its body. etcd itself sweeps expired leases every 0.5 s.",
    measures=(Measure("time", "kill to the successor's body", "s", (Goal(TTL + 0.6, statistic="p99"),)),),
    sides={OURS: side(crashes)},
    full=Plan(rounds=10, samples=4),
    quick=Plan(rounds=1, samples=1),
)

if __name__ == "__main__":
    asyncio.run(lead(sys.argv[1], sys.argv[2]))
