"""aioelection's pytest plugin: a real etcd, an etcd in memory, and keys of one's own, for tests of services that elect.

It stands outside of the package, so that pytest does not import the library where no test uses it.
``aioelection.testing`` has what is to be imported: ``VirtualLoop``, and ``force_loss`` for tests of what a service does
when its leadership is lost.

The fixtures give factories rather than connections: what is opened in a test's own task works with pytest-asyncio, with
anyio's plugin, and with ``asyncio.run``.
"""

from __future__ import annotations

import random
import re
import uuid
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from aioelection.embedded import Etcd
    from aioelection.testing import EtcdServer, MemoryEtcd

SEED = 3


@pytest.fixture(scope="session")
def etcd_server() -> Iterator[EtcdServer]:
    """A real etcd of one member, shared by all tests of this process: leave it as it was, but for your own keys.

    ``async with aioelection.connect(etcd_server.endpoints) as client: ...``
    """
    from aioelection.testing import EtcdServer  # noqa: PLC0415

    with EtcdServer() as server:
        yield server


@pytest.fixture
def etcd_factory() -> Iterator[Callable[..., Etcd]]:
    """Real etcds of one's own, to break.

    ``async with etcd_factory(members=3) as etcd: ...``
    """
    from aioelection.embedded import Etcd  # noqa: PLC0415

    made: list[Etcd] = []

    def factory(members: int = 1, **options: Any) -> Etcd:
        made.append(Etcd(members, **options))
        return made[-1]

    yield factory
    running = [etcd for etcd in made if etcd.running]
    assert not running, f"enter it with `async with` in the test: {running}"


@pytest.fixture
def etcd_in_memory() -> Iterator[type[MemoryEtcd]]:
    """Etcds in memory.

    ``async with etcd_in_memory() as etcd, etcd.client() as client: ...``

    On a loop with virtual time, with the same random numbers each time, so that what happens once happens always.
    """
    from aioelection.testing import MemoryEtcd  # noqa: PLC0415

    state = random.getstate()
    random.seed(SEED)
    yield MemoryEtcd
    random.setstate(state)


@pytest.fixture
def aioelection_key(request: pytest.FixtureRequest) -> str:
    """A leader key that no other test has."""
    name = re.sub(r"[^\w.-]+", "-", request.node.name)
    return f"/test/{name}/{uuid.uuid4().hex}"
