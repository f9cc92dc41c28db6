"""Requests held before and after they are handled: what a cancellation there leaves behind is nothing."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, Leadership, Lease, OutcomeUnknown, Unavailable
from aioelection.testing import MemoryEtcd
from aioelection.testing._link import When
from tests.memory.helpers import Leading, until

KEY = "/holds/leader"
BEFORE_AND_AFTER = pytest.mark.parametrize("when", ["before", "after"])


@BEFORE_AND_AFTER
async def test_a_campaign_that_is_cancelled_while_its_transaction_is_under_way_leaves_nothing(
    etcd: MemoryEtcd, client: Client, when: When
) -> None:
    with etcd.hold("txn", when=when) as held:
        campaign = asyncio.ensure_future(Leadership(client, KEY).campaign(30, b"a"))
        await held.reached()
        assert (etcd.get(KEY) is None) == (when == "before")
        campaign.cancel()
        await asyncio.wait([campaign])
        assert etcd.leases == {} and etcd.get(KEY) is None
    await asyncio.sleep(1)
    assert etcd.leases == {} and etcd.get(KEY) is None, "handled late, it finds its lease revoked"


@BEFORE_AND_AFTER
async def test_a_grant_that_is_cancelled_leaves_no_key_and_its_lease_for_its_time_at_most(
    etcd: MemoryEtcd, client: Client, when: When
) -> None:
    with etcd.hold("grant", when=when) as held:
        granting = asyncio.ensure_future(Lease(client).grant(30))
        await held.reached()
        granting.cancel()
        await asyncio.wait([granting])
        assert etcd.leases == {}
    await asyncio.sleep(1)
    assert len(etcd.leases) == (when == "before"), "a grant that is handled after its revoke"
    await asyncio.sleep(30)
    assert etcd.leases == {}


@BEFORE_AND_AFTER
async def test_on_a_shared_lease_a_key_that_comes_late_is_deleted(etcd: MemoryEtcd, client: Client, when: When) -> None:
    lease = Lease(client)
    await lease.grant(30)
    keeping = asyncio.ensure_future(lease.keep_alive())
    with etcd.hold("txn", when=when, client=client) as held:
        campaign = asyncio.ensure_future(Leadership(client, KEY).campaign(30, b"a", lease=lease))
        await held.reached()
        campaign.cancel()
        await asyncio.wait([campaign])
        await asyncio.sleep(10)
    await until(lambda: etcd.revision >= 3, 1)
    await asyncio.sleep(1)
    assert etcd.get(KEY) is None and len(etcd.leases) == 1
    await lease.close()
    await keeping


async def test_looking_for_such_a_key_is_not_all_that_is_done(etcd: MemoryEtcd, client: Client) -> None:
    """For as long as the lease lives, which may be for ever."""
    lease = Lease(client)
    await lease.grant(600)
    lease.life.sweep(KEY.encode())
    with etcd.hold("get") as held:

        async def let_go() -> None:
            while True:
                await held.reached(held.arrived + 1)
                held.release()

        letting_go = asyncio.ensure_future(let_go())
        await asyncio.sleep(100)
        assert 100 <= held.arrived <= 3 * 100 + 5, "two a second, and one of the watch's"
        letting_go.cancel()
    await lease.close()


@BEFORE_AND_AFTER
async def test_an_unanswered_campaign_is_won_or_nothing(etcd: MemoryEtcd, client: Client, when: When) -> None:
    with etcd.hold("txn", when=when) as held:
        campaign = asyncio.ensure_future(Leadership(client, KEY).campaign(30, b"a", wait=False))
        await held.reached()
        held.drop()
        if when == "before":
            with pytest.raises(Unavailable):
                await campaign
            assert etcd.leases == {} and etcd.get(KEY) is None
        else:
            kv = etcd.get(KEY)
            assert kv is not None and (await campaign).fencing_token == kv.create_revision


@BEFORE_AND_AFTER
async def test_a_guarded_transaction_that_is_not_answered_is_not_sent_again(
    etcd: MemoryEtcd, client: Client, when: When
) -> None:
    leadership = Leadership(client, KEY)
    async with leadership.campaign(30, b"a"):
        with etcd.hold("txn", when=when) as held:
            committing = asyncio.ensure_future(leadership.leader_txn().commit())
            await held.reached()
            held.drop()
            with pytest.raises(OutcomeUnknown):
                await committing
            assert held.arrived == 1


async def test_lost_replies_end_a_term_at_its_deadline_though_etcd_renews_it(etcd: MemoryEtcd, client: Client) -> None:
    async with Leading(client, KEY) as leading:
        term = await leading.elected()
        with etcd.hold("keep_alive", when="after", client=client):
            async with asyncio.timeout(5):
                await term.lost.wait()
            assert etcd.get(KEY) is not None
