"""The servers that are measured against: an etcd on a RAM disk, and a ZooKeeper where there is one."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from aioelection.embedded import Etcd
from aioelection.embedded._binary import find_etcd, find_etcdctl
from benchmarks.figure import Place

_RAM = "/dev/shm"  # noqa: S108 (a folder with a random name)
_JAR = "/usr/share/java/zookeeper.jar"
"""Where Debian's package ``zookeeper`` puts it."""


@asynccontextmanager
async def servers(*, quick: bool, zookeeper: bool) -> AsyncIterator[tuple[Place, Etcd]]:
    """Start them; sides are told of them by the ``Place``."""
    async with Etcd() as etcd, _zookeeper(wanted=zookeeper) as address:
        yield Place(etcd.endpoints[0], str(find_etcdctl(find_etcd(None))), address, quick), etcd


@asynccontextmanager
async def _zookeeper(*, wanted: bool) -> AsyncIterator[str]:
    if not wanted:
        yield "ZooKeeper was not asked for"
        return
    if not _has_zookeeper():
        yield "no ZooKeeper here (Debian: apt-get install zookeeper)"
        return
    with tempfile.TemporaryDirectory(dir=_RAM if os.access(_RAM, os.W_OK) else None) as folder:
        port = _free_port()
        process = await asyncio.create_subprocess_exec(
            "java",
            "-Dzookeeper.forceSync=no",
            "-cp",
            "/usr/share/java/*:/etc/zookeeper/conf",
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            _configuration(folder, port),
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            yield f"127.0.0.1:{port}" if await _listens(port) else "ZooKeeper does not start"
        finally:
            with suppress(ProcessLookupError):
                process.kill()
            await process.wait()


def _has_zookeeper() -> bool:
    return shutil.which("java") is not None and Path(_JAR).exists()


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


def _configuration(folder: str, port: int) -> str:
    """Write it; returns where."""
    path = Path(folder, "zoo.cfg")
    path.write_text(
        f"tickTime=2000\ndataDir={folder}\nclientPort={port}\nclientPortAddress=127.0.0.1\n"
        "admin.enableServer=false\nmaxClientCnxns=0\n"
    )
    return str(path)


async def _listens(port: int, within: float = 30.0) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            while True:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    await asyncio.sleep(0.1)
                else:
                    writer.close()
                    return True
    return False
