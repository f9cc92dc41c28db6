"""Real etcds for tests: one that all tests of a process share, and new ones to break.

A plugin: ``pytest_plugins = ["tests.etcd"]`` in ``conftest.py``. Which etcd is run is told by the
environment variable AIOELECTION_ETCD (`aioelection.embedded.Etcd` tells what happens without).
"""

from __future__ import annotations

import asyncio
import threading
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from typing import Any, Self

import pytest

from aioelection.embedded import Etcd

EtcdFactory = Callable[..., Etcd]


class BackgroundEtcd:
    """An `Etcd` in a thread with a loop of its own, so that it outlives the loops of tests."""

    def __init__(self, members: int = 1, **options: Any) -> None:
        self._options = {"members": members, **options}
        self._started: Future[tuple[asyncio.AbstractEventLoop, Etcd]] = Future()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run, name="background etcd", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._loop, self._etcd = self._started.result()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def endpoint(self) -> str:
        return self._etcd.endpoints[0]

    def ctl(self, *arguments: str) -> str:
        """`Etcd.ctl`, blocking."""
        future = asyncio.run_coroutine_threadsafe(self._etcd.ctl(*arguments), self._loop)
        return future.result()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:
            if self._started.done():
                raise
            self._started.set_exception(error)

    async def _serve(self) -> None:
        async with Etcd(**self._options) as etcd:
            self._started.set_result((asyncio.get_running_loop(), etcd))
            await self._stop.wait()


@pytest.fixture(scope="session")
def shared_etcd() -> Iterator[BackgroundEtcd]:
    """One member, shared by all tests of this process: leave it as it was, but for your own keys."""
    with BackgroundEtcd() as etcd:
        yield etcd


@pytest.fixture
def endpoint(shared_etcd: BackgroundEtcd) -> str:
    """The endpoint of the shared etcd."""
    return shared_etcd.endpoint


@pytest.fixture
def new_etcd() -> Iterator[EtcdFactory]:
    """A factory: ``async with new_etcd(members=3) as etcd``; checks that each was left."""
    made: list[Etcd] = []

    def factory(members: int = 1, **options: Any) -> Etcd:
        made.append(Etcd(members, **options))
        return made[-1]

    yield factory
    running = [etcd for etcd in made if "stopped" not in repr(etcd) and "not started" not in repr(etcd)]
    assert not running, "enter the Etcd with `async with` in the test"


@pytest.fixture
def unique_key(request: pytest.FixtureRequest) -> str:
    """A leader key that no other test has."""
    return f"/test/{request.node.name}/{uuid.uuid4().hex}"
