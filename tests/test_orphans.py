"""Nothing is left behind, wherever a campaign or a grant is cancelled (rule 7), and however it goes unanswered."""

from __future__ import annotations

import asyncio
import random
import time

import anyio
import pytest

from aioelection import Client, Leadership, Lease, State, Unavailable
from tests.support import Ctl, Proxy, Stranger, beside, eventually, is_in, leases, soon, throughout, watches_stand


async def usual(client: Client, key: str) -> float:
    """The seconds that a campaign takes on this machine now, so that cancellations fall everywhere in one."""
    leadership = Leadership(client, key)
    took = []
    for _ in range(3):
        begun = time.monotonic()
        await leadership.campaign(60, b"data")
        took.append(time.monotonic() - begun)
        await leadership.resign()
    return sorted(took)[1]


async def nothing_left(stranger: Stranger, ctl: Ctl, key: str, before: set[int]) -> None:
    """Within a second, and then for good."""

    async def clean() -> bool:
        return await stranger.get(key) is None and not await leases(ctl) - before

    await eventually(clean, within=1.0)
    await asyncio.sleep(0.3)
    assert await clean()


async def all_but_one_follow(leaderships: list[Leadership]) -> None:
    await eventually(lambda: [is_in(each, State.FOLLOWING) for each in leaderships].count(False) == 1)


@pytest.mark.parametrize("how", ["task", "timeout", "scope"])
async def test_campaigns_cancelled_at_random_points(
    client: Client, stranger: Stranger, ctl: Ctl, unique_key: str, how: str
) -> None:
    before, time_of_one = await leases(ctl), await usual(client, unique_key)
    cancelled = 0
    for _ in range(40):
        delay = random.uniform(0, 2 * time_of_one)
        leadership = Leadership(client, unique_key)
        if how == "task":
            async with beside(leadership.campaign(60, b"data")) as campaign:
                await asyncio.sleep(delay)
            cancelled += campaign.cancelled()
        elif how == "timeout":
            try:
                async with asyncio.timeout(delay):
                    await leadership.campaign(60, b"data")
            except TimeoutError:
                cancelled += 1
        else:
            with anyio.move_on_after(delay) as scope:
                await leadership.campaign(60, b"data")
            cancelled += scope.cancelled_caught
        assert is_in(leadership, State.LEADING) is leadership.check()
        await leadership.resign()
        assert is_in(leadership, State.IDLE)
    assert cancelled, "too slow: nothing was cancelled"
    await nothing_left(stranger, ctl, unique_key, before)


async def test_bodies_cancelled_at_random_points(client: Client, stranger: Stranger, ctl: Ctl, unique_key: str) -> None:
    before, time_of_one = await leases(ctl), await usual(client, unique_key)
    entered = 0

    async def lead() -> None:
        nonlocal entered
        async with Leadership(client, unique_key).campaign(60, b"data"):
            entered += 1
            await asyncio.sleep(random.uniform(0, time_of_one))

    for _ in range(40):
        with anyio.move_on_after(random.uniform(0, 4 * time_of_one)):
            await lead()
    assert entered
    await nothing_left(stranger, ctl, unique_key, before)


async def test_waiting_campaigns_cancelled_while_the_key_changes_hands(
    client: Client, stranger: Stranger, ctl: Ctl, unique_key: str
) -> None:
    before, time_of_one = await leases(ctl), await usual(client, unique_key)
    for _ in range(8):
        leaderships = [Leadership(client, unique_key) for _ in range(5)]
        campaigns = [asyncio.ensure_future(each.campaign(60, b"data")) for each in leaderships]
        await all_but_one_follow(leaderships)
        leading = await eventually(lambda: next((each for each in leaderships if each.check()), None))  # noqa: B023
        async with beside(leading.resign()) as resigning:
            await asyncio.sleep(random.uniform(0, 2 * time_of_one))
            for campaign in campaigns:
                campaign.cancel()
            await asyncio.wait(campaigns)
            await soon(resigning)
        for each in leaderships:
            await each.resign()
    await nothing_left(stranger, ctl, unique_key, before)


async def test_grants_cancelled_at_random_points(client: Client, ctl: Ctl, stranger: Stranger, unique_key: str) -> None:
    before, time_of_one = await leases(ctl), await usual(client, unique_key)
    cancelled = 0
    for _ in range(60):
        lease = Lease(client)
        async with beside(lease.grant(60)) as granting:
            await asyncio.sleep(random.uniform(0, time_of_one))
        cancelled += granting.cancelled()
        assert lease.is_expired() is granting.cancelled()
        await lease.close()
    assert cancelled, "too slow: nothing was cancelled"
    await nothing_left(stranger, ctl, unique_key, before)


