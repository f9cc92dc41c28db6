"""`Client.statistics()`: what a client has been doing, and how its endpoints fare."""

from __future__ import annotations

import asyncio
from dataclasses import FrozenInstanceError, fields
from typing import NoReturn

import pytest

from aioelection import Client, EndpointStatistics, Leadership, Unavailable, connect, observe
from aioelection._core.endpoints import parse_endpoints
from aioelection._transport.pool import ATTEMPT
from aioelection._transport.watch import PROBE
from tests.support import TTL, Proxy, eventually, now, soon


def of(client: Client, endpoint: str) -> EndpointStatistics:
    """How that endpoint fares."""
    found = [each for each in client.statistics().endpoints if each.endpoint == endpoint]
    assert len(found) == 1
    return found[0]


async def test_a_client_that_has_done_nothing(client: Client, endpoint: str) -> None:
    statistics = client.statistics()
    assert [each.endpoint for each in statistics.endpoints] == [endpoint]
    assert statistics.endpoints[0].in_use
    assert statistics.endpoints[0].failures == 0
    figures = {each.name: getattr(statistics, each.name) for each in fields(statistics) if each.name != "endpoints"}
    assert set(figures.values()) == {0}, figures


async def test_they_are_of_their_moment_and_cannot_be_changed(client: Client, unique_key: str) -> None:
    before = client.statistics()
    async with Leadership(client, unique_key).campaign(60, b"leader"):
        await eventually(lambda: client.statistics().leases == 1)
        assert before.leases == 0
    for each in (before, before.endpoints[0]):
        with pytest.raises(FrozenInstanceError):
            setattr(each, fields(each)[0].name, None)


async def test_the_member_that_answered_is_known(client: Client, endpoint: str) -> None:
    members = await client.hub.pool.members(timeout=5)
    assert members.header.member_id
    assert of(client, endpoint).member_id == members.header.member_id


async def test_a_term_is_counted_while_it_lasts(client: Client, unique_key: str) -> None:
    async with Leadership(client, unique_key).campaign(TTL, b"leader"):
        await eventually(lambda: client.statistics().streams == 2, within=TTL)
        during = client.statistics()
        assert (during.leases, during.watches, during.listeners) == (1, 1, 1)
        renewals = during.renewals
        await eventually(lambda: client.statistics().renewals >= renewals + 2, within=TTL)
    await eventually(lambda: client.statistics().streams == 0)
    after = client.statistics()
    assert (after.leases, after.watches, after.listeners) == (0, 0, 0)
    assert after.renewals >= renewals + 2, "what has been stays counted"


async def test_all_who_follow_one_key_share_a_watch_and_all_watches_a_stream(client: Client, unique_key: str) -> None:
    keys = [unique_key] * 3 + [f"{unique_key}/other"]
    observers = [observe(client, key) for key in keys]
    for observer in observers:
        await soon(anext(observer))
    await eventually(lambda: client.statistics().listeners == 4)
    statistics = client.statistics()
    assert (statistics.watches, statistics.streams, statistics.leases) == (2, 1, 0)
    for observer in observers:
        await observer.aclose()
    await eventually(lambda: client.statistics().streams == 0)
    assert (client.statistics().watches, client.statistics().listeners) == (0, 0)


async def test_a_watch_of_a_key_that_nothing_happens_to_is_not_given_up(client: Client, unique_key: str) -> None:
    """Nothing else is written: newer versions of etcd do not tell progress then."""
    async with Leadership(client, unique_key).campaign(6, b"leader"):
        await asyncio.sleep(2.5 * (PROBE + ATTEMPT))
        assert client.statistics().reconnects == 0


async def test_streams_that_broke_are_counted(far_client: Client, proxy: Proxy, unique_key: str) -> None:
    async with Leadership(far_client, unique_key).campaign(6, b"leader"):
        await eventually(lambda: far_client.statistics().streams == 2)
        await eventually(lambda: far_client.statistics().renewals)  # else a stream may not have got as far as the proxy
        before = far_client.statistics().reconnects  # none, unless the machine is slow
        proxy.cut()
        await eventually(lambda: far_client.statistics().reconnects >= before + 2)
        await eventually(lambda: far_client.statistics().streams == 2)


async def test_an_endpoint_that_fails_is_told(proxy: Proxy, endpoint: str) -> None:
    """One that was in use gives way; when it answers again it is well, but not in use."""
    async with connect([proxy.endpoint, endpoint], discover=False) as client:
        client.hub.pool.roster.prefer(parse_endpoints(proxy.endpoint)[0])
        proxy.hold("requests")
        await client.hub.pool.get(b"any", timeout=5)
        late, other = of(client, proxy.endpoint), of(client, endpoint)
        assert late.failures >= 1
        assert (late.in_use, other.in_use, other.failures) == (False, True, 0)
        assert client.statistics().hedged_requests >= 1
        assert client.endpoints == (endpoint, proxy.endpoint)
        proxy.release()
        await eventually(lambda: of(client, proxy.endpoint).failures == 0, within=10)
        well = of(client, proxy.endpoint)
        assert not well.in_use
        assert well.member_id == of(client, endpoint).member_id, "two ways to one member"


async def test_renewals_that_were_late_are_counted(proxy: Proxy, endpoint: str, unique_key: str) -> None:
    async with connect([proxy.endpoint, endpoint], discover=False) as client:
        client.hub.pool.roster.prefer(parse_endpoints(proxy.endpoint)[0])
        async with Leadership(client, unique_key).campaign(TTL, b"leader"):
            await eventually(lambda: client.statistics().renewals)
            hedged = client.statistics().hedged_renewals
            proxy.hold("requests")
            await eventually(lambda: client.statistics().hedged_renewals > hedged, within=TTL)
            renewals = client.statistics().renewals
            await eventually(lambda: client.statistics().renewals > renewals, within=TTL)
            proxy.release()


async def test_acknowledgements_that_did_not_count_are_counted(
    client: Client, unique_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if etcd's leader had changed between an acknowledgement and the read that was to prove it."""
    async with Leadership(client, unique_key).campaign(60, b"leader") as term:
        pump, get = client.hub.renewals, client.hub.pool.get
        asked: list[asyncio.Future[None]] = []

        async def no_answer(key: bytes, *, timeout: float) -> NoReturn:
            asked.append(asyncio.get_running_loop().create_future())
            await asked[-1]
            raise AssertionError("it was not to be answered")

        monkeypatch.setattr(client.hub.pool, "get", no_answer)
        await eventually(lambda: client.statistics().leases == 1)
        (lease,) = pump._leases.values()
        lease.deadline.failed(now(client))
        pump.hurry(lease)
        await eventually(lambda: asked)
        assert client.statistics().disproven == 0
        pump.answered(pump.asking(), raft_term=0)
        assert client.statistics().disproven == 1
        monkeypatch.setattr(client.hub.pool, "get", get)
        asked[-1].set_exception(Unavailable("nobody answered"))
        renewals = client.statistics().renewals
        await eventually(lambda: client.statistics().renewals > renewals)
        assert term.check()
