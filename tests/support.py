"""What the tests against a real etcd share: clients, a stranger who meddles, a network to break, and waiting.

A plugin, as ``tests.etcd`` is.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlsplit

import aetcd
import pytest

from aioelection import Client, Leadership, State, connect, observe
from aioelection.embedded import EtcdMember
from tests.etcd import BackgroundEtcd

TTL = 2
"""The shortest lease that etcd grants."""

Condition = Callable[[], Any]


async def eventually(condition: Condition, within: float = 5.0) -> Any:
    """Wait until the condition, a function or a coroutine function, gives something true; return that."""
    deadline = time.monotonic() + within
    while True:
        found = condition()
        if inspect.isawaitable(found):
            found = await found
        if found:
            return found
        if time.monotonic() >= deadline:
            pytest.fail(f"not so within {within} s: {inspect.getsource(condition).strip()}")
        await asyncio.sleep(0.01)


async def throughout(seconds: float, condition: Condition) -> None:
    """The condition holds for all of that time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        assert condition()
        await asyncio.sleep(0.01)


async def soon(awaitable: Awaitable[Any], within: float = 5.0) -> Any:
    """Await what must not hang."""
    async with asyncio.timeout(within):
        return await awaitable


@contextlib.asynccontextmanager
async def beside(coroutine: Any) -> AsyncIterator[asyncio.Task[Any]]:
    """Run it as a task beside the block; what is left of it is cancelled."""
    task = asyncio.ensure_future(coroutine)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()  # told to the block, if it asked


