"""How the demo is shown: plain lines, or a live table on a terminal."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Sequence
from types import TracebackType
from typing import Protocol, Self

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from aioelection.cli._board import Board, Row
from aioelection.cli._checks import Check
from aioelection.cli._reports import now

FRAME = 0.1
"""Seconds between two frames of the live table."""

BAR = 10
"""Characters that show a lease's whole time."""


class Show(Protocol):
    """Where the demo is told. Entered, it owns the screen."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None: ...

    def say(self, at: float, who: str, what: str) -> None:
        """An event, one line."""
        ...

    async def keep_fresh(self, board: Board) -> None:
        """Show the board until cancelled."""
        ...

    def verdict(self, checks: Sequence[Check]) -> None:
        """The end: every check and its outcome."""
        ...


def choose_show() -> Show:
    console = Console()
    if sys.stdout.isatty() and console.is_terminal and not console.is_dumb_terminal:
        return LiveTable(console)
    return PlainLines()


class LogLines(logging.Handler):
    """Tells what is logged among the events: on a terminal it would be written across the table."""

    def __init__(self, show: Show) -> None:
        super().__init__(logging.WARNING)
        self._show = show

    def emit(self, record: logging.LogRecord) -> None:
        self._show.say(now(), record.levelname.lower(), self.format(record))


def last_line(checks: Sequence[Check]) -> str:
    failed = sum(not check.ok for check in checks)
    return f"{failed} of {len(checks)} checks FAILED" if failed else f"all {len(checks)} checks hold"


class PlainLines:
    """A line for each event, written at once, without control codes."""

    def __init__(self) -> None:
        self._began = now()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def say(self, at: float, who: str, what: str) -> None:
        print(f"{at - self._began:7.3f} {who:<7} {what}", flush=True)

    async def keep_fresh(self, board: Board) -> None:
        pass

    def verdict(self, checks: Sequence[Check]) -> None:
        width = max(len(check.claim) for check in checks)
        for check in checks:
            print(f"{'ok' if check.ok else 'FAILED':<7} {check.claim:<{width}}  {check.measured}")
        print(last_line(checks), flush=True)


class LiveTable:
    """A table of the candidates, redrawn below the events."""

    def __init__(self, console: Console) -> None:
        self._began = now()
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)

    def __enter__(self) -> Self:
        self._live.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._live.__exit__(kind, error, traceback)

    def say(self, at: float, who: str, what: str) -> None:
        style = "bold cyan" if who == "demo" else "green" if what.startswith("leads") else ""
        self._console.print(Text(f"{at - self._began:7.3f} {who:<7} {what}", style))

    async def keep_fresh(self, board: Board) -> None:
        while True:
            self._live.update(table(board, now()), refresh=True)
            await asyncio.sleep(FRAME)

    def verdict(self, checks: Sequence[Check]) -> None:
        outcome = Table(box=None, padding=(0, 2, 0, 0), show_header=False)
        for check in checks:
            word = Text("ok", "green") if check.ok else Text("FAILED", "bold red")
            outcome.add_row(word, Text(check.claim), Text(check.measured))
        style = "bold green" if all(check.ok for check in checks) else "bold red"
        self._console.print(outcome, Text(last_line(checks), style))


def table(board: Board, at: float) -> Group:
    """Who leads, for how long yet, and who follows."""
    shown = Table(box=SIMPLE_HEAD)
    shown.add_column("candidate", no_wrap=True, min_width=9)
    shown.add_column("pid", justify="right", no_wrap=True, min_width=6)
    shown.add_column("state", no_wrap=True, min_width=18)
    for heading in ("term", "token", "remaining"):
        shown.add_column(heading, justify="right", no_wrap=True)
    shown.add_column("", width=BAR)
    for row in board.rows.values():
        shown.add_row(*_cells(board, row, at))
    return Group(shown, Text(f" etcd says: {board.observed}", "dim"))


def _cells(board: Board, row: Row, at: float) -> list[Text | ProgressBar]:
    who = [row.name, str(row.pid), row.state]
    if row.token is None:
        return [Text(cell, "dim" if row.exit is not None else "") for cell in who]
    remaining = max(0.0, row.deadline - at)
    term = [str(board.tenures[row.token].number), str(row.token), f"{remaining:.1f} s"]
    bar = ProgressBar(board.lease_timeout, remaining, width=BAR, complete_style="green", finished_style="green")
    return [*(Text(cell, "bold green") for cell in who + term), bar]
