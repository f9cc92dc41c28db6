"""The command line's parts by themselves: credentials, HTTP, systemd, and the guardian's script."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import tomllib
from collections.abc import Callable, Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aioelection._aio.clock import Clock
from aioelection.cli import _guardian
from aioelection.cli._app import app
from aioelection.cli._command import Command
from aioelection.cli._guardian import MARGIN, now
from aioelection.cli._http import Answer, serving
from aioelection.cli._options import Connection
from aioelection.cli._run import parse_address
from aioelection.cli._systemd import Notifier
from tests.cli.support import ROOT

# ---------------------------------------------------------------------- credentials


@pytest.mark.parametrize(
    ("environment", "user", "found"),
    [
        ({}, None, (None, None)),
        ({"ETCDCTL_USER": "root:a:b"}, None, ("root", "a:b")),
        ({"ETCDCTL_USER": "root", "ETCDCTL_PASSWORD": "from env"}, None, ("root", "from env")),
        ({"ETCDCTL_USER": "root:a", "ETCDCTL_PASSWORD": "from env"}, None, ("root", "from env")),
        ({"ETCDCTL_USER": "root:a", "ETCDCTL_PASSWORD": "from env"}, "other", ("other", "from env")),
    ],
)
def test_credentials(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], user: str | None, found: tuple[str | None, ...]
) -> None:
    for name in ("ETCDCTL_USER", "ETCDCTL_PASSWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert Connection(user=user)._credentials() == found


def test_a_password_in_a_file_goes_first_and_is_not_shown(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("ETCDCTL_USER", "root:from env")
    file = tmp_path / "password"
    file.write_text("from file\n")
    connection = Connection(password_file=file)
    assert connection._credentials() == ("root", "from file")
    assert "from" not in repr(connection)


def test_options_go_before_the_environment() -> None:
    environment = {"ETCDCTL_ENDPOINTS": "ftp://environment"}
    assert "ftp://environment" in CliRunner().invoke(app, ["leader", "key"], env=environment).stderr
    arguments = ["leader", "key", "--endpoints", "ftp://option"]
    assert "ftp://option" in CliRunner().invoke(app, arguments, env=environment).stderr


def test_all_help_is_there() -> None:
    for command in ("run", "status", "observe", "leader", "resign"):
        result = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"})
        assert result.exit_code == 0
        for word in ("Exit status", "ETCDCTL_ENDPOINTS", "ETCDCTL_KEY", "--password-file"):
            assert word in result.stdout


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize("command", [(), ("run",), ("status",), ("observe",), ("leader",), ("resign",), ("demo",)])
def test_the_help_fits_and_speaks_of_no_types(command: tuple[str, ...], columns: int) -> None:
    result = CliRunner().invoke(app, [*command, "--help"], env={"COLUMNS": str(columns)})
    assert "<" not in result.stdout and "{" not in result.stdout
    assert max(map(len, result.stdout.splitlines())) <= min(columns, 100)


# ---------------------------------------------------------------------- where COMMAND begins


@pytest.mark.parametrize(
    ("words", "key", "command", "forever"),
    [
        ("K true --forever", "K", "true --forever", False),
        ("K --forever sh -c true", "K", "sh -c true", True),
        ("--forever K sh -c true", "K", "sh -c true", True),
        ("--ttl 5 K --ttl=5 sh -v -- -c", "K", "sh -v -- -c", False),
        ("K --forever -- sh -c true", "K", "sh -c true", True),
        ("-- K sh -q", "K", "sh -q", False),
        ("K -qv nice -n 19 true", "K", "nice -n 19 true", False),
        ("- --no-discover --key P true --help", "-", "true --help", False),
    ],
)
def test_from_the_first_word_of_command_on_no_option_is_ours(
    monkeypatch: pytest.MonkeyPatch, words: str, key: str, command: str, forever: bool
) -> None:
    run: list[Any] = []

    def note(_: Connection, *arguments: Any, quiet: bool, verbose: bool) -> int:
        run.append(arguments)
        return 0

    monkeypatch.setattr("aioelection.cli._run.run", note)
    result = CliRunner().invoke(app, ["run", *words.split()], env={"ETCDCTL_ENDPOINTS": "a:1"})
    assert result.exit_code == 0, result.stderr
    ((found, job, http),) = run
    assert (os.fsdecode(found), " ".join(job.argv), job.forever, http) == (key, command, forever, None)


def test_the_command_line_brings_no_etcd() -> None:
    """It is for production, where etcd runs elsewhere."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert sorted(each.partition(">")[0] for each in extras["cli"]) == ["rich", "typer"]


