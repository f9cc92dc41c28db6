"""Graceful hand-over: from a leader's resignation to its successor's first instruction as leader."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from benchmarks.figure import FLOOR, Figure, Goal, Measure, Open, Place, Plan, Sampler, Samples
from benchmarks.peers import PEERS, Candidate, Peer

SETTLED = 0.15
"""Seconds for which a successor is left to stand, so that it waits when the leader resigns. A watch from a revision
that has been, as etcd's own election makes it, is served at once only after up to 0.1 s."""


class Turn:
    """One candidate's turn, in a task of its own: it stands, leads until told to resign, and resigns."""

    def __init__(self, candidate: Candidate) -> None:
        self._candidate = candidate
        self._end = asyncio.Event()
        self.elected: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self.resigned = asyncio.ensure_future(self._run())

    async def _run(self) -> float:
        try:
            self.elected.set_result(await self._candidate.stand())
        except Exception as error:
            self.elected.set_exception(error)
            raise
        await self._end.wait()
        return await self._candidate.resign()

    async def end(self) -> float:
        self._end.set()
        return await self.resigned


def side(peer: Peer) -> Open:
    @asynccontextmanager
    async def opened(place: Place) -> AsyncIterator[Sampler]:
        async with AsyncExitStack() as stack:
            key = f"/benchmarks/handover/{secrets.token_hex(8)}"
            candidates = [await peer.candidate(stack, place, key) for _ in range(2)]

            async def sample(count: int) -> Samples:
                taken: list[float] = []
                leader = Turn(candidates[0])
                await leader.elected
                for number in range(1, count + 1):
                    successor = Turn(candidates[number % 2])
                    await asyncio.sleep(SETTLED)
                    began = asyncio.ensure_future(leader.end())
                    elected = await successor.elected
                    taken.append(elected - await began)
                    leader = successor
                await leader.end()
                return {"time": taken}

            yield sample

    return opened


FIGURE = Figure(
    name="handover",
    title="Graceful hand-over",
    about="Two candidates in one process, each with a connection of its own; one leads, the other waits. From the call "
    "that resigns to the instant at which the successor is inside its body.",
    measures=(
        Measure(
            "time",
            "hand-over",
            "s",
            (Goal(1.15, FLOOR), Goal(1.0, ", ".join(peer.name for peer in PEERS[2:]))),
        ),
    ),
    sides={peer.name: side(peer) for peer in PEERS},
    full=Plan(rounds=10, samples=12),
    quick=Plan(rounds=2, samples=2),
)
