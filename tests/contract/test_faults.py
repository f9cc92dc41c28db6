"""What happens to three members, as far as both kinds can show it."""

from __future__ import annotations

import asyncio

import pytest

from aioelection._core.ops import Delete, Put, Txn
from aioelection._transport.port import GetReply, Overloaded
from aioelection.errors import OutcomeUnknown, Unavailable
from tests.contract.conftest import NewSide
from tests.contract.sides import TIMEOUT, MemorySide, Side


def time() -> float:
    return asyncio.get_running_loop().time()


async def read(side: Side, number: int, timeout: float = TIMEOUT) -> GetReply:
    return await side.connection(number).get(side.key, timeout=timeout)


async def answered(side: Side, number: int) -> GetReply:
    """Read until it succeeds."""
    async with asyncio.timeout(10):
        while True:
            try:
                return await read(side, number, 0.5)
            except Unavailable:
                await asyncio.sleep(0.05)


async def warm(side: Side) -> None:
    """Every connection stands."""
    for number in range(3):
        await read(side, number)


async def test_all_members_serve_and_tell_one_story(new_side: NewSide) -> None:
    async with new_side() as side:
        revision = (await side.txn(Put(side.key, b"1"), number=1)).header.revision
        headers = [(await read(side, number)).header for number in range(3)]
        assert len({header.member_id for header in headers}) == 3
        assert {(header.cluster_id, header.revision, header.raft_term) for header in headers} == {
            (headers[0].cluster_id, revision, headers[0].raft_term)
        }
        members = await side.connection(2).members(timeout=TIMEOUT)
        assert {str(endpoint) for endpoint in members.endpoints} == set(side.urls)


async def test_a_new_leader_has_a_new_raft_term_and_counts_leases_anew(new_side: NewSide) -> None:
    async with new_side() as side:
        lease = await side.grant(10)
        before = (await read(side, 0)).header.raft_term
        await asyncio.sleep(3)
        assert (await side.connection().lease_info(lease, timeout=TIMEOUT)).ttl <= 7
        await side.move_leader((await side.leader() + 1) % 3)
        await side.leader()
        assert (await read(side, 0)).header.raft_term == before + 1
        assert (await side.connection().lease_info(lease, timeout=TIMEOUT)).ttl == 10, "and an election timeout more"


async def test_a_frozen_follower_answers_nothing_and_the_others_go_on(new_side: NewSide) -> None:
    async with new_side() as side:
        await warm(side)
        frozen = (await side.leader() + 1) % 3
        other = (frozen + 1) % 3
        watch = await side.watch(frozen)
        await watch.create(side.key, 0)
        assert (await watch.receive()).created
        await side.pause(frozen)
        since = time()
        with pytest.raises(Unavailable):
            await read(side, frozen, 0.5)
        assert 0.5 <= time() - since <= 0.5 + side.slack
        with pytest.raises(OutcomeUnknown):
            await side.connection(frozen).txn(Txn((), (Put(side.key + b"x", b""),)), timeout=0.3)
        with pytest.raises(OutcomeUnknown):
            await side.connection(frozen).grant(0, 10, timeout=0.3)
        revision = (await side.txn(Put(side.key, b""), number=other)).header.revision
        side.resume(frozen)
        assert (await watch.receive()).events[0].kv.mod_revision == revision, "told late"
        assert (await read(side, frozen)).header.revision >= revision


async def test_a_frozen_leader_is_replaced_and_follows_when_it_goes_on(new_side: NewSide) -> None:
    async with new_side() as side:
        await warm(side)
        old = await side.leader()
        other = (old + 1) % 3
        term = (await read(side, other)).header.raft_term
        await side.pause(old)
        since = time()
        reply = await answered(side, other)
        assert 0.9 <= time() - since <= 5
        assert reply.header.raft_term > term
        side.resume(old)
        # A real one may say first that the leader changed.
        assert (await answered(side, old)).header.raft_term >= reply.header.raft_term, "on a slow machine one more"


async def test_a_renewal_that_a_follower_forwarded_to_a_frozen_leader_blocks_its_stream_only(
    new_side: NewSide,
) -> None:
    async with new_side() as side:
        await warm(side)
        lease = await side.grant(60)
        old = await side.leader()
        follower = (old + 1) % 3
        stream = await side.keep_alive(follower)
        await stream.send(lease)
        assert (await stream.receive()).ttl == 60
        await side.pause(old)
        await stream.send(lease)
        await asyncio.sleep(4)  # there is a new leader
        fresh = await side.keep_alive(follower)
        await fresh.send(lease)
        async with asyncio.timeout(2):
            assert (await fresh.receive()).ttl == 60
        blocked = asyncio.ensure_future(stream.receive())
        await asyncio.sleep(1)
        assert not blocked.done() or not isinstance(side, MemorySide), "a real one gives up earlier at times"
        side.resume(old)
        await asyncio.wait([blocked], timeout=10)
        assert blocked.done()
        blocked.exception()


async def test_a_killed_member_refuses_at_once_and_serves_again_when_started(new_side: NewSide) -> None:
    async with new_side() as side:
        await warm(side)
        killed = (await side.leader() + 1) % 3
        watch = await side.watch(killed)
        await watch.create(side.key, 0)
        assert (await watch.receive()).created
        await side.kill(killed)
        with pytest.raises(Unavailable):
            async with asyncio.timeout(1):
                await watch.receive()
        with pytest.raises(Unavailable):
            await read(side, killed, 3)
        await side.start(killed)
        await answered(side, killed)


async def test_without_a_quorum_requests_hang_and_streams_are_ended(new_side: NewSide) -> None:
    async with new_side() as side:
        await warm(side)
        survivor = await side.leader()
        watch, renewals = await side.watch(survivor), await side.keep_alive(survivor)
        await watch.create(side.key, 0)
        assert (await watch.receive()).created
        assert not (await side.connection(survivor).status(timeout=TIMEOUT)).leaderless
        others = [number for number in range(3) if number != survivor]
        for number in others:
            await side.pause(number)
        since = time()
        await asyncio.sleep(0.2)  # a signal takes a moment
        with pytest.raises(Unavailable):
            await read(side, survivor, 1)
        with pytest.raises(OutcomeUnknown):
            await side.connection(survivor).txn(Txn((), (Put(side.key, b"late"),)), timeout=1)
        for stream in (watch, renewals):
            with pytest.raises(Unavailable):
                async with asyncio.timeout(10):
                    await stream.receive()
        assert 2.5 <= time() - since <= 6
        assert (await side.connection(survivor).status(timeout=TIMEOUT)).leaderless
        refused = await side.watch(survivor)
        with pytest.raises(Unavailable):
            async with asyncio.timeout(1):
                await refused.create(side.key, 0)
                await refused.receive()
        for number in others:
            side.resume(number)
        await answered(side, survivor)


async def test_without_space_only_a_revoke_goes_through(new_side: NewSide) -> None:
    async with new_side() as side:
        lease = await side.grant(60)
        await side.put(side.key, b"", lease)
        await side.set_no_space(True)
        with pytest.raises(Overloaded):
            await side.put(side.key)
        if isinstance(side, MemorySide):  # a real one lets it pass while there are some bytes left
            with pytest.raises(Overloaded):
                await side.txn(Delete(side.key))
        with pytest.raises(Overloaded):
            await side.grant(60)
        stream = await side.keep_alive()
        await stream.send(lease)
        assert (await stream.receive()).ttl == 60
        await side.connection().revoke(lease, timeout=TIMEOUT)
        assert (await read(side, 0)).result.kv is None
        await side.set_no_space(False)
        await side.put(side.key)
