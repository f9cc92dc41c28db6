"""Packets dropped by the kernel: for as long as the block runs, and no longer than the process."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import pytest

from faults import nemesis, packets
from tests.support import eventually, soon

HOLDER = """
import asyncio, sys
from faults.packets import dropped

async def main():
    async with dropped([int(sys.argv[1])]):
        print("dropping", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


@pytest.fixture
def _iptables() -> None:
    if lacking := packets.missing():
        pytest.skip(lacking)


@contextlib.asynccontextmanager
async def echo() -> AsyncIterator[tuple[int, asyncio.StreamReader, asyncio.StreamWriter]]:
    """Its port, and a connection to what repeats each line."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.closing(writer):
            while line := await reader.readline():
                writer.write(line)

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            yield port, reader, writer
        finally:
            writer.close()


def rules(port: int) -> list[str]:
    told = subprocess.run(["iptables", "-w", "-S", "INPUT"], capture_output=True, text=True, check=True)
    return [line for line in told.stdout.splitlines() if f"--ports {port} " in line]


@pytest.mark.usefixtures("_iptables")
async def test_nothing_passes_while_packets_are_dropped_and_all_of_it_afterwards() -> None:
    async with echo() as (port, reader, writer):
        async with packets.dropped([port]):
            writer.write(b"held\n")
            with pytest.raises(TimeoutError):
                await soon(reader.readline(), 0.5)
            with pytest.raises(TimeoutError):
                await soon(asyncio.open_connection("127.0.0.1", port), 0.5)
        assert await soon(reader.readline(), 10) == b"held\n"
        assert not rules(port)


@pytest.mark.usefixtures("_iptables")
async def test_packets_pass_again_when_who_dropped_them_is_cancelled() -> None:
    async def drop() -> None:
        async with packets.dropped([port]):
            await asyncio.sleep(60)

    async with echo() as (port, _, _):
        dropping = asyncio.ensure_future(drop())
        await eventually(lambda: rules(port))
        dropping.cancel()
        await asyncio.wait([dropping])
        assert dropping.cancelled()
        assert not rules(port)


@pytest.mark.usefixtures("_iptables")
async def test_packets_pass_again_when_who_dropped_them_is_killed() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HOLDER, str(port), stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert process.stdout is not None
        try:
            assert await soon(process.stdout.readline(), 20) == b"dropping\n"
            assert rules(port)
        finally:
            process.kill()
            await soon(process.communicate(), 20)
        await eventually(lambda: not rules(port))


@pytest.mark.usefixtures("_iptables")
async def test_a_rule_that_is_refused_is_an_error() -> None:
    with pytest.raises(packets.PacketRuleFailed, match="too many ports"):
        async with packets.dropped(range(2000, 2016)):
            pass


def test_what_a_machine_cannot_do_is_not_drawn() -> None:
    chance = random.Random(1)
    drawn = {each.name for _ in range(1000) for each in nemesis.draw(chance)}
    assert drawn == {each.name for each in nemesis.TABLE if not each.missing()}


def test_an_action_is_left_out_where_something_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nemesis, "TABLE", [action for action in nemesis.TABLE if action.row in {3, 17}])
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    packets.missing.cache_clear()
    try:
        assert packets.missing() in {"takes root", "takes iptables"}
        chance = random.Random(1)
        drawn = {each.name for _ in range(100) for each in nemesis.draw(chance)}
        assert drawn == {"leader process asked to stop", "half-open connections"}
    finally:
        packets.missing.cache_clear()
