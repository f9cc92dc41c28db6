"""Waiting to be elected for so long and no longer: `asyncio.timeout` around the entry alone, as the README has it."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from aioelection import Client, Leadership, LeadershipLost, LossReason, Term
from aioelection.testing import MemoryEtcd, force_loss
from tests.memory.helpers import Leading, time, until

KEY = "/leader"


async def elected_within(stack: contextlib.AsyncExitStack, leadership: Leadership, seconds: float) -> Term:
    async with asyncio.timeout(seconds):
        return await stack.enter_async_context(leadership.campaign(10, b"me"))


async def test_it_gives_up_and_leaves_nothing(etcd: MemoryEtcd, client: Client, other_client: Client) -> None:
    async with Leading(other_client, KEY) as other:
        term = await other.elected()
        since, leases = time(), dict(etcd.leases)
        with pytest.raises(TimeoutError):
            async with contextlib.AsyncExitStack() as stack:
                await elected_within(stack, Leadership(client, KEY), 30)
        assert time() - since == pytest.approx(30, abs=0.1)
        assert term.check() and etcd.leases == leases


async def test_elected_in_time_it_leads_for_longer(etcd: MemoryEtcd, client: Client, other_client: Client) -> None:
    async with contextlib.AsyncExitStack() as stack:
        async with Leading(other_client, KEY) as other:
            await other.elected()
            waiting = asyncio.ensure_future(asyncio.sleep(20))
            waiting.add_done_callback(lambda _: other.task.cancel())
            term = await elected_within(stack, Leadership(client, KEY), 30)
        await asyncio.sleep(300)
        assert term.check()
    assert term.loss_reason is LossReason.RESIGNED
    assert etcd.get(KEY) is None and etcd.leases == {}


async def test_lost_it_is_told_and_cancelled(client: Client) -> None:
    leadership = Leadership(client, KEY)
    entered = asyncio.Event()

    async def lead() -> None:
        async with contextlib.AsyncExitStack() as stack:
            await elected_within(stack, leadership, 30)
            entered.set()
            await asyncio.sleep(3600)

    leading = asyncio.ensure_future(lead())
    await entered.wait()
    await force_loss(leadership, LossReason.DELETED)
    with pytest.raises(LeadershipLost) as lost:
        await leading
    assert lost.value.reason is LossReason.DELETED
    await until(lambda: not leadership.check())
