"""Leases: granted, renewed, revoked, expired."""

from __future__ import annotations

import asyncio
import secrets

import pytest

from aioelection._core.ops import Put, Txn
from aioelection._transport.port import KeepAliveStream, LeaseExists, LeaseNotFound
from aioelection.errors import InvalidConfiguration, Unavailable
from tests.contract.sides import TIMEOUT, Side


def time() -> float:
    return asyncio.get_running_loop().time()


async def exists(side: Side, key: bytes) -> bool:
    return (await side.connection().get(key, timeout=TIMEOUT)).result.kv is not None


async def gone_after(side: Side, key: bytes, since: float) -> float:
    while await exists(side, key):
        await asyncio.sleep(0.01)
    return time() - since


async def renewed(stream: KeepAliveStream, lease: int) -> int:
    await stream.send(lease)
    reply = await stream.receive()
    assert reply.lease_id == lease
    return reply.ttl


async def test_the_client_chooses_the_id(side: Side) -> None:
    wanted = secrets.randbits(62) + 1
    reply = await side.connection().grant(wanted, 60, timeout=TIMEOUT)
    assert (reply.lease_id, reply.ttl) == (wanted, 60)
    with pytest.raises(LeaseExists):
        await side.connection().grant(wanted, 60, timeout=TIMEOUT)
    assert await side.grant(60) not in (0, wanted), "or etcd does"


@pytest.mark.parametrize(("asked", "granted"), [(1, 2), (2, 2), (3, 3), (9_000_000_000, 9_000_000_000)])
async def test_a_ttl_is_at_least_2_seconds(side: Side, asked: int, granted: int) -> None:
    reply = await side.connection().grant(0, asked, timeout=TIMEOUT)
    assert reply.ttl == granted
    await side.connection().revoke(reply.lease_id, timeout=TIMEOUT)


async def test_a_ttl_that_is_too_large_is_refused(side: Side) -> None:
    with pytest.raises(InvalidConfiguration):
        await side.grant(9_000_000_001)


async def test_a_revoke_deletes_its_keys_in_one_revision(side: Side) -> None:
    lease = await side.grant(60)
    await side.put(side.key + b"a", b"", lease)
    await side.put(side.key + b"b", b"", lease)
    taken = await side.put(side.key + b"b", b"")
    await side.put(side.key + b"c", b"", lease)
    reply = await side.connection().revoke(lease, timeout=TIMEOUT)
    assert reply.header.revision == taken + 2
    assert not await exists(side, side.key + b"a") and not await exists(side, side.key + b"c")
    assert await exists(side, side.key + b"b"), "it was put without the lease since"


async def test_a_revoke_of_a_lease_without_keys_has_no_revision(side: Side) -> None:
    before = await side.put(side.key)
    reply = await side.connection().revoke(await side.grant(60), timeout=TIMEOUT)
    assert reply.header.revision == before


async def test_a_revoke_of_an_unknown_lease_fails(side: Side) -> None:
    with pytest.raises(LeaseNotFound):
        await side.connection().revoke(12345, timeout=TIMEOUT)


async def test_what_is_left_of_a_lease(side: Side) -> None:
    lease = await side.grant(60)
    assert (await side.connection().lease_info(lease, timeout=TIMEOUT)).ttl in (59, 60)
    assert (await side.connection().lease_info(12345, timeout=TIMEOUT)).ttl == -1


async def test_a_renewal_is_answered_with_the_ttl_and_0_for_an_unknown_lease(side: Side) -> None:
    lease, stream = await side.grant(60), await side.keep_alive()
    assert await renewed(stream, lease) == 60
    assert await renewed(stream, 12345) == 0
    await stream.send(lease)
    await stream.send(12345)
    assert [(await stream.receive()).lease_id for _ in range(2)] == [lease, 12345]
    await side.connection().revoke(lease, timeout=TIMEOUT)
    assert await renewed(stream, lease) == 0


async def test_a_renewal_tells_the_revision_and_the_raft_term(side: Side) -> None:
    lease, stream = await side.grant(60), await side.keep_alive()
    await stream.send(lease)
    assert (await stream.receive()).header == (await side.connection().get(side.key, timeout=TIMEOUT)).header


async def test_a_key_goes_within_half_a_second_of_its_leases_end(side: Side) -> None:
    since = time()
    await side.put(side.key, b"", await side.grant(2))
    granted = time()
    assert await gone_after(side, side.key, since) >= 2
    assert time() - granted <= 2.5 + side.slack


async def test_leases_go_one_by_one(side: Side) -> None:
    since = time()
    await side.put(side.key + b"1", b"", await side.grant(2))
    await side.put(side.key + b"2", b"", await side.grant(3))
    await gone_after(side, side.key + b"1", since)
    assert await gone_after(side, side.key + b"2", since) >= 3


async def test_a_renewal_counts_from_when_it_is_handled(side: Side) -> None:
    lease, stream = await side.grant(2), await side.keep_alive()
    await side.put(side.key, b"", lease)
    await asyncio.sleep(1.5)
    sent = time()
    assert await renewed(stream, lease) == 2
    answered = time()
    assert await gone_after(side, side.key, sent) >= 2
    assert time() - answered <= 2.5 + side.slack
    assert await renewed(stream, lease) == 0


async def test_keys_may_be_put_under_a_lease_until_it_is_gone(side: Side) -> None:
    lease = await side.grant(2)
    await side.put(side.key, b"", lease)
    while await exists(side, side.key):
        await asyncio.sleep(0.05)
    with pytest.raises(LeaseNotFound):
        await side.connection().txn(Txn((), (Put(side.key, b"", lease),)), timeout=TIMEOUT)


async def test_a_closed_stream_answers_no_more(side: Side) -> None:
    stream = await side.keep_alive()
    assert await renewed(stream, 12345) == 0
    stream.close()
    with pytest.raises(Unavailable):
        await stream.receive()
    with pytest.raises(Unavailable):
        await stream.send(12345)


async def test_closing_the_connection_ends_its_streams(side: Side) -> None:
    stream, watch = await side.keep_alive(), await side.watch()
    assert await renewed(stream, 12345) == 0
    reading = [asyncio.ensure_future(each) for each in (stream.receive(), watch.receive())]
    await asyncio.sleep(0.1)
    await side.connection().aclose()
    for each in reading:
        with pytest.raises(Unavailable):
            await each
    with pytest.raises(Unavailable):
        await side.connection().get(side.key, timeout=TIMEOUT)
