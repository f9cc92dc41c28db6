"""Sidecars in processes of their own: killed, frozen, signalled, and their guardians likewise."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
from pathlib import Path

from aioelection import Client, get_leader, request_resign
from aioelection.cli._guardian import now
from tests.cli.support import STARTED, Diary, process, running
from tests.support import TTL, eventually

EVERYBODY = {"first", "child", "daemon"}


async def test_killed_its_command_ends_before_another_can_lead(
    client: Client, endpoint: str, unique_key: str, diary: Diary, tmp_path: Path
) -> None:
    command = ("--grace", "60", "--", *diary.command("stubborn", "child", "daemon"))
    with process(tmp_path, unique_key, endpoint, *command) as leading:
        await eventually(lambda: diary.who() == EVERYBODY, STARTED)
        async with running(client, unique_key, diary.command()) as other:
            await eventually(lambda: other.sidecar.leadership.state.stands)
            killed = now()
            leading.signal(signal.SIGKILL)
            await eventually(lambda: len(diary.tokens) == 2, TTL + 5)
        assert not leading.all()
    token = diary.tokens[0]
    asked = [line.at for line in diary.lines(token) if line.what == "SIGTERM"]
    assert len(asked) == 3 and min(asked) - killed < 1
    assert diary.longest_overlap() < 0


async def test_frozen_its_command_ends_before_another_can_lead(
    client: Client, endpoint: str, unique_key: str, diary: Diary, tmp_path: Path
) -> None:
    with process(tmp_path, unique_key, endpoint, "--", *diary.command("stubborn", "child", "daemon")) as leading:
        await eventually(lambda: diary.who() == EVERYBODY, STARTED)
        async with running(client, unique_key, diary.command()) as other:
            await eventually(lambda: other.sidecar.leadership.state.stands)
            leading.signal(signal.SIGSTOP)
            await eventually(lambda: len(diary.tokens) == 2, TTL + 5)
            leading.signal(signal.SIGCONT)
            assert await leading.ended() == 75
            assert other.sidecar.leads
        assert not leading.all()
    assert "SIGTERM" in diary.who(diary.tokens[0]), "it was asked before it was killed"
    assert diary.longest_overlap() < 0


async def test_without_its_guardian_it_does_the_guardians_work(
    client: Client, endpoint: str, unique_key: str, diary: Diary, tmp_path: Path
) -> None:
    command = ("--forever", "--grace", "0.2", "--", *diary.command("stubborn", "child", "daemon"))
    with process(tmp_path, unique_key, endpoint, *command) as leading:
        await eventually(lambda: diary.who() == EVERYBODY, STARTED)
        os.kill(await leading.guardian(), signal.SIGKILL)
        await eventually(lambda: len(diary.tokens) == 2)
        await eventually(lambda: diary.who(diary.tokens[1]) == EVERYBODY)
        os.kill(await leading.guardian(), signal.SIGSTOP)
        await eventually(lambda: len(diary.tokens) == 3)
        await eventually(lambda: diary.who(diary.tokens[2]) == EVERYBODY)
        os.kill(await leading.guardian(), signal.SIGSTOP)
        assert await request_resign(client, unique_key) is not None
        await eventually(lambda: len(diary.tokens) == 4)
        leading.signal(signal.SIGTERM)
        assert await leading.ended() == 137
        assert not leading.all()
    assert diary.longest_overlap() < 0
    assert await get_leader(client, unique_key) is None


async def test_with_both_gone_the_commands_first_process_dies(
    client: Client, endpoint: str, unique_key: str, diary: Diary, tmp_path: Path
) -> None:
    with process(tmp_path, unique_key, endpoint, "--", *diary.command("stubborn")) as leading:
        await eventually(diary.lines, STARTED)
        leading.signal(signal.SIGSTOP)
        os.kill(await leading.guardian(), signal.SIGKILL)
        leading.signal(signal.SIGKILL)
        killed = now()
        leading.popen.wait()
        await eventually(lambda: not leading.all())
    assert diary.last(diary.tokens[0]) < killed + 1


async def test_what_a_service_manager_and_a_load_balancer_see(
    client: Client, endpoint: str, unique_key: str, diary: Diary, tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        manager.setblocking(False)
        told: list[str] = []
        asyncio.get_running_loop().add_reader(manager, lambda: told.extend(manager.recv(4096).decode().splitlines()))
        env = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "200000", "WATCHDOG_PID": ""}
        command = ("--http", "127.0.0.1:0", "--", *diary.command("trap", "signals"))
        with process(tmp_path, unique_key, endpoint, *command, env=env) as leading:
            await eventually(diary.lines, STARTED)
            port = int(leading.errors.read_text().partition("HTTP on port ")[2].split()[0])
            assert await ask(port, "/leader") == (
                200,
                {"key": unique_key, "leading": True, "fencing_token": diary.tokens[0]},
            )
            assert await ask(port, "/healthz") == (200, {"state": "leading"})
            assert (await ask(port, "/elsewhere"))[0] == 404
            metrics = (await get(port, "/metrics")).decode()
            assert "200 OK" in metrics and f'aioelection_terms_won_total{{key="{unique_key}"' in metrics
            for number in (signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2):
                leading.signal(number)
                name = number.name
                await eventually(lambda name=name: name in diary.who())  # type: ignore[misc]
            leading.signal(signal.SIGTERM)
            assert await leading.ended() == 5, "the command's own status"
            lines = leading.errors.read_text().splitlines()
        await eventually(lambda: "STOPPING=1" in told)
        asyncio.get_running_loop().remove_reader(manager)
    assert lines[-2:] == ["aioelection: stopping on SIGTERM", "aioelection: the command has ended with status 5"]
    assert await get_leader(client, unique_key) is None
    assert "READY=1" in told[:3]
    assert f"STATUS=leading, fencing token {diary.tokens[0]}" in told
    assert told.count("WATCHDOG=1") >= 2


async def test_standing_it_serves_503_and_starts_nothing_without_a_guardian(
    client: Client, endpoint: str, unique_key: str, diary: Diary, tmp_path: Path
) -> None:
    async with running(client, unique_key, ("sleep", "60")) as one:
        await eventually(lambda: one.sidecar.leads)
        with process(tmp_path, unique_key, endpoint, "--http", "127.0.0.1:0", "--", *diary.command()) as standing:
            await eventually(lambda: "standing for" in standing.errors.read_text(), STARTED)
            port = int(standing.errors.read_text().partition("HTTP on port ")[2].split()[0])
            assert await ask(port, "/leader") == (503, {"key": unique_key, "leading": False})
            os.kill(await standing.guardian(), signal.SIGKILL)
            one.sidecar.stop(signal.SIGTERM)
            assert await standing.ended() == 75
            assert not standing.all()
    assert diary.lines() == []


async def get(port: int, path: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    await writer.wait_closed()
    return answer


async def ask(port: int, path: str) -> tuple[int, dict[str, object]]:
    """The status, and the JSON but for the time that remains."""
    head, _, body = (await get(port, path)).partition(b"\r\n\r\n")
    answer = json.loads(body) if body else {}
    answer.pop("remaining", None)
    return int(head.split()[1]), answer
