"""No space left: row 29."""

from __future__ import annotations

import contextlib

import aetcd
import pytest
from aetcd.transactions import Put

from aioelection import Leadership, Lease, State, Unavailable, connect
from aioelection.embedded import Etcd
from tests.etcd import EtcdFactory
from tests.faults.measuring import Measure, leading
from tests.support import Stranger, beside, eventually, is_in, soon


async def test_row_29_no_space(new_etcd: EtcdFactory, unique_key: str, measure: Measure) -> None:
    async with (
        new_etcd(flags=["--quota-backend-bytes=2000000"]) as etcd,
        Stranger(etcd.endpoints[0]) as stranger,
        connect(etcd.endpoints) as client,
        leading(client, unique_key, 2) as vigil,
    ):
        lease = Lease(client)
        await lease.grant(60)
        shared, own = Leadership(client, unique_key + "/shared"), Leadership(client, unique_key + "/own")
        on_shared = await shared.campaign(2, b"a", lease=lease)
        await own.campaign(60, b"a")
        with pytest.raises(aetcd.ClientError):
            for _ in range(100):
                await stranger.put(unique_key + "/filler", b"x" * 500_000)
        await eventually(lambda: _alarmed(etcd))

        await vigil.renewed(3)
        measure.took("renewal", vigil.lateness, 0.3)
        with measure.within(1, "refused write"), pytest.raises(Unavailable, match="space exceeded"):
            await vigil.leadership.leader_txn().then(Put(unique_key + "/data", "x")).commit()

        with measure.within(1, "resigned by revoke"):
            await own.resign()
            assert await stranger.get(unique_key + "/own") is None
        # Not raised by a newer etcd: what only deletes may pass.
        with measure.within(1.3, "resigned on a shared lease"), contextlib.suppress(Unavailable):
            await shared.resign()
        assert not shared.check() and not on_shared.check()

        with measure.within(1, "a single attempt"), pytest.raises(Unavailable, match="space exceeded"):
            await soon(Leadership(client, unique_key + "/new").campaign(2, b"a", wait=False))
        waiting = Leadership(client, unique_key + "/new")
        async with beside(waiting.campaign(2, b"a")) as campaign:
            await vigil.renewed(2)
            assert is_in(waiting, State.CAMPAIGNING) and not campaign.done()
            revision = (await stranger.get(unique_key + "/filler")).mod_revision
            await etcd.ctl("compact", str(revision))
            await etcd.ctl("defrag")
            await etcd.ctl("alarm", "disarm")
            with measure.within(2, "elected once disarmed"):
                assert (await soon(campaign)).check()
        await shared.resign()
        assert await stranger.get(unique_key + "/shared") is None
        vigil.check()


async def _alarmed(etcd: Etcd) -> bool:
    return "NOSPACE" in await etcd.ctl("alarm", "list")
