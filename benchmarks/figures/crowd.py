"""Many candidates of one key, in many processes."""

from __future__ import annotations

import asyncio
import itertools
import json
import re
import secrets
import sys
import time
import urllib.request
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from typing import Any

from aioelection import Leadership, connect
from benchmarks.figure import Figure, Goal, Measure, Open, Place, Plan, Sampler, Samples
from benchmarks.processes import kill

SETTLED = 0.05
"""Seconds for which each leads: the others wait when it resigns."""

SMALL, WIDE, CROWD = "2 in 2 processes", "10 in 10 processes", "1,000 in 10 processes"


async def stand_for_ever(endpoint: str, key: str, candidates: int) -> None:
    """A process of the crowd: its candidates lead for a moment, tell of it, and stand again, until killed."""
    async with connect(endpoint) as client:

        async def stand() -> None:
            leadership = Leadership(client, key)
            while True:
                async with leadership.campaign(30, b"benchmark") as term:
                    won = time.monotonic()
                    await asyncio.sleep(SETTLED)
                    resigned = time.monotonic()
                print(json.dumps([term.fencing_token, won, resigned]), flush=True)

        print(json.dumps("ready"), flush=True)
        await asyncio.gather(*(stand() for _ in range(candidates)))


def requests(endpoint: str) -> int:
    """Messages that etcd has received from clients so far, by its own count."""
    with urllib.request.urlopen(f"{endpoint}/metrics", timeout=5) as answer:  # noqa: S310
        text = answer.read().decode()
    lines = re.findall(r"^grpc_server_msg_received_total\{.*\} (\S+)$", text, re.MULTILINE)
    return sum(int(float(each)) for each in lines)


def side(processes: int, candidates: int) -> Open:
    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Sampler]:
        terms: asyncio.Queue[Any] = asyncio.Queue()
        each = 3 if place.quick and candidates > 1 else candidates
        key = f"/benchmarks/crowd/{secrets.token_hex(8)}"
        arguments = [place.endpoint, key, str(each)]

        async def member(stack: AsyncExitStack) -> None:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "benchmarks.figures.crowd", *arguments, stdout=asyncio.subprocess.PIPE
            )
            stack.push_async_callback(process.wait)
            stack.callback(partial(kill, process))
            assert process.stdout is not None
            await process.stdout.readline()
            telling = asyncio.ensure_future(tell(process.stdout))
            stack.callback(telling.cancel)

        async def tell(stream: asyncio.StreamReader) -> None:
            while line := await stream.readline():
                terms.put_nowait(json.loads(line))

        async with AsyncExitStack() as stack:
            await asyncio.gather(*(member(stack) for _ in range(min(processes, 3) if place.quick else processes)))
            await asyncio.sleep(0.2 if place.quick else 3.0)

            async def sample(count: int) -> Samples:
                while not terms.empty():
                    terms.get_nowait()
                before = await asyncio.to_thread(requests, place.endpoint)
                told = sorted([await terms.get() for _ in range(count + 1)])
                after = await asyncio.to_thread(requests, place.endpoint)
                taken = [later[1] - sooner[2] for sooner, later in itertools.pairwise(told)]
                return {"time": [each for each in taken if each > 0], "requests": [(after - before) / (count + 1)]}

            yield sample

    return opened


FIGURE = Figure(
    name="crowd",
    title="1,000 candidates of one key in 10 processes",
    about="Each leads for 50 ms, resigns and stands again. From the call that resigns in one process to the body in "
    "another; and the messages that etcd receives for each hand-over, by its own count.",
    measures=(
        Measure("time", "hand-over", "s", (Goal(3.0, SMALL, side=CROWD),)),
        Measure("requests", "messages that etcd receives, a hand-over", "", (Goal(1.2, WIDE, side=CROWD),)),
    ),
    sides={SMALL: side(2, 1), WIDE: side(10, 1), CROWD: side(10, 100)},
    full=Plan(rounds=3, samples=60),
    quick=Plan(rounds=1, samples=3),
    fresh=True,
)

if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(stand_for_ever(sys.argv[1], sys.argv[2], int(sys.argv[3])))
