"""`Leadership.campaign` on a real etcd: how it is called, won, refused, resolved and stood for again."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Coroutine
from typing import Any

import anyio
import pytest
from aetcd.transactions import Create, Value, Version

from aioelection import (
    CampaignConflict,
    Client,
    InvalidConfiguration,
    InvalidState,
    Leadership,
    Lease,
    LeaseExpired,
    LossReason,
    Member,
    State,
    Term,
    Unavailable,
    connect,
)
from tests.etcd import EtcdFactory
from tests.support import (
    TTL,
    Ctl,
    MovableClock,
    Proxy,
    Stranger,
    beside,
    eventually,
    freeze,
    is_in,
    leases,
    soon,
    throughout,
    watches_stand,
)

# ---- the two forms


async def test_awaited_it_gives_the_term(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(60, b"data")
    assert isinstance(term, Term)
    assert term.check() and leadership.check()
    assert not term.lost.is_set() and term.loss_reason is None
    key = await stranger.get(unique_key)
    assert leadership.lease is not None
    assert (key.value, key.lease) == (b"data", leadership.lease.id)
    assert key.create_revision == term.fencing_token
    await leadership.resign()


async def test_awaited_nothing_renews_or_watches(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(TTL, b"data")
    await stranger.delete(unique_key)
    await throughout(1.2, term.check)
    await soon(term.lost.wait(), 1)
    assert term.loss_reason is LossReason.EXPIRED


async def test_entered_it_keeps_and_resigns(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(TTL, b"data") as term:
        await throughout(TTL + 0.5, lambda: term.check() and leadership.check())
        assert (await stranger.get(unique_key)).create_revision == term.fencing_token
    assert not term.check()
    assert term.loss_reason is LossReason.RESIGNED
    assert await stranger.get(unique_key) is None
    assert is_in(leadership, State.IDLE)


@pytest.mark.parametrize(
    ("data", "expected"),
    [("text", b"text"), (b"bytes", b"bytes"), (b"", b""), (Member(name="pd"), b"\x0a\x02pd")],
)
async def test_the_data_may_be_text_bytes_or_a_message(
    client: Client, stranger: Stranger, unique_key: str, data: Any, expected: bytes
) -> None:
    leadership = Leadership(client, unique_key)
    await leadership.campaign(60, data)
    assert (await stranger.get(unique_key)).value == expected == leadership.leader_value
    await leadership.resign()


async def test_create_task_and_start_soon_take_it(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    campaign = leadership.campaign(60, b"data")
    assert isinstance(campaign, Coroutine) and asyncio.iscoroutine(campaign)
    term = await asyncio.create_task(campaign)
    assert term.check()
    await leadership.resign()
    async with anyio.create_task_group() as group:
        group.start_soon(leadership.campaign, 60, b"data")
    assert leadership.check()
    await leadership.resign()
    async with asyncio.TaskGroup() as tasks:
        winning = tasks.create_task(leadership.campaign(60, b"data"))
    assert winning.result().check()
    await leadership.resign()
    term, _ = await asyncio.gather(leadership.campaign(60, b"data"), asyncio.sleep(0))
    assert term.check()
    await leadership.resign()


async def test_never_used_it_leaves_nothing(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    campaign = leadership.campaign(60, b"data")
    assert not inspect.iscoroutine(campaign), "so no warning that it was never awaited"
    campaign.close()
    assert is_in(leadership, State.IDLE)
    del campaign


async def test_used_once(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    campaign = leadership.campaign(60, b"data")
    await campaign
    await leadership.resign()
    with pytest.raises(InvalidState, match="once"):
        await campaign
    with pytest.raises(InvalidState, match="once"):
        async with campaign:
            pytest.fail("entered")
    entered = leadership.campaign(60, b"data")
    async with entered:
        pass
    with pytest.raises(InvalidState, match="once"):
        await entered
    assert is_in(leadership, State.IDLE)


async def test_a_second_campaign_is_an_error(client: Client, other_client: Client, unique_key: str) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    early = second.campaign(60, b"early")
    await first.campaign(60, b"first")
    with pytest.raises(InvalidState, match="leading"):
        first.campaign(60, b"again")
    async with beside(second.campaign(60, b"second")):
        await eventually(lambda: is_in(second, State.FOLLOWING))
        with pytest.raises(InvalidState, match="under way"):
            second.campaign(60, b"again")
        with pytest.raises(InvalidState, match="under way"):
            await early
    await first.resign()
    assert not second.check()


# ---- arguments


@pytest.mark.parametrize(
    ("arguments", "keywords", "named"),
    [
        ((0, b"data"), {}, "0"),
        ((-5, b"data"), {}, "-5"),
        ((10**12, b"data"), {}, "1000000000000"),
        (("ten", b"data"), {}, "'ten'"),
        ((2.5, b"data"), {}, "2.5"),
        ((True, b"data"), {}, "True"),
        ((60, 5), {}, "leader_data must be str, bytes or a protobuf message, not 5"),
        ((60, None), {}, "None"),
        ((60, b"x" * 1_600_000), {}, "1600000"),
        ((60, b"data", "compare"), {}, "'compare'"),
        ((60, b"data", Create("key")), {}, "'key'"),
        ((60, b"data", Create("key") == "zero"), {}, "'zero'"),
        ((60, b"data", Create("") == 0), {}, "''"),
        ((60, b"data"), {"on_loss": "explode"}, "'explode'"),
        ((60, b"data"), {"wait": 5}, "wait must be True or False, not 5"),
        ((60, b"data"), {"lease": 5}, "lease must be an aioelection.Lease, not 5"),
    ],
    ids=str,
)
async def test_what_cannot_be_is_refused_at_the_call_by_name(
    client: Client, unique_key: str, arguments: tuple[Any, ...], keywords: dict[str, Any], named: str
) -> None:
    leadership = Leadership(client, unique_key)
    with pytest.raises(InvalidConfiguration) as caught:
        leadership.campaign(*arguments, **keywords)
    assert named in str(caught.value)
    assert is_in(leadership, State.IDLE)


async def test_an_unknown_option_is_refused(client: Client, unique_key: str) -> None:
    with pytest.raises(TypeError, match="patience"):
        Leadership(client, unique_key).campaign(60, b"data", patience=5)  # type: ignore[call-arg]


# ---- a single attempt


async def test_a_single_attempt_tells_who_leads(
    client: Client, other_client: Client, ctl: Ctl, unique_key: str
) -> None:
    first, second = Leadership(client, unique_key), Leadership(other_client, unique_key)
    term = await first.campaign(60, b"first")
    before = await leases(ctl)
    with pytest.raises(CampaignConflict, match=r"^b'first' leads .* with token \d+$") as caught:
        async with second.campaign(60, b"second", wait=False):
            pytest.fail("entered")
    leader = caught.value.leader
    assert leader is not None and first.lease is not None
    assert (leader.value, leader.create_revision, leader.revision, leader.lease_id, leader.message) == (
        b"first",
        term.fencing_token,
        term.fencing_token,
        first.lease.id,
        None,
    )
    assert is_in(second, State.IDLE)
    assert await leases(ctl) == before, "the attempt's lease is revoked"
    await first.resign()
    assert (await second.campaign(60, b"second", wait=False)).check()
    await second.resign()


async def test_a_single_attempt_needs_etcd(proxy: Proxy, far_client: Client, unique_key: str) -> None:
    leadership = Leadership(far_client, unique_key)
    await proxy.stop()
    with pytest.raises(Unavailable):
        await leadership.campaign(60, b"data", wait=False)
    assert is_in(leadership, State.IDLE)


# ---- extra compares


async def test_it_wins_only_if_the_compares_hold(client: Client, stranger: Stranger, unique_key: str) -> None:
    leadership, other = Leadership(client, unique_key), unique_key + "/other"
    await stranger.put(other, b"closed")
    for compares in ((Value(other) == "open",), (Create(other) > 0, Version(other) == 2)):
        with pytest.raises(CampaignConflict, match="compare does not hold") as caught:
            await leadership.campaign(60, b"data", *compares, wait=False)
        assert caught.value.leader is None
        assert await stranger.get(unique_key) is None
    term = await leadership.campaign(60, b"data", Value(other) == b"closed", Version(other) == 1, wait=False)
    assert term.check()
    await leadership.resign()
    await stranger.delete(other)


async def test_it_waits_for_the_compares_to_hold_without_a_spin(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership, other = Leadership(client, unique_key), unique_key + "/other"
    states = leadership.transitions()
    async with beside(leadership.campaign(TTL, b"data", Value(other) == "open")) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        await throughout(TTL + 0.5, lambda: not waiting.done() and not leadership.check())
        assert await stranger.get(unique_key) is None
        await stranger.put(other, b"open")
        term = await soon(waiting, 2)
    assert term.check()
    await leadership.resign()
    await client.aclose()
    assert len([each async for each in states if each.current is State.CAMPAIGNING]) < 15
    await stranger.delete(other)


async def test_a_compare_that_etcd_refuses_is_told(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    many = [Create(f"{unique_key}/{number}") == 0 for number in range(200)]
    with pytest.raises(InvalidConfiguration, match="too many operations"):
        await soon(leadership.campaign(60, b"data", *many))
    assert is_in(leadership, State.IDLE)


# ---- waiting


async def test_candidates_win_one_after_another(client: Client, stranger: Stranger, unique_key: str) -> None:
    leaderships = [Leadership(client, unique_key) for _ in range(10)]
    leading: list[Leadership] = []
    tokens: list[int] = []

    async def stand(leadership: Leadership) -> None:
        async with leadership.campaign(60, b"data") as term:
            assert not leading
            leading.append(leadership)
            tokens.append(term.fencing_token)
            await asyncio.sleep(0.01)
            assert [each.check() for each in leaderships].count(True) == 1
            leading.remove(leadership)

    await soon(asyncio.gather(*map(stand, leaderships)), 10)
    assert len(tokens) == 10
    assert tokens == sorted(set(tokens))
    assert await stranger.get(unique_key) is None


async def test_a_dead_leaders_key_is_taken_when_it_has_expired(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    lease_id = await stranger.grant(TTL)
    await stranger.put(unique_key, b"dead", lease=lease_id)
    leadership = Leadership(client, unique_key)
    term = await soon(leadership.campaign(60, b"data"), TTL + 1)
    assert term.check()
    await leadership.resign()


async def test_the_waiting_lease_is_kept(client: Client, stranger: Stranger, ctl: Ctl, unique_key: str) -> None:
    await stranger.put(unique_key, b"other")
    before = await leases(ctl)
    leadership = Leadership(client, unique_key)
    async with beside(leadership.campaign(TTL, b"data")) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        (own,) = await leases(ctl) - before
        await throughout(TTL + 0.5, lambda: not waiting.done())
        await stranger.delete(unique_key)
        term = await soon(waiting, 1)
        assert term.check()
        assert (await stranger.get(unique_key)).lease == own, "the very one"
    await leadership.resign()


async def test_a_race_lost_while_waiting_is_stood_for_again(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership = Leadership(far_client, unique_key)
    await stranger.put(unique_key, b"first")
    async with beside(leadership.campaign(60, b"data")) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        await watches_stand(far_client, stranger, unique_key)
        proxy.hold("requests")
        await stranger.delete(unique_key)
        await eventually(lambda: is_in(leadership, State.CAMPAIGNING) and proxy.held["requests"])
        await stranger.put(unique_key, b"second")
        proxy.release()
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        assert not waiting.done()
        assert (await stranger.get(unique_key)).value == b"second"
        await stranger.delete(unique_key)
        assert (await soon(waiting)).check()
    await leadership.resign()


async def test_a_lease_that_died_while_waiting_is_replaced(
    client: Client, stranger: Stranger, ctl: Ctl, unique_key: str
) -> None:
    """Rule 8: standing with it after the wait would put no key, or a key that nobody holds."""
    await stranger.put(unique_key, b"other")
    leadership = Leadership(client, unique_key)
    before = await leases(ctl)
    async with beside(leadership.campaign(60, b"data")) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        (own,) = await leases(ctl) - before
        await stranger.revoke(own)
        await stranger.delete(unique_key)
        term = await soon(waiting)
        key = await stranger.get(unique_key)
        assert (key.value, key.create_revision) == (b"data", term.fencing_token)
        assert key.lease != own
        assert leadership.lease is not None and key.lease == leadership.lease.id
        assert term.check()
    await leadership.resign()


async def test_a_lease_that_expired_while_the_machine_slept_is_replaced(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    clock = MovableClock(client)
    await stranger.put(unique_key, b"other")
    leadership = Leadership(client, unique_key)
    async with beside(leadership.campaign(10, b"data")) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        clock.move(10)
        await stranger.delete(unique_key)
        term = await soon(waiting)
        assert term.remaining() > 8
    await leadership.resign()


async def test_it_waits_through_an_outage(new_etcd: EtcdFactory, unique_key: str) -> None:
    async with new_etcd() as etcd, connect(etcd.endpoints) as client:
        leadership = Leadership(client, unique_key)
        (member,) = etcd.members
        await member.kill()
        async with beside(leadership.campaign(5, b"data")) as waiting:
            await throughout(0.5, lambda: not waiting.done())
            await member.start()
            assert (await soon(waiting)).check()
        await leadership.resign()


async def test_closing_the_client_ends_the_wait(client: Client, stranger: Stranger, unique_key: str) -> None:
    await stranger.put(unique_key, b"other")
    leadership = Leadership(client, unique_key)
    async with beside(leadership.campaign(60, b"data")) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        await client.aclose()
        with pytest.raises(InvalidState, match="closed"):
            await soon(waiting)
    assert is_in(leadership, State.CLOSED)
    await stranger.delete(unique_key)


# ---- a shared lease


async def test_leaderships_on_a_shared_lease_resign_alone(client: Client, stranger: Stranger, unique_key: str) -> None:
    lease = Lease(client)
    await lease.grant(60)
    leaderships = [Leadership(client, f"{unique_key}/{number}") for number in range(3)]
    async with leaderships[0].campaign(60, b"0", lease=lease):
        await leaderships[1].campaign(60, b"1", lease=lease)
        await leaderships[2].campaign(1, b"2", lease=lease)
        for each in leaderships:
            assert (await stranger.get(each.leader_key)).lease == lease.id
            assert each.lease is lease
        await leaderships[1].resign()
        assert [each.check() for each in leaderships] == [True, False, True]
        assert await stranger.get(leaderships[1].leader_key) is None
    assert [each.check() for each in leaderships] == [False, False, True]
    assert await stranger.get(leaderships[0].leader_key) is None
    assert not lease.is_expired()
    await lease.close()
    assert not leaderships[2].check()


async def test_a_shared_lease_has_to_have_the_least_ttl(client: Client, other_client: Client, unique_key: str) -> None:
    leadership, lease = Leadership(client, unique_key), Lease(client)
    with pytest.raises(LeaseExpired):
        leadership.campaign(10, b"data", lease=lease)
    await lease.grant(10)
    with pytest.raises(InvalidConfiguration, match="at least lease_timeout=11, not 10"):
        leadership.campaign(11, b"data", lease=lease)
    with pytest.raises(InvalidConfiguration, match="same client"):
        Leadership(other_client, unique_key).campaign(10, b"data", lease=lease)
    campaign = leadership.campaign(10, b"data", lease=lease)
    await lease.close()
    with pytest.raises(LeaseExpired):
        await campaign
    assert is_in(leadership, State.IDLE)


async def test_one_campaign_for_each_lease_and_key(client: Client, unique_key: str) -> None:
    one, another, lease = Leadership(client, unique_key), Leadership(client, unique_key), Lease(client)
    await lease.grant(60)
    early = another.campaign(60, b"data", lease=lease)
    await one.campaign(60, b"data", lease=lease)
    with pytest.raises(InvalidState, match="on this lease"):
        another.campaign(60, b"data", lease=lease)
    with pytest.raises((InvalidState, CampaignConflict)):
        await soon(early)
    assert (one.check(), another.check()) == (True, False)
    await lease.close()


async def test_a_shared_lease_that_dies_while_waiting_is_told(
    client: Client, stranger: Stranger, unique_key: str
) -> None:
    await stranger.put(unique_key, b"other")
    leadership, lease = Leadership(client, unique_key), Lease(client)
    await lease.grant(60)
    async with beside(leadership.campaign(60, b"data", lease=lease)) as waiting:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        await lease.close()
        with pytest.raises(LeaseExpired):
            await soon(waiting)
    await stranger.delete(unique_key)


# ---- the transaction unanswered


@pytest.mark.parametrize("wait", [True, False])
async def test_unanswered_but_applied_it_is_won(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str, wait: bool
) -> None:
    leadership, lease = Leadership(far_client, unique_key), Lease(far_client)
    await lease.grant(60)
    proxy.hold("replies")
    async with beside(leadership.campaign(60, b"data", wait=wait, lease=lease)) as standing:
        key = await eventually(lambda: stranger.get(unique_key))
        assert not standing.done()
        await stranger.put(unique_key + "/other", b"x")  # the revision goes on, the token does not
        proxy.cut()
        term = await soon(standing)
    assert term.fencing_token == key.create_revision
    assert term.check()
    now = await stranger.get(unique_key)
    assert (now.mod_revision, now.version) == (key.mod_revision, 1), "nothing was written twice"
    await throughout(0.7, term.check)
    assert await stranger.get(unique_key) is not None, "and the sweep of what is abandoned spares it"
    await lease.close()


async def test_unanswered_and_not_applied_nothing_is_left(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str
) -> None:
    leadership, lease = Leadership(far_client, unique_key), Lease(far_client)
    await lease.grant(60)
    proxy.hold("requests")
    async with beside(leadership.campaign(60, b"data", wait=False, lease=lease)) as standing:
        await eventually(lambda: proxy.held["requests"])
        proxy.cut()
        with pytest.raises(Unavailable):
            await soon(standing)
    assert await stranger.get(unique_key) is None
    assert is_in(leadership, State.IDLE)
    await lease.close()


async def test_unanswered_by_a_frozen_etcd(new_etcd: EtcdFactory, unique_key: str) -> None:
    """Row 31: frozen between send and reply, and longer than the request may take."""
    async with new_etcd() as etcd, connect(etcd.endpoints) as client, Stranger(etcd.endpoints[0]) as stranger:
        leadership, lease = Leadership(client, unique_key), Lease(client)
        await lease.grant(60)
        (member,) = etcd.members
        await freeze(member)
        async with beside(leadership.campaign(60, b"data", lease=lease)) as standing:
            await asyncio.sleep(5.3)
            assert not standing.done()
            member.resume()
            term = await soon(standing)
        key = await stranger.get(unique_key)
        assert (key.create_revision, key.version, key.lease) == (term.fencing_token, 1, lease.id)
        await lease.close()


async def test_a_win_on_a_lease_that_expired_meanwhile_is_none(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str
) -> None:
    clock = MovableClock(far_client)
    leadership, lease = Leadership(far_client, unique_key), Lease(far_client)
    await lease.grant(10)
    proxy.hold("replies")
    async with beside(leadership.campaign(10, b"data", wait=False, lease=lease)) as standing:
        await eventually(lambda: stranger.get(unique_key))
        clock.move(10)
        proxy.release()
        with pytest.raises((Unavailable, LeaseExpired)):
            await soon(standing)
    assert not leadership.check()
    assert leadership.term is None
