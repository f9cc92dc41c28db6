"""etcd restored from an older backup: its revisions go back, and nobody leads with a token that went back with them."""

from __future__ import annotations

import asyncio
import logging

import pytest

from aioelection import Client, Leadership, Lease, LossReason, TokenWentBack, Unavailable, WatchEnd, observe
from aioelection._core.facts import Changed, Connected, Disconnected, Fact, Reread
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, until

KEY = "/restore/leader"


def on_the_way(etcd: MemoryEtcd) -> None:
    """Others write, too."""
    for _ in range(10):
        etcd.put("/restore/other", b"")


def watches(etcd: MemoryEtcd) -> int:
    """That stand on the members."""
    return sum(len(each) for member in etcd.members for each in member.on_event.values())


def told_back(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]


@pytest.mark.parametrize("lower", [True, False])
async def test_row_41_nobody_leads_with_a_token_that_went_back(
    etcd: MemoryEtcd, client: Client, other_client: Client, caplog: pytest.LogCaptureFixture, lower: bool
) -> None:
    """Nor with the same once more, which a fence would let pass."""
    etcd.backup()
    if lower:
        on_the_way(etcd)
    async with Leading(client, KEY, ttl=60) as leading:
        term = await leading.elected()
        candidate = asyncio.ensure_future(Leadership(other_client, KEY).campaign(5, b"b"))
        await asyncio.sleep(0.1)
        etcd.restore()
        with pytest.raises(TokenWentBack) as caught:
            await asyncio.wait_for(candidate, 10)
        assert (caught.value.highest, caught.value.leader_key) == (term.fencing_token, KEY.encode())
        assert caught.value.token < term.fencing_token or not lower
        assert f"from {term.fencing_token} to {caught.value.token}: etcd was restored" in str(caught.value)
        assert f"campaign given up: {caught.value}" in told_back(caplog)
        assert not leading.check() and term.lost.is_set(), "long before its deadline"
        if lower:
            with pytest.raises(TokenWentBack):  # who has led knows it as well
                await leading.leadership.campaign(5, b"a", wait=False)
    assert (etcd.get(KEY), etcd.leases) == (None, {}), "it was given up again"


async def test_on_a_shared_lease_the_key_is_deleted(etcd: MemoryEtcd, client: Client) -> None:
    """The lease outlives the restore: only the watch can tell that the key does not."""
    lease = Lease(client)
    await lease.grant(60)
    etcd.backup()
    on_the_way(etcd)
    leadership = Leadership(client, KEY)
    async with leadership.campaign(5, b"a", lease=lease, on_loss="event") as term:
        await asyncio.sleep(0.1)
        etcd.restore()
        await until(term.lost.is_set)
        assert term.loss_reason is LossReason.DELETED and not lease.is_expired()
    with pytest.raises(TokenWentBack):
        await leadership.campaign(5, b"a", lease=lease)
    await until(lambda: etcd.get(KEY) is None, 1)
    assert list(etcd.leases) == [lease.id]


