"""`observe` on a real etcd: following who leads, without standing."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, InvalidConfiguration, Leader, Leadership, Member, Observer, connect, get_leader, observe
from tests.etcd import EtcdFactory
from tests.support import Proxy, Stranger, beside, eventually, freeze, soon


async def following(observer: Observer, value: bytes | None) -> Leader | None:
    """Read until that value is told, or that nobody leads."""

    async def read() -> Leader | None:
        async for leader in observer:
            if (None if leader is None else leader.value) == value:
                return leader
        raise AssertionError("it ended")

    found: Leader | None = await soon(read())
    return found


async def test_the_present_leader_first_then_each_change(client: Client, other_client: Client, unique_key: str) -> None:
    observer = observe(client, unique_key)
    assert aiter(observer) is observer
    assert await soon(anext(observer)) is None
    tokens = []
    leadership = Leadership(other_client, unique_key)
    for number in range(3):
        term = await leadership.campaign(60, str(number))
        assert leadership.lease is not None
        leader = await soon(anext(observer), 1)
        token = term.fencing_token
        assert leader == Leader(str(number).encode(), token, token, leadership.lease.id)
        tokens.append(token)
        late = observe(client, unique_key)
        assert await soon(anext(late)) == leader, "who comes late begins with the present one"
        await late.aclose()
        await leadership.resign()
        assert await soon(anext(observer), 1) is None
    assert tokens == sorted(set(tokens))
    await observer.aclose()


async def test_the_latest_wins(client: Client, stranger: Stranger, unique_key: str) -> None:
    observer = observe(client, unique_key)
    await soon(anext(observer))
    await eventually(lambda: observer.stale_for() == 0)
    for number in range(20):
        await stranger.put(unique_key, str(number).encode())
    seen = [await soon(anext(observer))]
    while seen[-1] is None or seen[-1].value != b"19":
        seen.append(await soon(anext(observer)))
    revisions = [leader.revision for leader in seen if leader is not None]
    assert revisions == sorted(set(revisions))
    with pytest.raises(TimeoutError):
        await soon(anext(observer), 0.1)
    await stranger.delete(unique_key)
    assert await soon(anext(observer)) is None, "a cancelled wait can be taken up again"
    await observer.aclose()


async def test_an_intruder_without_a_lease_is_told_as_such(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(other_client, unique_key)
    term = await leadership.campaign(60, b"leader")
    observer = leadership.observe()
    assert isinstance(await soon(anext(observer)), Leader)
    await stranger.put(unique_key, b"intruder")
    leader = await following(observer, b"intruder")
    assert leader is not None
    assert leader.lease_id == 0
    assert leader.create_revision == term.fencing_token < leader.revision
    await stranger.delete(unique_key)


async def test_values_as_messages(client: Client, stranger: Stranger, unique_key: str) -> None:
    observer = observe(client, unique_key, Member)
    await soon(anext(observer))
    await stranger.put(unique_key, Member(name="pd-1").SerializeToString())
    leader = await soon(anext(observer))
    assert leader.message == Member(name="pd-1")
    await stranger.put(unique_key, b"\xff")
    with pytest.raises(ValueError, match="no Member"):
        await soon(anext(observer))
    await stranger.put(unique_key, Member(name="pd-2").SerializeToString())
    leader = await soon(anext(observer))
    assert leader.message == Member(name="pd-2"), "one that is none ends nothing"
    await observer.aclose()
    await stranger.delete(unique_key)


@pytest.mark.parametrize("begun", [True, False])
async def test_it_ends_when_the_client_closes(client: Client, unique_key: str, begun: bool) -> None:
    observer = observe(client, unique_key)
    if begun:
        await soon(anext(observer))
        async with beside(anext(observer)) as waiting:
            await asyncio.sleep(0.05)
            await client.aclose()
            with pytest.raises(StopAsyncIteration):
                await soon(waiting)
    await client.aclose()
    for _ in range(2):
        with pytest.raises(StopAsyncIteration):
            await soon(anext(observer))


async def test_aclose_ends_it_early(client: Client, unique_key: str) -> None:
    observer = observe(client, unique_key)
    await soon(anext(observer))
    async with beside(anext(observer)) as waiting:
        await asyncio.sleep(0.05)
        await observer.aclose()
        with pytest.raises(StopAsyncIteration):
            await soon(waiting)
    await observer.aclose()
    assert [leader async for leader in observer] == []


async def test_it_rides_out_an_outage_and_tells_how_stale_it_is(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        (member,) = etcd.members
        observer = observe(client, unique_key)
        assert observer.stale_for() >= 0
        async with Stranger(etcd.endpoints[0]) as stranger:
            await stranger.put(unique_key, b"before")
            await following(observer, b"before")
            await eventually(lambda: observer.stale_for() == 0)
            await member.kill()
            await eventually(lambda: observer.stale_for() > 0.5)
            async with beside(anext(observer)) as waiting:
                await member.start()
                await eventually(lambda: observer.stale_for() == 0)
                assert not waiting.done(), "nothing has changed"
                await stranger.client.close()
                await stranger.client.connect()
                await stranger.put(unique_key, b"after")
                leader = await soon(waiting)
        assert leader is not None
        assert leader.value == b"after"
        await observer.aclose()


async def test_a_frozen_etcd_is_not_told_as_fresh(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        observer = observe(client, unique_key)
        await soon(anext(observer))
        await eventually(lambda: observer.stale_for() == 0)
        await freeze(etcd.members[0])
        await eventually(lambda: observer.stale_for() > 0)
        etcd.members[0].resume()
        await eventually(lambda: observer.stale_for() == 0)
        await observer.aclose()


async def test_begun_during_an_outage_it_waits_for_its_end(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        (member,) = etcd.members
        await member.kill()
        observer = observe(client, unique_key)
        async with beside(anext(observer)) as waiting:
            await eventually(lambda: observer.stale_for() > 0.2)
            await member.start()
            assert await soon(waiting) is None
        await observer.aclose()


async def test_a_compaction_costs_it_no_leader(new_etcd: EtcdFactory, unique_key: str) -> None:
    """The watch comes back to a revision that is gone: read, then go on."""
    async with (
        new_etcd() as etcd,
        Proxy(etcd.endpoints[0]) as proxy,
        connect(proxy.endpoint) as client,
        Stranger(etcd.endpoints[0]) as stranger,
    ):
        observer, vacant = observe(client, unique_key), observe(client, unique_key + "/vacant")
        await stranger.put(unique_key, b"before")
        await stranger.put(unique_key + "/vacant", b"before")
        await following(observer, b"before")
        await following(vacant, b"before")
        await eventually(lambda: observer.stale_for() == vacant.stale_for() == 0)
        proxy.hold("replies")
        await stranger.delete(unique_key + "/vacant")
        for number in range(3):
            await stranger.put(unique_key, str(number).encode())
        await etcd.ctl("compact", str((await stranger.get(unique_key)).mod_revision))
        proxy.cut()
        assert await soon(anext(observer)) == await get_leader(client, unique_key)
        assert await soon(anext(vacant)) is None
        await eventually(lambda: observer.stale_for() == 0)
        await stranger.put(unique_key, b"after")
        assert (await soon(anext(observer))).value == b"after"
        await observer.aclose()
        await vacant.aclose()


async def test_its_arguments(client: Client) -> None:
    with pytest.raises(InvalidConfiguration, match="leader_key"):
        observe(client, "")
    with pytest.raises(InvalidConfiguration, match="message_type"):
        observe(client, "key", int)
    with pytest.raises(InvalidConfiguration, match="message_type"):
        Leadership(client, "key").observe(str)
