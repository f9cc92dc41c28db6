"""Members that are processes of this machine."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence

from aioelection.embedded import Etcd, EtcdMember


class LocalCluster:
    """An embedded etcd, its members' links to each other breakable."""

    def __init__(self, etcd: Etcd, isolate: Callable[..., None]) -> None:
        self._etcd = etcd
        self._isolate = isolate

    @property
    def version(self) -> str:
        return self._etcd.version

    @property
    def names(self) -> Sequence[str]:
        return [each.name for each in self._etcd.members]

    @property
    def endpoints(self) -> Sequence[str]:
        return self._etcd.endpoints

    async def leader(self) -> str:
        return (await self._etcd.leader(timeout=30)).name

    async def freeze(self, name: str) -> None:
        self._member(name).pause()

    async def resume(self, name: str) -> None:
        self._member(name).resume()

    async def kill(self, name: str) -> None:
        await self._member(name).kill()

    async def stop(self, name: str) -> None:
        await self._member(name).stop()

    async def start(self, *names: str) -> None:
        await asyncio.gather(*(self._member(name).start() for name in names))

    async def isolate(self, *names: str) -> None:
        self._isolate(*map(self._member, names))

    def _member(self, name: str) -> EtcdMember:
        return next(each for each in self._etcd.members if each.name == name)


@contextlib.asynccontextmanager
async def local_cluster() -> AsyncIterator[LocalCluster]:
    """Three members."""
    from tests.faults.network import isolation  # noqa: PLC0415 - brings pytest

    async with Etcd(members=3) as etcd, isolation(etcd) as isolate:
        yield LocalCluster(etcd, isolate)