async def test_a_grant_that_is_not_answered_is_revoked(
    proxy: Proxy, far_client: Client, ctl: Ctl, stranger: Stranger, unique_key: str
) -> None:
    before = await leases(ctl)
    lease = Lease(far_client)
    proxy.hold("replies")
    async with beside(lease.grant(60)) as granting:
        await eventually(lambda: _new(ctl, before))
        proxy.cut()
        with pytest.raises(Unavailable):
            await soon(granting)
    assert lease.is_expired()
    await nothing_left(stranger, ctl, unique_key, before)


async def test_a_grant_that_is_cancelled_unanswered_is_revoked(
    proxy: Proxy, far_client: Client, ctl: Ctl, stranger: Stranger, unique_key: str
) -> None:
    before = await leases(ctl)
    proxy.hold("replies")
    async with beside(Lease(far_client).grant(60)) as granting:
        await eventually(lambda: _new(ctl, before))
        granting.cancel()
        await asyncio.sleep(0.01)
        proxy.release()
        await asyncio.wait([granting])
    assert granting.cancelled()
    await nothing_left(stranger, ctl, unique_key, before)


async def _new(ctl: Ctl, before: set[int]) -> set[int]:
    return await leases(ctl) - before


async def test_a_campaign_that_is_cancelled_unanswered_leaves_no_key(
    proxy: Proxy, far_client: Client, stranger: Stranger, ctl: Ctl, unique_key: str
) -> None:
    before = await leases(ctl)
    leadership = Leadership(far_client, unique_key)
    await stranger.put(unique_key, b"other")
    async with beside(leadership.campaign(60, b"data")) as campaign:
        await eventually(lambda: is_in(leadership, State.FOLLOWING))
        await watches_stand(far_client, stranger, unique_key)
        proxy.hold("requests")
        await stranger.delete(unique_key)
        await eventually(lambda: is_in(leadership, State.CAMPAIGNING) and proxy.held["requests"])
        proxy.hold("replies")
        proxy.release("requests")
        assert (await eventually(lambda: stranger.get(unique_key))).value == b"data"
        campaign.cancel()
        await asyncio.sleep(0.01)
        proxy.release()
        await asyncio.wait([campaign])
    assert campaign.cancelled()
    await nothing_left(stranger, ctl, unique_key, before)


@pytest.mark.parametrize("applied", ["before", "after"])
async def test_on_a_shared_lease_a_key_that_nobody_claims_is_deleted(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str, applied: str
) -> None:
    """The transaction is cancelled unanswered; etcd has applied it by then, or applies it when nobody waits for it."""
    lease, leadership = Lease(far_client), Leadership(far_client, unique_key)
    other = Leadership(far_client, unique_key + "/other")
    await lease.grant(60)
    term = await other.campaign(60, b"data", lease=lease)
    proxy.hold("replies")
    async with beside(leadership.campaign(60, b"data", lease=lease)) as campaign:
        key = await eventually(lambda: stranger.get(unique_key))
        assert key.lease == lease.id
        if applied == "after":
            await stranger.delete(unique_key)
        campaign.cancel()
        await asyncio.wait([campaign])
    assert campaign.cancelled()
    proxy.release()
    if applied == "after":  # what a frozen member does with what it was sent long ago
        await throughout(0.7, lambda: not leadership.check())
        await stranger.put(unique_key, b"data", lease=lease.id)

    async def gone() -> bool:
        return await stranger.get(unique_key) is None

    await eventually(gone, within=1.0)
    assert not lease.is_expired()
    assert term.check(), "its neighbour is none the worse"
    assert await stranger.get(other.leader_key) is not None
    # Stood for again, it is claimed, and spared.
    won = await soon(leadership.campaign(60, b"data", lease=lease))
    await throughout(0.7, won.check)
    assert (await stranger.get(unique_key)).create_revision == won.fencing_token
    await lease.close()


async def test_the_sweep_never_deletes_blindly(
    proxy: Proxy, far_client: Client, stranger: Stranger, unique_key: str
) -> None:
    """Another's key is not touched, though a campaign of ours was abandoned there."""
    lease, leadership = Lease(far_client), Leadership(far_client, unique_key)
    await lease.grant(60)
    proxy.hold("replies")
    async with beside(leadership.campaign(60, b"data", lease=lease)):
        await eventually(lambda: stranger.get(unique_key))
        await stranger.delete(unique_key)
        await stranger.put(unique_key, b"data")
    proxy.release()
    created = (await stranger.get(unique_key)).create_revision
    await asyncio.sleep(0.8)
    assert (await stranger.get(unique_key)).create_revision == created
    await lease.close()
    await stranger.delete(unique_key)
