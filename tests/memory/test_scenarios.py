"""The scenarios of the documentation tell what stands there. To write them anew: AIOELECTION_RETELL=1."""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from aioelection import Leadership, Term, observe
from aioelection._aio.clock import Clock
from aioelection.testing import MemoryEtcd

PAGE = Path(__file__).parents[2] / "docs" / "scenarios.md"
SCENARIO = re.compile(
    r"^## (?P<title>.*?)\n.*?```python\n(?P<script>.*?)```\n\n```text\n(?P<trace>.*?)```", re.MULTILINE | re.DOTALL
)
KEY = "/leader"


class SuspendableClock(Clock):
    """The loop's time, and that for which the machine was suspended."""

    def __init__(self) -> None:
        self.suspended = 0.0
        loop = asyncio.get_running_loop()
        super().__init__(lambda: loop.time() + self.suspended)


class Candidate:
    """A process, as it were: a client and a leadership that stands for ever."""

    def __init__(self, etcd: MemoryEtcd, name: str, told: Callable[[str], None], health: Any) -> None:
        self._etcd = etcd
        self._told = told
        self.name = name
        self.clock = SuspendableClock()
        self.client = etcd.client(clock=self.clock)
        self.leadership = Leadership(self.client, KEY)
        self._health = health
        self._transitions = self.leadership.transitions()
        self._telling = asyncio.ensure_future(self._tell())
        self._running = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        self._running.cancel()
        await asyncio.wait([self._running])

    def cut(self) -> None:
        for link in self._etcd.links(self.client):
            link.cut()

    async def aclose(self) -> None:
        await self.stop()
        self._telling.cancel()
        await asyncio.wait([self._telling])
        await self.client.aclose()

    async def _run(self) -> None:
        await self.leadership.run(self._lead, 5, self.name.encode(), health=self._health)

    async def _lead(self, term: Term) -> None:
        await asyncio.Event().wait()

    async def _tell(self) -> None:
        await anext(self._transitions)  # the present state
        async for each in self._transitions:
            token = f", token {each.term.fencing_token}" if each.term and each.current.value == "leading" else ""
            reason = f": {each.reason.value}" if each.reason else ""
            self._told(f"{self.name} {each.current.value}{token}{reason}")


async def trace_of(etcd: MemoryEtcd, script: str) -> str:
    loop = asyncio.get_running_loop()
    since = loop.time()
    lines: list[str] = []
    candidates: list[Candidate] = []

    def say(what: str) -> None:
        lines.append(f"{loop.time() - since:4.1f}  {what}\n")

    async def candidate(name: str, health: Any = None) -> Candidate:
        candidates.append(Candidate(etcd, name, say, health))
        await asyncio.sleep(0.01)
        return candidates[-1]

    names: dict[str, Any] = {"asyncio": asyncio}
    exec(script, names)
    scenario: Callable[..., Awaitable[None]] = names["scenario"]
    async with etcd.client() as client:
        observer = observe(client, KEY)
        await anext(observer)

        async def observing() -> None:
            async for leader in observer:
                say(f"etcd: {leader.value.decode() if leader else 'nobody'} leads")

        seeing = asyncio.ensure_future(observing())
        await asyncio.sleep(0.05)
        since = loop.time()
        await scenario(etcd, candidate, say)
        told = "".join(lines)
        seeing.cancel()
        await asyncio.wait([seeing])
        for each in candidates:
            await each.aclose()
    return told


@pytest.mark.parametrize("title", [each["title"] for each in SCENARIO.finditer(PAGE.read_text())])
async def test_it_is_as_it_is_told(etcd: MemoryEtcd, title: str) -> None:
    text = PAGE.read_text()
    (found,) = [each for each in SCENARIO.finditer(text) if each["title"] == title]
    trace = await trace_of(etcd, found["script"])
    if os.environ.get("AIOELECTION_RETELL"):
        PAGE.write_text(text[: found.start("trace")] + trace + text[found.end("trace") :])
    else:
        assert trace == found["trace"]


def test_every_section_is_a_scenario() -> None:
    text = PAGE.read_text()
    assert len(SCENARIO.findall(text)) == text.count("\n## ") >= 8
