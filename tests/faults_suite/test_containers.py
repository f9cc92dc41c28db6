"""Members in containers: each fault does what it says, and nothing is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

from aioelection import Leadership, connect
from faults.cluster import containers
from faults.cluster import engine as engines
from faults.cluster.containers import container_cluster
from faults.cluster.engine import Engine, NoEngine, docker_engine, missing
from faults.cluster.image import libraries
from tests.support import eventually, soon, throughout

TTL = 10

ENGINE = """
import asyncio, sys
from faults.cluster.engine import docker_engine

async def main():
    async with docker_engine() as engine:
        with engine.client() as client:
            client.networks.create(engine.name, options={"com.docker.network.bridge.name": engine.name})
        print(engine.address, engine.name, flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def _an_engine() -> None:
    if lacking := missing():
        pytest.skip(lacking)


def left(engine: Engine) -> list[str]:
    """What there is of a run: on the machine, and in the engine if that still answers."""
    found = [str(each) for each in Path("/sys/class/net").glob(f"{engine.name}*")]
    found += [str(each) for each in Path("/sys/fs/cgroup").glob(f"**/{engine.name}*")]
    found += [str(each) for each in Path(tempfile.gettempdir()).glob(f"*{engine.name}")]
    for each in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = each.read_text(errors="replace")
            found += [command] if engine.name in command else []
    if not engines._refusal(engine):
        with engine.client() as client:
            everything = [*client.containers.list(all=True), *client.networks.list()]
            names = [each.name for each in everything] + [tag for each in client.images.list() for tag in each.tags]
            found += [each for each in names if engine.name in each]
    return found


def elsewhere() -> set[Path]:
    """What is where an engine writes unasked."""
    return {*Path("/opt").glob("*"), *Path("/etc/docker").glob("*")}


@pytest.mark.usefixtures("_an_engine")
async def test_a_term_survives_what_is_done_to_containers(unique_key: str) -> None:
    async with container_cluster() as cluster:
        members = cluster._members
        async with connect(cluster.endpoints) as client, Leadership(client, unique_key).campaign(TTL, "a") as term:

            async def led_by_another(than: str) -> str:
                found: str = await soon(cluster.leader(), 20)
                return found if found != than else ""

            frozen = await cluster.leader()
            await cluster.freeze(frozen)
            try:
                assert members[frozen].state() == "paused"
                assert not await members[frozen].healthy()
                await eventually(lambda: led_by_another(frozen), 20)
            finally:
                await cluster.resume(frozen)
            await eventually(members[frozen].healthy, 20)

            killed = await cluster.leader()
            killing = asyncio.ensure_future(cluster.kill(killed))
            await asyncio.sleep(0)
            killing.cancel()
            await asyncio.wait([killing])
            assert members[killed].state() == "exited"  # what heals it does not overtake
            await cluster.kill(killed)  # which does no harm
            await cluster.start(killed)
            assert await members[killed].healthy()

            alone = await cluster.leader()
            await cluster.isolate(alone)
            try:
                await eventually(lambda: led_by_another(alone), 20)
                assert not await members[alone].healthy()
                assert await members[alone].status() is not None  # clients reach it
                assert members[alone].state() == "running"
            finally:
                await cluster.isolate()
            await eventually(members[alone].healthy, 20)
            members[alone].container.reload()
            networks = members[alone].container.attrs["NetworkSettings"]["Networks"]
            assert alone in networks[cluster._peers.name]["Aliases"]  # by which the others find it

            assert term.check()
            token = term.fencing_token
            await throughout(0.5, lambda: term.check() and term.fencing_token == token)
    await eventually(lambda: not left(cluster.engine))


@pytest.mark.usefixtures("_an_engine")
async def test_what_was_made_in_an_engine_that_runs_already_is_gone_when_it_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    used: list[Engine] = []
    make = containers._made

    def made(engine: Engine, *rest: Any) -> Any:
        used.append(engine)
        result = make(engine, *rest)
        assert len(left(engine)) >= 6  # two networks, an image, three containers
        return result

    async def fail(*_: object) -> None:
        raise RuntimeError("not ready")

    monkeypatch.setattr(containers, "_made", made)
    monkeypatch.setattr(containers, "_ready", fail)
    async with docker_engine() as running:
        monkeypatch.setenv("DOCKER_HOST", running.address)
        with pytest.raises(RuntimeError, match="not ready"):
            async with container_cluster():
                pass
        assert used[0].address == running.address
        assert not left(used[0])


@pytest.mark.usefixtures("_an_engine")
async def test_an_engine_of_our_own_ends_with_the_process_that_started_it() -> None:
    before = elsewhere()
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", ENGINE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        address, name = (await soon(process.stdout.readline(), 40)).decode().split()
        engine = Engine(address, name)
        if "aioelection" not in address:
            pytest.skip(f"an engine runs here already: {address}")
        assert len(left(engine)) > 3  # the folder, a bridge, a network, processes
    finally:
        process.send_signal(signal.SIGKILL)
        await process.wait()
    await eventually(lambda: not left(engine), 10)
    assert elsewhere() == before


async def test_an_engine_that_is_named_and_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    assert "unix:///nowhere/docker.sock" in missing()
    with pytest.raises(NoEngine, match="DOCKER_HOST names an engine that does not answer"):
        async with docker_engine():
            pass


def test_what_an_engine_takes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    monkeypatch.setattr(engines, "SOCKET", "unix:///nowhere/docker.sock")
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert missing() == "no Docker engine runs here, and one of our own takes root"
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    monkeypatch.setenv("PATH", "")
    assert "dockerd (Debian: docker.io)" in missing()


def test_the_libraries_of_a_program_go_into_the_image() -> None:
    found = libraries(Path(sys.executable))
    assert any("libc.so" in each.name for each in found) or not found
    assert all(each.exists() for each in found)
    assert libraries(Path(__file__)) == []
