"""The tutorial, step by step: its files are run by its commands, and say what stands there."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.snippets import DOCS, ROOT, blocks
from tests.support import eventually

PAGE = DOCS / "tutorial.md"
FILES = dict(re.findall(r"[Ss]ave this as `(\S+)`.*?^```python\n(.*?)^```", PAGE.read_text(), re.DOTALL | re.MULTILINE))
COMMANDS = [line.removeprefix("$ ") for block in blocks(PAGE, "console") for line in block.splitlines()]
TOLD = blocks(PAGE, "text")


class Terminal:
    """A command of the tutorial, in a terminal of its own."""

    def __init__(self, folder: Path, command: str, endpoint: str = "") -> None:
        assert command in COMMANDS, f"{command!r} is not in the tutorial"
        program, *arguments = command.replace("ENDPOINT", endpoint).split()
        assert program == "python"
        self._output = folder / f"{command.replace('/', '-')}-{len(list(folder.iterdir()))}"
        self._errors = self._output.with_suffix(".errors")
        environment = os.environ | {"PYTHONPATH": str(ROOT)}
        with self._output.open("wb") as output, self._errors.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, *arguments], cwd=folder, env=environment, stdout=output, stderr=errors
            )

    @property
    def said(self) -> str:
        return self._output.read_text()

    async def says(self, text: str, within: float = 20.0) -> None:
        await eventually(lambda: text in self.said, within)

    async def interrupt(self) -> None:
        """Press Ctrl-C."""
        self._process.send_signal(signal.SIGINT)
        assert await self.ends() == 0
        assert "Traceback" not in self._errors.read_text()

    async def ends(self) -> int:
        return await asyncio.to_thread(self._process.wait, 20)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait()


@pytest.fixture
def terminals() -> Iterator[list[Terminal]]:
    opened: list[Terminal] = []
    yield opened
    for each in opened:
        each.kill()


def lines(which: str) -> str:
    """The one output of the tutorial that has this in it, a line."""
    (found,) = [line for block in TOLD for line in block.splitlines() if which in line]
    return found


async def test_each_step(tmp_path: Path, terminals: list[Terminal]) -> None:
    for name, text in FILES.items():
        (tmp_path / name).write_text(text)

    def run(command: str) -> Terminal:
        terminals.append(Terminal(tmp_path, command, endpoint))
        return terminals[-1]

    endpoint = ""
    etcd = run("python etcd.py")
    await etcd.says("\n")
    endpoint = etcd.said.split()[-1]
    assert re.sub(r":\d+$", ":PORT", etcd.said.strip()) == re.sub(r":\d+$", ":PORT", lines("etcd answers"))

    first = run("python first.py ENDPOINT")
    assert await first.ends() == 0
    (told,) = [block for block in TOLD if block.startswith("standing")]
    assert first.said == told

    a = run("python worker.py a ENDPOINT")
    await a.says(lines("a leads, token 4"))
    b = run("python worker.py b ENDPOINT")
    await asyncio.sleep(1)
    assert b.said == ""

    await a.interrupt()
    (told,) = [block for block in TOLD if block.startswith("a stops: interrupted")]
    await b.says("leads")
    assert a.said.splitlines()[1:] + b.said.splitlines() == told.splitlines()

    again = run("python worker.py a ENDPOINT")
    assert 'pkill -KILL -f "worker.py b"' in COMMANDS
    b.kill()
    await again.says(lines("a leads, token 8"))

    await etcd.interrupt()
    await again.says(lines("a stops: expired"))
    assert len(again.said.splitlines()) == 2
    await again.interrupt()


def test_nothing_is_left_out() -> None:
    assert set(FILES) == {"etcd.py", "first.py", "worker.py"}
    assert len(blocks(PAGE, "python")) == len(FILES)
    assert {command.split()[0] for command in COMMANDS} == {"python3", ".", "pip", "python", "pkill"}
    source = Path(__file__).read_text()
    assert [each for each in COMMANDS if each.startswith("python ") and f'run("{each}")' not in source] == []
