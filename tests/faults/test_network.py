"""Links that swallow, drop and delay, and an etcd that is away: rows 14 to 19."""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from aioelection import Leadership, Lease, OutcomeUnknown, Unavailable, connect, get_leader, observe
from tests.etcd import EtcdFactory
from tests.faults.measuring import Measure, Vigil, leading, serving
from tests.faults.network import SlowProxy, behind_proxies
from tests.support import Proxy, beside, eventually, soon


async def test_row_14_one_member_unreachable(new_etcd: EtcdFactory, unique_key: str, measure: Measure) -> None:
    async with (
        new_etcd(members=3) as etcd,
        behind_proxies(etcd) as (client, links),
        behind_proxies(etcd) as (reader, reader_links),
        leading(client, unique_key, 5) as vigil,
    ):
        await vigil.due()
        for link in (links[client.endpoints[0]], reader_links[reader.endpoints[0]]):
            link.hold("requests")
            link.hold("replies")
        with measure.within(0.3, "read"):
            assert await get_leader(reader, unique_key) is not None
        await vigil.renewed(2)
        measure.took("renewal", vigil.lateness, 0.3)


@pytest.mark.parametrize("lost", ["everything", "replies"], ids=["row_15", "row_16"])
async def test_rows_15_and_16_all_members_unreachable_and_replies_lost(
    new_etcd: EtcdFactory, unique_key: str, measure: Measure, lost: str
) -> None:
    ttl = 2
    async with (
        new_etcd(members=3) as etcd,
        behind_proxies(etcd) as (client, links),
        serving(client, unique_key, ttl) as server,
    ):
        (vigil,) = server.terms
        await vigil.renewed(1)
        for link in links.values():
            link.hold("replies")
            if lost == "everything":
                link.hold("requests")
        await soon(vigil.term.lost.wait(), 2 * ttl)
        await eventually(lambda: vigil.lost_at)
        measure.took("lost after the deadline", vigil.lost_late, 0.1)
        await asyncio.sleep(1)
        assert not server.leads
        for link in links.values():
            link.cut()
        with measure.within(ttl + 1, "elected again"):
            await eventually(lambda: server.leads, 20)


async def test_row_17_a_half_open_connection(endpoint: str, unique_key: str, measure: Measure) -> None:
    async with (
        Proxy(endpoint) as proxy,
        connect(proxy.endpoint, discover=False) as client,
        leading(client, unique_key, 60) as vigil,
    ):
        granted, other = Lease(client), Leadership(client, unique_key + "2")
        await granted.grant(60)
        await other.campaign(60, b"a")
        proxy.hold("requests")
        proxy.hold("replies")

        async def connecting() -> None:
            async with connect(proxy.endpoint, discover=False, connect_timeout=1):
                pytest.fail("connected")

        calls: dict[str, tuple[Callable[[], Awaitable[Any]], float, type[Exception]]] = {
            "connect": (connecting, 1, Unavailable),
            "get_leader": (lambda: get_leader(client, unique_key), 5, Unavailable),
            "commit": (vigil.leadership.leader_txn().commit, 5, OutcomeUnknown),
            "grant": (lambda: Lease(client).grant(60), 7, Unavailable),
            "one attempt": (
                lambda: _awaited(Leadership(client, unique_key + "3").campaign(60, b"a", wait=False)),
                7,
                Unavailable,
            ),
            "resign": (other.resign, 1, Unavailable),
            "close": (granted.close, 1, Unavailable),
        }

        async def end(name: str) -> tuple[str, float, BaseException | None]:
            call, _, _ = calls[name]
            begin = time.monotonic()
            try:
                await call()
            except (Unavailable, OutcomeUnknown) as error:
                return name, time.monotonic() - begin, error
            return name, time.monotonic() - begin, None

        for name, took, error in await soon(asyncio.gather(*map(end, calls)), 15):
            _, bound, kind = calls[name]
            assert isinstance(error, kind), name
            measure.took(name, took, bound + 0.3)
        proxy.cut()


async def _awaited(awaitable: Any) -> Any:
    return await awaitable


async def test_row_18_a_slow_network(new_etcd: EtcdFactory, unique_key: str, measure: Measure) -> None:
    async with new_etcd(members=3) as etcd:

        async def lead(ttl: int, round_trip: float, renewals: int) -> None:
            async with contextlib.AsyncExitStack() as stack:
                links = [await stack.enter_async_context(SlowProxy(each, round_trip / 2)) for each in etcd.endpoints]
                client = await stack.enter_async_context(connect([each.endpoint for each in links], discover=False))
                async with leading(client, f"{unique_key}/{ttl}", ttl) as vigil:
                    await vigil.renewed(renewals)
                    measure.took(f"renewal, {round_trip} s at T = {ttl}", vigil.lateness, ttl / 3)

        await asyncio.gather(lead(2, 0.3, 8), lead(5, 0.75, 4))


OUTAGE = float(os.environ.get("AIOELECTION_OUTAGE", "5"))
"""Seconds; 20 and 60 are to be seen now and then, but not in every run."""


@pytest.mark.timeout(60 + OUTAGE)
async def test_row_19_etcd_stopped_and_started(new_etcd: EtcdFactory, unique_key: str, measure: Measure) -> None:
    ttl = 2
    async with new_etcd(members=3) as etcd, connect(etcd.endpoints) as client:
        back: dict[str, float] = {}

        async def read() -> None:
            while True:
                with contextlib.suppress(Unavailable):
                    await get_leader(client, unique_key)
                    back["read"] = time.monotonic()
                    return

        async def win() -> Any:
            term = await Leadership(client, unique_key + "/new").campaign(60, b"a")
            back["campaign"] = time.monotonic()
            return term

        observer = observe(client, unique_key)
        async with serving(client, unique_key, ttl) as server:
            assert await anext(observer) is not None
            await asyncio.gather(*(member.stop() for member in etcd.members))
            first: Vigil = server.terms[0]
            await asyncio.sleep(OUTAGE - 1)
            await eventually(lambda: first.lost_at)
            measure.took("lost after the deadline", first.lost_late, 0.1)
            async with beside(read()), beside(win()) as winning:
                await asyncio.sleep(1)
                await asyncio.gather(*(member.start() for member in etcd.members))
                returned = time.monotonic()
                await soon(winning, 10)
                await eventually(lambda: observer.stale_for() == 0 and "read" in back)
                measure.took("observing again", time.monotonic() - returned, 1, since=returned)
                for what, moment in back.items():
                    measure.took(what, moment - returned, 1, since=returned)
            # Its old key was held by a lease that etcd has prolonged by its TTL, and sweeps within half a second more.
            await eventually(lambda: server.leads, 20)
            measure.took("elected again", time.monotonic() - returned, ttl + 0.5 + 1, since=returned)
