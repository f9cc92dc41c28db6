"""Rare moments: hooks that act, terms that nobody keeps, renewals and health that fail together, a closing client."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import partial
from typing import Any

import pytest

from aioelection import (
    Client,
    InvalidConfiguration,
    Leadership,
    LeadershipLost,
    Lease,
    NotLeader,
    State,
    Term,
    leader_record,
    request_resign,
)
from aioelection._core.events import Event, RenewalAnswered, RenewalFailed, RenewalSent, TermSuspended
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, hold_renewals, links_by_url, throughout, time, until
from tests.support import beside

KEY = "/rare/leader"
T = 6


async def test_a_hedge_that_was_not_needed_does_not_stop_the_next_renewal_from_being_hedged(
    etcd: MemoryEtcd, client: Client
) -> None:
    links = links_by_url(etcd, client)
    hold = partial(hold_renewals, etcd)

    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        used = links[client.endpoints[0]]
        with hold("before", *(link for link in links.values() if link is not used)) as hedge:
            with hold("after", used) as first:
                await first.reached()
                await hedge.reached()
            await until(lambda: term.remaining() > T - 0.5)  # answered by the first, late
            links[client.endpoints[0]].drop()  # the member that was asked as well is frozen
        hedges = client.statistics().hedged_renewals
        end = time() + T / 3 + 0.5
        while time() < end:
            assert leading.leadership.state is State.LEADING, "a frozen follower costs 150 ms, not an attempt"
            await asyncio.sleep(0.02)
        assert client.statistics().hedged_renewals == hedges + 1 and term.remaining() > T - 1


async def test_keep_called_again_does_not_renew_for_an_application_that_hangs(etcd: MemoryEtcd, client: Client) -> None:
    asked = 0

    async def hangs() -> None:
        nonlocal asked
        asked += 1
        await asyncio.Event().wait()

    leadership = Leadership(client, KEY)
    term = await leadership.campaign(T, b"me", health=hangs)
    since = time()
    while term.check() and time() - since < 10 * T:
        with suppress(TimeoutError, LeadershipLost):
            async with asyncio.timeout(T / 2):
                await leadership.keep()
    assert time() - since <= 5 / 3 * T + 0.1


async def test_a_term_that_is_won_while_renewals_fail_is_suspended(etcd: MemoryEtcd, client: Client) -> None:
    lease = Lease(client)
    await lease.grant(12)
    one, two = Leadership(client, KEY), Leadership(client, KEY + "/2")
    async with one.campaign(12, b"me", lease=lease):
        with etcd.hold("keep_alive"):
            await until(lambda: one.state is State.SUSPENDED)
            async with two.campaign(12, b"me", lease=lease):
                assert two.state is State.SUSPENDED
                await throughout(0.5, lambda: one.state is two.state is State.SUSPENDED)
    await lease.close()


async def test_health_does_not_end_a_suspension_while_renewals_fail(etcd: MemoryEtcd, client: Client) -> None:
    well = True
    leadership = Leadership(client, KEY)
    async with leadership.campaign(30, b"me", health=lambda: well) as term:
        with etcd.hold("keep_alive") as held:
            await until(lambda: leadership.state is State.SUSPENDED, 15)
            well = False
            await asyncio.sleep(11)
            well = True
            while term.remaining() > 2:
                assert leadership.state is State.SUSPENDED
                await asyncio.sleep(0.02)
                if term.remaining() < 5:
                    break
            assert held.arrived


async def test_a_closed_client_watches_nothing(etcd: MemoryEtcd) -> None:
    etcd.put(KEY, b"rival", etcd.grant(600))
    before = asyncio.all_tasks()
    async with etcd.client() as client:
        leadership = Leadership(client, KEY)
        with etcd.hold("txn", when="after", client=client) as held:
            async with beside(leadership.campaign(T, b"me")):
                await held.reached()
                closing = asyncio.ensure_future(client.aclose())
                await asyncio.sleep(0.1)
                held.release()
                await closing
                left = asyncio.all_tasks() - before - {closing}
                names = [repr(task) for task in left]
                assert not [n for n in names if "WatchPump" in n or "Lane" in n], names


@pytest.mark.parametrize("event", [TermSuspended, RenewalSent, RenewalAnswered, RenewalFailed])
async def test_a_hook_may_give_up_a_lease(etcd: MemoryEtcd, event: type[Event]) -> None:
    """As what it starts does at once, where the event loop's tasks are eager (Python 3.12)."""
    leases: list[Lease] = []

    def hook(told: Event) -> None:
        if isinstance(told, event) and leases and getattr(told, "key", None) == (KEY + "/2").encode():
            leases.pop().life.give_up()  # the first step of ``close`` and of ``resign``

    async with etcd.client(hooks=hook) as client:
        one, two = Leadership(client, KEY), Leadership(client, KEY + "/2")
        async with one.campaign(30, b"x"):
            await two.campaign(T, b"x")
            async with beside(two.keep()):
                assert two.lease is not None
                leases.append(two.lease)
                if event in (TermSuspended, RenewalFailed):
                    with etcd.hold("keep_alive", client=client):
                        await until(lambda: not leases)
                else:
                    await until(lambda: not leases)
                await throughout(60, one.check)


