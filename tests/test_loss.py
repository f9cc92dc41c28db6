"""How a term is lost: by others, by time, and for good (rules 2, 5 and 6)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from aioelection import Client, Leadership, LeadershipLost, LossReason, State, Term, connect
from tests.etcd import EtcdFactory
from tests.support import TTL, MovableClock, Proxy, Stranger, beside, eventually, freeze, is_in, soon, throughout

Meddling = Callable[[Stranger, str, int], Awaitable[None]]


async def revoke(stranger: Stranger, key: str, lease_id: int) -> None:
    await stranger.revoke(lease_id)


async def delete(stranger: Stranger, key: str, lease_id: int) -> None:
    await stranger.delete(key)


async def overwrite(stranger: Stranger, key: str, lease_id: int) -> None:
    await stranger.put(key, b"intruder")


async def write_the_same_again(stranger: Stranger, key: str, lease_id: int) -> None:
    await stranger.put(key, b"leader")


async def write_the_same_again_on_the_same_lease(stranger: Stranger, key: str, lease_id: int) -> None:
    await stranger.put(key, b"leader", lease=lease_id)


async def overwrite_and_delete(stranger: Stranger, key: str, lease_id: int) -> None:
    await stranger.put(key, b"intruder")
    await stranger.delete(key)


MEDDLINGS = {
    revoke: LossReason.REVOKED,
    delete: LossReason.DELETED,
    overwrite: LossReason.OVERWRITTEN,
    write_the_same_again: LossReason.OVERWRITTEN,
    write_the_same_again_on_the_same_lease: LossReason.OVERWRITTEN,
    overwrite_and_delete: LossReason.OVERWRITTEN,
}
meddled = pytest.mark.parametrize(("meddle", "reason"), MEDDLINGS.items())


def is_lost(leadership: Leadership, term: Term, reason: LossReason) -> bool:
    """The whole of a loss, which is one step."""
    return (
        not leadership.check()
        and not term.check()
        and term.lost.is_set()
        and term.loss_reason is reason
        and term.remaining() == 0
        and not leadership.state.leads
    )


@meddled
async def test_what_others_do_is_known_within_a_second(
    client: Client, stranger: Stranger, unique_key: str, meddle: Meddling, reason: LossReason
) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"leader", wait=False)
    async with beside(leadership.keep()) as keeping:
        await asyncio.sleep(0.05)
        assert leadership.lease is not None
        await meddle(stranger, unique_key, leadership.lease.id)
        await soon(term.lost.wait(), 1)
        assert is_lost(leadership, term, reason)
        with pytest.raises(LeadershipLost) as caught:
            await soon(keeping)
        assert caught.value.reason is reason
    assert is_lost(leadership, term, reason)
    assert is_in(leadership, State.IDLE)


@meddled
async def test_what_others_do_cancels_the_body_within_a_second(
    client: Client, stranger: Stranger, unique_key: str, meddle: Meddling, reason: LossReason
) -> None:
    leadership = Leadership(client, unique_key)
    with pytest.raises(LeadershipLost) as caught:
        async with asyncio.timeout(2), leadership.campaign(60, b"leader") as term:
            assert leadership.lease is not None
            await meddle(stranger, unique_key, leadership.lease.id)
            meddled_at = time.monotonic()
            try:
                await asyncio.Event().wait()
            finally:
                assert is_lost(leadership, term, reason), "all of it precedes the cancellation"
                assert time.monotonic() - meddled_at < 1
    assert caught.value.reason is reason
    left = await stranger.get(unique_key)
    assert left is None or left.lease == 0, "a lease of ours is revoked, an intruder's key is not touched"


@pytest.mark.parametrize("fault", ["frozen", "killed"])
async def test_with_etcd_out_of_reach_lost_at_the_deadline(new_etcd: EtcdFactory, unique_key: str, fault: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        leadership = Leadership(client, unique_key)
        term = await leadership.campaign(TTL, b"leader", wait=False)
        async with beside(leadership.keep()) as keeping:
            await throughout(0.8, term.check)  # it has been renewed
            (member,) = etcd.members
            if fault == "frozen":
                await freeze(member)
            else:
                await member.kill()
            await soon(term.lost.wait(), TTL + 0.5)
            assert is_lost(leadership, term, LossReason.EXPIRED)
            with pytest.raises(LeadershipLost) as caught:
                await soon(keeping)
            assert caught.value.reason is LossReason.EXPIRED


async def test_check_is_false_at_the_deadline_whatever_the_loop_does(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(TTL, b"leader", wait=False)
    while term.check():
        time.sleep(0.001)  # noqa: ASYNC251 (nothing else is to run)
    assert not term.lost.is_set(), "nobody could set it"
    assert not leadership.check()
    assert term.remaining() == 0
    with pytest.raises(LeadershipLost):
        await leadership.keep()


async def test_the_event_loop_blocked_beyond_the_lease(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(TTL, b"leader", wait=False)
    async with beside(leadership.keep()) as keeping:
        await eventually(lambda: term.remaining() > 0 and is_in(leadership, State.LEADING))
        await asyncio.sleep(0.8)  # renewals are under way
        assert term.check()
        time.sleep(TTL + 0.6)  # noqa: ASYNC251 (that is the fault)
        assert not term.check(), "the first one"
        assert not leadership.check()
        await soon(term.lost.wait(), 1)
        assert is_lost(leadership, term, LossReason.STALLED)
        with pytest.raises(LeadershipLost):
            await soon(keeping)
    await throughout(0.3, lambda: is_lost(leadership, term, LossReason.STALLED))


async def test_a_suspend_beyond_the_lease(client: Client, unique_key: str) -> None:
    clock = MovableClock(client)
    leadership = Leadership(client, unique_key)
    with pytest.raises(LeadershipLost) as caught:
        async with leadership.campaign(10, b"leader") as term:
            await eventually(term.check)
            clock.move(10)
            assert not term.check()
            assert not leadership.check()
            await soon(term.lost.wait(), 1)
    assert caught.value.reason is LossReason.STALLED


async def test_a_late_acknowledgement_revives_nothing(proxy: Proxy, far_client: Client, unique_key: str) -> None:
    leadership = Leadership(far_client, unique_key)
    term = await leadership.campaign(TTL, b"leader", wait=False)
    async with beside(leadership.keep()) as keeping:
        await asyncio.sleep(0.5)
        proxy.hold("replies")
        await soon(term.lost.wait(), TTL + 0.5)
        proxy.release()
        with pytest.raises(LeadershipLost):
            await soon(keeping)
        await throughout(0.5, lambda: is_lost(leadership, term, LossReason.EXPIRED))
    assert is_in(leadership, State.IDLE)


async def test_a_later_reason_does_not_count(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"leader", wait=False)
    async with beside(leadership.keep()):
        await stranger.put(unique_key, b"intruder")
        await soon(term.lost.wait(), 1)
        await leadership.resign()
        await client.aclose()
    assert term.loss_reason is LossReason.OVERWRITTEN


async def test_closing_the_client_is_a_loss(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    with pytest.raises(LeadershipLost) as caught:
        async with leadership.campaign(60, b"leader") as term:
            closing = asyncio.ensure_future(client.aclose())
            await asyncio.Event().wait()
    await soon(closing)
    assert caught.value.reason is LossReason.CLOSED
    assert is_lost(leadership, term, LossReason.CLOSED)
    assert is_in(leadership, State.CLOSED)
    assert await stranger.get(unique_key) is None


async def test_a_lost_term_is_not_won_back_by_the_next(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    lost = await leadership.campaign(60, b"leader", wait=False)
    async with beside(leadership.keep()):
        await stranger.delete(unique_key)
        await soon(lost.lost.wait(), 1)
    won = await leadership.campaign(60, b"leader")
    assert won is not lost
    assert won.fencing_token > lost.fencing_token
    assert (won.check(), lost.check()) == (True, False)
    assert leadership.check()
    await leadership.resign()
