"""A reply to a renewal that was not needed any more says nothing of the next one."""

from __future__ import annotations

import asyncio
from functools import partial

from aioelection import Client
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import Leading, hold_renewals, links_by_url, time, until

KEY = "/renewals/leader"
T = 5


async def test_a_hedge_that_is_answered_late_does_not_answer_the_next_renewal(etcd: MemoryEtcd, client: Client) -> None:
    links = links_by_url(etcd, client)
    hold = partial(hold_renewals, etcd)

    async with Leading(client, KEY, T) as leading:
        term = await leading.elected()
        used = links[client.endpoints[0]]
        with hold("after", *(link for link in links.values() if link is not used)) as hedge:
            with hold("after", used) as first:
                await first.reached()
                await hedge.reached()
                renewed = time()  # for the last time: of all that is sent from now on, nothing arrives
            await until(lambda: term.remaining() > T - 0.5)  # the first is answered after all
            with hold("before", *links.values()) as following:
                await asyncio.sleep(T / 3 - 0.05)
                hedge.release()
                await following.reached()
                await asyncio.sleep(0.1)  # what was acknowledged would be proven by now
                for link in links.values():
                    link.drop()
                following.drop()
        assert term.remaining() <= T - (time() - renewed)
        await asyncio.sleep(T - (time() - renewed))
        assert not term.check()
