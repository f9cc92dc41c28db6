"""A life with everything in it that hooks are told of."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence

import anyio

from aioelection import CampaignConflict, Leadership, LeadershipLost, State
from aioelection._aio.clock import Clock
from aioelection.instrument import Hook
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, time, until

KEY = "/life/leader"
PURPOSE = "invoices"
T = 6


async def life(etcd: MemoryEtcd, hooks: Sequence[Hook]) -> None:
    """A conflict; a term with a late answer, an outage, a stall, a loss and a body that overruns; a resignation."""
    stalled = 0.0
    async with etcd.client(hooks=hooks, clock=Clock(lambda: time() + stalled)) as client:
        leadership = Leadership(client, KEY, PURPOSE)
        async with Leading(client, KEY) as rival:
            await rival.elected()
            with contextlib.suppress(CampaignConflict):
                await leadership.campaign(T, b"a", wait=False)
        with contextlib.suppress(LeadershipLost):
            async with leadership.campaign(T, b"a"):
                await asyncio.sleep(1)
                (used,) = [each for each in etcd.members if each.client_url == client.endpoints[0]]
                etcd.link(client, used).drop()
                await until(lambda: client.statistics().hedged_renewals)
                etcd.link(client, used).mend()
                await asyncio.sleep(T)
                for link in etcd.links(client):
                    link.cut()
                await until(lambda: leadership.state is State.SUSPENDED)
                for link in etcd.links(client):
                    link.mend()
                await until(lambda: leadership.state is State.LEADING)
                stalled += 0.7
                await asyncio.sleep(T)
                etcd.delete(KEY)
                with anyio.CancelScope(shield=True):
                    await asyncio.sleep(1)
        async with leadership.campaign(T, b"a"):
            await asyncio.sleep(3)
