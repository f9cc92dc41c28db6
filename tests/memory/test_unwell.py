"""Who is not well does not stand: it would win, lead for a lease's time, lose, and win again."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, InvalidState, Leadership, LossReason, Term
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import throughout, until
from tests.support import beside

KEY, TTL = "/leader", 6


class Service:
    """Serves until it is cancelled; well or not, by turns."""

    def __init__(self) -> None:
        self.terms: list[Term] = []
        self.well = asyncio.Event()
        self.asked = 0

    async def serve(self, term: Term) -> None:
        self.terms.append(term)
        await asyncio.Event().wait()

    async def hangs(self) -> None:
        self.asked += 1
        await self.well.wait()

    def tells(self) -> bool:
        self.asked += 1
        return self.well.is_set()


HEALTHS = ["tells", "hangs"]


@pytest.mark.parametrize("health", HEALTHS)
async def test_it_does_not_stand_until_it_is_well(
    etcd: MemoryEtcd, client: Client, health: str, caplog: pytest.LogCaptureFixture
) -> None:
    service, leadership = Service(), Leadership(client, KEY)
    async with beside(leadership.run(service.serve, TTL, b"me", health=getattr(service, health))):
        await throughout(10 * TTL, lambda: etcd.get(KEY) is None and not etcd.leases)
        assert 1 <= service.asked <= 12 * 10 + 1, "four times a renewal interval"
        service.well.set()
        await until(lambda: service.terms, within=TTL / 3)
    told = [each for each in caplog.messages if "standing" in each]
    assert told == ["not standing for b'/leader': not well", "standing for b'/leader' again: well"]


@pytest.mark.parametrize("health", HEALTHS)
async def test_another_leads_meanwhile(client: Client, other_client: Client, health: str) -> None:
    sick, well = Service(), Service()
    sick.well.set()
    one, two = Leadership(client, KEY), Leadership(other_client, KEY)
    async with beside(one.run(sick.serve, TTL, b"one", health=getattr(sick, health))):
        await until(lambda: sick.terms)
        async with beside(two.run(well.serve, TTL, b"two")):
            await asyncio.sleep(1)
            sick.well.clear()
            await until(lambda: sick.terms[0].loss_reason is LossReason.UNHEALTHY, within=2 * TTL)
            await until(lambda: well.terms, within=0.1)
            await throughout(10 * TTL, well.terms[0].check)
        await throughout(TTL, lambda: len(sick.terms) == 1)
        sick.well.set()
        await until(lambda: len(sick.terms) == 2)


@pytest.mark.parametrize("health", HEALTHS)
async def test_closing_the_client_ends_it(client: Client, health: str) -> None:
    service, leadership = Service(), Leadership(client, KEY)
    async with beside(leadership.run(service.serve, TTL, b"me", health=getattr(service, health))) as running:
        await until(lambda: service.asked)
        await client.aclose()
        with pytest.raises(InvalidState, match="closed"):
            await asyncio.wait_for(running, TTL)
