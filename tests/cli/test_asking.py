"""`status`, `observe`, `leader` and `resign`: what they print, and how they exit."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aioelection import Client, Leadership, Member, get_leader, leader_record
from aioelection.cli import _ask, _options
from aioelection.cli._app import app
from tests.cli.support import ROOT
from tests.support import Stranger, beside, eventually, soon

MEMBER = Member(name="pd-1", member_id=0xABC, client_urls=["http://pd:2379"])


async def cli(endpoint: str, *arguments: str) -> Any:
    """The command's result, with `status` and what it `wrote`."""
    environment = {"ETCDCTL_ENDPOINTS": endpoint, "COLUMNS": "200"}
    return await soon(asyncio.to_thread(CliRunner().invoke, app, arguments, env=environment), 30)


@pytest.mark.parametrize(
    ("data", "told_as"),
    [
        ("node-a", ("node-a", "node-a")),
        (b"\xff\x00", ("ff 00", {"hex": "ff00"})),
        (MEMBER, ("pd-1 (PD member abc, http://pd:2379)", {"name": "pd-1", "member_id": "2748"})),
        (leader_record("node-a", version="1.2", metadata={"zone": "b"}), ("node-a (host ", {"identity": "node-a"})),
    ],
    ids=["text", "bytes", "member", "record"],
)
async def test_who_leads(client: Client, endpoint: str, unique_key: str, data: Any, told_as: Any) -> None:
    name, value = told_as
    async with Leadership(client, unique_key).campaign(60, data) as term:
        leader = await get_leader(client, unique_key)
        shown = await cli(endpoint, "status", unique_key)
        told = await cli(endpoint, "status", unique_key, "--json")
    assert leader is not None
    assert (shown.exit_code, told.exit_code) == (0, 0)
    for part in (unique_key, name, str(term.fencing_token), f"{leader.lease_id:x}", " s left"):
        assert part in shown.stdout
    assert "\x1b" not in shown.stdout
    assert all(line == line.rstrip() for line in shown.stdout.splitlines())
    answer = json.loads(told.stdout)
    assert answer["key"] == unique_key
    assert answer["leader"]["fencing_token"] == answer["leader"]["revision"] == term.fencing_token
    assert answer["leader"]["lease"] == f"{leader.lease_id:x}"
    assert 50 <= answer["leader"]["remaining"] <= 60
    found = answer["leader"]["value"]
    assert found == value or {each: found[each] for each in value} == value


async def test_the_leader_as_json(client: Client, endpoint: str, unique_key: str) -> None:
    async with Leadership(client, unique_key).campaign(60, "node-a") as term:
        told = await cli(endpoint, "leader", unique_key, "--json")
    assert told.exit_code == 0
    answer = json.loads(told.stdout)
    assert (answer["key"], answer["leader"]["value"]) == (unique_key, "node-a")
    assert answer["leader"]["fencing_token"] == term.fencing_token
    told = await cli(endpoint, "leader", unique_key, "--json")
    assert (told.exit_code, json.loads(told.stdout)) == (1, {"key": unique_key, "leader": None})


async def test_resign_as_json(client: Client, endpoint: str, unique_key: str) -> None:
    none = await cli(endpoint, "resign", unique_key, "--json")
    assert (none.exit_code, json.loads(none.stdout)) == (1, {"key": unique_key, "asked": None, "resigned": False})
    async with Leadership(client, unique_key).campaign(60, "node-a") as term:
        told = await cli(endpoint, "resign", unique_key, "--json", "--timeout", "0.1")
        answer = json.loads(told.stdout)
        assert (told.exit_code, answer["resigned"]) == (75, False)
        assert (answer["asked"]["value"], answer["asked"]["fencing_token"]) == ("node-a", term.fencing_token)


async def test_nobody_leads(endpoint: str, unique_key: str) -> None:
    shown = await cli(endpoint, "status", unique_key)
    assert shown.exit_code == 1 and "nobody leads" in shown.stdout
    told = await cli(endpoint, "status", unique_key, "--json")
    assert told.exit_code == 1 and json.loads(told.stdout) == {"key": unique_key, "leader": None}
    alone = await cli(endpoint, "leader", unique_key)
    assert (alone.exit_code, alone.stdout) == (1, "")
    asked = await cli(endpoint, "resign", unique_key)
    assert (asked.exit_code, asked.stderr) == (1, "aioelection resign: nobody leads\n")


@pytest.mark.parametrize(
    ("data", "printed"),
    [("node-a", b"node-a"), (b"\xff\x00", b"\xff\x00"), (MEMBER, b"pd-1"), (leader_record("node-b"), b"node-b")],
    ids=["text", "bytes", "member", "record"],
)
async def test_the_value_alone(client: Client, endpoint: str, unique_key: str, data: Any, printed: bytes) -> None:
    async with Leadership(client, unique_key).campaign(60, data):
        alone = await cli(endpoint, "leader", unique_key)
    assert (alone.exit_code, alone.stdout_bytes) == (0, printed + b"\n")


