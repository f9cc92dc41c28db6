"""What hostile timing found: leases granted anew under way, outages at the release, cancellations met by losses."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

import pytest

from aioelection import Client, Leadership, LeadershipLost, Lease, LossReason, State, Term, WatchEnd
from aioelection._aio.clock import Clock
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import until

KEY = "/hostile/leader"


async def outage(etcd: MemoryEtcd, client: Client, seconds: float) -> None:
    for link in etcd.links(client):
        link.drop()
    await asyncio.sleep(seconds)
    for link in etcd.links(client):
        link.mend()


# ---------------------------------------------------------------------- a lease that is granted anew


async def test_a_late_win_on_the_lease_before_is_none_on_the_next(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    lease = Lease(client)
    await lease.grant(10)
    leadership, rival = Leadership(client, KEY), Leadership(other_client, KEY)
    with etcd.hold("txn", when="after", client=client) as held:
        campaign = asyncio.ensure_future(leadership.campaign(10, b"a", lease=lease))
        await held.reached()
        await lease.close()
        await lease.grant(10)
        assert (await rival.campaign(10, b"b")).check()
        held.release()
        await asyncio.sleep(0.1)
        assert not leadership.check() and not campaign.done()
    await rival.resign()
    assert (await asyncio.wait_for(campaign, 2)).check()
    await lease.close()


async def test_what_etcd_says_of_the_lease_before_is_not_said_of_the_next(etcd: MemoryEtcd, client: Client) -> None:
    lease = Lease(client)
    await lease.grant(10)
    with (
        etcd.hold("txn", when="before", client=client) as held,
        etcd.hold("grant", when="after", client=client) as granting,
    ):
        campaign = asyncio.ensure_future(Leadership(client, KEY).campaign(10, b"a", lease=lease))
        await held.reached()
        await lease.close()
        grant = asyncio.ensure_future(lease.grant(10))
        await granting.reached()
        held.release()
        await asyncio.sleep(0.1)
        granting.release()
        await grant
    assert not lease.life.ended.is_set()
    campaign.cancel()
    await asyncio.wait([campaign])
    await lease.close()
    assert etcd.leases == {}


async def test_closing_revokes_the_lease_that_was_closed(etcd: MemoryEtcd, client: Client) -> None:
    """Whoever keeps it alive grants it anew at once."""
    lease = Lease(client)
    await lease.grant(30)
    await Leadership(client, KEY).campaign(10, b"a", lease=lease)

    async def renew() -> None:
        while True:
            await lease.keep_alive()
            await lease.grant(30)

    renewing = asyncio.ensure_future(renew())
    await asyncio.sleep(0.1)
    old = lease.id
    await lease.close()
    await asyncio.sleep(2)
    assert old not in etcd.leases and etcd.get(KEY) is None
    assert lease.id in etcd.leases and not lease.is_expired()
    renewing.cancel()
    await asyncio.wait([renewing])
    await lease.close()


async def test_granted_between_the_deadline_and_its_alarm(etcd: MemoryEtcd) -> None:
    """As after a suspend: the clock knows already that the time is over."""
    asleep = 0.0
    loop = asyncio.get_running_loop()
    async with etcd.client(clock=Clock(lambda: loop.time() + asleep)) as client:
        lease = Lease(client)
        await lease.grant(5)
        term = await Leadership(client, KEY).campaign(5, b"a", lease=lease)
        asleep = 60
        await lease.grant(5)
        assert term.lost.is_set()
        keeping = asyncio.ensure_future(lease.keep_alive())
        await asyncio.sleep(20)
        assert not keeping.done() and not lease.is_expired()
        await lease.close()
        await keeping


# ---------------------------------------------------------------------- outages at the release


async def test_a_key_on_a_shared_lease_that_could_not_be_released_is_swept(etcd: MemoryEtcd, client: Client) -> None:
    lease = Lease(client)
    await lease.grant(10)
    keeping = asyncio.ensure_future(lease.keep_alive())
    leadership = Leadership(client, KEY)
    first = await leadership.campaign(5, b"a", lease=lease)
    cut = asyncio.ensure_future(outage(etcd, client, 2))
    await asyncio.sleep(0)
    await leadership.reset()
    await cut
    await until(lambda: etcd.get(KEY) is None, 3)
    second = await leadership.campaign(5, b"b", lease=lease)
    assert second.fencing_token > first.fencing_token
    await leadership.resign()
    await lease.close()
    await keeping


@pytest.mark.parametrize("end", ["returns", "is lost"])
async def test_run_on_a_shared_lease_survives_an_outage_at_the_release(
    etcd: MemoryEtcd, client: Client, end: str
) -> None:
    lease = Lease(client)
    await lease.grant(10)
    keeping = asyncio.ensure_future(lease.keep_alive())
    terms: list[Term] = []
    outages: list[asyncio.Task[None]] = []

    async def serve(term: Term) -> None:
        terms.append(term)
        if len(terms) > 1:
            await asyncio.Event().wait()
        await asyncio.sleep(1)
        if end == "is lost":
            etcd.delete(KEY)
            await asyncio.sleep(0.0005)
        outages.append(asyncio.ensure_future(outage(etcd, client, 2)))
        if end == "is lost":
            await asyncio.Event().wait()

    running = asyncio.ensure_future(Leadership(client, KEY).run(serve, 5, b"a", lease=lease))
    await until(lambda: len(terms) == 2, 30)
    assert not running.done()
    running.cancel()
    await asyncio.wait([running])
    await lease.close()
    await keeping
    await asyncio.gather(*outages)


# ---------------------------------------------------------------------- what leaves run


async def test_another_leaderships_loss_that_serve_lets_through_leaves_run(etcd: MemoryEtcd, client: Client) -> None:
    inner = Leadership(client, KEY + "/inner")

    async def serve(term: Term) -> None:
        async with inner.campaign(5, b"i"):
            await asyncio.sleep(1)
            etcd.delete(KEY + "/inner")
            await asyncio.Event().wait()

    with pytest.raises(LeadershipLost) as lost:
        await asyncio.wait_for(Leadership(client, KEY).run(serve, 5, b"o"), 20)
    assert lost.value.leader_key == inner.leader_key


async def test_its_own_loss_that_serve_lets_through_does_not(etcd: MemoryEtcd, client: Client) -> None:
    leadership = Leadership(client, KEY)
    served = 0

    async def serve(term: Term) -> None:
        nonlocal served
        served += 1
        await leadership.keep()

    running = asyncio.ensure_future(leadership.run(serve, 5, b"o"))
    for number in (1, 2, 3):
        await until(lambda: served == number and leadership.check())  # noqa: B023
        await asyncio.sleep(0.5)
        etcd.delete(KEY)
    await until(lambda: served == 4)
    running.cancel()
    await asyncio.wait([running])


# ---------------------------------------------------------------------- a cancellation that a loss meets


async def work() -> None:
    try:
        await asyncio.sleep(100)
    finally:
        await asyncio.sleep(0.5)  # clean-up


async def in_a_handler() -> None:
    try:
        raise ConnectionError
    except ConnectionError:
        await work()


async def gathered() -> None:
    await asyncio.gather(work(), work())


async def waited() -> None:
    await asyncio.wait_for(work(), 50)


async def with_clean_up_in_a_handler() -> None:
    try:
        await asyncio.sleep(100)
    finally:
        for _ in range(9):
            try:
                raise OSError
            except OSError:
                await asyncio.sleep(0.1)


@pytest.mark.parametrize("body", [work, in_a_handler, gathered, waited, with_clean_up_in_a_handler])
async def test_a_cancellation_that_is_being_answered_goes_before_a_loss(
    etcd: MemoryEtcd, client: Client, body: Callable[[], Awaitable[None]]
) -> None:
    leadership = Leadership(client, KEY)

    async def serve(term: Term) -> None:
        await body()

    running = asyncio.ensure_future(leadership.run(serve, 5, b"a"))
    await until(leadership.check)
    await asyncio.sleep(1)
    running.cancel()
    await asyncio.sleep(0.1)
    etcd.delete(KEY)
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(running, 5)
    await asyncio.sleep(1)  # what the body left behind ends


# ---------------------------------------------------------------------- other


async def test_a_watch_whose_first_read_comes_while_the_client_closes(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    await Leadership(other_client, KEY).campaign(60, b"x")
    body_ends = asyncio.Event()

    async def lead() -> None:
        async with Leadership(client, KEY + "/own").campaign(20, b"a", on_loss="event"):
            await body_ends.wait()

    leading = asyncio.ensure_future(lead())
    await asyncio.sleep(1)
    with etcd.hold("get", when="after", client=client) as held:
        watching = asyncio.ensure_future(Leadership(client, KEY).watch(0))
        await held.reached()
        closing = asyncio.ensure_future(client.aclose())
        await asyncio.sleep(0.1)
    assert await asyncio.wait_for(watching, 1) is WatchEnd.CLOSED
    body_ends.set()
    await asyncio.wait([closing, leading])


async def test_health_that_raises_what_is_no_exception(etcd: MemoryEtcd, client: Client) -> None:
    """It is not well; and the key is watched on."""

    class Odd(BaseException):
        pass

    asked = 0

    async def health() -> None:
        nonlocal asked
        asked += 1
        if asked > 1:
            raise Odd

    leadership = Leadership(client, KEY)
    with pytest.raises(LeadershipLost) as lost:
        async with leadership.campaign(6, b"a", health=health):
            await until(lambda: leadership.state is State.SUSPENDED)
            etcd.delete(KEY)
            async with asyncio.timeout(0.5):
                await asyncio.Event().wait()
    assert lost.value.reason is LossReason.DELETED


async def test_kept_anew_after_it_was_not_well(client: Client) -> None:
    well = False
    leadership = Leadership(client, KEY)
    await leadership.campaign(6, b"a", health=lambda: well)
    keeping = asyncio.ensure_future(leadership.keep())
    await until(lambda: leadership.state is State.SUSPENDED)
    keeping.cancel()
    await asyncio.wait([keeping])
    well = True
    keeping = asyncio.ensure_future(leadership.keep())
    await asyncio.sleep(20)
    assert leadership.state is State.LEADING and leadership.check()
    await leadership.resign()
    with contextlib.suppress(LeadershipLost):
        await keeping
