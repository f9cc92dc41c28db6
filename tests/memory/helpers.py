"""What the tests on the in-memory etcd share."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Self

from aioelection import Client, Leadership, Term
from aioelection.testing import Member, MemoryEtcd
from aioelection.testing._link import Hold, Link, When


def time() -> float:
    return asyncio.get_running_loop().time()


def leader_of(etcd: MemoryEtcd) -> Member:
    assert etcd.leader is not None
    return etcd.leader


def links_by_url(etcd: MemoryEtcd, client: Client) -> dict[str, Link]:
    """What lies between that client and each member, by the member's endpoint."""
    return {member.client_url: etcd.link(client, member) for member in etcd.members}


def hold_renewals(etcd: MemoryEtcd, when: When, *links: Link) -> Hold:
    """Hold the renewals that come over these links."""
    return Hold(etcd._gates, "keep_alive", when, links)


async def until(condition: Callable[[], Any], within: float = 10.0) -> None:
    async with asyncio.timeout(within):
        while not condition():
            await asyncio.sleep(0.01)


class Leading:
    """A task that stands until elected, and leads until it loses: ``async with Leading(client, key) as leading``."""

    def __init__(self, client: Client, key: str, ttl: int = 5, value: bytes = b"a") -> None:
        self.leadership = Leadership(client, key)
        self.term: Term | None = None
        self._ttl = ttl
        self._value = value

    def check(self) -> bool:
        return self.leadership.check()

    async def elected(self, within: float = 60.0) -> Term:
        await until(lambda: self.term is not None, within)
        assert self.term is not None
        return self.term

    async def __aenter__(self) -> Self:
        self.task = asyncio.ensure_future(self._lead())
        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        if not self.task.cancelled():
            self.task.exception()  # the loss, of which the term tells

    async def _lead(self) -> None:
        async with self.leadership.campaign(self._ttl, self._value) as self.term:
            await asyncio.Event().wait()


async def throughout(seconds: float, condition: Callable[[], Any]) -> None:
    """The condition holds all that time."""
    end = time() + seconds
    while time() < end:
        assert condition()
        await asyncio.sleep(0.02)
