"""Watches: created, told, cancelled, compacted."""

from __future__ import annotations

import asyncio

import pytest

from aioelection._core.cursors import WatchReply
from aioelection._core.ops import Delete, KeyEvent, KeyValue, Put
from aioelection._transport.port import WatchStream
from aioelection.errors import Unavailable
from tests.contract.sides import Side


async def created(stream: WatchStream, key: bytes, start: int = 0) -> int:
    """Create a watch; its id."""
    await stream.create(key, start)
    reply = await soon(stream)
    assert reply.created and not reply.canceled and not reply.events
    return reply.watch_id


async def soon(stream: WatchStream) -> WatchReply:
    async with asyncio.timeout(3):
        return await stream.receive()


async def silent(stream: WatchStream, seconds: float = 0.3) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(seconds):
            await stream.receive()


async def events(stream: WatchStream, watch_id: int, count: int) -> list[KeyEvent]:
    """The next events, however many come in one reply."""
    told: list[KeyEvent] = []
    while len(told) < count:
        reply = await soon(stream)
        assert reply.watch_id == watch_id and reply.events and not reply.created and not reply.canceled
        assert reply.revision >= reply.events[-1].kv.mod_revision
        told += reply.events
    assert len(told) == count
    return told


async def test_puts_and_deletes_are_told_in_order(side: Side) -> None:
    stream, lease = await side.watch(), await side.grant(60)
    watch_id = await created(stream, side.key)
    first = await side.put(side.key, b"1", lease)
    await side.put(side.key + b"not", b"")
    await side.put(side.key, b"2")
    await side.txn(Delete(side.key))
    assert await events(stream, watch_id, 3) == [
        KeyEvent(False, KeyValue(side.key, b"1", first, first, 1, lease)),
        KeyEvent(False, KeyValue(side.key, b"2", first, first + 2, 2, 0)),
        KeyEvent(True, KeyValue(side.key, b"", 0, first + 3, 0, 0)),
    ]


async def test_a_revoke_is_told_as_a_delete(side: Side) -> None:
    stream, lease = await side.watch(), await side.grant(2)
    revision = await side.put(side.key, b"", lease)
    watch_id = await created(stream, side.key, revision + 1)
    assert await events(stream, watch_id, 1) == [KeyEvent(True, KeyValue(side.key, b"", 0, revision + 1, 0, 0))]


async def test_creations_are_answered_in_their_order_each_with_an_id_of_its_own(side: Side) -> None:
    stream = await side.watch()
    for letter in (b"a", b"b", b"c"):
        await stream.create(side.key + letter, 0)
    ids = []
    for _ in range(3):
        reply = await soon(stream)
        assert reply.created
        ids.append(reply.watch_id)
    assert len(set(ids)) == 3
    for place, letter in ((2, b"c"), (0, b"a")):
        await side.put(side.key + letter)
        assert [event.kv.key[-1:] for event in await events(stream, ids[place], 1)] == [letter]


async def test_from_a_past_revision_what_happened_since_is_told(side: Side) -> None:
    revisions = [await side.put(side.key, b"%d" % number) for number in range(5)]
    stream = await side.watch()
    watch_id = await created(stream, side.key, revisions[2])
    told = await events(stream, watch_id, 3)
    assert [event.kv.mod_revision for event in told] == revisions[2:]
    revision = await side.put(side.key)
    assert [event.kv.mod_revision for event in await events(stream, watch_id, 1)] == [revision]


async def test_from_a_revision_to_come_nothing_before_it_is_told(side: Side) -> None:
    now = await side.put(side.key)
    stream = await side.watch()
    watch_id = await created(stream, side.key, now + 2)
    await side.put(side.key, b"too early")
    revision = await side.put(side.key)
    assert [event.kv.mod_revision for event in await events(stream, watch_id, 1)] == [revision]


async def test_one_transaction_tells_each_watch_its_own(side: Side) -> None:
    stream = await side.watch()
    one, two = await created(stream, side.key + b"1"), await created(stream, side.key + b"2")
    await side.txn(Put(side.key + b"1", b""), Put(side.key + b"2", b""))
    replies = [await soon(stream), await soon(stream)]
    assert {reply.watch_id: reply.events[0].kv.key[-1:] for reply in replies} == {one: b"1", two: b"2"}


async def test_two_watches_of_one_key_are_both_told(side: Side) -> None:
    stream = await side.watch()
    ids = {await created(stream, side.key), await created(stream, side.key)}
    await side.put(side.key)
    assert {(await soon(stream)).watch_id for _ in range(2)} == ids


async def test_a_cancelled_watch_is_told_nothing_more(side: Side) -> None:
    stream = await side.watch()
    unwanted, wanted = await created(stream, side.key), await created(stream, side.key)
    await stream.cancel(unwanted)
    reply = await soon(stream)
    assert reply.canceled and reply.watch_id == unwanted and not reply.compact_revision
    await side.put(side.key)
    await events(stream, wanted, 1)
    await silent(stream)


async def test_a_watch_from_before_the_compaction_is_created_and_cancelled(side: Side) -> None:
    first = await side.put(side.key)
    await side.put(side.key)
    compacted = await side.put(side.key)
    await side.compact(compacted)
    stream = await side.watch()
    watch_id = await created(stream, side.key, first)
    reply = await soon(stream)
    assert (reply.watch_id, reply.canceled, reply.compact_revision) == (watch_id, True, compacted)
    assert reply.refusal is None
    again = await created(stream, side.key, compacted)
    assert [event.kv.mod_revision for event in await events(stream, again, 1)] == [compacted]


async def test_a_watch_from_the_very_revision_of_a_compacted_delete_may_not_be_told_of_it(side: Side) -> None:
    """etcd 3.5.1 and the in-memory one have forgotten it without a word; 3.5.30 tells it."""
    await side.put(side.key)
    deleted = (await side.txn(Delete(side.key))).header.revision
    await side.compact(deleted)
    stream = await side.watch()
    watch_id = await created(stream, side.key, deleted)
    later = await side.put(side.key)
    reply = await soon(stream)
    assert reply.watch_id == watch_id and not reply.canceled
    told = [event.kv.mod_revision for event in reply.events]
    assert told in ([later], [deleted], [deleted, later])


async def test_a_compaction_does_not_end_a_watch_that_has_seen_all(side: Side) -> None:
    stream = await side.watch()
    watch_id = await created(stream, side.key)
    revision = await side.put(side.key)
    await events(stream, watch_id, 1)
    await side.compact(revision)
    await side.put(side.key)
    await events(stream, watch_id, 1)


async def test_a_closed_stream_tells_nothing_more(side: Side) -> None:
    stream = await side.watch()
    await created(stream, side.key)
    stream.close()
    with pytest.raises(Unavailable):
        await stream.receive()
    with pytest.raises(Unavailable):
        await stream.create(side.key, 0)
