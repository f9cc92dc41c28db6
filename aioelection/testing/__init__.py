"""For tests: an etcd in memory, virtual time, a real etcd, and the loss of a term on purpose.

The etcd in memory has one process, one clock, several members, and every fault on demand::

    async with MemoryEtcd() as etcd, etcd.client() as client:
        leadership = aioelection.Leadership(client, "/billing/leader")
        async with leadership.campaign(10, b"node-a") as term:
            etcd.pause(etcd.leader)
            await asyncio.sleep(30)
            assert term.check()

It counts time by the event loop's clock, and so do its clients: on a ``VirtualLoop`` minutes take milliseconds::

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())

pytest-asyncio takes it by its hook ``pytest_asyncio_loop_factories``, anyio by the fixture ``anyio_backend``.

It is no etcd: it has no authentication and no disk, its elections succeed at once, and a leader that was frozen revokes
nothing that is alive, as etcd 3.5.13 and later.
"""

from aioelection.testing._link import Hold, Link
from aioelection.testing._loss import force_loss
from aioelection.testing._members import Member
from aioelection.testing._memory import MemoryEtcd
from aioelection.testing._server import EtcdServer
from aioelection.testing._virtual import VirtualLoop

__all__ = ["EtcdServer", "Hold", "Link", "Member", "MemoryEtcd", "VirtualLoop", "force_loss"]
