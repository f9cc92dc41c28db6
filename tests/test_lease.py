"""`Lease` on a real etcd."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import aetcd
import pytest

from aioelection import Client, InvalidConfiguration, InvalidState, Leadership, Lease, LeaseExpired, LossReason
from tests.support import TTL, Ctl, MovableClock, Proxy, Stranger, beside, eventually, leases, now, soon, throughout


async def renewal_sent(proxy: Proxy, lease: Lease) -> float:
    """Wait until a renewal is sent whose acknowledgement is held; return a time that is not before its sending."""
    planned = lease.life.deadline.next_renewal
    proxy.hold("replies")
    await eventually(lambda: lease.life.deadline.next_renewal != planned)
    return now(lease.client)


async def test_expired_before_the_grant_not_after_and_again_after_its_time(client: Client) -> None:
    lease = Lease(client, "a purpose")
    assert (lease.is_expired(), lease.id, lease.ttl, lease.remaining()) == (True, 0, 0, 0.0)
    await lease.grant(TTL)
    assert not lease.is_expired()
    assert lease.id > 0
    assert 0 < lease.remaining() < TTL
    await eventually(lease.is_expired, within=TTL)
    assert lease.remaining() == 0.0


async def test_expired_on_the_clock_that_counts_suspend(client: Client) -> None:
    clock = MovableClock(client)
    lease = Lease(client)
    await lease.grant(60)
    clock.move(59)
    assert not lease.is_expired()
    clock.move(1)
    assert lease.is_expired()


async def test_the_ttl_is_what_was_granted(client: Client) -> None:
    lease = Lease(client)
    await lease.grant(1)
    assert lease.ttl == 2, "etcd raises what is below"
    assert lease.remaining() > 1


async def test_believed_from_the_send_time_of_the_grant(proxy: Proxy, far_client: Client) -> None:
    lease = Lease(far_client)
    proxy.hold("replies")
    async with beside(lease.grant(TTL)) as granting:
        await eventually(lambda: proxy.held["replies"])
        handled = now(far_client)
        await asyncio.sleep(0.5)
        assert lease.is_expired(), "nothing has come yet"
        proxy.release()
        await soon(granting)
    assert now(far_client) + lease.remaining() <= handled + TTL * 0.995 - 0.1


async def test_believed_from_the_send_time_of_a_renewal(proxy: Proxy, far_client: Client) -> None:
    lease = Lease(far_client)
    await lease.grant(3)
    before = lease.life.deadline.at
    async with beside(lease.keep_alive()):
        sent = await renewal_sent(proxy, lease)
        await asyncio.sleep(0.3)
        assert lease.life.deadline.at == before, "nothing has come yet"
        proxy.release()
        await eventually(lambda: lease.life.deadline.at > before)
        assert lease.life.deadline.at <= sent + 3 * 0.995 - 0.1
    await lease.close()


async def test_a_renewal_acknowledged_after_the_deadline_revives_nothing(proxy: Proxy, far_client: Client) -> None:
    clock = MovableClock(far_client)
    lease = Lease(far_client)
    await lease.grant(4)
    leadership = Leadership(far_client, "/test/late-acknowledgement")
    term = await leadership.campaign(TTL, b"late", wait=False, lease=lease)
    async with beside(lease.keep_alive()) as keeping:
        await renewal_sent(proxy, lease)
        await eventually(lambda: proxy.held["replies"])
        await asyncio.sleep(0.1)  # the acknowledgement is on its way now
        assert not keeping.done()
        assert term.check()
        clock.move(4)  # a suspend: no timer has noticed yet
        proxy.release()
        with pytest.raises(LeaseExpired):
            await soon(keeping)
    assert lease.is_expired()
    assert not term.check()
    assert term.loss_reason is LossReason.STALLED
    await throughout(0.3, lambda: lease.is_expired() and not term.check())
    await lease.close()


async def test_granted_again_after_close_and_after_expiry(client: Client) -> None:
    lease = Lease(client)
    ids = set()
    for _ in range(2):
        await lease.grant(60)
        assert not lease.is_expired()
        ids.add(lease.id)
        await lease.close()
        assert lease.is_expired()
    await lease.grant(TTL)
    ids.add(lease.id)
    await eventually(lease.is_expired, within=TTL)
    await lease.grant(60)
    assert not lease.is_expired()
    ids.add(lease.id)
    assert len(ids) == 4, "each grant is a lease of its own"
    await lease.close()


async def test_granted_while_granted_is_an_error(client: Client) -> None:
    lease = Lease(client)
    await lease.grant(60)
    granted = lease.id
    with pytest.raises(InvalidState, match="granted already"):
        await lease.grant(60)
    assert lease.id == granted
    assert not lease.is_expired()
    await lease.close()


async def test_close_revokes_and_may_be_called_again(client: Client, ctl: Ctl) -> None:
    lease = Lease(client)
    await lease.close()
    await lease.grant(60)
    assert lease.id in await leases(ctl)
    await lease.close()
    assert lease.is_expired()
    assert lease.id not in await leases(ctl)
    await lease.close()


async def test_close_of_a_lease_that_somebody_revoked(client: Client, stranger: Stranger) -> None:
    lease = Lease(client)
    await lease.grant(60)
    await stranger.revoke(lease.id)
    await lease.close()
    assert lease.is_expired()


async def test_kept_alive_well_past_its_time_by_several_at_once(client: Client, ctl: Ctl) -> None:
    lease = Lease(client)
    await lease.grant(TTL)
    async with beside(lease.keep_alive()) as one, beside(lease.keep_alive()) as another:
        await throughout(TTL, lambda: not lease.is_expired())
        one.cancel()
        await throughout(TTL, lambda: not lease.is_expired())
        assert lease.id in await leases(ctl)
        await lease.close()
        await soon(another)
    assert one.cancelled()
    assert lease.is_expired()


async def test_cancelled_it_renews_no_more(client: Client) -> None:
    lease = Lease(client)
    await lease.grant(TTL)
    async with beside(lease.keep_alive()) as keeping:
        await eventually(lambda: lease.life.deadline.next_renewal > now(client))
        keeping.cancel()
        await asyncio.wait([keeping])
    await eventually(lease.is_expired, within=TTL + 0.5)


async def test_keep_alive_returns_on_close_and_at_once_after_it(client: Client) -> None:
    lease = Lease(client)
    await lease.grant(60)
    async with beside(lease.keep_alive()) as keeping:
        await asyncio.sleep(0)
        await lease.close()
        await soon(keeping)
    await soon(lease.keep_alive())


async def test_keep_alive_of_what_is_expired_is_an_error(client: Client) -> None:
    clock = MovableClock(client)
    lease = Lease(client)
    with pytest.raises(LeaseExpired):
        await lease.keep_alive()
    await lease.grant(TTL)
    clock.move(TTL)
    with pytest.raises(LeaseExpired):
        await lease.keep_alive()


async def test_a_renewal_of_what_etcd_no_longer_has_is_a_loss_at_once(client: Client, stranger: Stranger) -> None:
    lease = Lease(client)
    await lease.grant(4)
    async with beside(lease.keep_alive()) as keeping:
        await asyncio.sleep(0)
        deadline = time.monotonic() + lease.remaining()
        await stranger.revoke(lease.id)
        with pytest.raises(LeaseExpired):
            await soon(keeping)
        assert time.monotonic() < deadline, "it was told by the server, not by the clock"
    assert lease.is_expired()


async def test_closing_it_ends_every_term_on_it(client: Client, stranger: Stranger, unique_key: str) -> None:
    lease = Lease(client)
    await lease.grant(60)
    keys = [f"{unique_key}/{number}" for number in range(3)]
    terms = [await Leadership(client, key).campaign(60, b"a", wait=False, lease=lease) for key in keys]
    assert all(term.check() for term in terms)
    await lease.close()
    assert not any(term.check() for term in terms)
    assert all(term.lost.is_set() and term.loss_reason is LossReason.REVOKED for term in terms)
    assert [await stranger.get(key) for key in keys] == [None] * 3


@pytest.mark.parametrize("value", [0, -5, 10**12, 9_000_000_001, "ten", 2.0, True, None])
async def test_a_time_that_cannot_be_is_refused_by_name(client: Client, value: Any) -> None:
    lease = Lease(client)
    with pytest.raises(InvalidConfiguration) as caught:
        await lease.grant(value)
    assert "lease_timeout" in str(caught.value)
    assert repr(value) in str(caught.value)
    assert "9,000,000,000" in str(caught.value)
    assert lease.id == 0, "nothing was sent"


async def test_the_longest_lease(client: Client) -> None:
    lease = Lease(client)
    await lease.grant(9_000_000_000)
    assert lease.ttl == 9_000_000_000
    await lease.close()


async def test_its_making(client: Client) -> None:
    lease = Lease(client, "a purpose")
    assert (lease.purpose, lease.client) == ("a purpose", client)
    assert "a purpose" in repr(lease)
    wrong: Any = 5
    with pytest.raises(InvalidConfiguration, match="purpose"):
        Lease(client, wrong)
    with pytest.raises(InvalidConfiguration, match="client"):
        Lease(wrong)


async def test_on_a_bare_aetcd_client(stranger: Stranger) -> None:
    lease = Lease(stranger.client)
    await lease.grant(60)
    info: aetcd.LeaseInfo = await stranger.client.get_lease_info(lease.id)
    assert info is not None
    await lease.client.aclose()
