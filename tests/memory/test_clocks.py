"""Clocks that jump and clocks that are wrong: rows 6 to 8 of the table of faults."""

from __future__ import annotations

import asyncio
import time as wall

import pytest

from aioelection import Client, LossReason
from aioelection._aio.clock import Clock
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, throughout, time, until

KEY = "/clocks/leader"
T = 30


class Skewed:
    """A clock that may be moved, and whose rate may be wrong."""

    def __init__(self, rate: float = 1.0) -> None:
        self._rate = rate
        self._moved = 0.0

    def now(self) -> float:
        return time() * self._rate + self._moved

    def move(self, seconds: float) -> None:
        self._moved += seconds


async def test_row_6_a_suspend(etcd: MemoryEtcd) -> None:
    clock = Skewed()
    async with etcd.client(clock=Clock(clock.now)) as client, Leading(client, KEY, T) as leading:
        term = await leading.elected()
        await asyncio.sleep(3)
        assert term.check()
        clock.move(60)
        assert not term.check() and not leading.check()
        begin = time()
        await until(term.lost.is_set)
        assert time() - begin <= 0.5 + 0.02
        assert term.loss_reason is LossReason.STALLED


@pytest.mark.parametrize("hours", [1, -1])
async def test_row_7_the_wall_clock_moved(
    etcd: MemoryEtcd, client: Client, monkeypatch: pytest.MonkeyPatch, hours: int
) -> None:
    real = wall.time
    async with Leading(client, KEY, 5) as leading:
        term = await leading.elected()
        monkeypatch.setattr(wall, "time", lambda: real() + 3600 * hours)
        await throughout(20, term.check)
        assert term.loss_reason is None


async def overlap(etcd: MemoryEtcd, rate: float) -> bool:
    """Whether two lead at one instant, where the clock of the first goes at that rate and it is cut off."""
    async with (
        etcd.client(clock=Clock(Skewed(rate).now)) as first_client,
        etcd.client() as second_client,
        Leading(first_client, KEY, T) as first,
    ):
        await first.elected()
        async with Leading(second_client, KEY, T) as second:
            await asyncio.sleep(1)
            for link in etcd.links(first_client):
                link.cut()
            while second.term is None:
                assert time() < 1000 + 10 * T
                await asyncio.sleep(0.001)
            for _ in range(1000 * T // 10):
                if first.check() and second.check():
                    return True
                await asyncio.sleep(0.001)
            return False


@pytest.mark.parametrize("rate", [1 - 0.005, 1 + 0.005])
async def test_row_8_a_clock_rate_off_by_what_is_promised(etcd: MemoryEtcd, rate: float) -> None:
    assert not await overlap(etcd, rate)


async def test_row_8_a_clock_that_is_slower_lets_two_lead(etcd: MemoryEtcd) -> None:
    """So the test above is sharp."""
    assert await overlap(etcd, 1 - 0.03)
