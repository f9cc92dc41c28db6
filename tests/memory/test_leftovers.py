"""After an outage etcd lets old leases live for their whole time once more: whose own it is does not wait for that."""

from __future__ import annotations

import asyncio
import contextlib

import anyio

from aioelection import Client, Leadership, LeadershipLost, State
from aioelection.testing import MemoryEtcd

KEY = "/leftovers/leader"


async def outage(etcd: MemoryEtcd, seconds: float) -> None:
    followers = etcd.followers
    for member in followers:
        etcd.kill(member)
    await asyncio.sleep(seconds)
    for member in followers:
        etcd.start(member)
    await asyncio.sleep(1.5)


async def test_a_single_attempt_is_not_beaten_by_its_own_last_term(etcd: MemoryEtcd, client: Client) -> None:
    leadership = Leadership(client, KEY)
    old = await leadership.campaign(5, b"a")
    await outage(etcd, 30)
    assert etcd.get(KEY) is not None and not old.check()
    term = await leadership.campaign(5, b"a", wait=False)
    assert term.check() and term.fencing_token > old.fencing_token
    assert len(etcd.leases) == 1


async def test_while_the_body_of_the_last_term_runs_its_key_is_left_alone(etcd: MemoryEtcd, client: Client) -> None:
    one, two = Leadership(client, KEY), Leadership(client, KEY)
    ending = asyncio.Event()

    async def lead() -> None:
        with contextlib.suppress(LeadershipLost):
            async with one.campaign(5, b"a"):
                with anyio.CancelScope(shield=True):
                    await ending.wait()

    leading = asyncio.ensure_future(lead())
    await asyncio.sleep(1)
    waiting = asyncio.ensure_future(two.campaign(5, b"b"))
    await outage(etcd, 30)
    kv = etcd.get(KEY)
    assert kv is not None and kv.value == b"a" and one.state is State.IDLE
    await asyncio.sleep(2)
    assert etcd.get(KEY) == kv and not waiting.done(), "it goes by expiry only"
    ending.set()
    await leading
    assert (await asyncio.wait_for(waiting, 10)).check()
