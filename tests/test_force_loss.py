"""`aioelection.testing.force_loss`: every way of losing a term, on a real etcd and on the one in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from aioelection import (
    Client,
    InvalidConfiguration,
    InvalidState,
    Leadership,
    LeadershipLost,
    Lease,
    LossReason,
    State,
    Term,
    connect,
    get_leader,
)
from aioelection.testing import MemoryEtcd, VirtualLoop, force_loss
from tests.support import beside, eventually, soon

REASONS = [
    LossReason.EXPIRED,
    LossReason.STALLED,
    LossReason.UNHEALTHY,
    LossReason.REVOKED,
    LossReason.DELETED,
    LossReason.OVERWRITTEN,
    LossReason.REFUSED,
]
OF_THE_LEASE = {LossReason.EXPIRED, LossReason.STALLED, LossReason.REVOKED}
BY_OURSELVES = [LossReason.RESIGNED, LossReason.CLOSED, LossReason.FORKED]


@pytest.fixture(params=["memory", "real"])
async def either(request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    if request.param == "memory":
        async with MemoryEtcd() as etcd, etcd.client() as client:
            yield client
    else:
        async with connect(request.getfixturevalue("endpoint")) as client:
            yield client


async def is_vacant(client: Client, key: str) -> bool:
    return await get_leader(client, key) is None


@pytest.mark.parametrize("reason", REASONS)
async def test_the_body_is_cancelled_and_another_can_lead(either: Client, unique_key: str, reason: LossReason) -> None:
    leadership = Leadership(either, unique_key)
    transitions = leadership.transitions()
    entered: asyncio.Future[Term] = asyncio.get_running_loop().create_future()
    ended = asyncio.Event()

    async def lead() -> None:
        async with leadership.campaign(60, b"me") as term:
            entered.set_result(term)
            try:
                await asyncio.Event().wait()
            finally:
                assert not term.check() and term.lost.is_set()
                ended.set()

    async with beside(lead()) as leading:
        term = await soon(entered)
        assert await soon(force_loss(term, reason)) is term
        assert not leadership.check() and term.loss_reason is reason
        with pytest.raises(LeadershipLost) as lost:
            await soon(leading)
    assert ended.is_set() and lost.value.reason is reason
    states = [(await soon(anext(transitions))) for _ in range(4)]
    assert [each.current for each in states] == [State.IDLE, State.CAMPAIGNING, State.LEADING, State.IDLE]
    assert states[-1].reason is reason
    await eventually(lambda: is_vacant(either, unique_key))
    async with asyncio.timeout(5), Leadership(either, unique_key).campaign(60, b"the next") as following:
        assert following.fencing_token > term.fencing_token


@pytest.mark.parametrize("reason", [LossReason.EXPIRED, LossReason.OVERWRITTEN])
async def test_a_service_leads_again(either: Client, unique_key: str, reason: LossReason) -> None:
    leadership = Leadership(either, unique_key)
    terms: list[Term] = []
    served: asyncio.Queue[Term] = asyncio.Queue()

    async def serve(term: Term) -> None:
        terms.append(term)
        served.put_nowait(term)
        await asyncio.Event().wait()

    async with beside(leadership.run(serve, 60, b"me")):
        for _ in range(3):
            await soon(served.get())
            await soon(force_loss(leadership, reason))
        await soon(served.get())
    assert [each.loss_reason for each in terms] == [reason] * 3 + [LossReason.RESIGNED]


@pytest.mark.parametrize("reason", REASONS)
async def test_on_a_shared_lease(either: Client, unique_key: str, reason: LossReason) -> None:
    """What befalls the lease befalls all on it, what befalls a key that alone."""
    lease = Lease(either)
    await lease.grant(60)
    one, two = Leadership(either, unique_key + "/1"), Leadership(either, unique_key + "/2")
    async with two.campaign(60, b"two", lease=lease, on_loss="event") as other:
        async with one.campaign(60, b"one", lease=lease, on_loss="event") as term:
            await soon(force_loss(one, reason))
            assert term.loss_reason is reason
            assert other.loss_reason is (reason if reason in OF_THE_LEASE else None)
        await eventually(lambda: is_vacant(either, unique_key + "/1"))
    await lease.close()


async def test_the_body_is_given_time_before_etcd_expires_the_lease(either: Client, unique_key: str) -> None:
    leadership = Leadership(either, unique_key)
    async with leadership.campaign(60, b"me", on_loss="event") as term:
        losing = asyncio.ensure_future(force_loss(term))
        await soon(term.lost.wait())
        assert not await is_vacant(either, unique_key)
    await soon(losing)
    assert await is_vacant(either, unique_key)


async def test_within_the_body_it_is_cancelled_with_it(either: Client, unique_key: str) -> None:
    with pytest.raises(LeadershipLost) as lost:
        async with Leadership(either, unique_key).campaign(60, b"me") as term:
            await force_loss(term, LossReason.DELETED)
            pytest.fail("not cancelled")
    assert lost.value.reason is LossReason.DELETED


async def test_a_term_that_nobody_watches(either: Client, unique_key: str) -> None:
    leadership = Leadership(either, unique_key)
    term = await leadership.campaign(60, b"me")
    await soon(force_loss(term, LossReason.REVOKED))
    assert term.loss_reason is LossReason.REVOKED


def test_a_key_that_nobody_watches(unique_key: str) -> None:
    async def main() -> None:
        async with MemoryEtcd() as etcd, etcd.client() as client:
            term = await Leadership(client, unique_key).campaign(60, b"me")
            with pytest.raises(InvalidState, match="nothing watches its key"):
                await force_loss(term, LossReason.DELETED)

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())


async def test_what_it_refuses(either: Client, unique_key: str) -> None:
    leadership = Leadership(either, unique_key)
    with pytest.raises(InvalidState, match="holds no term that could be lost"):
        await force_loss(leadership)
    term = await leadership.campaign(60, b"me")
    wrong: list[Any] = [*BY_OURSELVES, "expired", None, []]
    for reason in wrong:
        with pytest.raises(InvalidConfiguration, match="reason must be a LossReason, one of EXPIRED, STALLED"):
            await force_loss(term, reason)
    holder: Any = either
    with pytest.raises(InvalidConfiguration, match="holder must be a Term or a Leadership, not <Client"):
        await force_loss(holder)
    await leadership.resign()
    with pytest.raises(InvalidState, match="holds no term that could be lost"):
        await force_loss(term)
