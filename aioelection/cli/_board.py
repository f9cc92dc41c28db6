"""What the demo knows of its candidates and their terms, from their reports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, replace

from aioelection.cli._checks import Term
from aioelection.cli._reports import Holds, Led, Moved, Report, Won, now

Say = Callable[[float, str, str], None]
"""Tell what happened: when, to whom, what."""


@dataclass
class Row:
    """A candidate as it was last heard of."""

    name: str
    pid: int
    state: str = "starting"
    token: int | None = None
    deadline: float = 0.0
    exit: int | None = None


@dataclass(frozen=True)
class Tenure:
    """A term that was heard of; ``ended`` once it is known how long it was held."""

    number: int
    term: Term
    ended: bool = False


class Board:
    """The candidates by name and the terms by token, in the order in which they were heard of."""

    def __init__(self, say: Say, lease_timeout: int) -> None:
        self.lease_timeout = lease_timeout
        self.rows: dict[str, Row] = {}
        self.tenures: dict[int, Tenure] = {}
        self.observed = "nobody knows yet who leads"
        self._say = say
        self._news = asyncio.Event()

    @property
    def leader(self) -> Term | None:
        """The latest term whose end was not heard of."""
        return next((each.term for each in reversed(self.tenures.values()) if not each.ended), None)

    @property
    def terms(self) -> list[Term]:
        return [each.term for each in self.tenures.values()]

    def started(self, name: str, pid: int) -> None:
        self.rows[name] = Row(name, pid)

    def ended(self, name: str, status: int) -> None:
        """A process was reaped. What it still held it cannot have believed for longer than until now."""
        row = self.rows[name]
        row.exit, row.token = status, None
        row.state = f"exit status {status}" if status >= 0 else f"killed by signal {-status}"
        at = now()
        self._say(at, name, row.state)
        for token, each in self.tenures.items():
            if each.term.holder == name and not each.ended:
                self._end(token, each.term.since, at)
        self._news.set()

    def heard(self, name: str, report: Report) -> None:
        row = self.rows[name]
        match report:
            case Moved(at, previous, current, reason):
                row.state = current
                if previous != current:
                    self._say(at, name, f"{previous} -> {current}" + (f" ({reason})" if reason else ""))
            case Won(at, token):
                # Until its end is told, a term may last for ever.
                tenure = Tenure(len(self.tenures) + 1, Term(name, token, at, at, float("inf")))
                self.tenures[token] = tenure
                row.token = token
                self._say(at, name, f"leads: term {tenure.number}, token {token}")
            case Holds(_, _, deadline):
                row.deadline = deadline
            case Led(at, token, since, until):
                self._end(token, since, until)
                row.token = None
                self._say(at, name, f"no longer leads: term {self.tenures[token].number} lasted {until - since:.3f} s")
        self._news.set()

    async def until(self, condition: Callable[[], bool], timeout: float) -> bool:
        """Wait until the reports make it true; ``False`` if that takes longer."""
        try:
            async with asyncio.timeout(timeout):
                while not condition():
                    self._news.clear()
                    await self._news.wait()
        except TimeoutError:
            return False
        return True

    def _end(self, token: int, since: float, until: float) -> None:
        tenure = self.tenures[token]
        self.tenures[token] = replace(tenure, term=replace(tenure.term, since=since, until=until), ended=True)
