"""The table of faults: what was done how often, what was measured, and its bound."""

from __future__ import annotations

import dataclasses
import statistics
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from faults.checker import Figures, History


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One kind of fault, and one thing measured under it (``what`` is empty if nothing was)."""

    row: int
    names: tuple[str, ...]
    times: int
    """How often it was injected."""
    what: str = ""
    count: int = 0
    median: float | None = None
    worst: float | None = None
    bound: float | None = None
    stalled: float = 0.0
    """For how long the machine stood still during the worst: the bound holds on top of that."""

    @property
    def ok(self) -> bool:
        """Whether it kept its bound."""
        return self.worst is None or self.bound is None or self.worst <= self.bound + self.stalled

    @property
    def used(self) -> float:
        """How much of its bound the worst took, up to 1."""
        return min(1.0, self.worst / self.bound) if self.worst is not None and self.bound else 0.0


class _Value(NamedTuple):
    seconds: float
    bound: float
    stalled: float


SUCCESSOR = "successor leads (where no other fault overlaps)"


def table(histories: Sequence[History], figures: Figures) -> list[Row]:
    """Of all these runs, by number; what has none comes last."""
    names: dict[int, Counter[str]] = defaultdict(Counter)
    for fault in (each for history in histories for each in history.faults):
        names[fault.row][fault.name] += 1
    measured: dict[int, dict[str, list[_Value]]] = defaultdict(lambda: defaultdict(list))
    for history in histories:
        for each in history.measured:
            stalled = history.stalled(each.begin, each.begin + each.seconds)
            measured[each.row][each.what].append(_Value(each.seconds, each.bound, stalled))
    for failover in figures.failovers:
        if failover.row and failover.bound is not None:
            value = _Value(failover.seconds, failover.bound, failover.stalled)
            measured[failover.row][SUCCESSOR].append(value)
    rows: list[Row] = []
    for number in sorted({*names, *measured}, key=lambda each: (each == 0, each)):
        if number == 0:  # of several kinds
            rows += [Row(0, (name,), times) for name, times in sorted(names[0].items())]
        known = tuple(sorted(names[number])) if number else ()
        times = sum(names[number].values()) if number else 0
        for what, values in sorted(measured[number].items()):
            worst = max(values, key=lambda each: each.seconds - each.bound - each.stalled)
            median = statistics.median(each.seconds for each in values)
            rows.append(Row(number, known, times, what, len(values), median, *worst))
        if number and not measured[number]:
            rows.append(Row(number, known, times))
    return rows
