"""What hooks are told, and that they can harm nobody."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
import subprocess
import sys
from typing import Any, TypeVar

import aetcd
import anyio
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
    connect,
    get_leader,
)
from aioelection._aio.clock import Clock
from aioelection.instrument import (
    BodyOverran,
    CampaignBegan,
    CampaignEnded,
    Event,
    Hedged,
    LoopStalled,
    Outcome,
    RenewalAnswered,
    RenewalEvent,
    RenewalFailed,
    RenewalSent,
    StreamBroken,
    TermEnded,
    TermResumed,
    TermSuspended,
    TermWon,
)
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, time, until

KEY = "/hooks/leader"
T = 6

E = TypeVar("E")


def of(events: list[Event], kind: type[E]) -> list[E]:
    return [each for each in events if isinstance(each, kind)]


def told(events: list[Event]) -> list[str]:
    """The names of the events, but for those of renewals."""
    return [type(each).__name__ for each in events if not isinstance(each, RenewalEvent)]


async def test_a_term_from_its_campaign_to_its_end(client: Client, events: list[Event]) -> None:
    leadership = Leadership(client, KEY, "invoices")
    async with leadership.campaign(T, b"a") as term:
        await asyncio.sleep(3)
    assert told(events) == ["CampaignBegan", "TermWon", "CampaignEnded", "TermEnded"]
    (began,), (won,), (campaign,) = of(events, CampaignBegan), of(events, TermWon), of(events, CampaignEnded)
    assert began == CampaignBegan(key=KEY.encode(), purpose="invoices")
    token = term.fencing_token
    assert won == TermWon(key=began.key, purpose="invoices", token=token, ttl=T, remaining=term.remaining)
    assert (campaign.key, campaign.purpose, campaign.outcome) == (began.key, began.purpose, Outcome.WON)
    assert 0 < campaign.seconds < 0.1
    (ended,) = of(events, TermEnded)
    assert (ended.key, ended.purpose, ended.token) == (began.key, "invoices", token)
    assert ended.reason is LossReason.RESIGNED and not ended.lost
    assert ended.seconds == pytest.approx(3, abs=0.01)


async def test_what_is_left_of_a_term_can_be_asked_for(client: Client, events: list[Event]) -> None:
    async with Leadership(client, KEY).campaign(T, b"a") as term:
        (won,) = of(events, TermWon)
        assert won.remaining() == term.remaining() > T / 2
        assert "remaining" not in repr(won)
        await asyncio.sleep(1)
        assert won.remaining() == term.remaining()
    assert won.remaining() == 0


async def test_a_loss_is_told_when_it_is_complete(etcd: MemoryEtcd) -> None:
    """Not before ``check()`` is false, ``lost`` is set and the body cancelled."""
    seen: list[tuple[bool, bool, bool]] = []

    def hook(event: Event) -> None:
        if isinstance(event, TermEnded):
            assert term.loss_reason is event.reason
            seen.append((term.check(), term.lost.is_set(), scope.cancel_called))

    async with etcd.client(hooks=hook) as client:
        leadership = Leadership(client, KEY)
        with contextlib.suppress(LeadershipLost):
            async with leadership.campaign(T, b"a") as term:
                tenure = leadership._seat.tenure
                assert tenure is not None and tenure.body is not None and tenure.body._scope is not None
                scope = tenure.body._scope
                await asyncio.sleep(0.1)
                etcd.delete(KEY)
                await asyncio.sleep(10)
    assert seen == [(False, True, True)]


async def test_a_loss_is_told_with_its_reason(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(1)
        etcd.put(KEY, "an intruder")
        await term.lost.wait()
    (ended,) = of(events, TermEnded)
    assert ended.reason is LossReason.OVERWRITTEN and ended.lost
    assert ended.seconds == pytest.approx(1, abs=0.05)


async def test_closing_the_client_ends_a_term_and_loses_nothing(etcd: MemoryEtcd) -> None:
    events: list[Event] = []
    async with etcd.client(hooks=events.append) as client, Leading(client, KEY) as leading:
        await leading.elected()
        await client.aclose()
    (ended,) = of(events, TermEnded)
    assert ended.reason is LossReason.CLOSED and not ended.lost


async def test_how_campaigns_end(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    def outcomes() -> list[tuple[Outcome, float]]:
        return [(each.outcome, round(each.seconds, 1)) for each in of(events, CampaignEnded)]

    etcd.put(KEY, "another", etcd.grant(60))
    with pytest.raises(CampaignConflict):
        await Leadership(client, KEY).campaign(T, b"a", wait=False)
    with anyio.move_on_after(5):
        await Leadership(client, KEY).campaign(T, b"a")
    lease = Lease(client)
    await lease.grant(T)
    standing = asyncio.ensure_future(Leadership(client, KEY).campaign(T, b"a", lease=lease))
    await asyncio.sleep(2)
    await lease.close()
    assert isinstance(await asyncio.gather(standing, return_exceptions=True), list)
    assert outcomes() == [(Outcome.CONFLICT, 0.0), (Outcome.CANCELLED, 5.0), (Outcome.FAILED, 2.0)]
    assert len(of(events, CampaignBegan)) == 3 and of(events, TermWon) == []


async def test_renewals_and_the_time_between_them(client: Client, events: list[Event]) -> None:
    async with Leadership(client, KEY, "invoices").campaign(T, b"a") as term:
        leadership_lease = of(events, TermWon)[0]
        await asyncio.sleep(4 * T / 3 + 0.5)
        assert term.check() and leadership_lease.ttl == T
    sent, answered = of(events, RenewalSent), of(events, RenewalAnswered)
    assert {(each.purpose, each.key) for each in of(events, RenewalEvent)} == {("invoices", KEY.encode())}
    assert len({each.lease_id for each in of(events, RenewalEvent)}) == 1
    assert len(sent) == len(answered) == 4
    assert sent[0].interval is answered[0].interval is None
    assert [each.interval for each in sent[1:]] == pytest.approx([T / 3] * 3, abs=0.01)
    assert [each.interval for each in answered[1:]] == pytest.approx([T / 3] * 3, abs=0.01)
    assert [each.seconds for each in answered] == pytest.approx([0.001] * 4, abs=0.001)


async def test_a_slow_answer_is_told_as_slow(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    async with Leadership(client, KEY).campaign(T, b"a"):
        for link in etcd.links(client):
            link.delay = 0.05
        await asyncio.sleep(T)
    assert of(events, RenewalAnswered)[-1].seconds == pytest.approx(0.1, abs=0.01)


async def test_after_a_pause_the_time_of_the_pause_is_no_interval(client: Client, events: list[Event]) -> None:
    lease = Lease(client, "shared")
    await lease.grant(30)
    for _ in range(2):
        with anyio.move_on_after(12):
            await lease.keep_alive()
        await asyncio.sleep(9)
    assert [each.interval for each in of(events, RenewalSent)] == [None, None, pytest.approx(10, abs=0.01)]
    assert [each.interval for each in of(events, RenewalAnswered)] == [None, None, pytest.approx(10, abs=0.01)]
    assert {(each.purpose, each.key) for each in of(events, RenewalSent)} == {("shared", None)}
    await lease.close()


async def test_a_shared_lease_has_no_one_key(client: Client, events: list[Event]) -> None:
    lease = Lease(client, "shared")
    await lease.grant(T)
    async with Leadership(client, "/a").campaign(T, b"a", lease=lease):
        await asyncio.sleep(T / 2)
        assert of(events, RenewalSent)[-1].key == b"/a"
        async with Leadership(client, "/b").campaign(T, b"a", lease=lease):
            await asyncio.sleep(T / 2)
            assert of(events, RenewalSent)[-1].key is None
    assert {each.purpose for each in of(events, RenewalSent)} == {"shared"}
    await lease.close()


async def test_an_outage_suspends_and_resumes(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(1)
        for link in etcd.links(client):
            link.cut()
        await until(lambda: of(events, TermSuspended))
        for link in etcd.links(client):
            link.mend()
        await until(lambda: of(events, TermResumed))
        assert term.check()
    ((suspended,), (resumed,)) = of(events, TermSuspended), of(events, TermResumed)
    assert suspended.token == resumed.token == term.fencing_token
    assert "broken" in {each.cause for each in of(events, RenewalFailed)}
    assert {each.stream for each in of(events, StreamBroken)} == {"renewals", "watches"}
    urls = {member.client_url for member in etcd.members}
    assert {each.endpoint for each in of(events, StreamBroken)} <= urls
    assert all(each.error for each in of(events, StreamBroken))


async def test_bad_health_suspends_too(client: Client, events: list[Event]) -> None:
    well = True
    with contextlib.suppress(LeadershipLost):
        async with Leadership(client, KEY).campaign(T, b"a", health=lambda: well) as term:
            await asyncio.sleep(1)
            well = False
            await asyncio.sleep(2 * T)
    assert [each.token for each in of(events, TermSuspended)] == [term.fencing_token]
    assert of(events, TermResumed) == [] and of(events, RenewalFailed) == []
    assert [each.reason for each in of(events, TermEnded)] == [LossReason.UNHEALTHY]


async def test_a_late_answer_is_hedged(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(1)
        (used,) = [each for each in etcd.members if each.client_url == client.endpoints[0]]
        etcd.link(client, used).drop()
        await until(lambda: of(events, Hedged))
        await asyncio.sleep(T)
        assert term.check()
    assert of(events, Hedged)[0].endpoint == used.client_url
    assert len(of(events, Hedged)) == client.statistics().hedged_renewals + client.statistics().hedged_requests
    assert [each.request for each in of(events, Hedged)].count("renewal") == client.statistics().hedged_renewals > 0


async def test_so_is_a_late_answer_to_a_read(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    first, second = etcd.followers
    client.hub.pool.roster.prefer(first.endpoint)
    for late in (first, second):
        etcd.link(client, late).drop()
    assert await get_leader(client, KEY) is None
    hedged = of(events, Hedged)
    assert [each.request for each in hedged] == ["other"] * client.statistics().hedged_requests
    assert hedged[0].endpoint == first.client_url


async def test_a_renewal_that_nobody_answers_is_late(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    async with Leading(client, KEY, T) as leading:
        await leading.elected()
        await asyncio.sleep(1)
        for link in etcd.links(client):
            link.drop()
        await until(lambda: of(events, RenewalFailed))
    failed = of(events, RenewalFailed)[0]
    assert (failed.cause, failed.key) == ("late", KEY.encode())


async def test_an_acknowledgement_of_a_deposed_leader_is_disproven(
    etcd: MemoryEtcd, client: Client, events: list[Event]
) -> None:
    async with Leading(client, KEY, 30) as leading:
        await leading.elected()
        with etcd.hold("get", client=client) as held:
            await until(lambda: of(events, RenewalAnswered), 11)
            await held.reached()
            etcd.move_leader(etcd.followers[0])
            assert of(events, RenewalFailed) == []
        await until(lambda: of(events, RenewalFailed))
    assert [each.cause for each in of(events, RenewalFailed)] == ["disproven"]


async def test_a_stall_of_the_loop(etcd: MemoryEtcd, events: list[Event]) -> None:
    stalled = 0.0
    clock = Clock(lambda: time() + stalled)
    async with etcd.client(clock=clock, hooks=events.append) as client, Leading(client, KEY, 30) as leading:
        await leading.elected()
        await asyncio.sleep(1)
        assert of(events, LoopStalled) == []
        stalled = 3.0
        await until(lambda: of(events, LoopStalled))
    assert of(events, LoopStalled)[0].seconds == pytest.approx(3, abs=0.2)


async def test_a_body_that_overruns(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    with pytest.raises(LeadershipLost):
        async with Leadership(client, KEY, "invoices").campaign(T, b"a") as term:
            etcd.delete(KEY)
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(2)
                (overran,) = of(events, BodyOverran)
    assert overran == BodyOverran(key=KEY.encode(), purpose="invoices", token=term.fencing_token)


async def test_no_event_has_a_leaders_value(etcd: MemoryEtcd, client: Client, events: list[Event]) -> None:
    leadership = Leadership(client, KEY)
    with contextlib.suppress(LeadershipLost):
        async with leadership.campaign(T, b"not to be told"):
            await leadership.proclaim(b"not to be told either")
            etcd.put(KEY, "not to be told at all")
            await asyncio.sleep(T)
    assert of(events, TermEnded) and "not to be told" not in repr(events)
    for event in events:
        assert "not to be told" not in repr([getattr(event, each.name) for each in dataclasses.fields(event)])


# ---------------------------------------------------------------------- hooks that misbehave


class Broken:
    """Raises whatever it is told."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.told: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.told.append(event)
        raise self.error


