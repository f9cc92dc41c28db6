"""Candidates of one process for one key: one stands, the others wait for its place."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from aetcd.transactions import Create, Put, Value

from aioelection import Campaign, Client, InvalidState, Leadership, Lease, LeaseExpired, State, Term
from aioelection.testing import Hold, MemoryEtcd
from tests.memory.helpers import throughout, until

KEY = "/line/leader"


def stand(client: Client, value: bytes = b"a") -> Campaign:
    return Leadership(client, KEY).campaign(60, value)


@contextlib.asynccontextmanager
async def standing(*campaigns: Campaign) -> AsyncIterator[list[asyncio.Task[Term]]]:
    """They have joined in this order; what is left of them is cancelled."""
    tasks = [asyncio.ensure_future(each) for each in campaigns]
    await asyncio.sleep(0.1)
    try:
        yield tasks
    finally:
        for each in tasks:
            each.cancel()
        await asyncio.wait(tasks)


async def test_row_39_a_thousand_candidates_cost_what_two_cost(etcd: MemoryEtcd, client: Client) -> None:
    """One leads, and one waits with a lease granted; each hand-over wakes one."""
    terms: list[Term] = []
    leading: set[Term] = set()

    async def lead(campaign: Campaign) -> None:
        async with campaign as term:
            leading.add(term)
            assert len(leading) == 1, "one at a time"
            terms.append(term)
            await asyncio.sleep(0.02)
            leading.discard(term)

    async def counted(held: Hold) -> None:
        while True:
            await held.reached(held.arrived + 1)
            held.release()

    with etcd.hold("txn") as held:
        counting = asyncio.ensure_future(counted(held))
        crowd = [asyncio.ensure_future(lead(stand(client))) for _ in range(1000)]
        while not all(each.done() for each in crowd):
            await asyncio.sleep(0.01)
            statistics = client.statistics()
            assert len(etcd.leases) <= 3 and statistics.watches <= 1 and statistics.listeners <= 2
        transactions = held.arrived
        counting.cancel()
    await asyncio.gather(*crowd)
    tokens = [term.fencing_token for term in terms]
    assert len(tokens) == 1000 and tokens == sorted(set(tokens))
    assert transactions <= 2 * 1000, "each stands once in vain and once to win, at most"


async def test_those_who_wait_are_following(client: Client) -> None:
    leaderships = [Leadership(client, KEY) for _ in range(4)]
    async with standing(*(each.campaign(60, b"a") for each in leaderships)) as tasks:
        await tasks[0]
        assert [each.state for each in leaderships] == [State.LEADING] + 3 * [State.FOLLOWING]
        await leaderships[0].resign()
        await tasks[1]
        await asyncio.sleep(0.1)  # the next looks once
        assert [each.state for each in leaderships] == [State.IDLE, State.LEADING] + 2 * [State.FOLLOWING]
        await leaderships[1].resign()


@pytest.mark.parametrize("gone", [1, 2])
async def test_one_that_gives_up_leaves_its_place_to_the_next(etcd: MemoryEtcd, client: Client, gone: int) -> None:
    leadership = Leadership(client, KEY)
    await leadership.campaign(60, b"first")
    async with standing(*(stand(client, b"%d" % number) for number in range(1, 4))) as tasks:
        tasks[gone - 1].cancel()
        await asyncio.sleep(1)
        assert len(etcd.leases) == 2, "the leader's, and that of the first in line"
        await leadership.resign()
        await (tasks[1] if gone == 1 else tasks[0])
        kv = etcd.get(KEY)
        assert kv is not None and kv.value == (b"2" if gone == 1 else b"1")


async def test_one_that_cannot_win_now_lets_others_go_first(etcd: MemoryEtcd, client: Client) -> None:
    flag = "/line/flag"
    held_back = Leadership(client, KEY).campaign(60, b"held back", Value(flag) == b"go")
    other = Leadership(client, KEY)
    async with standing(held_back, other.campaign(60, b"other")) as (waiting, winning):
        assert (await asyncio.wait_for(winning, 3)).check()
        setter = Leadership(client, flag)
        async with setter.campaign(60, b"go"):
            await asyncio.sleep(1)
            assert not waiting.done()
            await other.resign()
            assert (await asyncio.wait_for(waiting, 3)).check()


async def test_alone_it_tries_again(etcd: MemoryEtcd, client: Client) -> None:
    flag = "/line/flag"
    async with standing(Leadership(client, KEY).campaign(60, b"a", Create(flag) > 0)) as (waiting,):
        await throughout(5, lambda: not waiting.done())
        leadership = Leadership(client, "/line/other")
        async with leadership.campaign(60, b"b"):
            await leadership.leader_txn().then(Put(flag, "")).commit()
            assert (await asyncio.wait_for(waiting, 1.5)).check()


async def test_a_single_attempt_waits_in_no_line(client: Client) -> None:
    leadership = Leadership(client, KEY)
    await leadership.campaign(60, b"first")
    async with standing(stand(client), stand(client)) as tasks:
        await leadership.resign()
        await tasks[0]
        with pytest.raises(Exception, match=r"^b'a' leads"):
            await asyncio.wait_for(Leadership(client, KEY).campaign(60, b"once", wait=False), 1)


async def test_closing_the_client_ends_all_of_them(client: Client) -> None:
    async with standing(*(stand(client) for _ in range(50))) as tasks:
        await client.aclose()
        await until(lambda: all(each.done() for each in tasks), 1)
        assert isinstance(await tasks[0], Term)
        assert all(isinstance(each.exception(), InvalidState) for each in tasks[1:])


async def test_a_shared_lease_that_ends_is_noticed_in_line(client: Client) -> None:
    lease = Lease(client)
    await lease.grant(60)
    shared = Leadership(client, KEY).campaign(60, b"shared", lease=lease)
    async with standing(stand(client), stand(client), shared) as tasks:
        await lease.close()
        with pytest.raises(LeaseExpired):
            await asyncio.wait_for(tasks[2], 1)
        assert not tasks[1].done()


async def test_the_line_is_forgotten_with_its_last_candidate(client: Client) -> None:
    async with standing(stand(client), stand(client)):
        assert len(client.hub._lines) == 1
    await asyncio.sleep(0)
    assert not client.hub.line(KEY.encode())._waiting
