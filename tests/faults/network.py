"""Networks that are broken in a way of their own."""

from __future__ import annotations

import asyncio
import contextlib
import re
import time
from collections.abc import AsyncIterator, Callable
from typing import Self
from urllib.parse import urlsplit

from aioelection import Client, connect
from aioelection._aio.tasks import first_of
from aioelection.embedded import Etcd, EtcdMember
from aioelection.embedded._ports import Ports
from tests.support import Proxy, eventually


class SlowProxy(Proxy):
    """A link that is long, not narrow: all that passes arrives ``delay`` seconds later."""

    def __init__(self, endpoint: str, delay: float) -> None:
        super().__init__(endpoint)
        self._delay = delay

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str) -> None:
        under_way: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def deliver() -> None:
            with contextlib.suppress(OSError):
                while True:
                    due, data = await under_way.get()
                    await asyncio.sleep(max(0.0, due - time.monotonic()))
                    writer.write(data)
                    await writer.drain()

        delivering = asyncio.ensure_future(deliver())
        try:
            with contextlib.suppress(OSError):
                while data := await reader.read(65536):
                    under_way.put_nowait((time.monotonic() + self._delay, data))
        finally:
            delivering.cancel()
            await asyncio.wait([delivering])


@contextlib.asynccontextmanager
async def behind_proxies(etcd: Etcd) -> AsyncIterator[tuple[Client, dict[str, Proxy]]]:
    """A client, and the links to each member that it uses, by their endpoints."""
    async with contextlib.AsyncExitStack() as stack:
        entered = [await stack.enter_async_context(Proxy(each)) for each in etcd.endpoints]
        proxies = {proxy.endpoint: proxy for proxy in entered}
        client = await stack.enter_async_context(connect(list(proxies), discover=False))
        await eventually(lambda: all(each.member_id for each in client.statistics().endpoints))
        yield client, proxies
        for proxy in entered:
            proxy.cut()


class PeerLink:
    """What the other members reach a member through: those that are cut off from it, or it from them, do not get by.

    Who connects says so in a header of its requests; not so in its probes, whose connections are used for messages
    later: they do not get by while anybody is cut off.
    """

    def __init__(self, peer_url: str, member_id: int, isolated: set[int]) -> None:
        parts = urlsplit(peer_url)
        self._far = (parts.hostname, parts.port)
        self._member_id = member_id
        self._isolated = isolated
        self._writers: dict[asyncio.StreamWriter, int] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def enforce(self) -> None:
        """Break what is not allowed any more."""
        for writer, whose in self._writers.items():
            if not self._allowed(whose):
                writer.transport.abort()

    def _allowed(self, whose: int) -> bool:
        return not self._isolated or (whose != 0 and not self._isolated & {whose, self._member_id})

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await eventually(lambda: not self._tasks)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        pair = [writer]
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            found = re.search(rb"(?i)x-server-from: ([0-9a-f]+)", head)
            whose = int(found[1], 16) if found else 0
            if not self._allowed(whose):
                return
            far_reader, far_writer = await asyncio.open_connection(*self._far)
            pair.append(far_writer)
            self._writers |= dict.fromkeys(pair, whose)
            far_writer.write(head)
            await first_of(_carry(reader, far_writer), _carry(far_reader, writer))
        except (OSError, EOFError, asyncio.CancelledError):
            return
        finally:
            for each in pair:
                each.transport.abort()
                self._writers.pop(each, None)
            self._tasks.discard(task)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()


@contextlib.asynccontextmanager
async def isolation(etcd: Etcd) -> AsyncIterator[Callable[..., None]]:
    """A function that cuts these members off from the others, and all others together again."""
    isolated: set[int] = set()
    ports = Ports(len(etcd.members))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(ports.close)
        links = []
        for member, port in zip(etcd.members, ports.numbers, strict=True):
            # Nobody listens where the others have known it to be: they look there again when they start.
            hidden = f"http://127.0.0.1:{port}"
            listens = [number for number, each in enumerate(member._command) if each.startswith("--listen-peer")]
            member._command[listens[0]] = f"--listen-peer-urls={hidden}"
            link = await stack.enter_async_context(PeerLink(hidden, member.id, isolated))
            await etcd.ctl("member", "update", f"{member.id:x}", f"--peer-urls={link.url}")
            links.append(link)
        await asyncio.gather(*(member.kill() for member in etcd.members))
        await asyncio.gather(*(member.start() for member in etcd.members))

        def isolate(*members: EtcdMember) -> None:
            isolated.clear()
            isolated.update(member.id for member in members)
            for link in links:
                link.enforce()

        yield isolate
        await asyncio.gather(*(member.kill() for member in etcd.members))


@contextlib.asynccontextmanager
async def replaced(etcd: Etcd, old: EtcdMember) -> AsyncIterator[EtcdMember]:
    """Another member, at another address, in the place of this one."""
    assert etcd._guard is not None
    ports = Ports(2)
    try:
        client, peer = (f"http://127.0.0.1:{port}" for port in ports.numbers)
        staying = ",".join(each.client_url for each in etcd.members if each is not old)
        await etcd.ctl(f"--endpoints={staying}", "member", "remove", f"{old.id:x}")
        await old.kill()
        await etcd.ctl("member", "add", "etcd4", f"--peer-urls={peer}")
        others = [f"{each.name}={each.peer_url}" for each in etcd.members if each is not old]
        own = ("--initial-cluster=", "--listen", "--advertise", "--initial-advertise", "--name", "--data-dir")
        command = [
            *(each for each in old._command if not each.startswith(own)),
            f"--initial-cluster={','.join([*others, f'etcd4={peer}'])}",
            "--initial-cluster-state=existing",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
        ]
        member = EtcdMember("etcd4", client, peer, command=command, guard=etcd._guard, tls=None, start_timeout=30)
        await member.start()
        yield member
        await member.kill()
    finally:
        ports.close()