@pytest.mark.parametrize(
    "error", [ValueError("the hook's fault"), asyncio.CancelledError()], ids=lambda error: type(error).__name__
)
async def test_a_hook_that_raises_harms_nobody(
    etcd: MemoryEtcd, caplog: pytest.LogCaptureFixture, events: list[Event], error: BaseException
) -> None:
    """A whole life, with the disturbances in which hooks are called; it is complained of once."""
    broken = Broken(error)
    stalled = 0.0
    async with etcd.client(hooks=[broken, events.append], clock=Clock(lambda: time() + stalled)) as client:
        async with Leading(client, KEY, T) as leading:
            term = await leading.elected()
            await asyncio.sleep(T)
            stalled += 1
            await asyncio.sleep(1)
            for link in etcd.links(client):
                link.cut()
            await until(lambda: of(events, TermSuspended))
            for link in etcd.links(client):
                link.mend()
            await until(lambda: of(events, TermResumed))
            await asyncio.sleep(T)
            assert term.check()
            etcd.delete(KEY)
            await term.lost.wait()
        assert term.loss_reason is LossReason.DELETED
        await Leadership(client, KEY).campaign(T, b"a", wait=False)
    assert broken.told == events and {type(each) for each in events} >= {LoopStalled, RenewalSent, StreamBroken}
    complaints = [each for each in caplog.records if "hook Broken" in each.getMessage()]
    assert [each.levelno for each in complaints] == [logging.ERROR]
    assert complaints[0].exc_info is not None and complaints[0].exc_info[1] is error
    assert complaints[0].getMessage().startswith("the hook Broken failed at CampaignBegan(")