class Stranger:
    """Somebody else, with a client of another make, who reads and meddles."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self.client = aetcd.Client(parts.hostname, parts.port, timeout=5)

    async def get(self, key: str | bytes) -> Any:
        """The key with its value, revisions and ``lease``; ``None`` if there is none."""
        return await self.client.get(_bytes(key))

    async def put(self, key: str | bytes, value: bytes, lease: int = 0) -> None:
        await self.client.put(_bytes(key), value, lease=lease)

    async def delete(self, key: str | bytes) -> None:
        assert await self.client.delete(_bytes(key), prev_kv=True) is not None, "there was nothing to delete"

    async def grant(self, ttl: int) -> int:
        return int((await self.client.lease(ttl)).id)

    async def revoke(self, lease_id: int) -> None:
        await self.client.revoke_lease(lease_id)

    async def leases(self) -> set[int]:
        """The ids of all leases that etcd has."""
        stub = aetcd.rpc.LeaseStub(self.client.channel)
        return {each.ID for each in (await stub.LeaseLeases(aetcd.rpc.LeaseLeasesRequest(), timeout=5)).leases}

    async def no_lease_but(self, before: set[int]) -> bool:
        """Whether all leases are of those, of which some may have expired since."""
        return await self.leases() <= before

    async def __aenter__(self) -> Self:
        await self.client.connect()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()


def _bytes(key: str | bytes) -> bytes:
    return key.encode() if isinstance(key, str) else key


class Proxy:
    """A link to one endpoint that delays and breaks on demand; ``endpoint`` is its near side."""

    def __init__(self, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._far = (parts.hostname, parts.port)
        self._may = {"requests": asyncio.Event(), "replies": asyncio.Event()}
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._connecting = 0
        self.held = {"requests": 0, "replies": 0}
        """Reads of either direction that were held back since ``hold``."""
        self.release()

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def hold(self, direction: str) -> None:
        """Let nothing more through: ``"requests"`` or ``"replies"``."""
        self.held[direction] = 0
        self._may[direction].clear()

    def release(self, *directions: str) -> None:
        """Let through what was held, and all that comes; in both directions, if none is named."""
        for direction in directions or self._may:
            self._may[direction].set()

    def cut(self) -> None:
        """Break every connection; what was held is lost, and new connections work."""
        for writer in self._writers:
            writer.transport.abort()
        for task in self._tasks:
            task.cancel()
        self.release()

    async def stop(self) -> None:
        """Break every connection, and refuse new ones."""
        self._server.close()
        self.cut()
        await eventually(lambda: not self._tasks and not self._connecting)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connecting += 1
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._far)
        except OSError:
            writer.transport.abort()
            return
        finally:
            self._connecting -= 1
        if not self._server.is_serving():  # stopped meanwhile
            writer.transport.abort()
            far_writer.transport.abort()
            return
        pair = {writer, far_writer}
        self._writers |= pair
        ways = ((reader, far_writer, "requests"), (far_reader, writer, "replies"))
        tasks = [asyncio.ensure_future(self._carry(*way)) for way in ways]
        self._tasks.update(tasks)
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        for each in pair:
            each.transport.abort()
        self._writers -= pair
        self._tasks.difference_update(tasks)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        gate = self._may[direction]
        with contextlib.suppress(OSError):
            while data := await reader.read(65536):
                if not gate.is_set():
                    self.held[direction] += 1
                    await gate.wait()
                writer.write(data)
                await writer.drain()


async def freeze(member: EtcdMember) -> None:
    """Pause a member, and wait until each of its threads stands still, which takes the signal a moment."""
    member.pause()
    threads = f"/proc/{member.pid}/task"

    def stands_still() -> bool:
        stats = [stat.read_text() for stat in Path(threads).glob("*/stat")]
        return all(stat.rpartition(")")[2].split()[0] == "T" for stat in stats)

    await eventually(stands_still)


Ctl = Callable[..., Awaitable[str]]


@pytest.fixture
def ctl(shared_etcd: BackgroundEtcd) -> Ctl:
    """etcdctl on the shared etcd."""

    async def run(*arguments: str) -> str:
        return await asyncio.to_thread(shared_etcd.ctl, *arguments)

    return run


async def leases(ctl: Ctl) -> set[int]:
    """The leases that etcd has."""
    return {int(line, 16) for line in (await ctl("lease", "list")).splitlines() if not line.startswith("found")}


@pytest.fixture
async def client(endpoint: str) -> AsyncIterator[Client]:
    """A client of the shared etcd."""
    async with connect(endpoint) as client:
        yield client


@pytest.fixture
async def other_client(endpoint: str) -> AsyncIterator[Client]:
    """Another, as another process would have it."""
    async with connect(endpoint) as client:
        yield client


@pytest.fixture
async def stranger(endpoint: str) -> AsyncIterator[Stranger]:
    """Somebody else on the shared etcd."""
    async with Stranger(endpoint) as stranger:
        yield stranger


@pytest.fixture
async def proxy(endpoint: str) -> AsyncIterator[Proxy]:
    """A link to the shared etcd that can be broken."""
    async with Proxy(endpoint) as proxy:
        yield proxy


@pytest.fixture
async def far_client(proxy: Proxy) -> AsyncIterator[Client]:
    """A client behind ``proxy``."""
    async with connect(proxy.endpoint, discover=False) as client:
        yield client


async def watches_stand(client: Client, stranger: Stranger, key: str) -> None:
    """All watches that the client has asked for by now stand: so does a later one, which is told of a change."""
    observer = observe(client, key)
    await soon(anext(observer))
    await stranger.put(key, (await stranger.get(key)).value)
    await soon(anext(observer))
    await observer.aclose()


def is_in(leadership: Leadership, state: State) -> bool:
    """Whether it is in that state (a type checker that sees one comparison thinks the state fixed)."""
    return leadership.state is state


def now(client: Client) -> float:
    """The time on the clock by which the client judges leases."""
    return client.hub.clock.now()


class MovableClock:
    """Makes that clock jump, as a machine finds it on waking from a suspend; made before any term is won."""

    def __init__(self, client: Client) -> None:
        self._moved = 0.0
        before = client.hub.clock.now
        client.hub.clock.now = lambda: before() + self._moved

    def move(self, seconds: float) -> None:
        self._moved += seconds
