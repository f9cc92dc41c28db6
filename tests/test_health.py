"""`health`: an application that hangs, or says that it is not well, does not lead for ever. And `ensure`."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from aioelection import (
    Client,
    InvalidConfiguration,
    Leadership,
    LeadershipLost,
    Lease,
    LossReason,
    NotLeader,
    State,
)
from tests.support import TTL, beside, eventually, soon, throughout


class Application:
    """Well until told otherwise."""

    def __init__(self) -> None:
        self.well: Any = None
        self.asked = 0
        self.hanging = asyncio.Event()

    def tells(self) -> Any:
        self.asked += 1
        if isinstance(self.well, Exception):
            raise self.well
        return self.well

    async def tells_later(self) -> Any:
        await asyncio.sleep(0)
        return self.tells()

    async def hangs(self) -> Any:
        self.asked += 1
        if self.well is False:
            await self.hanging.wait()


HEALTHS = ["tells", "tells_later", "hangs"]


@pytest.mark.parametrize("health", HEALTHS)
async def test_a_well_application_leads_on(client: Client, unique_key: str, health: str) -> None:
    application = Application()
    async with Leadership(client, unique_key).campaign(TTL, b"me", health=getattr(application, health)) as term:
        await throughout(TTL + 0.5, term.check)
        assert application.asked >= 3


@pytest.mark.parametrize("health", HEALTHS)
async def test_row_35_one_that_is_not_loses_by_the_deadline(client: Client, unique_key: str, health: str) -> None:
    application = Application()
    leadership = Leadership(client, unique_key)
    transitions = leadership.transitions()
    with pytest.raises(LeadershipLost) as lost:
        async with leadership.campaign(TTL, b"me", health=getattr(application, health)) as term:
            await eventually(lambda: application.asked == 2)
            assert term.check()
            application.well = False
            since = asyncio.get_running_loop().time()
            await soon(asyncio.Event().wait(), 2 * TTL)
    assert asyncio.get_running_loop().time() - since <= 5 / 3 * TTL + 0.5
    assert lost.value.reason is LossReason.UNHEALTHY is term.loss_reason
    states: list[State] = []
    while not states or states[-1] is not State.IDLE or len(states) == 1:
        states.append((await soon(anext(transitions))).current)
    assert states[-2:] == [State.SUSPENDED, State.IDLE]


@pytest.mark.parametrize("failure", [False, ValueError("broken")], ids=["false", "error"])
async def test_one_that_is_well_again_in_time_leads_on(client: Client, unique_key: str, failure: object) -> None:
    application = Application()
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(TTL, b"me", health=application.tells) as term:
        await eventually(lambda: application.asked)
        application.well = failure
        await eventually(lambda: leadership.state is State.SUSPENDED)
        application.well = True
        await eventually(lambda: leadership.state is State.LEADING)
        await throughout(TTL, term.check)


async def test_one_that_answers_again_after_hanging_leads_on(client: Client, unique_key: str) -> None:
    application = Application()
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(3, b"me", health=application.hangs) as term:
        await eventually(lambda: application.asked)
        application.well = False
        await eventually(lambda: leadership.state is State.SUSPENDED)
        asked = application.asked
        application.well = True
        application.hanging.set()
        await eventually(lambda: leadership.state is State.LEADING)
        assert term.check() and application.asked >= asked


async def test_with_keep(client: Client, unique_key: str) -> None:
    application = Application()
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(TTL, b"me", health=application.tells)
    async with beside(leadership.keep()) as keeping:
        await throughout(TTL + 0.2, term.check)
        application.well = False
        with pytest.raises(LeadershipLost) as lost:
            await soon(keeping)
    assert lost.value.reason is LossReason.UNHEALTHY


async def test_on_a_shared_lease_that_others_renew(client: Client, unique_key: str) -> None:
    application = Application()
    lease = Lease(client)
    await lease.grant(TTL)
    sick, well = Leadership(client, unique_key), Leadership(client, unique_key + "/well")
    async with beside(lease.keep_alive()), well.campaign(TTL, b"well", lease=lease) as other:
        with pytest.raises(LeadershipLost) as lost:
            async with sick.campaign(TTL, b"sick", lease=lease, health=application.tells):
                await eventually(lambda: application.asked)
                application.well = False
                await soon(asyncio.Event().wait())
        assert lost.value.reason is LossReason.UNHEALTHY
        assert other.check() and not lease.is_expired()
    await lease.close()


async def test_run_stands_again(client: Client, unique_key: str) -> None:
    application = Application()
    leadership = Leadership(client, unique_key)
    terms: list[Any] = []

    async def serve(term: Any) -> None:
        application.well = not terms
        terms.append(term)
        await asyncio.Event().wait()

    application.well = True
    async with beside(leadership.run(serve, TTL, b"me", health=application.tells)):
        await eventually(lambda: terms)
        application.well = False
        await eventually(lambda: terms[0].loss_reason is LossReason.UNHEALTHY)
        application.well = True
        await eventually(lambda: len(terms) == 2)


@pytest.mark.parametrize("health", [True, "well", 0])
def test_what_cannot_be_asked(client: Client, unique_key: str, health: Any) -> None:
    with pytest.raises(InvalidConfiguration, match=f"health must be callable, not {health!r}"):
        Leadership(client, unique_key).campaign(TTL, b"me", health=health)


async def test_ensure(client: Client, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)
    term = await leadership.campaign(10, b"me")
    term.ensure(9)
    with pytest.raises(NotLeader, match=r"are left of it, not 10\.5"):
        term.ensure(10.5)
    await leadership.resign()
    with pytest.raises(NotLeader, match=r"0\.000 s are left"):
        term.ensure(0.001)


@pytest.mark.parametrize("seconds", [0, -1, "1", None, True, float("nan"), float("inf")])
async def test_ensure_what_cannot_be(client: Client, unique_key: str, seconds: Any) -> None:
    leadership = Leadership(client, unique_key)
    async with leadership.campaign(10, b"me") as term:
        check: Callable[[Any], None] = term.ensure
        with pytest.raises(InvalidConfiguration, match="seconds must be"):
            check(seconds)
