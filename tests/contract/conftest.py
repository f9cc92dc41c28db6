"""Two etcds behind one face."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator, Mapping

import pytest

from tests.contract.sides import QUOTA, MemorySide, RealSide, Side
from tests.etcd import BackgroundEtcd, EtcdFactory
from tests.virtual import is_virtual, virtual_loop

NewSide = Callable[[], contextlib.AbstractAsyncContextManager[Side]]


def pytest_asyncio_loop_factories(
    config: pytest.Config, item: pytest.Item
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    return {"memory": virtual_loop, "etcd": asyncio.new_event_loop}


@pytest.fixture(scope="session")
def contract_etcd() -> Iterator[BackgroundEtcd]:
    """An etcd of our own, whose history is compacted."""
    with BackgroundEtcd() as etcd:
        yield etcd


@pytest.fixture
async def side(request: pytest.FixtureRequest) -> AsyncIterator[Side]:
    """One member, of either kind."""
    if is_virtual(asyncio.get_running_loop()):
        async with MemorySide(1) as memory:
            yield memory
    else:
        etcd: BackgroundEtcd = request.getfixturevalue("contract_etcd")
        async with RealSide([etcd.endpoint], etcd.ctl) as real:
            yield real


@pytest.fixture
async def new_side(new_etcd: EtcdFactory) -> NewSide:
    """A factory of clusters of three members, to be broken."""

    @contextlib.asynccontextmanager
    async def memory() -> AsyncIterator[Side]:
        async with MemorySide(3) as side:
            yield side

    @contextlib.asynccontextmanager
    async def real() -> AsyncIterator[Side]:
        async with (
            new_etcd(3, flags=[f"--quota-backend-bytes={QUOTA}"]) as etcd,
            RealSide(etcd.endpoints, None, etcd) as side,
        ):
            yield side

    return memory if is_virtual(asyncio.get_running_loop()) else real
