"""The stale acknowledgement, and what it would do if it were believed (design rule 1)."""

from __future__ import annotations

import asyncio

import pytest

from aioelection import Client, Leadership
from aioelection.testing import MemoryEtcd
from tests.memory import Leading, soon

pytestmark = pytest.mark.virtual_time

KEY = "/stale/leader"
T = 5


async def a_stale_acknowledgement(etcd: MemoryEtcd, client: Client, other_client: Client) -> None:
    """Leave ``client`` with one from a deposed etcd leader, alone with it, after ``other_client`` has won."""
    old = etcd.leader
    assert old is not None
    etcd.pause(old)
    for link in etcd.links(client, but=[old]):
        link.cut()
    await asyncio.sleep(1.1)
    assert etcd.leader is not old
    other = Leadership(other_client, KEY)
    term = await other.campaign(T, b"b")
    assert etcd.get(KEY) is not None and term.check()
    renewals = client.statistics().renewals
    etcd.resume(old)
    await soon(lambda: client.statistics().renewals > renewals)
    for link in etcd.links(client):
        link.cut()


async def test_a_stale_acknowledgement_makes_no_second_leader(
    etcd: MemoryEtcd, client: Client, other_client: Client
) -> None:
    async with Leading(client, KEY, T) as first:
        await first.elected()
        await asyncio.sleep(T / 3 + 0.1)
        await a_stale_acknowledgement(etcd, client, other_client)
        assert not first.check()
