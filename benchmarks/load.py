"""What many leaderships cost in one process: time to win, CPU while they are kept, memory."""

from __future__ import annotations

import asyncio
import gc
import os
import secrets
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from pathlib import Path

from aetcd import rpc

from aioelection import Leadership, Lease, connect
from benchmarks.figure import Place, Samples
from benchmarks.peers.bare import Bare

TTL = 9
"""Renewed every 3 s."""

WINDOW = 2 * TTL
"""Seconds over which the steady CPU is taken: six renewals of each lease."""

SETTLED = 0.02
"""The share of a core below which nothing is left to do of winning; where renewals take more, ten seconds must do."""


def resident() -> int:
    """Bytes of memory that this process has."""
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def steady_cpu(window: float) -> float:
    """The share of a core that this process takes while nothing is asked of it."""
    for _ in range(20):  # what winning has left to do, such as to create the watches
        if await _cpu(0.5) < SETTLED:
            break
    return await _cpu(window)


async def _cpu(window: float) -> float:
    cpu, wall = time.process_time(), time.monotonic()
    await asyncio.sleep(window)
    return (time.process_time() - cpu) / (time.monotonic() - wall)


async def lead_many(place: Place, count: int, window: float, *, shared: bool) -> Samples:
    """That many leaderships, each with its body in a task of its own."""
    async with connect(place.endpoint) as client, AsyncExitStack() as stack:
        lease: Lease | None = None
        if shared:
            lease = Lease(client)
            await lease.grant(TTL)
            stack.push_async_callback(lease.close)
        won = Countdown(count)
        end = asyncio.Event()

        async def lead(key: str) -> None:
            async with Leadership(client, key).campaign(TTL, b"benchmark", lease=lease):
                won.tick()
                await end.wait()

        prefix = f"/benchmarks/load/{secrets.token_hex(8)}"
        async with Leadership(client, prefix).campaign(TTL, b"benchmark", lease=lease):
            pass  # what only the first needs
        memory = resident()
        began = time.monotonic()
        leading = [asyncio.ensure_future(lead(f"{prefix}/{number}")) for number in range(count)]
        await won.over.wait()
        taken = time.monotonic() - began
        cpu = await steady_cpu(window)
        found = {"won": [taken], "cpu": [cpu], "memory": [(resident() - memory) / count]}
        for each in leading:  # at the end of the process their leases go, which is quicker than each by itself
            each.cancel()
        if lease is not None:
            await lease.close()
        await asyncio.gather(*leading, return_exceptions=True)
    return found


class Countdown:
    def __init__(self, count: int) -> None:
        self._left = count
        self.over = asyncio.Event()

    def tick(self) -> None:
        self._left -= 1
        if self._left == 0:
            self.over.set()


async def win_bare(place: Place, count: int) -> Samples:
    """That many winning transactions on one lease, all under way at once."""
    async with AsyncExitStack() as stack:
        bare = await Bare.open(stack, place.endpoint)
        lease = await bare.grant()
        prefix = f"/benchmarks/load/{secrets.token_hex(8)}"
        await bare.create(prefix.encode(), b"benchmark", lease)
        memory = resident()
        began = time.monotonic()
        await asyncio.gather(
            *(bare.create(f"{prefix}/{number}".encode(), b"benchmark", lease) for number in range(count))
        )
        found = {"won": [time.monotonic() - began], "memory": [(resident() - memory) / count]}
        await bare.revoke(lease)
    return found


async def renew_bare(place: Place, count: int, window: float, renewing: Renewing | None = None) -> Samples:
    """That many leases on one open stream, each renewed when a third of its time is over: the ``floor``."""
    async with AsyncExitStack() as stack:
        bare = await Bare.open(stack, place.endpoint)
        prefix = f"/benchmarks/load/{secrets.token_hex(8)}"
        granted: dict[int, float] = {}

        async def win(number: int) -> None:
            sent = time.monotonic()
            lease = await bare.grant(TTL)
            granted[lease] = sent
            await bare.create(f"{prefix}/{number}".encode(), b"benchmark", lease)

        await bare.revoke(await bare.grant(TTL))  # what only the first needs
        memory = resident()
        began = time.monotonic()
        await asyncio.gather(*(win(number) for number in range(count)))
        taken = time.monotonic() - began
        async with (renewing or on_one_stream)(bare, granted):
            cpu = await steady_cpu(window)
            found = {"won": [taken], "cpu": [cpu], "memory": [(resident() - memory) / count]}
        await asyncio.gather(*(bare.revoke(lease) for lease in granted))
    return found


Renewing = Callable[[Bare, dict[int, float]], AbstractAsyncContextManager[None]]


@asynccontextmanager
async def on_one_stream(bare: Bare, granted: dict[int, float]) -> AsyncIterator[None]:
    stream = bare.lease.LeaseKeepAlive()

    async def write() -> None:
        due = sorted((sent + TTL / 3, lease) for lease, sent in granted.items())
        while True:
            await asyncio.sleep(max(0.0, due[0][0] - time.monotonic()))
            now = time.monotonic()
            number = 0
            for number, (when, lease) in enumerate(due):  # noqa: B007
                if when > now:
                    break
                await stream.write(rpc.LeaseKeepAliveRequest(ID=lease))
            else:
                number = len(due)
            due = due[number:] + [(now + TTL / 3, lease) for _, lease in due[:number]]

    async def read() -> None:
        while True:
            await stream.read()

    tasks = [asyncio.ensure_future(write()), asyncio.ensure_future(read())]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        stream.cancel()


@asynccontextmanager
async def a_call_each(bare: Bare, granted: dict[int, float]) -> AsyncIterator[None]:
    """PD's way: for each lease a worker of its own, and for each renewal a call of its own."""

    async def renew(lease: int, sent: float) -> None:
        await asyncio.sleep(max(0.0, sent + TTL / 3 - time.monotonic()))
        while True:
            asked = time.monotonic()
            call = bare.lease.LeaseKeepAlive()
            await call.write(rpc.LeaseKeepAliveRequest(ID=lease))
            await call.read()
            call.cancel()
            await asyncio.sleep(max(0.0, asked + TTL / 3 - time.monotonic()))

    tasks = [asyncio.ensure_future(renew(lease, sent)) for lease, sent in granted.items()]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
