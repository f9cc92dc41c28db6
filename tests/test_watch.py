"""`Leadership.watch` on a real etcd: every way in which it returns."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aetcd.transactions import Put

from aioelection import Client, InvalidConfiguration, Leadership, WatchEnd, connect, get_leader
from tests.etcd import EtcdFactory
from tests.support import TTL, Proxy, Stranger, beside, freeze, soon, throughout


async def lead(stranger: Stranger, key: str, *, lease: int = 0) -> int:
    """Let the stranger lead; return the revision to watch from."""
    await stranger.put(key, b"leader", lease=lease)
    return int((await stranger.get(key)).mod_revision)


async def test_returns_when_the_client_was_closed_before(client: Client, stranger: Stranger, unique_key: str) -> None:
    revision = await lead(stranger, unique_key)
    await client.aclose()
    assert await soon(Leadership(client, unique_key).watch(revision)) is WatchEnd.CLOSED


async def test_returns_when_the_client_is_closed(client: Client, stranger: Stranger, unique_key: str) -> None:
    revision = await lead(stranger, unique_key)
    async with beside(Leadership(client, unique_key).watch(revision)) as watching:
        await throughout(0.1, lambda: not watching.done())
        await client.aclose()
        assert await soon(watching) is WatchEnd.CLOSED


async def test_returns_when_the_key_is_deleted(client: Client, stranger: Stranger, unique_key: str) -> None:
    revision = await lead(stranger, unique_key)
    async with beside(Leadership(client, unique_key).watch(revision)) as watching:
        await throughout(0.1, lambda: not watching.done())
        await stranger.delete(unique_key)
        assert await soon(watching, 1) is WatchEnd.GONE


async def test_returns_when_the_key_was_deleted_before_it_began(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    revision = await lead(stranger, unique_key)
    await stranger.delete(unique_key)
    assert await soon(Leadership(client, unique_key).watch(revision), 1) is WatchEnd.GONE
    await lead(stranger, unique_key)
    assert await soon(Leadership(client, unique_key).watch(revision), 1) is WatchEnd.GONE, "another term"


async def test_returns_when_the_leader_resigns_and_when_it_dies(
    client: Client, other_client: Client, unique_key: str
) -> None:
    leading, following = Leadership(client, unique_key), Leadership(other_client, unique_key)
    await leading.campaign(60, b"leader")
    leader = await get_leader(other_client, unique_key)
    assert leader is not None
    async with beside(following.watch(leader.revision)) as watching:
        await throughout(0.1, lambda: not watching.done())
        await leading.resign()
        assert await soon(watching, 1) is WatchEnd.GONE
    term = await leading.campaign(TTL, b"leader")
    assert await soon(following.watch(term.fencing_token), TTL + 1) is WatchEnd.GONE


async def test_from_revision_0_it_watches_whoever_leads(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    assert await soon(leadership.watch(0)) is WatchEnd.GONE, "nobody"
    await lead(stranger, unique_key)
    async with beside(leadership.watch(0)) as watching:
        await throughout(0.1, lambda: not watching.done())
        await stranger.delete(unique_key)
        assert await soon(watching, 1) is WatchEnd.GONE


@pytest.mark.parametrize("lease", ["none", "another"])
async def test_overwritten_with_the_primary_watch(
    client: Client, stranger: Stranger, unique_key: str, lease: str
) -> None:
    own = await stranger.grant(60)
    revision = await lead(stranger, unique_key, lease=own)
    leadership = Leadership(client, unique_key)
    leadership.set_primary_watch(True)
    async with beside(leadership.watch(revision)) as watching:
        await throughout(0.1, lambda: not watching.done())
        await stranger.put(unique_key, b"leader", lease=0 if lease == "none" else await stranger.grant(60))
        assert await soon(watching, 1) is WatchEnd.OVERWRITTEN
    assert await soon(leadership.watch(revision), 1) is WatchEnd.OVERWRITTEN, "also before it began"
    await stranger.delete(unique_key)


async def test_overwritten_without_the_primary_watch_it_goes_on(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    revision = await lead(stranger, unique_key, lease=await stranger.grant(60))
    async with beside(Leadership(client, unique_key).watch(revision)) as watching:
        await stranger.put(unique_key, b"other")
        await throughout(0.3, lambda: not watching.done())
        await stranger.delete(unique_key)
        assert await soon(watching, 1) is WatchEnd.GONE


async def test_a_put_under_the_same_lease_is_no_overwrite(client: Client, stranger: Stranger, unique_key: str) -> None:
    """So a leader proclaims a new value."""
    lease = await stranger.grant(60)
    revision = await lead(stranger, unique_key, lease=lease)
    leadership = Leadership(client, unique_key)
    leadership.set_primary_watch(True)
    async with beside(leadership.watch(revision)) as watching:
        await stranger.put(unique_key, b"proclaimed", lease=lease)
        await throughout(0.3, lambda: not watching.done())
        await stranger.put(unique_key, b"taken")
        assert await soon(watching, 1) is WatchEnd.OVERWRITTEN
    await stranger.delete(unique_key)


async def test_the_primary_watch_may_be_set_while_it_runs_and_cleared(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    revision = await lead(stranger, unique_key, lease=await stranger.grant(60))
    leadership = Leadership(client, unique_key)
    leadership.set_primary_watch(True)
    async with beside(leadership.watch(revision)) as watching:
        await leadership.reset()
        await stranger.put(unique_key, b"other")
        await throughout(0.3, lambda: not watching.done())
        leadership.set_primary_watch(True)
        await stranger.put(unique_key, b"another")
        assert await soon(watching, 1) is WatchEnd.OVERWRITTEN
    await stranger.delete(unique_key)


async def test_other_keys_do_not_matter(client: Client, stranger: Stranger, unique_key: str) -> None:
    revision = await lead(stranger, unique_key)
    leadership = Leadership(client, unique_key)
    leadership.set_primary_watch(True)
    async with beside(leadership.watch(revision)) as watching:
        for key in (unique_key + "/below", unique_key[:-1]):
            await stranger.put(key, b"x")
            await stranger.delete(key)
        await throughout(0.2, lambda: not watching.done())
        await stranger.delete(unique_key)
        assert await soon(watching, 1) is WatchEnd.GONE


# ---- the server


async def test_returns_when_the_server_stopped_before_and_when_it_stops(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client, connect(etcd.endpoints) as late:
        (member,) = etcd.members
        async with Stranger(etcd.endpoints[0]) as stranger:
            revision = await lead(stranger, unique_key)
        async with beside(Leadership(client, unique_key).watch(revision, patience=0.5)) as watching:
            await throughout(1.0, lambda: not watching.done())
            await member.kill()
            assert await soon(watching, 3) is WatchEnd.UNREACHABLE
        for start in (revision, 0):
            watch = Leadership(late, unique_key).watch(start, patience=0.5)
            assert await soon(watch, 3) is WatchEnd.UNREACHABLE


async def test_returns_when_the_server_is_frozen(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        async with Stranger(etcd.endpoints[0]) as stranger:
            revision = await lead(stranger, unique_key)
        async with beside(Leadership(client, unique_key).watch(revision, patience=0.5)) as watching:
            await throughout(0.2, lambda: not watching.done())
            await freeze(etcd.members[0])
            assert await soon(watching, 5) is WatchEnd.UNREACHABLE


async def test_an_outage_within_its_patience_is_ridden_out(new_etcd: EtcdFactory, unique_key: str) -> None:
    """What happened meanwhile is not missed."""
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        (member,) = etcd.members
        async with Stranger(etcd.endpoints[0]) as stranger:
            revision = await lead(stranger, unique_key)
        async with beside(Leadership(client, unique_key).watch(revision)) as watching:
            await throughout(0.2, lambda: not watching.done())
            await member.kill()
            await member.start()
            await throughout(0.5, lambda: not watching.done())
            async with Stranger(etcd.endpoints[0]) as stranger:
                await stranger.delete(unique_key)
            assert await soon(watching, 2) is WatchEnd.GONE


async def test_etcds_leader_moves_and_the_key_is_deleted_there(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd(members=3) as etcd:
        leader = await etcd.leader()
        (other, *_) = [member for member in etcd.members if member is not leader]
        async with connect(leader.client_url) as client, Stranger(leader.client_url) as stranger:
            revision = await lead(stranger, unique_key)
            async with beside(Leadership(client, unique_key).watch(revision)) as watching:
                await throughout(0.2, lambda: not watching.done())
                await etcd.ctl("--endpoints", leader.client_url, "move-leader", f"{other.id:x}")
                assert await etcd.leader() is other
                await throughout(0.2, lambda: not watching.done())
                await etcd.ctl("--endpoints", other.client_url, "del", unique_key)
                assert await soon(watching, 2) is WatchEnd.GONE


async def test_returns_when_quorum_is_lost(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd(members=3) as etcd:
        survivor, *others = etcd.members
        async with connect(survivor.client_url) as client, Stranger(survivor.client_url) as stranger:
            revision = await lead(stranger, unique_key)
            async with beside(Leadership(client, unique_key).watch(revision, patience=1.0)) as watching:
                await throughout(0.2, lambda: not watching.done())
                await asyncio.gather(*(member.kill() for member in others))
                assert await soon(watching, 10) is WatchEnd.UNREACHABLE


# ---- compaction


async def test_a_compacted_start_revision_is_survived(new_etcd: EtcdFactory, unique_key: str) -> None:
    """The DELETE that is waited for may have been compacted away."""
    async with new_etcd() as etcd, connect(etcd.endpoints) as client, Stranger(etcd.endpoints[0]) as stranger:
        lease = await stranger.grant(60)
        stays, gone, again, overwritten, proclaimed = (f"{unique_key}/{number}" for number in range(5))
        revisions = {
            key: await lead(stranger, key, lease=lease) for key in (stays, gone, again, overwritten, proclaimed)
        }
        await stranger.delete(gone)
        await stranger.delete(again)
        await stranger.put(again, b"leader", lease=lease)
        await stranger.put(overwritten, b"leader")
        await stranger.put(proclaimed, b"new", lease=lease)
        await etcd.ctl("compact", str((await stranger.get(proclaimed)).mod_revision))

        def watch(key: str, *, primary: bool = False) -> Any:
            leadership = Leadership(client, key)
            leadership.set_primary_watch(primary)
            return leadership.watch(revisions[key])

        assert await soon(watch(gone)) is WatchEnd.GONE
        assert await soon(watch(again)) is WatchEnd.GONE
        assert await soon(watch(overwritten, primary=True)) is WatchEnd.OVERWRITTEN
        async with beside(watch(stays, primary=True)) as staying, beside(watch(overwritten)) as plain:
            await throughout(0.3, lambda: not staying.done() and not plain.done())
            await stranger.delete(stays)
            await stranger.delete(overwritten)
            assert await soon(staying, 1) is WatchEnd.GONE
            assert await soon(plain, 1) is WatchEnd.GONE


async def test_row_25_a_compaction_past_what_is_waited_for(new_etcd: EtcdFactory, unique_key: str) -> None:
    """Row 25: while the link is down the DELETE comes and is compacted away; who keeps its key keeps its term."""
    async with (
        new_etcd() as etcd,
        Proxy(etcd.endpoints[0]) as proxy,
        connect(proxy.endpoint) as client,
        Stranger(etcd.endpoints[0]) as stranger,
    ):
        gone, again, awaited = (f"{unique_key}/{number}" for number in range(3))
        revisions = {key: await lead(stranger, key) for key in (gone, again, awaited)}
        leading, robbed = Leadership(client, unique_key + "/leading"), Leadership(client, unique_key + "/robbed")
        term, lost = await leading.campaign(60, b"a"), await robbed.campaign(60, b"a")
        async with (
            beside(Leadership(client, gone).watch(revisions[gone])) as watching_gone,
            beside(Leadership(client, again).watch(revisions[again])) as watching_again,
            beside(Leadership(client, awaited).campaign(60, b"a")) as waiting,
            beside(leading.keep()) as keeping,
            beside(robbed.keep()),
        ):
            await throughout(0.3, lambda: not any(map(asyncio.Task.done, (watching_gone, watching_again, waiting))))
            proxy.hold("replies")
            for key in (gone, again, awaited, robbed.leader_key):
                await stranger.delete(key)
            await stranger.put(robbed.leader_key, b"a")
            await etcd.ctl("compact", str(await lead(stranger, again)))
            proxy.cut()
            assert await soon(watching_gone) is WatchEnd.GONE
            assert await soon(watching_again) is WatchEnd.GONE
            assert (await soon(waiting)).check()
            await soon(lost.lost.wait())
            await throughout(0.3, lambda: term.check() and not keeping.done())
            await stranger.delete(leading.leader_key)
            await soon(term.lost.wait(), 1)


async def test_its_own_leader_txn_cannot_be_an_overwrite(client: Client, unique_key: str) -> None:
    """What a leader writes elsewhere does not end anybody's watch of its key."""
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"leader")
    follower = Leadership(client, unique_key)
    follower.set_primary_watch(True)
    async with beside(follower.watch(term.fencing_token)) as watching:
        await leadership.leader_txn().then(Put(unique_key + "/other", "x")).commit()
        await throughout(0.2, lambda: not watching.done())
        await leadership.resign()
        assert await soon(watching, 1) is WatchEnd.GONE


# ---- arguments


@pytest.mark.parametrize("revision", [-1, "7", 1.5, True, None])
async def test_a_revision_that_cannot_be_is_refused_by_name(client: Client, revision: Any) -> None:
    with pytest.raises(InvalidConfiguration, match="revision") as caught:
        await Leadership(client, "key").watch(revision)
    assert repr(revision) in str(caught.value)


@pytest.mark.parametrize("patience", [0, -1.0, "long", float("nan"), float("inf")])
async def test_a_patience_that_cannot_be_is_refused_by_name(client: Client, patience: Any) -> None:
    with pytest.raises(InvalidConfiguration, match="patience") as caught:
        await Leadership(client, "key").watch(1, patience=patience)
    assert repr(patience) in str(caught.value)
