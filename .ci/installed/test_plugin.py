"""Run by pytest where nothing else is installed but the wheel: its plugin is found, and works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import aioelection
from aioelection.testing import MemoryEtcd, VirtualLoop


def test_a_service(etcd_in_memory: Callable[[], MemoryEtcd], aioelection_key: str) -> None:
    """It leads for an hour."""

    async def lead(leadership: aioelection.Leadership) -> None:
        async with leadership.campaign(10, b"me") as term:
            await asyncio.sleep(3600)
            assert term.check()

    async def main() -> None:
        async with etcd_in_memory() as etcd, etcd.client() as client:
            await lead(aioelection.Leadership(client, aioelection_key))

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        runner.run(main())
