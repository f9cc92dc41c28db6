"""A thousand observers of one key in one process."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from aetcd import rpc

from aioelection import Observer, connect, observe
from benchmarks.figure import FLOOR, OURS, Figure, Goal, Measure, Open, Place, Plan, Sampler, Samples
from benchmarks.load import Countdown
from benchmarks.peers.bare import Bare

KEY = "/benchmarks/observers/"
OBSERVERS = 1000


def ours(observers: int) -> Open:
    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Sampler]:
        number = min(observers, 20) if place.quick else observers
        async with AsyncExitStack() as stack:
            client = await stack.enter_async_context(connect(place.endpoint))
            bare = await Bare.open(stack, place.endpoint)
            key, lease = KEY + secrets.token_hex(8), await bare.grant()
            all_told = Countdown(number)

            async def follow(observer: Observer) -> None:
                async for leader in observer:
                    if leader is not None:
                        all_told.tick()

            following = [asyncio.ensure_future(follow(observe(client, key))) for _ in range(number)]
            stack.callback(lambda: [each.cancel() for each in following])

            async def sample(count: int) -> Samples:
                nonlocal all_told
                found: Samples = {"time": [], "watches": []}
                for _ in range(count):
                    await asyncio.sleep(0.02)
                    all_told = Countdown(number)
                    began = time.monotonic()
                    await bare.kv.Put(rpc.PutRequest(key=key.encode(), value=b"leader", lease=lease))
                    await all_told.over.wait()
                    found["time"].append(time.monotonic() - began)
                    found["watches"].append(float(client.statistics().watches))
                return found

            await asyncio.sleep(0.3)
            yield sample

    return opened


@asynccontextmanager
async def floor(place: Place) -> AsyncIterator[Sampler]:
    async with AsyncExitStack() as stack:
        watching, putting = await Bare.open(stack, place.endpoint), await Bare.open(stack, place.endpoint)
        key = (KEY + secrets.token_hex(8)).encode()
        call = watching.watch.Watch()
        stack.callback(call.cancel)
        await watching.watch_from(call, key, 0)
        await call.read()

        async def sample(count: int) -> Samples:
            taken: list[float] = []
            for _ in range(count):
                await asyncio.sleep(0.02)
                began = time.monotonic()
                event = asyncio.ensure_future(call.read())
                await putting.kv.Put(rpc.PutRequest(key=key, value=b"leader"))
                await event
                taken.append(time.monotonic() - began)
            return {"time": taken}

        yield sample


FIGURE = Figure(
    name="observers",
    title="1,000 observers of one key",
    about="In one process, each in a task of its own. From the put of another client to the instant at which the last "
    "observer has been told. The floor is one bare watch.",
    measures=(
        Measure("time", "put to the last observer", "s", (Goal(0.005, FLOOR, how="above"),)),
        Measure("watches", "watches in etcd", "", (Goal(1.0),)),
    ),
    sides={OURS: ours(OBSERVERS), FLOOR: floor, "aioelection, 1 observer": ours(1)},
    full=Plan(rounds=10, samples=20),
    quick=Plan(rounds=1, samples=2),
)
