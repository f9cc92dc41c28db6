"""Failover times as a distribution: a histogram for each kind of end, on a common logarithmic scale."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

from faults.checker import End, Failover, Spread

WIDTH, LEFT, RIGHT = 1160, 210, 24
ROW, BARS, TOP = 86, 50, 26
BINS_PER_DECADE = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Histogram:
    """Of one kind."""

    end: End
    spread: Spread
    bound: float | None
    over: int
    """How many took longer than they were allowed."""
    y: float
    """Of its base line."""
    bars: tuple[tuple[float, float, float, int, str], ...]
    """x, width, height, how many, between which times."""
    median_x: float
    bound_x: float | None


@dataclasses.dataclass(frozen=True, slots=True)
class Distribution:
    """The picture."""

    width: int
    height: float
    left: int
    right: int
    histograms: tuple[Histogram, ...]
    ticks: tuple[tuple[float, str], ...]


def distribution(failovers: Sequence[Failover]) -> Distribution:
    """Lay it out."""
    by_end = {end: [each for each in failovers if each.end is end] for end in End}
    by_end = {end: those for end, those in by_end.items() if those}
    seen = [_shown(each.seconds) for each in failovers] + [each.bound for each in failovers if each.bound]
    low = math.floor(math.log10(min(seen, default=0.001)))
    high = max(low + 1, math.ceil(math.log10(max(seen, default=1.0))))

    def x(value: float) -> float:
        return LEFT + (math.log10(value) - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    histograms = []
    for number, (end, those) in enumerate(by_end.items()):
        counts = [0] * ((high - low) * BINS_PER_DECADE)
        for failover in those:
            counts[min(len(counts) - 1, int((math.log10(_shown(failover.seconds)) - low) * BINS_PER_DECADE))] += 1
        edges = [10 ** (low + step / BINS_PER_DECADE) for step in range(len(counts) + 1)]
        bars = tuple(
            (
                x(since),
                x(until) - x(since) - 1.5,
                BARS * each / max(counts),
                each,
                f"{_time(since)} to {_time(until)}",
            )
            for (since, until), each in zip(itertools.pairwise(edges), counts, strict=True)
            if each
        )
        spread = Spread.of(each.seconds for each in those)
        bound = next((each.bound for each in those if each.bound is not None), None)
        over = sum(each.bound is not None and each.seconds > each.bound + each.stalled for each in those)
        y = TOP + number * ROW + BARS
        bound_x = None if bound is None else x(bound)
        histograms.append(Histogram(end, spread, bound, over, y, bars, x(_shown(spread.median)), bound_x))
    ticks = [(x(step * 10**decade), _time(step * 10**decade)) for decade in range(low, high) for step in (1, 2, 5)] + [
        (x(10**high), _time(10**high))
    ]
    return Distribution(WIDTH, TOP + len(histograms) * ROW + 10, LEFT, RIGHT, tuple(histograms), tuple(ticks))


def _shown(value: float) -> float:
    """A logarithm needs something to begin with, and what is below a millisecond is all the same."""
    return max(value, 0.001)


def _time(value: float) -> str:
    return f"{value * 1000:.3g} ms" if value < 0.9995 else f"{value:.3g} s"
