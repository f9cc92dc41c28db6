"""What is told of a cluster in memory, on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest

from aioelection import Client
from aioelection.instrument import Event
from aioelection.testing import MemoryEtcd
from tests.virtual import virtual_loop


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"virtual": virtual_loop}


@pytest.fixture
async def etcd() -> AsyncIterator[MemoryEtcd]:
    """Three members; the same random numbers each time."""
    random.seed(3)
    async with MemoryEtcd() as etcd:
        yield etcd


@pytest.fixture
def events() -> list[Event]:
    """What ``client`` has told so far."""
    return []


@pytest.fixture
async def client(etcd: MemoryEtcd, events: list[Event]) -> AsyncIterator[Client]:
    """A client that tells ``events``."""
    async with etcd.client(hooks=events.append) as client:
        yield client


@pytest.fixture
def no_hook_fails(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What a hook raises is logged, and harms nobody: not even a test."""
    yield
    assert [each for each in caplog.get_records("call") if each.message.startswith("the hook ")] == []
