"""An etcd in memory, for tests: one process, one clock, several members, and every fault on demand::

    async with MemoryEtcd() as etcd, etcd.client() as client:
        leadership = aioelection.Leadership(client, "/billing/leader")
        async with leadership.campaign(10, b"node-a") as term:
            etcd.pause(etcd.leader)
            await asyncio.sleep(30)
            assert term.check()

It counts time by the event loop's clock, and so do its clients: on a loop with virtual time (``looptime`` from PyPI,
for example) minutes take milliseconds.

It is no etcd: it has no authentication and no disk, its elections succeed at once, and a leader that was frozen revokes
nothing that is alive, as etcd 3.5.13 and later.
"""

from aioelection.testing._link import Hold, Link
from aioelection.testing._members import Member
from aioelection.testing._memory import MemoryEtcd

__all__ = ["Hold", "Link", "Member", "MemoryEtcd"]