async def test_a_key_that_never_expires_is_told(endpoint: str, unique_key: str, stranger: Stranger) -> None:
    await stranger.put(unique_key, b"by \x1b[31mhand")
    shown = await cli(endpoint, "status", unique_key)
    assert "written by hand" in shown.stdout and "\x1b" not in shown.stdout
    asked = await cli(endpoint, "resign", unique_key)
    assert asked.exit_code == 69 and "without a lease" in asked.stderr
    await stranger.delete(unique_key)


async def test_resign_waits_until_it_has(client: Client, endpoint: str, unique_key: str) -> None:
    leadership = Leadership(client, unique_key)

    async def serve(term: object) -> None:
        await asyncio.Event().wait()

    async with beside(leadership.run(serve, 60, b"node-a", heed_resign=True)):
        await eventually(leadership.check)
        first = leadership.term
        assert first is not None
        asked = await cli(endpoint, "resign", unique_key)
        assert (asked.exit_code, asked.stdout) == (0, "node-a is asked to resign\nnode-a leads no more\n")
        assert first.lost.is_set()
        past = await cli(endpoint, "resign", unique_key, "--token", str(first.fencing_token))
        assert (past.exit_code, past.stderr) == (1, f"aioelection resign: the term {first.fencing_token} has ended\n")


async def test_resign_of_one_who_does_not_heed_it(client: Client, endpoint: str, unique_key: str) -> None:
    async with Leadership(client, unique_key).campaign(60, b"node-a") as term:
        asked = await cli(endpoint, "resign", unique_key, "--timeout", "0.2")
        assert asked.exit_code == 75
        assert asked.stderr == "aioelection resign: node-a was asked, and still leads after 0.2 s\n"
        assert term.check()


async def test_observe_writes_each_change(client: Client, endpoint: str, unique_key: str, tmp_path: Path) -> None:
    written = tmp_path / "written"
    command = [sys.executable, "-m", "aioelection", "observe", "--json", unique_key, "--endpoints", endpoint]
    with written.open("wb") as output, subprocess.Popen(command, stdout=output, cwd=ROOT) as observer:  # noqa: ASYNC220 (milliseconds)
        try:

            def told() -> list[Any]:
                return [each and each["value"] for each in (json.loads(line)["leader"] for line in lines())]

            def lines() -> list[str]:
                return written.read_text().splitlines()

            await eventually(lambda: told() == [None], 30)
            async with Leadership(client, unique_key).campaign(60, b"node-a"):
                await eventually(lambda: told() == [None, "node-a"])
            await eventually(lambda: told() == [None, "node-a", None])
            observer.send_signal(signal.SIGINT)
            await eventually(lambda: observer.poll() is not None)
            assert observer.returncode == 130
        finally:
            observer.kill()
    assert datetime.fromisoformat(json.loads(lines()[0])["at"]).timestamp() == pytest.approx(time.time(), abs=60)


