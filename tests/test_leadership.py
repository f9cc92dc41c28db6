"""`Leadership` on a real etcd: checked, kept, reset, resigned."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest

from aioelection import (
    CampaignConflict,
    Client,
    InvalidConfiguration,
    InvalidState,
    Leadership,
    LeadershipLost,
    Lease,
    LossReason,
    NotLeader,
    State,
    Unavailable,
    get_leader,
)
from tests.support import TTL, MovableClock, Proxy, Stranger, beside, eventually, is_in, soon, throughout


async def test_two_leaderships_on_one_key(client: Client, other_client: Client, unique_key: str) -> None:
    first, second = Leadership(client, unique_key, "first"), Leadership(other_client, unique_key, "second")
    term = await first.campaign(TTL, b"first", wait=False)
    with pytest.raises(CampaignConflict) as caught:
        await second.campaign(TTL, b"second", wait=False)
    assert caught.value.leader is not None
    assert caught.value.leader.value == b"first"
    assert caught.value.leader.create_revision == term.fencing_token
    assert first.check()
    assert term.check()
    assert not second.check()
    # Nobody keeps it.
    await eventually(lambda: not first.check(), within=TTL)
    assert not second.check()
    await eventually(term.lost.is_set, within=1)
    assert term.loss_reason is LossReason.EXPIRED


async def test_with_keep_the_first_stays_true_well_past_the_lease(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str
) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    term = await first.campaign(TTL, b"first", wait=False)
    async with beside(first.keep()) as keeping:
        await throughout(2.5 * TTL, lambda: first.check() and not second.check() and not keeping.done())
        key = await stranger.get(unique_key)
        assert key.create_revision == key.mod_revision == term.fencing_token
        with pytest.raises(CampaignConflict):
            await second.campaign(TTL, b"second", wait=False)
        await first.resign()
        await soon(keeping)
    assert not first.check()
    term = await second.campaign(TTL, b"second", wait=False)
    assert term.fencing_token > key.create_revision
    await second.resign()


async def test_two_objects_of_one_process_are_rivals_too(client: Client, unique_key: str) -> None:
    first, second = Leadership(client, unique_key), Leadership(client, unique_key)
    await first.campaign(60, b"same", wait=False)
    with pytest.raises(CampaignConflict):
        await second.campaign(60, b"same", wait=False)
    assert (first.check(), second.check()) == (True, False)
    await first.resign()


# ---- delete_leader_key


async def test_delete_leader_key_frees_the_key(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str
) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    term = await first.campaign(60, b"first", wait=False)
    await first.delete_leader_key()
    assert not first.check()
    assert term.loss_reason is LossReason.RESIGNED
    assert await stranger.get(unique_key) is None
    await second.campaign(60, b"second", wait=False)
    await second.resign()


async def test_delete_leader_key_refuses_what_has_passed_to_another(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str
) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    await first.campaign(60, b"same", wait=False)
    await stranger.delete(unique_key)
    term = await second.campaign(60, b"same", wait=False)
    with pytest.raises(NotLeader, match=str(term.fencing_token)):
        await first.delete_leader_key()
    key = await stranger.get(unique_key)
    assert (key.create_revision, key.mod_revision) == (term.fencing_token, term.fencing_token)
    assert second.check()
    assert not first.check()
    with pytest.raises(NotLeader):
        await first.delete_leader_key()
    await second.resign()


async def test_delete_leader_key_refuses_what_was_taken_without_a_lease(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"same", wait=False)
    await stranger.put(unique_key, b"same")
    with pytest.raises(NotLeader):
        await leadership.delete_leader_key()
    key = await stranger.get(unique_key)
    assert key.create_revision == term.fencing_token
    assert key.mod_revision > term.fencing_token
    await stranger.delete(unique_key)


async def test_delete_leader_key_of_a_key_that_is_gone_is_a_success(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"a", wait=False)
    await stranger.delete(unique_key)
    await leadership.delete_leader_key()
    await leadership.delete_leader_key()
    assert not leadership.check()


async def test_delete_leader_key_of_who_never_led_is_an_error(client: Client, unique_key: str) -> None:
    with pytest.raises(NotLeader, match="no term"):
        await Leadership(client, unique_key).delete_leader_key()


async def test_delete_leader_key_on_a_shared_lease_leaves_the_lease(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    lease = Lease(client)
    await lease.grant(60)
    one, another = Leadership(client, unique_key + "/1"), Leadership(client, unique_key + "/2")
    await one.campaign(60, b"a", wait=False, lease=lease)
    await another.campaign(60, b"a", wait=False, lease=lease)
    await one.delete_leader_key()
    assert (one.check(), another.check()) == (False, True)
    assert await stranger.get(one.leader_key) is None
    assert await stranger.get(another.leader_key) is not None
    await lease.close()


# ---- reset, resign, keep


async def test_reset_then_check_is_false_and_keep_ends_at_once(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.reset()
    term = await leadership.campaign(60, b"a", wait=False)
    lease = leadership.lease
    assert lease is not None
    await leadership.reset()
    assert not leadership.check()
    assert not term.check()
    assert lease.is_expired()
    assert await stranger.get(unique_key) is None
    await soon(leadership.keep())
    await leadership.reset()
    await lease.close()
    await lease.close()
    assert leadership.leader_value is None
    assert leadership.lease is None


async def test_reset_ends_a_running_keep(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"a", wait=False)
    async with beside(leadership.keep()) as one, beside(leadership.keep()) as another:
        await asyncio.sleep(0.05)
        assert not one.done()
        await leadership.reset()
        assert await soon(one) is None
        assert await soon(another) is None


async def test_reset_raises_nothing_when_etcd_does_not_answer(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(far_client, unique_key)
    await leadership.campaign(TTL, b"a", wait=False)
    proxy.hold("requests")
    await leadership.reset()
    assert not leadership.check()
    assert is_in(leadership, State.IDLE)
    assert await stranger.get(unique_key) is not None
    proxy.cut()


async def test_resigned_the_next_follows_at_once(
    client: Client, other_client: Client, stranger: Stranger, unique_key: str
) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    term = await first.campaign(60, b"first")
    async with beside(second.campaign(60, b"second")) as waiting:
        await eventually(lambda: is_in(second, State.FOLLOWING))
        await first.resign()
        assert (await soon(waiting, 1)).fencing_token > term.fencing_token
    assert (await stranger.get(unique_key)).value == b"second"
    assert (first.check(), second.check()) == (False, True)
    await second.resign()
    await second.resign()
    assert await stranger.get(unique_key) is None


async def test_resigning_without_a_term_does_nothing(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.resign()
    assert is_in(leadership, State.IDLE)


@pytest.mark.parametrize("shared", [False, True])
async def test_resigning_that_is_not_answered_can_be_tried_again(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str, shared: bool
) -> None:
    leadership, lease = Leadership(far_client, unique_key), Lease(far_client)
    await lease.grant(60)
    await leadership.campaign(60, b"a", wait=False, lease=lease if shared else None)
    proxy.hold("requests")
    with pytest.raises(Unavailable):
        await leadership.resign()
    assert not leadership.check(), "given up all the same"
    assert is_in(leadership, State.RESIGNING)
    assert await stranger.get(unique_key) is not None
    with pytest.raises(InvalidState, match="resigning"):
        leadership.campaign(60, b"a")
    proxy.cut()
    await get_leader(far_client, unique_key)  # the connection works again
    await leadership.resign()
    assert await stranger.get(unique_key) is None
    assert is_in(leadership, State.IDLE)
    await lease.close()


async def test_resigning_that_is_not_answered_may_be_left_at_that(
    proxy: Proxy, far_client: Client, unique_key: str
) -> None:
    leadership = Leadership(far_client, unique_key)
    await leadership.campaign(TTL, b"a", wait=False)
    proxy.hold("requests")
    with pytest.raises(Unavailable):
        await leadership.resign()
    await leadership.reset()
    assert is_in(leadership, State.IDLE)
    proxy.cut()
    await leadership.campaign(60, b"b")  # waits until the abandoned key has expired
    await leadership.resign()


async def test_keep_of_who_never_led_is_an_error(client: Client, unique_key: str) -> None:
    with pytest.raises(NotLeader, match="no term"):
        await Leadership(client, unique_key).keep()


async def test_keep_after_a_loss_tells_it_again(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"a", wait=False)
    async with beside(leadership.keep()) as keeping:
        await stranger.delete(unique_key)
        for again in (keeping, leadership.keep()):
            with pytest.raises(LeadershipLost) as caught:
                await soon(again)
            assert caught.value.reason is LossReason.DELETED
            assert caught.value.leader_key == unique_key.encode()


async def test_keep_begun_late_still_tells_what_happened_before(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    """The watch begins after the win's revision, not when ``keep`` does."""
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, b"a", wait=False)
    await stranger.put(unique_key, b"b")
    await stranger.delete(unique_key)
    with pytest.raises(LeadershipLost) as caught:
        await soon(leadership.keep())
    assert caught.value.reason is LossReason.OVERWRITTEN