# ---------------------------------------------------------------------- HTTP


@pytest.mark.parametrize(
    ("text", "address"),
    [("127.0.0.1:80", ("127.0.0.1", 80)), (":8080", ("", 8080)), ("[::1]:8080", ("::1", 8080))],
)
def test_addresses(text: str, address: tuple[str, int]) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize(
    ("request_line", "status", "body"),
    [
        (b"GET /here HTTP/1.1", b"200 OK", b"{}"),
        (b"GET /here?now=1 HTTP/1.0", b"200 OK", b"{}"),
        (b"HEAD /here HTTP/1.1", b"200 OK", b""),
        (b"POST /here HTTP/1.1", b"405 Method Not Allowed", b""),
        (b"GET /there HTTP/1.1", b"404 Not Found", b""),
        (b"\xff\xfe", b"404 Not Found", b""),
    ],
)
async def test_http(request_line: bytes, status: bytes, body: bytes) -> None:
    async with serving("127.0.0.1", 0, {"/here": lambda: Answer(HTTPStatus.OK, b"{}")}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(request_line + b"\r\nHost: localhost\r\n\r\n")
        head, _, found = (await reader.read()).partition(b"\r\n\r\n")
        writer.close()
    assert head.splitlines()[0] == b"HTTP/1.1 " + status
    assert found == body


async def test_a_silent_client_does_not_hold_the_end_up() -> None:
    async with serving("127.0.0.1", 0, {}) as port:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET /he")
        await asyncio.sleep(0.05)
    with contextlib.suppress(ConnectionError):
        assert await reader.read() == b""
    writer.close()


# ---------------------------------------------------------------------- systemd


async def test_the_watchdog_is_fed_if_it_is_ours() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(name := f"\0aioelection-test-{os.getpid()}")
        manager.settimeout(5)
        environment = {"NOTIFY_SOCKET": "@" + name[1:], "WATCHDOG_USEC": "20000"}
        feeding = asyncio.ensure_future(Notifier(environment | {"WATCHDOG_PID": str(os.getpid())}).feed_watchdog())
        told = [await asyncio.to_thread(manager.recv, 100) for _ in range(3)]
        feeding.cancel()
        await asyncio.wait([feeding])
        await Notifier(environment | {"WATCHDOG_PID": "1"}).feed_watchdog()  # another's: it returns
    assert told == [b"WATCHDOG=1"] * 3


def test_without_systemd_nobody_is_told() -> None:
    Notifier({}).tell("READY=1")
    Notifier({"NOTIFY_SOCKET": "/nowhere/at/all"}).tell("READY=1")


# ---------------------------------------------------------------------- the guardian


class Guarded:
    """A guardian of a shell's script, and its supervisor's end."""

    def __init__(self, script: str) -> None:
        self.ours, theirs = socket.socketpair()
        self.ours.settimeout(10)
        with theirs:
            command = [sys.executable, "-I", "-S", _guardian.__file__, str(theirs.fileno()), "sh", "-c", script]
            self.process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        self.heard = self.ours.makefile("rb")

    def tell(self, **message: Any) -> None:
        self.ours.sendall(json.dumps(message).encode() + b"\n")

    def run(self, *, lasts: float, warning: float = 0.1, grace: float = 0.1) -> None:
        self.tell(run={}, deadline=now() + lasts, warning=warning, grace=grace)

    def hear(self) -> list[dict[str, Any]]:
        """All that it says until it ends."""
        return [json.loads(line) for line in self.heard]


Guard = Callable[[str], Guarded]


@pytest.fixture
def guard() -> Iterator[Guard]:
    made: list[Guarded] = []

    def start(script: str) -> Guarded:
        made.append(Guarded(script))
        return made[-1]

    yield start
    for guarded in made:
        guarded.heard.close()
        guarded.ours.close()
        assert guarded.process.wait(10) == 0


def test_without_a_command_it_ends_with_its_supervisor(guard: Guard) -> None:
    guarded = guard("true")
    guarded.ours.shutdown(socket.SHUT_WR)
    assert guarded.hear() == []


def test_without_its_supervisor_it_ends_the_command_at_once(guard: Guard, tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    guarded = guard(f"trap 'exit 3' TERM; touch {ready}; while :; do sleep 0.01; done")
    guarded.run(lasts=60, grace=30)
    while not ready.exists():
        time.sleep(0.01)
    guarded.ours.shutdown(socket.SHUT_WR)
    assert guarded.process.wait(10) == 0


def test_too_late_nothing_is_started(guard: Guard, tmp_path: Path) -> None:
    guarded = guard(f"touch {tmp_path}/started")
    guarded.run(lasts=0.15)
    assert [list(each) for each in guarded.hear()] == [["overdue"], ["exit"]]
    assert not (tmp_path / "started").exists()


def test_it_ends_the_command_before_the_deadline_unless_told_a_later_one(guard: Guard) -> None:
    guarded = guard("trap '' TERM; while :; do sleep 0.01; done")
    guarded.run(lasts=60)
    assert "pid" in json.loads(guarded.heard.readline())
    began = now()
    guarded.tell(deadline=began + 0.9)
    guarded.tell(deadline=began + 1.2)
    told = guarded.hear()
    assert [list(each) for each in told] == [["heard"], ["heard"], ["overdue"], ["exit"]]
    assert told[-1] == {"exit": -signal.SIGKILL}
    assert now() - began > 1.2 - MARGIN


def test_what_was_stopped_by_a_signal_is_ended_too(guard: Guard) -> None:
    guarded = guard("trap 'exit 3' TERM; kill -STOP $$; exit 4")
    guarded.run(lasts=60, grace=30)
    pid = json.loads(guarded.heard.readline())["pid"]
    while Path(f"/proc/{pid}/stat").read_text().split()[2] != "T":
        time.sleep(0.01)
    guarded.tell(stop=signal.SIGTERM, kill_at=now() + 30)
    assert guarded.hear() == [{"exit": 3}]


def test_signals_do_not_end_it_while_it_has_a_command(guard: Guard) -> None:
    guarded = guard("sleep 0.3; exit 6")
    guarded.run(lasts=60)
    guarded.heard.readline()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        guarded.process.send_signal(number)
    assert guarded.hear() == [{"exit": 6}]


def test_the_command_has_the_signals_as_we_have_them(guard: Guard, tmp_path: Path) -> None:
    ignored = [line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("SigIgn")]
    guarded = guard(f"exec cat /proc/self/status >{tmp_path}/status")
    guarded.run(lasts=60)
    guarded.hear()
    found = (tmp_path / "status").read_text()
    (mask,) = [int(line.split()[1], 16) for line in found.splitlines() if line.startswith("SigIgn")]
    ours = int(ignored[0].split()[1], 16)
    assert not mask & ~ours, "what we heed is not ignored there"
    assert "SigBlk:\t0000000000000000" in found


async def test_what_the_guardian_said_last_is_heard_though_it_hears_no_more() -> None:
    async with Command(Clock(), ("sh", "-c", "exit 3"), os.environ) as command:
        command.start({}, deadline=now() + 60, warning=1, grace=1)
        os.waitid(os.P_PID, command._guardian.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 (nothing is read meanwhile)
        for _ in range(3):
            command.move(now() + 60)
        await asyncio.wait_for(command.wait(), 10)
        assert command.code == 3


async def test_a_guardian_that_has_done_its_work_in_time_is_heard_before_that_is_done_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with Command(Clock(), ("sh", "-c", "exit 3"), os.environ) as command:
        command.start({}, deadline=now() + 60, warning=1, grace=1)
        os.waitid(os.P_PID, command._guardian.pid, os.WEXITED | os.WNOWAIT)  # noqa: ASYNC222 (nothing is read meanwhile)
        swept: list[int] = []

        def sweep(ancestor: int) -> list[int]:
            swept.append(ancestor)
            return []

        monkeypatch.setattr(_guardian, "below", sweep)
        await command._do_its_work()
        assert command.code == 3
        assert os.getpid() not in swept
