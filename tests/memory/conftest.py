"""A cluster in memory and two clients of it; everything below runs on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Mapping

import pytest

from aioelection import Client
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
async def client(etcd: MemoryEtcd) -> AsyncIterator[Client]:
    async with etcd.client() as client:
        yield client


@pytest.fixture
async def other_client(etcd: MemoryEtcd) -> AsyncIterator[Client]:
    async with etcd.client() as client:
        yield client
