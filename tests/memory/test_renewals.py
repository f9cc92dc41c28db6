"""Renewals: late ones are hedged on fresh streams, lost ones are repeated, disproven ones do not count."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, Leadership, Lease, LeaseExpired, LossReason, State
from aioelection._transport.pool import LINGER
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, leader_of, throughout, time, until

KEY = "/renewals/leader"
T = 5


async def test_a_renewal_takes_one_exchange_and_one_read_every_third_of_the_ttl(
    etcd: MemoryEtcd, client: Client
) -> None:
    async with Leading(client, KEY, 30) as leading:
        term = await leading.elected()
        await asyncio.sleep(100.5)
        assert term.check() and client.statistics().renewals == 10
        statistics = client.statistics()
        assert statistics.hedged_renewals == statistics.reconnects == statistics.disproven == 0


async def test_a_late_renewal_is_asked_of_the_next_member_on_a_fresh_stream(etcd: MemoryEtcd, client: Client) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(T / 3 - 0.1)
        used = client.endpoints[0]
        frozen = next(member for member in etcd.members if member.client_url == used)
        for link in [etcd.link(client, frozen)]:
            link.drop()
        await asyncio.sleep(0.1 + 0.15 + 0.05)
        assert term.remaining() > T - 0.4, "renewed elsewhere, 150 ms late"
        assert client.statistics().hedged_renewals == 1 and client.endpoints[0] != used
        await throughout(60, term.check)
        assert client.statistics().hedged_renewals == 1, "the next renewals go where the last one was answered"


@pytest.mark.parametrize("frozen", ["leader", "follower"])
@pytest.mark.parametrize("seconds", [0.5, 2.5, 7.0, 60.0])
async def test_a_frozen_member_costs_no_leadership(
    etcd: MemoryEtcd, client: Client, frozen: str, seconds: float
) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        for number in range(10):
            await asyncio.sleep(3 + 0.37 * number)
            member = leader_of(etcd) if frozen == "leader" else etcd.followers[number % 2]
            etcd.pause(member)
            await throughout(seconds, term.check)
            etcd.resume(member)
        await asyncio.sleep(3)
        assert term.check() and leading.leadership.state is State.LEADING
        assert etcd.raft_term == (12 if frozen == "leader" and seconds > 1 else 2)


async def test_a_killed_or_isolated_member_costs_no_leadership(etcd: MemoryEtcd, client: Client) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        for number in range(10):
            member = leader_of(etcd) if number % 2 else etcd.followers[0]
            etcd.kill(member)
            await throughout(4, term.check)
            etcd.start(member)
            await throughout(1, term.check)
            member = leader_of(etcd) if number % 3 else etcd.followers[1]
            etcd.isolate(member)
            await throughout(6, term.check)
            etcd.heal(member)
            await throughout(3, term.check)


async def test_a_rolling_restart_costs_no_leadership(etcd: MemoryEtcd, client: Client) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        for member in etcd.members:
            etcd.kill(member)
            await throughout(2, term.check)
            etcd.start(member)
            await throughout(3, term.check)


async def test_leader_moves_cost_renewals_and_no_leadership(etcd: MemoryEtcd, client: Client) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        for number in range(30):
            etcd.move_leader(etcd.members[number % 3])
            await throughout(0.31, term.check)
        assert leading.leadership.state is State.LEADING


async def test_an_acknowledgement_from_before_a_leader_change_is_disproven_and_repeated_at_once(
    etcd: MemoryEtcd, client: Client
) -> None:
    async with Leading(client, KEY, 30) as leading:
        term = await leading.elected()
        await asyncio.sleep(9)
        with etcd.hold("get", client=client) as held:
            await until(lambda: client.statistics().renewals == 1)
            await asyncio.sleep(0.1)  # the acknowledgement is being proven
            etcd.move_leader(etcd.followers[0])
            held.drop()
            since = time()
            assert term.remaining() < 20
        await until(lambda: client.statistics().disproven == 1, 1.5)
        await until(lambda: term.remaining() > 28, 0.5)
        assert time() - since < 1.5, "an attempt at the read, and a round trip"


async def test_an_isolated_leader_is_not_asked_again_once_it_was_disproven(etcd: MemoryEtcd, client: Client) -> None:
    """Cut off from the others it acknowledges for up to two election timeouts."""
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(T / 3 - 1.2)
        assert client.endpoints[0] == leader_of(etcd).client_url
        etcd.isolate(leader_of(etcd))
        await asyncio.sleep(1.2 + 0.3)
        assert client.statistics().disproven == 1 and term.remaining() > T - 0.5
        await throughout(20, term.check)


async def test_an_answer_to_what_was_asked_before_proves_nothing() -> None:
    """It tells the Raft term as it was before the acknowledgement, not after."""
    async with MemoryEtcd(election_timeout=0.3) as etcd, etcd.client() as client:
        old = leader_of(etcd)
        async with Leading(client, KEY, T) as leading:
            term = await leading.elected()
            await asyncio.sleep(T / 3 - 0.1)
            with etcd.hold("get", when="after", client=client) as held:
                reading = asyncio.ensure_future(client.hub.pool.get(KEY.encode(), timeout=1))
                await held.reached()
                etcd.pause(old)
                for link in etcd.links(client, but=[old]):
                    link.drop()
                await asyncio.sleep(0.5)
                assert leader_of(etcd) is not old
                etcd.resume(old)
                await until(lambda: client.statistics().renewals, 0.05)
                etcd.link(client, old).drop("requests")
                believed = term.remaining()
                held.release()
                assert (await reading).header.raft_term == etcd.raft_term - 1
            await asyncio.sleep(0.1)
            assert term.remaining() < believed


async def test_one_read_proves_all_leases(etcd: MemoryEtcd, client: Client) -> None:
    leases = [Lease(client) for _ in range(100)]
    await asyncio.gather(*(lease.grant(30) for lease in leases))
    keeping = [asyncio.ensure_future(lease.keep_alive()) for lease in leases]
    await asyncio.sleep(5)
    with etcd.hold("get", client=client) as held:
        await asyncio.sleep(6)
        assert held.arrived < 20, "reads that nobody answers, and their hedges"
        assert client.statistics().renewals == 100 and max(lease.remaining() for lease in leases) < 25
    await asyncio.sleep(1)
    assert min(lease.remaining() for lease in leases) > 20
    assert client.statistics().streams <= 2
    for lease in leases:
        await lease.close()
    await asyncio.gather(*keeping)
    assert etcd.leases == {}


async def test_renewals_that_come_one_after_the_other_are_proven_together(etcd: MemoryEtcd, client: Client) -> None:
    leases = [Lease(client) for _ in range(20)]
    for lease in leases:
        await lease.grant(30)
        await asyncio.sleep(0.001)
    keeping = [asyncio.ensure_future(lease.keep_alive()) for lease in leases]
    with etcd.hold("get", when="after", client=client) as held:
        await held.reached()
        assert client.statistics().renewals == 20
        held.release()
        await until(lambda: min(lease.remaining() for lease in leases) > 29, 0.04)
        assert held.arrived == 1
    for lease in leases:
        await lease.close()
    await asyncio.gather(*keeping)


async def test_a_ttl_of_0_is_no_loss_while_the_key_is_there(etcd: MemoryEtcd, client: Client) -> None:
    """A deposed leader does not know what was granted after it had been frozen."""
    old = leader_of(etcd)
    etcd.pause(old)
    await asyncio.sleep(1.5)
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        for link in etcd.links(client, but=[old]):
            link.drop("replies")
        await asyncio.sleep(2.4)
        etcd.resume(old)
        await throughout(20, term.check)


async def test_a_lease_that_was_revoked_is_lost_at_the_next_renewal_where_nothing_watches(
    etcd: MemoryEtcd, client: Client
) -> None:
    lease = Lease(client)
    await lease.grant(30)
    keeping = asyncio.ensure_future(lease.keep_alive())
    await asyncio.sleep(1)
    etcd.revoke(lease.id)
    since = time()
    with pytest.raises(LeaseExpired):
        await keeping
    assert time() - since < 10.1


@pytest.mark.parametrize("direction", ["requests", "replies"])
async def test_out_of_reach_it_suspends_and_is_lost_at_the_deadline(
    etcd: MemoryEtcd, client: Client, direction: str
) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(T / 3 + 0.1)
        deadline = time() + term.remaining()
        for link in etcd.links(client):
            link.drop("requests" if direction == "requests" else "replies")
        await asyncio.sleep(3)
        assert leading.leadership.state is State.SUSPENDED and term.check()
        await term.lost.wait()
        assert time() == pytest.approx(deadline, abs=0.01) and term.loss_reason is LossReason.EXPIRED


async def test_without_a_quorum_it_is_lost_by_the_deadline_and_won_again_after(
    etcd: MemoryEtcd, client: Client
) -> None:
    leadership = Leadership(client, KEY)
    terms = []

    async def serve(term: object) -> None:
        terms.append(term)
        await asyncio.Event().wait()

    running = asyncio.ensure_future(leadership.run(serve, T, b"a"))
    await asyncio.sleep(3)
    for member in etcd.followers:
        etcd.pause(member)
    await asyncio.sleep(T)
    assert not leadership.check()
    await asyncio.sleep(10)
    for member in etcd.members:
        etcd.resume(member)
    since = time()
    await until(lambda: len(terms) == 2, T + 4)
    assert time() - since <= T + 3
    running.cancel()
    await asyncio.wait([running])


async def test_a_slow_network_costs_nothing(etcd: MemoryEtcd, client: Client) -> None:
    for link in etcd.links(client):
        link.delay = 0.35  # a round trip just below T / 6
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await throughout(120, term.check)
        assert leading.leadership.state is State.LEADING


async def test_a_lease_is_believed_from_when_its_renewal_was_sent(etcd: MemoryEtcd, client: Client) -> None:
    for link in etcd.links(client):
        link.delay = 0.25
    longest = 0.0
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        for _ in range(2000):
            await asyncio.sleep(0.01)
            longest = max(longest, term.remaining())
    assert longest == pytest.approx(0.995 * T - 0.1 - 2 * 0.5, abs=0.02), "a renewal and its proof, there and back"


async def test_etcd_gone_for_a_minute_is_come_back_to_within_a_second(etcd: MemoryEtcd, client: Client) -> None:
    leadership = Leadership(client, KEY)
    for member in etcd.members:
        etcd.kill(member)
    campaign = asyncio.ensure_future(leadership.campaign(T, b"a"))
    await asyncio.sleep(60)
    for member in etcd.members:
        etcd.start(member)
    since = time()
    await campaign
    assert time() - since < 1 + 1.5, "an election, and a second"


async def test_who_stands_again_soon_finds_the_streams_open(etcd: MemoryEtcd, client: Client) -> None:
    for _ in range(5):
        async with Leadership(client, KEY).campaign(T, b"a"):
            await asyncio.sleep(2)
        await asyncio.sleep(LINGER / 2)
        assert client.statistics().streams == 2
    await asyncio.sleep(LINGER)
    assert client.statistics().streams == 0
    assert not any(member.on_event for member in etcd.members), "the last watch is gone with its stream"


@pytest.mark.parametrize("steps", range(12))
async def test_a_lease_is_renewed_that_comes_while_the_last_stream_is_closed(client: Client, steps: int) -> None:
    """At whichever step of the closing it comes."""
    first, second = Lease(client, "first"), Lease(client, "second")
    await first.grant(T)
    await second.grant(30)
    with first.life.kept():
        await asyncio.sleep(2)
    await asyncio.sleep(LINGER)
    for _ in range(steps):
        await asyncio.sleep(0)
    with second.life.kept():
        await asyncio.sleep(60)
        assert not second.is_expired()
