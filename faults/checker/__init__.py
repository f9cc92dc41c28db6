"""Judges what was written down during a run: pure functions over the records."""

from __future__ import annotations

from collections.abc import Iterable

from faults.checker.figures import figures, warnings
from faults.checker.history import Belief, History, Tenure
from faults.checker.rules import RULES
from faults.checker.total import total
from faults.checker.verdict import End, Failover, Figures, Rule, Spread, Verdict, Violation
from faults.records import Record

__all__ = [
    "Belief",
    "End",
    "Failover",
    "Figures",
    "History",
    "Rule",
    "Spread",
    "Tenure",
    "Verdict",
    "Violation",
    "check",
    "judge",
    "total",
]


def check(records: Iterable[Record]) -> Verdict:
    """Judge a run by its records."""
    return judge(History(records))


def judge(history: History) -> Verdict:
    """Judge a run."""
    violations = sorted((each for rule in RULES for each in rule(history)), key=lambda each: each.at)
    found = figures(history)
    return Verdict(tuple(violations), found, tuple(warnings(history, found)))
