"""Members that are containers, each on two networks: one for clients, which publishes its port, and one for its peers.

A member that is taken off the peers' network is cut off from the others, while clients reach it as before.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import functools
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

from testcontainers.core.config import testcontainers_config
from testcontainers.core.container import DockerContainer

from aioelection.embedded._binary import find_etcd, read_version
from aioelection.embedded._cluster import _agreed_leader
from aioelection.embedded._http import ask
from aioelection.embedded._member import Status
from aioelection.embedded._ports import HOST, Ports
from aioelection.embedded._uncancelled import uncancelled
from aioelection.errors import Unavailable
from faults.cluster.engine import Engine, alone, docker_engine, missing
from faults.cluster.image import archive

__all__ = ["container_cluster", "missing"]

NAMES = ("etcd1", "etcd2", "etcd3")
START_TIMEOUT = 30.0
ANSWER = 1.0


@dataclasses.dataclass(frozen=True, slots=True)
class Member:
    """One container, and the URL of its published port."""

    name: str
    endpoint: str
    container: Any

    def state(self) -> str:
        self.container.reload()
        return str(self.container.status)

    def resume(self) -> None:
        if self.state() == "paused":
            self.container.unpause()

    def kill(self) -> None:
        if self.state() in {"running", "paused"}:
            self.container.kill()

    def stop(self) -> None:
        self.resume()
        self.container.stop()

    async def healthy(self) -> bool:
        try:
            told = await ask(f"{self.endpoint}/health", tls=None, timeout=ANSWER)
        except (OSError, ValueError):
            return False
        return told.get("health") in {"true", True}

    async def status(self) -> Status | None:
        try:
            told = await ask(f"{self.endpoint}/v3/maintenance/status", post={}, tls=None, timeout=ANSWER)
            return Status(int(told["header"]["member_id"]), int(told.get("leader", 0)), int(told["raftTerm"]))
        except (OSError, ValueError, KeyError):
            return None


class ContainerCluster:
    """Members in containers of that engine."""

    def __init__(self, engine: Engine, version: str, members: Sequence[Member], peers: Any) -> None:
        self.engine = engine
        self.version = version
        self._members = {each.name: each for each in members}
        self._peers = peers
        self._isolated: set[str] = set()

    @property
    def names(self) -> Sequence[str]:
        return list(self._members)

    @property
    def endpoints(self) -> Sequence[str]:
        return [each.endpoint for each in self._members.values()]

    async def leader(self) -> str:
        async with asyncio.timeout(START_TIMEOUT):
            while True:
                told = await asyncio.gather(*(each.status() for each in self._members.values()))
                ids = {status.member_id: name for name, status in zip(self.names, told, strict=True) if status}
                if found := _agreed_leader([each for each in told if each], len(self._members)):
                    return ids[found]
                await asyncio.sleep(0.05)

    async def freeze(self, name: str) -> None:
        await _do(self._members[name].container.pause)

    async def resume(self, name: str) -> None:
        await _do(self._members[name].resume)

    async def kill(self, name: str) -> None:
        await _do(self._members[name].kill)

    async def stop(self, name: str) -> None:
        await _do(self._members[name].stop)

    async def start(self, *names: str) -> None:
        members = [self._members[name] for name in names]
        await asyncio.gather(*(_do(each.container.start) for each in members))
        await _ready(members)

    async def isolate(self, *names: str) -> None:
        for name, member in self._members.items():
            if name in names and name not in self._isolated:
                await _do(self._peers.disconnect, member.container)
                self._isolated.add(name)
            elif name not in names and name in self._isolated:
                await _do(functools.partial(self._peers.connect, member.container, aliases=[name]))
                self._isolated.discard(name)


async def _do(work: Callable[..., Any], *arguments: Any) -> Any:
    """In a thread, and to its end: what heals must not overtake what harms."""
    return await uncancelled(asyncio.to_thread(work, *arguments))


async def _ready(members: Sequence[Member]) -> None:
    waiting = list(members)
    try:
        async with asyncio.timeout(START_TIMEOUT):
            while waiting:
                if await waiting[0].healthy():
                    del waiting[0]
                else:
                    await asyncio.sleep(0.05)
    except TimeoutError as error:
        log = (await _do(waiting[0].container.logs)).decode(errors="replace")[-4000:]
        raise Unavailable(f"{waiting[0].name} is not ready after {START_TIMEOUT} s; its log:\n{log}") from error


@contextlib.asynccontextmanager
async def container_cluster() -> AsyncIterator[ContainerCluster]:
    """Three members, on an engine of this machine or on one of our own; gone at the end."""
    etcd = find_etcd()
    version = await read_version(etcd)
    stack = contextlib.ExitStack()
    async with docker_engine() as engine:
        try:
            members, peers = await _do(_made, engine, etcd, stack)
            await _ready(members)
            yield ContainerCluster(engine, version, members, peers)
        finally:
            await _do(stack.close)


def _made(engine: Engine, etcd: Path, stack: contextlib.ExitStack) -> tuple[list[Member], Any]:
    """All that it takes, each removed by the stack. Ryuk, which would do that as well, is of a registry."""
    testcontainers_config.ryuk_disabled = True
    client = stack.enter_context(engine.client())
    image = f"{engine.name}:etcd"
    client.api.import_image_from_data(archive(etcd), repository=engine.name, tag="etcd")
    stack.callback(client.images.remove, image)
    clients, peers = _networks(engine, client, stack)
    ports = Ports(len(NAMES))
    stack.callback(ports.close)
    members = []
    for name, port in zip(NAMES, ports.numbers, strict=True):
        endpoint = f"http://{HOST}:{port}"
        made = DockerContainer(image, engine.arguments, name=f"{engine.name}-{name}")
        made.with_command(command(name, endpoint)).with_bind_ports(2379, port)
        # The names of peers that are away are asked of nobody outside: the answer would be long in coming.
        made.with_kwargs(network=clients.name, dns=["127.0.0.1"])
        stack.callback(made.stop)
        made.start()
        container = made.get_wrapped_container()
        peers.connect(container, aliases=[name])
        members.append(Member(name, endpoint, container))
    return members, peers


def _networks(engine: Engine, client: Any, stack: contextlib.ExitStack) -> tuple[Any, Any]:
    """For clients and for peers. The names of the bridges are those by which an engine of our own finds them."""
    bridge, address = "com.docker.network.bridge.name", "com.docker.network.bridge.host_binding_ipv4"
    with alone():
        clients = client.networks.create(f"{engine.name}-clients", options={bridge: f"{engine.name}-c", address: HOST})
        stack.callback(clients.remove)
        peers = client.networks.create(f"{engine.name}-peers", internal=True, options={bridge: f"{engine.name}-p"})
        stack.callback(peers.remove)
    return clients, peers


def command(name: str, endpoint: str) -> list[str]:
    return [
        "/etcd",
        f"--name={name}",
        "--data-dir=/data",
        f"--initial-cluster={','.join(f'{each}=http://{each}:2380' for each in NAMES)}",
        "--listen-client-urls=http://0.0.0.0:2379",
        f"--advertise-client-urls={endpoint}",
        "--listen-peer-urls=http://0.0.0.0:2380",
        f"--initial-advertise-peer-urls=http://{name}:2380",
        "--logger=zap",
        "--log-level=warn",
        "--unsafe-no-fsync",
    ]
