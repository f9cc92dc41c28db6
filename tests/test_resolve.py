"""A name that leads to several addresses is several endpoints."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Mapping

import pytest

from aioelection._aio.resolve import resolved
from aioelection._core.endpoints import Endpoint
from tests.support import soon


class Names:
    """Stands in for the resolver: addresses by name, or what looking it up raises."""

    def __init__(self) -> None:
        self.known: Mapping[str, list[str] | Exception] = {}
        self.asked: list[tuple[str, int]] = []
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def look_up(self, host: str, port: int) -> list[tuple[object, ...]]:
        self.asked.append((host, port))
        await self.may_answer.wait()
        found = self.known[host]
        if isinstance(found, Exception):
            raise found
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", (address, port, 0, 0))
            if ":" in address
            else (socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))
            for address in found
        ]


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> Names:
    names = Names()
    monkeypatch.setattr("aioelection._aio.resolve.look_up", names.look_up)
    return names


async def test_each_of_several_addresses_is_an_endpoint(names: Names) -> None:
    names.known = {"etcd": ["10.0.0.1", "10.0.0.2", "2001:db8::7"]}
    found = await resolved([Endpoint("etcd", 2380, secure=True)])
    assert found == tuple(Endpoint("etcd", 2380, True, each) for each in ("10.0.0.1", "10.0.0.2", "2001:db8::7"))
    assert [each.target for each in found] == ["ipv4:10.0.0.1:2380", "ipv4:10.0.0.2:2380", "ipv6:[2001:db8::7]:2380"]
    assert names.asked == [("etcd", 2380)]


@pytest.mark.parametrize("addresses", [["10.0.0.1"], ["10.0.0.1", "10.0.0.1"], []])
async def test_a_name_with_one_address_stays_a_name(names: Names, addresses: list[str]) -> None:
    """gRPC looks it up again when it reconnects: the address may have changed."""
    names.known = {"etcd": addresses}
    assert await resolved([Endpoint("etcd", 2379)]) == (Endpoint("etcd", 2379),)


async def test_an_address_told_twice_is_one(names: Names) -> None:
    names.known = {"etcd": ["10.0.0.2", "10.0.0.1", "10.0.0.2"]}
    assert [each.address for each in await resolved([Endpoint("etcd", 2379)])] == ["10.0.0.2", "10.0.0.1"]


@pytest.mark.parametrize("error", [socket.gaierror(socket.EAI_NONAME, "no such name"), TimeoutError("no answer")])
async def test_a_name_that_leads_nowhere_yet_stays_a_name(names: Names, error: Exception) -> None:
    names.known = {"etcd": error, "other": ["10.0.0.1", "10.0.0.2"]}
    assert await resolved([Endpoint("etcd", 2379), Endpoint("other", 2379)]) == (
        Endpoint("etcd", 2379),
        Endpoint("other", 2379, address="10.0.0.1"),
        Endpoint("other", 2379, address="10.0.0.2"),
    )


@pytest.mark.parametrize("host", ["127.0.0.1", "10.0.0.1", "::1", "2001:db8::7", "fe80::1%lo"])
async def test_an_address_is_not_looked_up(names: Names, host: str) -> None:
    assert await resolved([Endpoint(host, 2379)]) == (Endpoint(host, 2379),)
    assert names.asked == []


async def test_endpoints_keep_their_order_and_are_looked_up_at_once(names: Names) -> None:
    names.known = {"a": ["10.0.0.1", "10.0.0.2"], "b": ["10.0.0.3"]}
    names.may_answer.clear()
    looking = asyncio.ensure_future(resolved([Endpoint("b", 2379), Endpoint("a", 2379), Endpoint("10.0.0.9", 1)]))
    await asyncio.sleep(0.01)
    assert [host for host, *_ in names.asked] == ["b", "a"]
    names.may_answer.set()
    assert [each.target for each in await soon(looking)] == [
        "b:2379",
        "ipv4:10.0.0.1:2379",
        "ipv4:10.0.0.2:2379",
        "10.0.0.9:1",
    ]


async def test_an_endpoint_given_twice_is_one(names: Names) -> None:
    names.known = {"a": ["10.0.0.1", "10.0.0.2"]}
    assert len(await resolved([Endpoint("a", 2379), Endpoint("a", 2379)])) == 2
    assert len(await resolved([Endpoint("a", 2379), Endpoint("a", 2380)])) == 4


async def test_none_are_none() -> None:
    assert await resolved([]) == ()


async def test_cancelled_it_ends(names: Names) -> None:
    names.known = {"a": []}
    names.may_answer.clear()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await resolved([Endpoint("a", 2379)])


async def test_a_real_name() -> None:
    found = await resolved([Endpoint("localhost", 2379)])
    assert {each.host for each in found} == {"localhost"}
    assert {each.address for each in found} <= {None, "127.0.0.1", "::1"}
