"""Third parties who meddle with a term: rows 21 to 24."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable

import pytest
from aetcd.transactions import Put

from aioelection import Client, LossReason, NotLeader, observe
from tests.faults.measuring import Measure, Vigil, leading
from tests.support import Stranger, soon

TTL = 60
"""No loss comes from the deadline."""


async def meddled(
    stranger: Stranger, vigil: Vigil, measure: Measure, meddle: Callable[[], Awaitable[None]], reason: LossReason
) -> None:
    """The term is lost in time, and nothing that it has guarded is written any more."""
    key = f"{vigil.leadership.leader_key.decode()}/data"
    guarded = vigil.leadership.leader_txn().then(Put(key, b"late"))
    begin = time.monotonic()
    await meddle()
    await soon(vigil.term.lost.wait())
    measure.took("lost", time.monotonic() - begin, 1, since=begin)
    assert vigil.term.loss_reason is reason
    assert not vigil.term.check() and not vigil.leadership.check()
    # Refused here, and by etcd as well, had it been on its way when the term ended.
    late = vigil.client.hub.pool.txn(guarded._txn(), timeout=5)
    assert not (await soon(late)).result.succeeded
    with pytest.raises(NotLeader):
        await guarded.commit()
    assert await stranger.get(key) is None


async def test_row_21_the_lease_revoked(client: Client, stranger: Stranger, unique_key: str, measure: Measure) -> None:
    async with leading(client, unique_key, TTL) as vigil:
        lease = vigil.leadership.lease
        assert lease is not None
        await meddled(stranger, vigil, measure, lambda: stranger.revoke(lease.id), LossReason.REVOKED)


async def test_row_22_the_key_deleted(client: Client, stranger: Stranger, unique_key: str, measure: Measure) -> None:
    async with leading(client, unique_key, TTL) as vigil:
        await meddled(stranger, vigil, measure, lambda: stranger.delete(unique_key), LossReason.DELETED)


async def test_row_23_the_key_overwritten_without_a_lease(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str, measure: Measure
) -> None:
    async with leading(client, unique_key, TTL) as vigil:
        observer = observe(other_client, unique_key)
        leader = await soon(anext(observer))
        assert leader is not None and leader.value == b"a" and leader.lease_id != 0
        begin = time.monotonic()
        overwrite = lambda: stranger.put(unique_key, b"intruder")  # noqa: E731
        await meddled(stranger, vigil, measure, overwrite, LossReason.OVERWRITTEN)
        intruder = await soon(anext(observer))
        measure.took("intruder seen", time.monotonic() - begin, 1, since=begin)
        assert intruder is not None and (intruder.value, intruder.lease_id) == (b"intruder", 0)
        await observer.aclose()
    await stranger.delete(unique_key)


async def test_row_24_the_same_value_written_again(
    client: Client, stranger: Stranger, unique_key: str, measure: Measure
) -> None:
    async with leading(client, unique_key, TTL) as vigil:
        again = lambda: stranger.put(unique_key, b"a")  # noqa: E731
        await meddled(stranger, vigil, measure, again, LossReason.OVERWRITTEN)
    await stranger.delete(unique_key)
