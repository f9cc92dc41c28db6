"""What is reported: bodies that go on after their term is lost, leader keys that never expire."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Literal

import anyio
import pytest

from aioelection import Client, Leadership, LeadershipLost, observe
from aioelection.testing import MemoryEtcd
from tests.memory.helpers import until

KEY = "/overrun/leader"


async def overrun(client: Client, etcd: MemoryEtcd, on_loss: Literal["cancel", "event"], seconds: float) -> None:
    """A body that ends so many seconds after its term is lost."""
    with contextlib.suppress(LeadershipLost):
        async with Leadership(client, KEY).campaign(5, b"a", on_loss=on_loss) as term:
            await asyncio.sleep(1)
            for link in etcd.links(client):
                link.cut()
            with anyio.CancelScope(shield=True):
                await term.lost.wait()
                await asyncio.sleep(seconds)
    for link in etcd.links(client):
        link.mend()


@pytest.mark.parametrize("on_loss", ["cancel", "event"])
async def test_row_37_an_overrun_is_reported(
    etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture, on_loss: Literal["cancel", "event"]
) -> None:
    await overrun(client, etcd, on_loss, 7)
    assert "its body still runs; another may lead" in caplog.text
    assert "its body ended 7.0 s after the loss" in caplog.text
    assert client.statistics().overruns == 1


async def test_a_body_that_ends_at_once_is_not(
    etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    await overrun(client, etcd, "cancel", 0.05)
    assert "body" not in caplog.text
    assert client.statistics().overruns == 0


async def test_nor_one_that_resigned(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    leadership = Leadership(client, KEY)
    async with leadership.campaign(5, b"a"):
        await leadership.resign()
        await asyncio.sleep(10)
    assert client.statistics().overruns == 0 and "body" not in caplog.text


async def test_a_lease_that_is_lost_while_a_resigned_body_cleans_up(
    etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """Renewal goes on for as long as the body does, unless it fails."""
    leadership = Leadership(client, KEY)

    async def lead() -> None:
        async with leadership.campaign(5, b"a"):
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(30)

    leading = asyncio.ensure_future(lead())
    await until(leadership.check)
    resigning = asyncio.ensure_future(leadership.resign())
    await asyncio.sleep(10)
    assert etcd.get(KEY) is not None, "renewed, since the body still runs"
    assert "body" not in caplog.text
    for link in etcd.links(client):
        link.cut()
    await asyncio.sleep(10)
    assert "its body still runs; another may lead" in caplog.text
    assert etcd.get(KEY) is None, "expired"
    await asyncio.wait([leading, resigning])
    assert isinstance(leading.exception(), LeadershipLost)
    for link in etcd.links(client):
        link.mend()


async def test_a_leader_without_a_lease_is_told_to_observers_and_in_the_log(
    etcd: MemoryEtcd, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    observer = observe(client, KEY)
    assert await anext(observer) is None
    etcd.put(KEY, b"intruder")
    leader = await anext(observer)
    assert leader is not None and (leader.value, leader.lease_id) == (b"intruder", 0)
    assert "written without a lease" in caplog.text
    caplog.clear()
    waiting = asyncio.ensure_future(Leadership(client, KEY).campaign(5, b"a"))
    await asyncio.sleep(1)
    assert "written without a lease" in caplog.text, "a candidate waits behind it"
    waiting.cancel()
    await asyncio.wait([waiting])
