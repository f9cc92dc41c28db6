"""The sidecar at work: its command's life, statuses and surroundings."""

from __future__ import annotations

import re
import signal
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from aioelection import Client, InvalidConfiguration, LeaderRecord, get_leader, leader_record, request_resign
from aioelection.cli._app import app
from aioelection.cli._executable import status_of, why_not
from aioelection.cli._guardian import MARGIN, now
from aioelection.cli._sidecar import SILENT, Job
from tests.cli.support import Diary, running
from tests.support import TTL, Proxy, Stranger, eventually


@pytest.mark.parametrize(
    ("argv", "status"),
    [
        (("true",), 0),
        (("sh", "-c", "exit 7"), 7),
        (("sh", "-c", "kill -9 $$"), 137),
        (("/nowhere/to/be/found",), 127),
        (("/etc/passwd",), 126),
    ],
)
async def test_the_commands_status_is_passed_on(
    client: Client, unique_key: str, argv: tuple[str, ...], status: int
) -> None:
    async with running(client, unique_key, argv) as one:
        assert await one.ended() == status
        assert await get_leader(client, unique_key) is None


async def test_the_commands_surroundings(
    client: Client, unique_key: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", "/for/us")
    told = tmp_path / "told"
    look = 'read -r d </proc/self/fd/$AIOELECTION_DEADLINE_FD; echo "at $d" >>"$0"'
    script = f'env >"$0"; {look}; sleep 1; {look}'
    async with running(client, unique_key, ("sh", "-c", script, str(told))) as one:
        leader = await eventually(lambda: get_leader(client, unique_key))
        assert await one.ended() == 0
    text = told.read_text()
    assert f"AIOELECTION_KEY={unique_key}\n" in text
    assert f"AIOELECTION_FENCING_TOKEN={leader.create_revision}\n" in text
    assert "NOTIFY_SOCKET" not in text
    first, second = (float(each) for each in re.findall(r"^at (.*)$", text, re.MULTILINE))
    assert now() - 1 < first < second < now() + TTL - MARGIN


async def test_who_leads_is_told(client: Client, unique_key: str) -> None:
    async with running(client, unique_key, ("sleep", "60"), value=leader_record("node-a")):

        async def proclaimed() -> LeaderRecord | None:
            leader = await get_leader(client, unique_key, LeaderRecord)
            return leader.message if leader is not None and leader.message.HasField("elected") else None

        message = await eventually(proclaimed)
        assert message.identity == "node-a"
        assert 0 <= message.elected.ToNanoseconds() - message.started.ToNanoseconds() < 60e9


async def test_what_is_stubborn_is_killed_and_the_key_goes_after_it(
    client: Client, other_client: Client, unique_key: str, diary: Diary
) -> None:
    command = diary.command("stubborn", "child", "daemon")
    async with running(client, unique_key, command, grace=0.5) as one:
        await eventually(lambda: diary.who() == {"first", "child", "daemon"})
        async with running(other_client, unique_key, diary.command()):
            assert await request_resign(client, unique_key) is not None
            assert await one.ended() == 75
            await eventually(lambda: len(diary.tokens) == 2)
    token = diary.tokens[0]
    asked = [line.at for line in diary.lines(token) if line.what == "SIGTERM"]
    assert len(asked) == 3, "the first, its child and the daemon, each once"
    assert 0.4 < diary.last(token) - min(asked) < 1.5
    assert diary.longest_overlap() < 0


async def test_what_the_command_leaves_behind_is_ended_before_the_key_goes(
    client: Client, unique_key: str, diary: Diary
) -> None:
    command = diary.command("quit", "daemon", "child")
    async with running(client, unique_key, command) as one:
        assert await one.ended() == 7
        ended = now()
    assert diary.who() == {"daemon", "child"}
    assert max(line.at for line in diary.lines()) < ended


async def test_forever_it_stands_again(
    client: Client, unique_key: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "aioelection.cli")
    tokens = tmp_path / "tokens"
    command = ("sh", "-c", 'echo $AIOELECTION_FENCING_TOKEN >>"$0"', str(tokens))
    async with running(client, unique_key, command, forever=True) as one:
        await eventually(lambda: tokens.exists() and len(tokens.read_text().split()) == 3)
        one.sidecar.stop(signal.SIGTERM)
        assert await one.ended() in (0, 143)
    found = [int(each) for each in tokens.read_text().split()]
    assert found == sorted(set(found))
    standing = [each for each in caplog.messages if each.startswith("standing")]
    assert standing[:2] == [f"standing for {unique_key}", f"standing for {unique_key} again"]
    assert any("within 10 s 2 times in a row: waiting for 0." in each for each in caplog.messages)


async def test_forever_does_not_try_what_cannot_be_started(client: Client, unique_key: str) -> None:
    async with running(client, unique_key, ("/nowhere/to/be/found",), forever=True) as one:
        assert await one.ended() == 127


async def test_a_stop_while_it_stands(client: Client, other_client: Client, unique_key: str, diary: Diary) -> None:
    async with running(client, unique_key, ("sleep", "60")) as one:
        await eventually(lambda: one.sidecar.leads)
        async with running(other_client, unique_key, diary.command()) as other:
            await eventually(lambda: other.sidecar.leadership.state.stands)
            other.sidecar.pass_on(signal.SIGUSR1)
            other.sidecar.pass_on(signal.SIGHUP)  # as nobody else is there to take it
            assert await other.ended() == 129
        assert one.sidecar.leads
        one.sidecar.stop(signal.SIGINT)
        assert await one.ended() == 130
    assert diary.lines() == []


async def test_without_a_grace_it_is_killed_at_once(client: Client, unique_key: str, diary: Diary) -> None:
    async with running(client, unique_key, diary.command("stubborn"), grace=0.0) as one:
        await eventually(diary.lines)
        assert await request_resign(client, unique_key) is not None
        asked = now()
        assert await one.ended() == 75
    assert diary.last(diary.tokens[0]) < asked + 1


async def test_without_a_grace_the_loss_of_etcd_is_told_of(
    far_client: Client, proxy: Proxy, unique_key: str, diary: Diary, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "aioelection.cli")
    async with running(far_client, unique_key, diary.command("stubborn"), grace=0.0) as one:
        await eventually(diary.lines)
        proxy.hold("requests")
        assert await one.ended(TTL + 10) == 75
        proxy.release()
    assert SILENT in caplog.messages


async def test_a_second_stop_kills(client: Client, unique_key: str, diary: Diary) -> None:
    async with running(client, unique_key, diary.command("stubborn"), grace=60) as one:
        await eventually(diary.lines)
        one.sidecar.stop(signal.SIGTERM)
        await eventually(lambda: "SIGTERM" in diary.who())
        one.sidecar.stop(signal.SIGTERM)
        assert await one.ended() == 137


@pytest.mark.parametrize("how", ["delete", "put"])
async def test_a_stranger_who_takes_the_key_away(
    client: Client, unique_key: str, diary: Diary, stranger: Stranger, how: str
) -> None:
    async with running(client, unique_key, diary.command("stubborn")) as one:
        await eventually(diary.lines)
        if how == "delete":
            await stranger.delete(unique_key)
        else:
            await stranger.put(unique_key, b"by hand")
        at = now()
        assert await one.ended() == 75
    assert "SIGTERM" in diary.who()
    assert diary.last(diary.tokens[0]) < at + 1.2
    if how == "put":
        assert (await stranger.get(unique_key)).value == b"by hand"


async def test_cut_off_from_etcd_the_command_ends_before_another_can_lead(
    far_client: Client,
    other_client: Client,
    *,
    proxy: Proxy,
    unique_key: str,
    diary: Diary,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("INFO", "aioelection.cli")
    command = diary.command("stubborn", "daemon")
    async with running(far_client, unique_key, command, forever=True) as one:
        await eventually(lambda: diary.who() == {"first", "daemon"})
        async with running(other_client, unique_key, diary.command()):
            proxy.hold("requests")
            await eventually(lambda: len(diary.tokens) == 2)
            assert "SIGTERM" in diary.who(diary.tokens[0]), "it was asked before it was killed"
            proxy.release()
        await eventually(lambda: len(diary.tokens) == 3)
        assert one.sidecar.leads
    assert diary.longest_overlap() < 0
    standing = f"standing for {unique_key}"
    told = [each for each in caplog.messages if each.startswith((standing, SILENT))]
    assert told == [standing, standing, SILENT, f"{standing} again, as soon as etcd answers"]


@pytest.mark.parametrize(
    ("wrong", "named"),
    [({"ttl": 0}, "0"), ({"grace": -1.0}, "grace .* not -1.0"), ({"grace": float("nan")}, "grace .* not nan")],
)
def test_what_cannot_work_is_refused(wrong: dict[str, float], named: str) -> None:
    with pytest.raises(InvalidConfiguration, match=named):
        Job((sys.executable,), **{"ttl": TTL, "value": "x"} | wrong)  # type: ignore[arg-type]


@pytest.mark.parametrize(("found", "status"), [("no file", 127), ("no program", 126), ("a folder", 126)])
def test_what_cannot_be_started_does_not_stand(tmp_path: Path, found: str, status: int) -> None:
    program = tmp_path / "program"
    if found == "no program":
        program.write_text("")
    elif found == "a folder":
        program.mkdir()
    result = CliRunner().invoke(app, ["run", "/key", "--endpoints", "127.0.0.1:1", str(program)])
    assert result.exit_code == status, "etcd was not asked"


def test_a_program_is_looked_for_on_the_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (tmp_path / "there").write_text("")
    assert [status_of(error) for name in ("there", "elsewhere", "") if (error := why_not(name))] == [126, 127, 127]
    (tmp_path / "there").chmod(0o755)
    assert why_not("there") is None