async def test_a_grant_that_is_answered_while_the_client_closes_is_not_believed(etcd: MemoryEtcd) -> None:
    async with etcd.client() as client:
        lease = Lease(client)

        async def lasts() -> None:
            """Such as the resignation that ``heed`` is at."""
            try:
                await asyncio.Event().wait()
            finally:
                await asyncio.sleep(0.5)

        client.hub.spawn(lasts())
        with etcd.hold("grant", when="after", client=client) as held:
            async with beside(lease.grant(T)):
                await held.reached()
                closing = asyncio.ensure_future(client.aclose())
                await asyncio.sleep(0.2)
                held.release()
                await closing
                assert lease.is_expired()
    await asyncio.sleep(0.2)
    assert not etcd.leases


async def test_requests_to_resign_are_watched_no_longer_than_the_term(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    async def serve(term: Term) -> None:
        await asyncio.Event().wait()

    leadership = Leadership(client, KEY)
    async with beside(leadership.run(serve, T, b"a", heed_resign=True)) as run:
        await until(leadership.check)
        await asyncio.sleep(1)
        await request_resign(other_client, KEY)
        await asyncio.sleep(5)
    await asyncio.sleep(2)
    assert run.done() and client.hub.watches.listeners == 0


@pytest.mark.parametrize(
    "wrong", [{"identity": "\ud800"}, {"version": "\ud800"}, {"metadata": ["a"]}, {"metadata": {"a": "\ud800"}}]
)
def test_a_record_that_cannot_be_written_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidConfiguration, match=next(iter(wrong))):
        leader_record(**wrong)


@pytest.mark.parametrize("how", ["delete", "overwrite"])
async def test_a_term_lost_while_nobody_keeps_it_does_not_bar_its_shared_lease(
    etcd: MemoryEtcd, client: Client, how: str
) -> None:
    lease = Lease(client)
    await lease.grant(30)
    leadership = Leadership(client, KEY)
    term = await leadership.campaign(30, b"me", lease=lease)
    if how == "overwrite":
        etcd.put(KEY, b"stranger", etcd.grant(3))
    else:
        etcd.delete(KEY)
    with pytest.raises(NotLeader):
        await leadership.proclaim(b"still me")
    await until(term.lost.is_set)
    assert leadership.state is State.IDLE
    async with asyncio.timeout(10):
        again = await leadership.campaign(30, b"me", lease=lease)
    assert again.check() and again.fencing_token > term.fencing_token
    await leadership.resign()
    assert etcd.get(KEY) is None
    await lease.close()