async def test_keep_cancelled_leaves_the_term_to_its_deadline(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(TTL, b"a", wait=False)
    async with beside(leadership.keep()) as keeping:
        await asyncio.sleep(0.05)
        keeping.cancel()
        await asyncio.wait([keeping])
    assert term.check()
    assert is_in(leadership, State.LEADING)
    await soon(term.lost.wait(), TTL)
    assert term.loss_reason is LossReason.EXPIRED


# ---- what it tells


async def test_what_it_tells_of_itself(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key, "a purpose")
    assert leadership.client is client
    assert leadership.leader_key == unique_key.encode()
    assert leadership.purpose == "a purpose"
    assert is_in(leadership, State.IDLE)
    assert [leadership.leader_value, leadership.lease, leadership.term] == [None, None, None]
    assert "a purpose" in repr(leadership) and "idle" in repr(leadership)
    term = await leadership.campaign(60, "a value", wait=False)
    assert leadership.term is term
    assert leadership.leader_value == term.leader_value == b"a value"
    assert term.leader_key == unique_key.encode()
    assert leadership.lease is not None
    assert leadership.lease.ttl == 60
    assert 58 < term.remaining() < 60
    assert is_in(leadership, State.LEADING)
    assert str(term.fencing_token) in repr(term)
    await leadership.resign()
    assert term.remaining() == 0
    assert leadership.leader_value is None
    assert leadership.lease is None
    assert leadership.term is term
    assert is_in(leadership, State.IDLE)
    assert "resigned" in repr(term)


async def test_its_arguments(client: Client) -> None:
    wrong: Any = 5
    for key in ("", b""):
        with pytest.raises(InvalidConfiguration, match="leader_key must not be empty"):
            Leadership(client, key)
    with pytest.raises(InvalidConfiguration, match="leader_key must be str or bytes, not 5"):
        Leadership(client, wrong)
    with pytest.raises(InvalidConfiguration, match="purpose"):
        Leadership(client, "key", wrong)
    with pytest.raises(InvalidConfiguration, match="client"):
        Leadership(wrong, "key")


async def test_state_through_a_campaign_and_a_term(client: Client, other_client: Client, unique_key: str) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    await first.campaign(60, b"first")
    async with beside(second.campaign(60, b"second")) as waiting:
        await eventually(lambda: is_in(second, State.FOLLOWING))
        waiting.cancel()
        await eventually(lambda: is_in(second, State.IDLE))
    await client.aclose()
    assert is_in(first, State.CLOSED)
    assert not first.check()
    await other_client.aclose()
    assert is_in(second, State.CLOSED)


async def test_check_may_be_called_in_any_thread(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(TTL, b"a", wait=False)
    checked: list[tuple[bool, bool]] = []

    def work() -> None:
        checked.append((term.check(), leadership.check()))
        time.sleep(TTL)
        checked.append((term.check(), leadership.check()))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert checked == [(True, True), (False, False)]


async def test_tokens_rise_with_each_term(client: Client, other_client: Client, unique_key: str) -> None:
    tokens = []
    for each in (client, other_client, client, client):
        leadership = Leadership(each, unique_key)
        tokens.append((await leadership.campaign(60, b"a", wait=False)).fencing_token)
        await leadership.resign()
    assert tokens == sorted(set(tokens))


# ---- the lease


async def test_setting_a_lease_makes_nobody_a_leader(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    lease = Lease(client)
    await lease.grant(60)
    leadership.lease = lease
    assert leadership.lease is lease
    assert not leadership.check()
    assert is_in(leadership, State.IDLE)
    with pytest.raises(NotLeader):
        leadership.leader_txn()
    await leadership.campaign(60, b"a", wait=False)
    assert (await stranger.get(unique_key)).lease == lease.id
    await leadership.resign()
    assert not lease.is_expired(), "shared: resigning deletes the key alone"
    assert leadership.lease is lease
    await leadership.reset()
    assert leadership.lease is None
    await leadership.campaign(60, b"a", wait=False)
    assert (await stranger.get(unique_key)).lease != lease.id
    await leadership.resign()
    await lease.close()


async def test_setting_a_lease_is_refused_during_a_term_and_a_campaign(
    client: Client, other_client: Client, unique_key: str
) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    await first.campaign(60, b"first")
    own = first.lease
    with pytest.raises(InvalidState):
        first.lease = Lease(client)
    assert first.lease is own
    async with beside(second.campaign(60, b"second")):
        await eventually(lambda: is_in(second, State.FOLLOWING))
        with pytest.raises(InvalidState):
            second.lease = Lease(other_client)
    await first.resign()
    first.lease = None
    with pytest.raises(InvalidConfiguration, match="lease must be"):
        first.lease = 5  # type: ignore[assignment]


# ---- the rest of the seed's table


async def test_the_primary_watch_is_cleared_by_reset(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    assert not leadership.is_primary()
    leadership.set_primary_watch(True)
    assert leadership.is_primary()
    leadership.set_primary_watch(False)
    assert not leadership.is_primary()
    leadership.set_primary_watch(True)
    await leadership.reset()
    assert not leadership.is_primary()


async def test_campaign_times_are_counted_in_a_window(client: Client, unique_key: str) -> None:
    clock = MovableClock(client)
    leadership = Leadership(client, unique_key)
    assert leadership.campaign_times_num == 0
    leadership.add_campaign_times()
    clock.move(200)
    leadership.add_campaign_times()
    assert leadership.campaign_times_num == 2
    clock.move(101)
    assert leadership.campaign_times_num == 2, "older ones are dropped at the next addition"
    leadership.add_campaign_times()
    assert leadership.campaign_times_num == 2
    leadership.reset_campaign_times()
    assert leadership.campaign_times_num == 0
