"""`Leadership.leader_txn` on a real etcd: only the leader of the very term commits (rule 4)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from aetcd.transactions import Create, Delete, Get, Put, Txn, Value

from aioelection import (
    Client,
    DeleteResult,
    GetResult,
    InvalidConfiguration,
    InvalidState,
    Leadership,
    Lease,
    NotLeader,
    OutcomeUnknown,
    PutResult,
    TxnResult,
    Unavailable,
    connect,
    get_leader,
)
from tests.etcd import EtcdFactory
from tests.support import TTL, MovableClock, Proxy, Stranger, beside, eventually, freeze, soon


@pytest.fixture
def data(unique_key: str) -> str:
    """A key for what a leader writes."""
    return unique_key + "/data"


# ---- what it answers


async def test_the_leader_commits(client: Client, stranger: Stranger, unique_key: str, data: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(60, b"leader"):
        result = await leadership.leader_txn().then(Put(data, "one")).commit()
        key = await stranger.get(data)
        assert key.value == b"one"
        assert result == TxnResult(True, (PutResult(),), key.mod_revision)


async def test_the_responses_of_then(client: Client, unique_key: str, data: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    await leadership.leader_txn().then(Put(data, "one")).commit()
    nested = Txn(compare=[Create("nowhere") == 0], success=[Get(data)], failure=[Get("nowhere")])
    result = await (
        leadership.leader_txn(Value(data) == "one")
        .then(Get(data), Get("nowhere"))
        .then(nested, Put(data, "two", prev_kv=True))
        .otherwise(Delete(data))
        .commit()
    )
    assert result.succeeded
    found, missing, inner, put = result.responses
    assert isinstance(found, GetResult) and found.kv is not None
    assert (found.kv.key, found.kv.value) == (data.encode(), b"one")
    assert isinstance(missing, GetResult) and missing.kv is None
    assert isinstance(inner, TxnResult) and inner.succeeded
    assert inner.responses == (found,)
    assert isinstance(put, PutResult) and put.previous is not None and put.previous.value == b"one"
    result = await leadership.leader_txn().then(Delete(data, prev_kv=True)).commit()
    (deleted,) = result.responses
    assert isinstance(deleted, DeleteResult)
    assert (deleted.deleted, [kv.value for kv in deleted.previous]) == (1, [b"two"])
    await leadership.resign()


async def test_the_responses_of_otherwise(client: Client, stranger: Stranger, unique_key: str, data: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    transaction = leadership.leader_txn(Value(data) == "one").then(Put(data, "two"))
    result = await transaction.otherwise(Get(data)).otherwise(Get(unique_key)).commit()
    assert not result.succeeded
    missing, key = result.responses
    assert missing == GetResult()
    assert isinstance(key, GetResult) and key.kv is not None and key.kv.value == b"leader"
    assert await stranger.get(data) is None
    await leadership.resign()


async def test_without_operations_it_tells_whether_the_term_holds(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    assert (await leadership.leader_txn().commit()).succeeded
    await stranger.delete(unique_key)
    assert not (await leadership.leader_txn().commit()).succeeded


async def test_a_range_may_be_read_and_deleted(client: Client, unique_key: str, data: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    puts = [Put(f"{data}/{number}", str(number)) for number in range(3)]
    await leadership.leader_txn().then(*puts).commit()
    result = await leadership.leader_txn().then(Get(data + "/0", data + "/2"), Delete(data + "/", data + "0")).commit()
    found, deleted = result.responses
    assert isinstance(found, GetResult) and [kv.value for kv in found.kvs] == [b"0", b"1"]
    assert isinstance(deleted, DeleteResult) and deleted.deleted == 3
    await leadership.resign()


async def test_a_put_may_hang_on_a_lease(client: Client, stranger: Stranger, unique_key: str, data: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    assert leadership.lease is not None
    await leadership.leader_txn().then(Put(data, "x", lease=leadership.lease)).commit()
    assert (await stranger.get(data)).lease == leadership.lease.id
    await leadership.resign()
    assert await stranger.get(data) is None


# ---- only the leader


async def test_who_does_not_lead_gets_none(client: Client, other_client: Client, unique_key: str) -> None:
    leadership, other = Leadership(client, unique_key), Leadership(other_client, unique_key)
    with pytest.raises(NotLeader):
        other.leader_txn()
    await leadership.campaign(60, b"leader")
    with pytest.raises(NotLeader):
        other.leader_txn()
    await leadership.resign()
    with pytest.raises(NotLeader):
        leadership.leader_txn()
    await leadership.campaign(TTL, b"leader")
    await eventually(lambda: not leadership.check())
    with pytest.raises(NotLeader):
        leadership.leader_txn()


async def test_made_in_time_and_committed_too_late_nothing_is_sent(
    client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    clock = MovableClock(client)
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    transaction = leadership.leader_txn().then(Put(data, "late"))
    clock.move(60)
    with pytest.raises(NotLeader, match="has ended"):
        await transaction.commit()
    assert await stranger.get(data) is None
    assert await stranger.get(unique_key) is not None, "so etcd itself would have let it through"


async def test_etcd_refuses_whose_key_was_deleted(
    client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"leader")
    await stranger.delete(unique_key)
    assert term.check(), "it does not know yet: nothing watches"
    result = await leadership.leader_txn().then(Put(data, "x")).otherwise(Get(unique_key)).commit()
    assert not result.succeeded
    assert result.responses == (GetResult(),)
    assert await stranger.get(data) is None


async def test_etcd_refuses_whose_rival_won_with_the_same_data(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    old, new = Leadership(client, unique_key), Leadership(other_client, unique_key)
    await old.campaign(60, b"same")
    transaction = old.leader_txn().then(Put(data, "old"))
    await stranger.delete(unique_key)
    await new.campaign(60, b"same")
    assert old.check()
    assert not (await transaction.commit()).succeeded
    assert not (await old.leader_txn().then(Put(data, "old")).commit()).succeeded
    assert await stranger.get(data) is None
    assert (await new.leader_txn().then(Put(data, "new")).commit()).succeeded
    await new.resign()


async def test_a_term_won_again_with_the_same_data_does_not_let_the_old_ones_through(
    client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    """One leadership, one lease, one value: only the create revision tells the terms apart."""
    leadership, lease = Leadership(client, unique_key), Lease(client)
    await lease.grant(60)
    first = await leadership.campaign(60, b"same", lease=lease)
    old = leadership.leader_txn().then(Put(data, "old"))
    await leadership.delete_leader_key()
    second = await leadership.campaign(60, b"same", lease=lease)
    assert second.fencing_token > first.fencing_token
    with pytest.raises(NotLeader, match=str(first.fencing_token)):
        await old.commit()
    assert await stranger.get(data) is None
    assert (await leadership.leader_txn().then(Put(data, "new")).commit()).succeeded
    await lease.close()


async def test_etcd_refuses_whose_key_was_written_anew_with_the_same_data_and_lease(
    client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    """The create revision is what tells the two apart."""
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"same")
    assert leadership.lease is not None
    await stranger.delete(unique_key)
    await stranger.put(unique_key, b"same", lease=leadership.lease.id)
    assert leadership.check()
    assert not (await leadership.leader_txn().then(Put(data, "x")).commit()).succeeded
    assert await stranger.get(data) is None


async def test_etcd_refuses_whose_key_was_overwritten_with_the_same_data(
    client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    """The create revision stays; the lease is what tells the two apart."""
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"same")
    await stranger.put(unique_key, b"same")
    assert (await stranger.get(unique_key)).create_revision == term.fencing_token
    assert leadership.check()
    assert not (await leadership.leader_txn().then(Put(data, "x")).commit()).succeeded
    assert await stranger.get(data) is None
    await stranger.delete(unique_key)


# ---- what is refused


async def test_a_put_to_the_leader_key_is_refused(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"leader")
    nested = Txn(compare=[], success=[], failure=[Txn(compare=[], success=[Put(unique_key, "x")])])
    for operation in (Put(unique_key, "x"), Put(unique_key.encode(), b"x"), nested):
        with pytest.raises(InvalidConfiguration, match="use proclaim"):
            leadership.leader_txn().then(operation)
        with pytest.raises(InvalidConfiguration, match="use proclaim"):
            leadership.leader_txn().otherwise(Get(unique_key), operation)
    assert (await stranger.get(unique_key)).mod_revision == term.fencing_token
    assert (await leadership.leader_txn().then(Get(unique_key)).commit()).succeeded, "it may be read"
    await leadership.resign()


async def test_committed_once(client: Client, stranger: Stranger, unique_key: str, data: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    transaction = leadership.leader_txn().then(Put(data, "x"))
    await transaction.commit()
    with pytest.raises(InvalidState, match="once"):
        await transaction.commit()
    assert (await stranger.get(data)).version == 1
    await leadership.resign()


async def test_what_is_no_compare_and_no_operation_is_refused_by_name(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    wrong: Any
    for wrong in ("text", 5, None, Create("key"), Put("key", "value"), Create("key") == "zero"):
        with pytest.raises(InvalidConfiguration):
            leadership.leader_txn(wrong)
    for wrong in ("text", 5, None, Create("key") == 0, Put("key", 5), Put("", "x"), Put("key", "x", lease="lease")):
        with pytest.raises(InvalidConfiguration):
            leadership.leader_txn().then(wrong)
        with pytest.raises(InvalidConfiguration):
            leadership.leader_txn().otherwise(wrong)
    with pytest.raises(InvalidConfiguration, match="'text'"):
        leadership.leader_txn("text")
    await leadership.resign()


async def test_what_etcd_finds_malformed_is_told(
    client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"leader")
    with pytest.raises(InvalidConfiguration, match="duplicate key"):
        await leadership.leader_txn().then(Put(data, "one"), Put(data, "two")).commit()
    with pytest.raises(InvalidConfiguration, match="too many operations"):
        await leadership.leader_txn().then(*[Put(f"{data}/{number}", "x") for number in range(200)]).commit()
    assert await stranger.get(data) is None
    await leadership.resign()


# ---- the outcome unknown


async def test_unanswered_its_outcome_is_unknown_and_it_is_not_sent_again(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    leadership = Leadership(far_client, unique_key)
    await leadership.campaign(60, b"leader")
    transaction = leadership.leader_txn().then(Put(data, "x"))
    proxy.hold("replies")
    async with beside(transaction.commit()) as committing:
        await eventually(lambda: stranger.get(data))
        proxy.cut()
        with pytest.raises(OutcomeUnknown):
            await soon(committing)
    await get_leader(far_client, unique_key)  # the connection works again
    assert (await leadership.leader_txn().commit()).succeeded
    assert (await stranger.get(data)).version == 1
    with pytest.raises(InvalidState):
        await transaction.commit()
    await leadership.resign()


async def test_unsent_its_outcome_is_unknown_too(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    """From here it looks the same; sent again it would be applied, and nobody had asked for that."""
    leadership = Leadership(far_client, unique_key)
    await leadership.campaign(60, b"leader")
    proxy.hold("requests")
    async with beside(leadership.leader_txn().then(Put(data, "x")).commit()) as committing:
        await eventually(lambda: proxy.held["requests"])
        proxy.cut()
        with pytest.raises(OutcomeUnknown):
            await soon(committing)
    assert await get_leader(far_client, unique_key) is not None, "the connection is there again"
    assert (await leadership.leader_txn().commit()).succeeded
    assert await stranger.get(data) is None
    await leadership.resign()


async def test_on_a_frozen_etcd_unknown_and_on_a_dead_one_unavailable(
    new_etcd: EtcdFactory, unique_key: str, data: str
) -> None:
    async def frozen() -> None:
        async with new_etcd() as etcd, connect(etcd.endpoints) as client:
            leadership = Leadership(client, unique_key)
            await leadership.campaign(60, b"leader")
            await freeze(etcd.members[0])
            with pytest.raises(OutcomeUnknown):
                await soon(leadership.leader_txn().then(Put(data, "x")).commit(), 7)
            etcd.members[0].resume()
            async with Stranger(etcd.endpoints[0]) as stranger:
                await eventually(lambda: stranger.get(unique_key))
                key = await stranger.get(data)
                assert key is None or key.version == 1

    async def dead() -> None:
        async with new_etcd() as etcd, connect(etcd.endpoints) as client:
            leadership = Leadership(client, unique_key)
            await leadership.campaign(60, b"leader")
            await etcd.members[0].kill()
            with pytest.raises(Unavailable):  # noticed: from here on the connection is known to be down
                await client.hub.pool.get(b"key", timeout=0.2)
            with pytest.raises(Unavailable):
                await soon(leadership.leader_txn().then(Put(data, "x")).commit(), 7)

    await asyncio.gather(frozen(), dead())


async def test_cancelled_in_flight_it_is_not_sent_again(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str, data: str
) -> None:
    leadership = Leadership(far_client, unique_key)
    await leadership.campaign(60, b"leader")
    proxy.hold("replies")
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await leadership.leader_txn().then(Put(data, "x")).commit()
    assert (await stranger.get(data)).version == 1
    proxy.release()
    assert (await leadership.leader_txn().commit()).succeeded
    assert (await stranger.get(data)).version == 1
    await leadership.resign()