def test_watched_it_is_drawn_again(endpoint: str, unique_key: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Live, until interrupted."""
    drawn = []

    def draw(*arguments: Any) -> str:
        drawn.append(arguments)
        if len(drawn) == 3:
            raise KeyboardInterrupt
        return "a table"

    monkeypatch.setattr(_ask, "status_table", draw)
    monkeypatch.setattr(_ask, "BEAT", 0.01)
    result = CliRunner().invoke(app, ["status", unique_key, "--watch", "--endpoints", endpoint])
    assert result.exit_code == 130
    assert len(drawn) == 3 and "a table" in result.stdout


def test_how_a_stale_view_is_shown() -> None:
    from rich.console import Console

    console = Console(width=100, file=open(os.devnull, "w"), record=True)  # noqa: SIM115
    with console.file:
        console.print(_ask.status_table(b"key", None, None, stale=7.0))
    assert "silent for 7 s" in console.export_text()


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (59, "59 s"), (61, "1 min 1 s"), (3600, "1 h 0 min"), (90061, "1 d 1 h")]
)
def test_durations(seconds: int, text: str) -> None:
    assert _ask.duration(seconds) == text


def test_waiting_for_the_first_answer_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_options, "PATIENCE", 0.05)
    result = CliRunner().invoke(app, ["status", "key", "--endpoints", "127.0.0.1:1", "--connect-timeout", "0.3"])
    told, failed = result.stderr.splitlines()
    assert told == "aioelection: no answer yet from 127.0.0.1:1; trying for 0.3 s"
    assert failed.startswith("aioelection status: no etcd endpoint answered: ")


async def test_where_etcd_answers_at_once_nothing_is_told(endpoint: str, unique_key: str) -> None:
    assert (await cli(endpoint, "status", unique_key)).stderr == ""


@pytest.mark.parametrize("command", [["run", "key", "--", "true"], ["status", "key"], ["leader", "key"]])
def test_etcd_out_of_reach_is_one_line(command: list[str]) -> None:
    options = ["--endpoints", "127.0.0.1:1,127.0.0.1:2", "--connect-timeout", "0.3"]
    result = CliRunner().invoke(app, [command[0], *options, *command[1:]])
    assert result.exit_code == 69
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"aioelection {command[0]}: no etcd endpoint answered: ")
    assert "127.0.0.1:1" in line and "127.0.0.1:2" in line


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        (["status", ""], "KEY must not be empty"),
        (["status", "key", "--endpoints", "ftp://a"], "ftp"),
        (["status", "key", "--watch", "--json"], "--watch goes without --json"),
        (["status", "key", "--endpoints", ""], "--endpoints: endpoint '' is malformed"),
        (
            ["status", "key", "--connect-timeout", "100"],
            "--connect-timeout must be a positive number of seconds, at most",
        ),
        (["status", "key", "--connect-timeout", "0"], "--connect-timeout must be a positive number"),
        (["status", "key", "--no-such-option"], "no such option: --no-such-option"),
        (["status", "key", "another"], "unexpected extra argument"),
        (["status"], "status: KEY is missing"),
        (["stat", "key"], "aioelection: no such command 'stat'"),
        (["resign", "key", "--token", "0"], "--token must be a whole number from 1 to"),
        (["resign", "key", "--timeout", "-1"], "--timeout must be 0 or a positive number of seconds"),
        (["run", "key"], "run: COMMAND is missing"),
        (["run", "key", "--ttl", "0", "--", "true"], "--ttl must be a whole number of seconds from 1 to"),
        (
            ["run", "key", "--ttl", "ten", "--", "true"],
            "aioelection run: --ttl must be a whole number of seconds, not 'ten'",
        ),
        (["run", "key", "--grace", "-1", "--", "true"], "--grace must be 0 or a positive number of seconds, not '-1'"),
        (["run", "key", "--grace", "inf", "--", "true"], "--grace must be 0 or a positive number of seconds"),
        (["run", "key", "--value", "\udcff", "--", "true"], "--value must be text that has a UTF-8 form"),
        (["run", "key", "--http", "nonsense", "--", "true"], "HOST:PORT, not 'nonsense'"),
        (["run", "key", "--metadata", "zone", "--", "true"], "NAME=VALUE, not 'zone'"),
        (["run", "key", "--value", "a", "--identity", "b", "--", "true"], "--value goes without --identity"),
        (["run", "key", "--identity", "", "--", "true"], "--identity must not be empty"),
        (["leader", "key", "--user", "root:secret"], "--user takes a name alone"),
        (["leader", "key", "--user", "root"], "no password for user 'root'"),
        (["leader", "key", "--user", "root", "--password-file", "/nowhere"], "'/nowhere' cannot be read"),
        (["leader", "key", "--cert", "/nowhere", "--endpoints", "a:1"], "--cert and --key go together"),
        (["leader", "key", "--cacert", "/nowhere", "--endpoints", "a:1"], "--cacert: '/nowhere' cannot be read"),
        (["leader", "key", "--cacert", "/etc/hosts"], "--cacert is for https:// endpoints, not http://127.0.0.1:1"),
        (["leader", "key", "--key", "/nowhere"], "--key is for https:// endpoints"),
    ],
)
def test_what_cannot_work_is_one_line_before_anything_is_sent(arguments: list[str], named: str) -> None:
    result = CliRunner().invoke(app, arguments, env={"ETCDCTL_ENDPOINTS": "http://127.0.0.1:1", "ETCDCTL_PASSWORD": ""})
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert named in line and "secret" not in line


async def test_certificates_of_the_environment_are_of_no_use_without_tls(endpoint: str, unique_key: str) -> None:
    """They may be etcdctl's, for endpoints of another cluster."""
    environment = {"ETCDCTL_CACERT": "/nowhere", "ETCDCTL_ENDPOINTS": endpoint}
    invoke = CliRunner(env=environment).invoke
    shown = await soon(asyncio.to_thread(invoke, app, ["status", unique_key]), 30)
    assert (shown.exit_code, shown.stderr) == (1, "")


def test_the_version() -> None:
    result = CliRunner().invoke(app, ["--version"])
    assert result.exit_code == 0
    assert re.fullmatch(r"aioelection (\d+\.\d+\S*|\(not installed\))\n", result.stdout)


def test_without_a_command_the_help_is_shown() -> None:
    result = CliRunner().invoke(app, [])
    assert (result.exit_code, result.stdout) == (2, "")
    assert "status   Tell who leads" in result.stderr


@pytest.mark.parametrize(
    ("ask", "told"),
    [(True, "aioelection: another\n"), (False, "aioelection: etcd 3.5.1 (etcd issue 15247)\naioelection: another\n")],
)
def test_an_old_etcd_concerns_those_who_lead(ask: bool, told: str) -> None:
    """In a process of its own: pytest has a hand in logging."""
    set_up = "for_asking()" if ask else "for_running(quiet=False, verbose=False)"
    code = f"""
import logging
from aioelection.cli import _log
_log.{set_up}
log = logging.getLogger("aioelection")
log.warning("etcd %s (etcd issue 15247)", "3.5.1")
log.warning("%r", "a loss")
log.warning("another")
"""
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stderr.replace("aioelection: 'a loss'\n", "") == told
    assert ("a loss" in found.stderr) == ask, "whoever runs tells of it in other words"
