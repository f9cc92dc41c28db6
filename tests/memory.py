"""The in-memory etcd for tests, and virtual time to run them on.

A plugin, as ``tests.etcd`` is. A test marked ``virtual_time`` runs on a loop of ``looptime``'s, whose clock jumps to the
next timer as soon as nothing is left to do. looptime's own pytest plugin is turned off in pyproject.toml: it would
change the class of every other test's loop as well.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any

import looptime
import pytest

from aioelection import Client, Leadership, Term
from aioelection.testing import MemoryEtcd

Factory = Callable[[], asyncio.AbstractEventLoop]


def virtual_loop() -> asyncio.AbstractEventLoop:
    # looptime idles before each jump, for what may happen outside of the loop: nothing does here
    return looptime.new_event_loop(start=1000.0, noop_cycles=0)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "virtual_time: run on a loop whose clock jumps from timer to timer")


def pytest_asyncio_loop_factories(config: pytest.Config, item: pytest.Item) -> Mapping[str, Factory]:
    if item.get_closest_marker("virtual_time") is not None:
        return {"virtual": virtual_loop}
    return {"real": asyncio.new_event_loop}


@pytest.fixture
async def etcd() -> AsyncIterator[MemoryEtcd]:
    """Three members in memory; the same random numbers each time."""
    random.seed(3)
    async with MemoryEtcd() as etcd:
        yield etcd


@pytest.fixture
async def client(etcd: MemoryEtcd) -> AsyncIterator[Client]:
    async with etcd.client() as client:
        yield client


@pytest.fixture
async def other_client(etcd: MemoryEtcd) -> AsyncIterator[Client]:
    async with etcd.client() as client:
        yield client


def time() -> float:
    return asyncio.get_running_loop().time()


async def soon(condition: Callable[[], Any], within: float = 5.0) -> None:
    """Wait for the condition, by the loop's clock."""
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


class Leading:
    """A task that leads until it loses: ``async with Leading(client, key) as leading``."""

    def __init__(self, client: Client, key: str, ttl: int = 5, value: bytes = b"a") -> None:
        self.leadership = Leadership(client, key)
        self._ttl = ttl
        self._value = value
        self.term: Term | None = None
        self.task: asyncio.Task[None] | None = None

    async def _lead(self) -> None:
        async with self.leadership.campaign(self._ttl, self._value) as self.term:
            await asyncio.Event().wait()

    def check(self) -> bool:
        return self.leadership.check()

    async def elected(self, within: float = 60.0) -> Term:
        await soon(lambda: self.term is not None, within)
        assert self.term is not None
        return self.term

    async def __aenter__(self) -> Leading:
        self.task = asyncio.ensure_future(self._lead())
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.task is not None
        self.task.cancel()
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()  # a loss is told by the term
