"""The library's own behaviour on both: elected, lost, handed over."""

from __future__ import annotations

import asyncio

import pytest
from aetcd.transactions import Create, Value
from aetcd.transactions import Delete as DeleteOperation
from aetcd.transactions import Put as PutOperation

from aioelection import (
    CampaignConflict,
    Leader,
    Leadership,
    LeadershipLost,
    Lease,
    LossReason,
    WatchEnd,
    get_leader,
    observe,
)
from aioelection._core.ops import Delete
from tests.contract.sides import TIMEOUT, Side


async def test_a_leader_is_elected_renews_and_resigns(side: Side) -> None:
    async with side.client() as client:
        leadership = Leadership(client, side.key)
        async with leadership.campaign(2, b"a") as term:
            assert leadership.check() and term.check()
            leader = await get_leader(client, side.key)
            assert leader is not None
            assert (leader.value, leader.create_revision, leader.lease_id) == (
                b"a",
                term.fencing_token,
                leadership.lease and leadership.lease.id,
            )
            await asyncio.sleep(4)
            assert term.check() and client.statistics().renewals >= 4
        assert not leadership.check() and await get_leader(client, side.key) is None


async def test_a_second_candidate_waits_and_takes_over_with_a_higher_token(side: Side) -> None:
    async with side.client() as first, side.client() as second:
        tokens = []
        async with Leadership(first, side.key).campaign(5, b"a") as term:
            waiting = asyncio.ensure_future(Leadership(second, side.key).campaign(5, b"b"))
            await asyncio.sleep(0.5)
            assert not waiting.done()
            tokens.append(term.fencing_token)
        async with asyncio.timeout(1):
            tokens.append((await waiting).fencing_token)
        assert tokens[0] < tokens[1]


async def test_a_single_attempt_tells_who_leads(side: Side) -> None:
    async with side.client() as client:
        await side.put(side.key, b"somebody")
        with pytest.raises(CampaignConflict) as conflict:
            await Leadership(client, side.key).campaign(5, b"b", wait=False)
        assert conflict.value.leader is not None and conflict.value.leader.value == b"somebody"
        with pytest.raises(CampaignConflict) as conflict:
            await Leadership(client, side.key + b"x").campaign(5, b"b", Value(side.key) == b"else", wait=False)
        assert conflict.value.leader is None


@pytest.mark.parametrize("reason", [LossReason.DELETED, LossReason.OVERWRITTEN, LossReason.REVOKED])
async def test_what_a_stranger_does_ends_the_term_within_a_second(side: Side, reason: LossReason) -> None:
    async with side.client() as client:
        leadership = Leadership(client, side.key)
        with pytest.raises(LeadershipLost) as lost:
            async with leadership.campaign(30, b"a"):
                await asyncio.sleep(0.3)
                match reason:
                    case LossReason.DELETED:
                        await side.txn(Delete(side.key))
                    case LossReason.OVERWRITTEN:
                        await side.put(side.key, b"a")
                    case LossReason.REVOKED:
                        assert leadership.lease is not None
                        await side.connection().revoke(leadership.lease.id, timeout=TIMEOUT)
                async with asyncio.timeout(1):
                    await asyncio.Event().wait()
        assert lost.value.reason is reason


async def test_a_term_that_nothing_renews_is_lost_before_its_key_goes(side: Side) -> None:
    async with side.client() as client:
        leadership = Leadership(client, side.key)
        term = await leadership.campaign(2, b"a")
        async with asyncio.timeout(3):
            await term.lost.wait()
        assert (await side.connection().get(side.key, timeout=TIMEOUT)).result.kv is not None
        await asyncio.sleep(1)
        assert (await side.connection().get(side.key, timeout=TIMEOUT)).result.kv is None


async def test_guarded_transactions_are_applied_in_the_term_only(side: Side) -> None:
    async with side.client() as client:
        leadership = Leadership(client, side.key)
        await leadership.campaign(30, b"a")
        txn = leadership.leader_txn(Create(side.key + b"x") == 0)
        result = await txn.then(PutOperation(side.key + b"x", b"1")).commit()
        assert result.succeeded
        late = leadership.leader_txn().then(DeleteOperation(side.key + b"x"))
        await side.put(side.key, b"stolen")
        assert not (await late.commit()).succeeded


async def test_a_shared_lease_carries_many_and_each_resigns_alone(side: Side) -> None:
    async with side.client() as client:
        lease = Lease(client)
        await lease.grant(30)
        keys = [side.key + b"%d" % number for number in range(3)]
        leaderships = [Leadership(client, key) for key in keys]
        for leadership in leaderships:
            await leadership.campaign(30, b"a", lease=lease)
        await leaderships[0].resign()
        assert [leadership.check() for leadership in leaderships] == [False, True, True]
        assert await get_leader(client, keys[0]) is None and await get_leader(client, keys[1]) is not None
        await lease.close()
        assert await get_leader(client, keys[1]) is None


async def test_observers_and_watches_follow(side: Side) -> None:
    async with side.client() as client, side.client() as other:
        told: list[Leader | None] = []

        async def follow() -> None:
            observer = observe(other, side.key)
            while True:
                told.append(await anext(observer))

        following = asyncio.ensure_future(follow())
        leadership = Leadership(client, side.key)
        await asyncio.sleep(0.3)
        term = await leadership.campaign(5, b"a")
        watching = asyncio.ensure_future(Leadership(other, side.key).watch(term.fencing_token))
        await asyncio.sleep(0.3)
        await leadership.resign()
        async with asyncio.timeout(1):
            assert await watching is WatchEnd.GONE
        await asyncio.sleep(0.3)
        following.cancel()
        assert [leader and leader.value for leader in told] == [None, b"a", None]