def plain(event: Event) -> None:
    """A hook."""


async def coroutine(event: Event) -> None:
    """None."""


@pytest.mark.parametrize(
    ("hooks", "named"),
    [(1, "1"), (None, "None"), ([plain, 1], "1"), (coroutine, "coroutine"), ([coroutine], "coroutine")],
    ids=["a number", "none", "a number among them", "a coroutine function", "one among them"],
)
def test_what_is_no_hook(hooks: Any, named: str) -> None:
    with pytest.raises(InvalidConfiguration, match=f"hooks must be.* not .*{named}"):
        connect("http://127.0.0.1:1", hooks=hooks)


@pytest.mark.parametrize(
    "hooks", [(), [], [plain], (plain,), plain, iter([plain])], ids=["none", "no", "list", "tuple", "one", "iterator"]
)
async def test_how_hooks_may_be_given(etcd: MemoryEtcd, hooks: Any) -> None:
    async with etcd.client(hooks=hooks) as client, Leadership(client, KEY).campaign(T, b"a") as term:
        assert term.check()


async def test_an_aetcd_client_is_given_hooks_when_it_is_adopted() -> None:
    theirs = aetcd.Client("127.0.0.1", 1)
    async with Client.from_aetcd(theirs, hooks=plain) as client:
        assert client.hub.hooks is not None
        assert Client.from_aetcd(theirs) is client
        with pytest.raises(InvalidState, match="adopted already"):
            Client.from_aetcd(theirs, hooks=plain)


async def test_without_hooks_nothing_is_made_for_them(etcd: MemoryEtcd) -> None:
    async with etcd.client() as client:
        assert client.hub.hooks is client.hub.pool.hooks is None
        assert client.hub.renewals._report is None


def test_importing_the_library_imports_no_adapter() -> None:
    names = ["prometheus_client", "opentelemetry", "aioelection.instrument"]
    for module in ("aioelection", "aioelection.testing"):
        code = f"import sys, {module}; print([each for each in {names!r} if each in sys.modules])"
        assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"
    code = f"import sys, aioelection.instrument.logs; print([each for each in {names[:2]!r} if each in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], check=True, capture_output=True).stdout == b"[]\n"