async def test_a_term_that_the_backup_has_goes_on_and_is_guarded(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    """And a token that rises all the same is as good as any."""
    async with Leading(client, KEY, ttl=60) as leading:
        term = await leading.elected()
        candidate = asyncio.ensure_future(Leadership(other_client, KEY).campaign(5, b"b"))
        await asyncio.sleep(0.1)
        etcd.backup()
        on_the_way(etcd)
        await leading.leadership.proclaim(b"after the backup")
        on_the_way(etcd)
        etcd.restore()
        await asyncio.sleep(10)
        assert term.check() and not candidate.done()
        etcd.delete(KEY)
        await until(term.lost.is_set, 1)
        async with asyncio.timeout(1):
            successor = await candidate
        assert successor.check() and successor.fencing_token > term.fencing_token


async def test_who_leads_in_the_backup_is_followed(etcd: MemoryEtcd, client: Client) -> None:
    etcd.put(KEY, b"old", etcd.grant(600))
    etcd.backup()
    etcd.delete(KEY)
    on_the_way(etcd)
    etcd.put(KEY, b"new", etcd.grant(600))
    on_the_way(etcd)
    heard: list[bytes | None] = []
    observer = observe(client, KEY)

    async def follow() -> None:
        async for leader in observer:
            heard.append(None if leader is None else leader.value)  # noqa: PERF401 (it never ends)

    following = asyncio.ensure_future(follow())
    watching = asyncio.ensure_future(Leadership(client, KEY).watch(0))
    await asyncio.sleep(0.1)
    assert heard == [b"new"]
    etcd.restore()
    assert await asyncio.wait_for(watching, 10) is WatchEnd.GONE, "the new one"
    assert heard == [b"new", b"old"]
    etcd.put(KEY, b"newer", etcd.grant(600))
    await until(lambda: heard[-1] == b"newer" and observer.stale_for() == 0, 1)
    following.cancel()


async def test_it_is_told_once_and_each_watch_goes_on_from_there(
    etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    etcd.backup()
    back = etcd.revision
    on_the_way(etcd)
    told: dict[bytes, list[Fact]] = {b"/a": [], b"/b": []}
    for key, facts in told.items():
        client.hub.watches.subscribe(key, etcd.revision + 1, facts.append)
    await asyncio.sleep(0.1)
    seen = etcd.revision
    etcd.restore()
    await asyncio.sleep(5)
    revisions = {key: etcd.put(key, b"1") for key in told}
    await asyncio.sleep(0.01)
    for key, facts in told.items():
        assert [fact for fact in facts if not isinstance(fact, Changed | Disconnected)] == [
            Connected(),
            Reread(None, back),
            Connected(),
        ]
        assert isinstance(facts[-1], Changed) and facts[-1].event.kv.mod_revision == revisions[key] < seen
    (line,) = told_back(caplog)
    assert line.startswith(f"etcd went back from revision {seen} to {back}, and fencing tokens with it: ")
    assert watches(etcd) == 2, "the old are cancelled"


async def test_a_stream_that_breaks_meanwhile_leaves_it_to_the_next() -> None:
    async with MemoryEtcd(election_timeout=0.3) as etcd, etcd.client() as client:
        etcd.backup()
        on_the_way(etcd)
        told: list[Fact] = []
        client.hub.watches.subscribe(KEY.encode(), etcd.revision + 1, told.append)
        await asyncio.sleep(0.1)
        with etcd.hold("get", when="after", client=client) as held:
            etcd.restore()
            await held.reached()
            for member in etcd.members:
                member.break_streams(Unavailable("broken"))
            await held.reached(len(etcd.members) + 1)  # no member is asked twice on behalf of one stream
            held.release()
            await asyncio.sleep(1)
        assert [type(fact) for fact in told] == [Connected, Disconnected, Disconnected, Reread, Connected]
        assert watches(etcd) == 1


@pytest.mark.parametrize("event", [False, True])
async def test_a_member_that_lags_is_not_taken_for_a_restored_etcd(
    etcd: MemoryEtcd, caplog: pytest.LogCaptureFixture, event: bool
) -> None:
    """Not even when an event overtakes the answer that tells how far etcd is."""
    lagging, *others = etcd.followers
    etcd.isolate(lagging)
    on_the_way(etcd)
    told: list[Fact] = []
    async with etcd.client(lagging, *others, discover=False) as client:
        with etcd.hold("get", when="after", client=client) as held:
            client.hub.watches.subscribe(KEY.encode(), etcd.revision + 1, told.append)
            await held.reached()
            etcd.heal(lagging)
            if event:
                etcd.put(KEY, b"")
                await until(lambda: [type(fact) for fact in told] == [Changed])
            else:
                assert told == []
            held.release()
            await until(lambda: Connected() in told, 1)
        await asyncio.sleep(1)
        assert not any(isinstance(fact, Reread | Disconnected) for fact in told) and told_back(caplog) == []
