"""The stale acknowledgement, and what it does where it is believed (rule 1 of the design).

etcd's leader is frozen with a renewal waiting on it, and replaced. Before the first client's deadline it goes on, and
acknowledges the renewal from its old Raft term. The new leader knows nothing of that, and expires the lease.
"""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, LossReason
from aioelection._core.ledger import Ledger
from aioelection._transport.keepalive import KeepAlivePump
from aioelection.testing import Member, MemoryEtcd
from tests.memory.helpers import Leading, leader_of, until

KEY = "/stale/leader"
T = 30


class Credulous(Ledger[int]):
    """Believes every acknowledgement as it arrives, as most clients of etcd do."""

    def __init__(self, pump: KeepAlivePump) -> None:
        super().__init__()
        self._pump = pump

    def hold(self, lease: int, sent: float, ttl: int, raft_term: int) -> None:
        self._pump._leases[lease].acknowledged(sent, ttl)


def waits_for(client: Client, member: Member) -> bool:
    """Whether the client has asked that member to renew, and has no answer."""
    return any(lane.unanswered for lane in client.hub.renewals._lanes if lane.connection.endpoint == member.endpoint)


async def stale_acknowledgement(etcd: MemoryEtcd, client: Client) -> None:
    """Let the client receive one, and nothing else any more."""
    old = leader_of(etcd)
    term, renewals = etcd.raft_term, client.statistics().renewals
    etcd.pause(old)
    for link in etcd.links(client, but=[old]):
        link.cut()
    await asyncio.sleep(T / 2)
    assert leader_of(etcd) is not old and etcd.raft_term == term + 1
    etcd.resume(old)
    async with asyncio.timeout(0.01):
        while client.statistics().renewals == renewals:
            await asyncio.sleep(0.001)
    etcd.link(client, old).cut()


async def two_at_once(first: Leading, second: Leading) -> bool:
    """Whether both are leaders at some instant until the second has led for its TTL."""
    await second.elected()
    for _ in range(100 * T):
        if first.check() and second.check():
            return True
        await asyncio.sleep(0.01)
    return False


async def test_a_stale_acknowledgement_makes_no_second_leader(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    async with Leading(client, KEY, T) as first:
        term = await first.elected()
        async with Leading(other_client, KEY, T) as second:
            await asyncio.sleep(T / 3 + 0.1)  # renewed once
            await stale_acknowledgement(etcd, client)
            assert first.check(), "its deadline has not passed yet"
            assert not await two_at_once(first, second)
            assert term.loss_reason is LossReason.EXPIRED and not first.check()


async def test_believed_at_once_it_makes_two_leaders(
    etcd: MemoryEtcd, client: Client, other_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The danger is real: this is the test above with the protection taken out."""
    monkeypatch.setattr(client.hub.renewals, "_ledger", Credulous(client.hub.renewals))
    async with Leading(client, KEY, T) as first:
        await first.elected()
        async with Leading(other_client, KEY, T) as second:
            await asyncio.sleep(T / 3 + 0.1)  # renewed once
            await stale_acknowledgement(etcd, client)
            assert await two_at_once(first, second)


async def test_an_acknowledgement_that_comes_after_the_deadline_revives_nothing(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    old = leader_of(etcd)
    async with Leading(client, KEY, T) as first:
        term = await first.elected()
        async with Leading(other_client, KEY, T) as second:
            etcd.pause(old)
            for link in etcd.links(client, but=[old]):
                link.cut()
            await second.elected()
            etcd.resume(old)
            assert not await two_at_once(first, second)
            assert term.loss_reason is LossReason.EXPIRED


async def test_a_stale_acknowledgement_is_disproven_and_costs_a_renewal_only(etcd: MemoryEtcd, client: Client) -> None:
    """Not cut off, the client learns of the new Raft term by a read, and renews at once elsewhere."""
    old = leader_of(etcd)
    async with Leading(client, KEY, T) as first:
        term = await first.elected()
        await asyncio.sleep(T / 3 + 0.1)
        etcd.pause(old)
        for link in etcd.links(client, but=[old]):
            link.drop()
        await until(lambda: waits_for(client, old), T / 3)
        assert leader_of(etcd) is not old, "a new one has long been elected"
        for link in etcd.links(client):
            link.mend()
        etcd.resume(old)
        await until(lambda: client.statistics().disproven, 0.1)
        await until(lambda: term.remaining() > T - 1, 0.1)
        assert first.check()
