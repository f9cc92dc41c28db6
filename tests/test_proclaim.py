"""`proclaim`: another value within the same term, on a real etcd."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from aioelection import (
    Client,
    InvalidConfiguration,
    Leadership,
    LeadershipLost,
    LossReason,
    Member,
    NotLeader,
    OutcomeUnknown,
    get_leader,
    observe,
)
from tests.support import Proxy, Stranger, beside, eventually, soon, throughout


async def test_observers_see_it_and_the_term_goes_on(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    observer = observe(client, unique_key)
    async with leadership.campaign(60, b"first") as term, beside(leadership.watch(term.fencing_token)) as watching:
        first = await soon(anext(observer))
        assert first is not None and first.value == b"first"
        await leadership.proclaim("second")
        second = await soon(anext(observer))
        assert second is not None and second.value == b"second" == leadership.leader_value == term.leader_value
        assert (second.create_revision, second.lease_id) == (first.create_revision, first.lease_id)
        assert second.revision > first.revision
        assert (await leadership.leader_txn().commit()).succeeded
        await throughout(0.3, lambda: term.check() and not watching.done())
    assert await get_leader(client, unique_key) is None


async def test_a_message_is_serialized(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(60, b"first"):
        await leadership.proclaim(Member(name="me"))
        leader = await get_leader(client, unique_key, Member)
        assert leader is not None and leader.message.name == "me"


async def test_the_last_of_many_at_once_stays(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(60, b"0") as term:
        await asyncio.gather(*(leadership.proclaim(str(number)) for number in range(1, 51)))
        leader = await get_leader(client, unique_key)
        assert leader is not None and leader.value == b"50" == term.leader_value
        await throughout(0.3, lambda: term.check() and term.leader_value == b"50")


async def test_without_a_term(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    with pytest.raises(NotLeader):
        await leadership.proclaim(b"x")
    await leadership.campaign(60, b"me")
    await leadership.resign()
    with pytest.raises(NotLeader):
        await leadership.proclaim(b"x")
    assert await get_leader(client, unique_key) is None


@pytest.mark.parametrize("value", [None, 7, b"x" * 2_000_000], ids=["none", "number", "too large"])
async def test_a_bad_value(client: Client, unique_key: str, value: Any) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(60, b"me") as term:
        with pytest.raises(InvalidConfiguration, match="leader_data"):
            await leadership.proclaim(value)
        assert term.leader_value == b"me"


@pytest.mark.parametrize("intruder", ["deleted", "overwritten"])
async def test_a_key_that_is_anothers_is_not_touched(
    client: Client, stranger: Stranger, unique_key: str, intruder: str
) -> None:
    """Nothing watches the key here: what etcd answers tells that the term is lost."""
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"me")
    if intruder == "deleted":
        await stranger.delete(unique_key)
    await stranger.put(unique_key, b"me")
    with pytest.raises(NotLeader):
        await leadership.proclaim(b"mine")
    assert not term.check()
    await soon(term.lost.wait())
    assert term.loss_reason is (LossReason.DELETED if intruder == "deleted" else LossReason.OVERWRITTEN)
    assert (await stranger.get(unique_key)).value == b"me"
    await leadership.reset()


async def test_the_same_value_by_a_stranger_is_an_overwrite(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    with pytest.raises(LeadershipLost) as lost:
        async with leadership.campaign(60, b"first"):
            await leadership.proclaim(b"second")
            await stranger.put(unique_key, b"second")
            await soon(asyncio.Event().wait())
    assert lost.value.reason is LossReason.OVERWRITTEN


async def test_one_proclamation_excuses_one_put(client: Client, stranger: Stranger, unique_key: str) -> None:
    """Somebody who keeps the lease, as with etcdctl's --ignore-lease, and writes the value that was seen already."""
    leadership = Leadership(client, unique_key)
    with pytest.raises(LeadershipLost) as lost:
        async with leadership.campaign(60, b"first") as term:
            await leadership.proclaim(b"second")
            await eventually(lambda: not leadership._seat.tenure.guard._announced)  # type: ignore[union-attr]
            assert leadership.lease is not None and term.check()
            await stranger.put(unique_key, b"second", lease=leadership.lease.id)
            await soon(asyncio.Event().wait())
    assert lost.value.reason is LossReason.OVERWRITTEN


async def test_unanswered_it_may_have_come(
    far_client: Client, proxy: Proxy, unique_key: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("aioelection._shell.guard.REQUEST_TIMEOUT", 0.3)
    leadership = Leadership(far_client, unique_key)
    async with leadership.campaign(60, b"first") as term:
        await leadership.proclaim(b"second")
        proxy.hold("replies")
        with pytest.raises(OutcomeUnknown):
            await leadership.proclaim(b"third")
        assert term.leader_value == b"second"
        proxy.release()
        await eventually(lambda: term.leader_value == b"third")
        await throughout(0.2, term.check)
        await leadership.proclaim(b"fourth")
        assert term.leader_value == b"fourth"
