"""Measures figures: the sides in turn, round after round, so that noise hits all of them alike."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import sys
import tempfile
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import IO, Any, Self

from benchmarks.figure import Figure, NotHere, Place, Plan, Samples
from benchmarks.results import FigureResult

LONGEST_SAMPLE = 300.0
"""Seconds after which a worker is given up."""

Say = Callable[[str], None]


class Failed(Exception):
    """A worker ended, or did not answer."""


class Worker:
    """A process that measures one side."""

    def __init__(self, figure: Figure, side: str, place: Place) -> None:
        self._arguments = [figure.name, side, json.dumps(dataclasses.asdict(place))]
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 (closed on exit)

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "benchmarks.worker",
            *self._arguments,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=self._errors,
            limit=2**26,
        )
        try:
            ready = await self._answer()
            if "not here" in ready:
                raise NotHere(ready["not here"])
        except BaseException:
            await self.__aexit__(None, None, None)
            raise
        return self

    async def sample(self, count: int) -> Samples:
        assert self._process.stdin is not None
        self._process.stdin.write(b"%d\n" % count)
        await self._process.stdin.drain()
        samples: Samples = await self._answer()
        return samples

    async def _answer(self) -> Any:
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(LONGEST_SAMPLE):
                line = await self._process.stdout.readline()
        except TimeoutError:
            line = b""
        if not line:
            self._errors.seek(0)
            raise Failed(f"{' '.join(self._arguments[:2])}: {self._errors.read()[-3000:].decode(errors='replace')}")
        return json.loads(line)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            async with asyncio.timeout(20):
                await self._process.wait()
        except TimeoutError:
            self._process.kill()
            await self._process.wait()
        self._errors.close()


async def measure(figure: Figure, place: Place, plan: Plan, say: Say) -> FigureResult:
    """Measure all sides of a figure; what a side cannot do is part of the result."""
    result = FigureResult.of(figure, plan)
    if figure.fresh:
        for number in range(plan.rounds):
            for side in figure.sides:
                if side not in result.not_run:
                    say(f"{figure.name}: {side}, {number + 1} of {plan.rounds}")
                    await _once(result, figure, side, place, plan)
        return result
    async with AsyncExitStack() as stack:
        workers: dict[str, Worker] = {}
        for side in figure.sides:
            try:
                workers[side] = await stack.enter_async_context(Worker(figure, side, place))
            except (NotHere, Failed) as reason:
                result.not_run[side] = str(reason)
        for number in range(plan.rounds):
            say(f"{figure.name}: {number + 1} of {plan.rounds}")
            for side, worker in list(workers.items()):
                try:
                    result.add(side, await worker.sample(plan.samples))
                except Failed as reason:
                    result.not_run[side] = str(reason)
                    del workers[side]
    return result


async def _once(result: FigureResult, figure: Figure, side: str, place: Place, plan: Plan) -> None:
    try:
        async with Worker(figure, side, place) as worker:
            result.add(side, await worker.sample(plan.samples))
    except (NotHere, Failed) as reason:
        result.not_run[side] = str(reason)
