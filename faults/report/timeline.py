"""Who believed to lead when: the pictures, laid out in plain numbers that the template draws.

A minute is a strip. A long run is not drawn whole: its first minutes, and those around violations.
"""

from __future__ import annotations

import dataclasses
import math
from collections import defaultdict
from collections.abc import Callable

from faults.checker import History, Verdict, Violation
from faults.checker.history import targets
from faults.records import Fault

WIDTH, LEFT, RIGHT = 1160, 84, 14
LANE, GAP, NAME = 17, 5, 13
NAME_ROWS = 6
LETTER = 5.6
"""The width of one, in pixels."""

MINUTE = 60.0
FIRST_MINUTES = 10
AROUND = 20.0
"""Seconds around a violation that are drawn."""
MOST_STRIPS = 24

COLOURS = ("#3d6fb4", "#de9230", "#4a9c74", "#8c66b5", "#4ea6bf", "#b0804a", "#c37da6", "#7f8c46")
"""Of terms, one after the other. Red is for violations alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Bar:
    """A stretch in a lane."""

    x: float
    y: float
    width: float
    height: float
    colour: str
    title: str
    label: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Shade:
    """A fault: its stretch over the lanes that it concerns, and its name above."""

    x: float
    y: float
    width: float
    height: float
    family: str
    """``process``, ``foreign`` or ``etcd``."""
    title: str
    name: str
    name_y: float
    to_left: bool
    """The name stands left of the beginning: it would not fit on the right."""


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A violation, by its number."""

    x: float
    number: int
    title: str


@dataclasses.dataclass(frozen=True, slots=True)
class Strip:
    """A minute, or less."""

    title: str
    height: float
    top: float
    bottom: float
    lanes: tuple[tuple[str, float], ...]
    ticks: tuple[tuple[float, str], ...]
    bars: tuple[Bar, ...]
    shades: tuple[Shade, ...]
    marks: tuple[Mark, ...]


@dataclasses.dataclass(frozen=True, slots=True)
class Timeline:
    """All that is drawn, and a word on what is not."""

    width: int
    left: int
    right: int
    lane: int
    strips: tuple[Strip, ...]
    note: str


@dataclasses.dataclass(frozen=True, slots=True)
class Overview:
    """The whole run in one narrow picture: the time without a leader, and the violations."""

    width: int
    left: int
    right: int
    bars: tuple[Bar, ...]
    ticks: tuple[tuple[float, str], ...]
    marks: tuple[float, ...]
    bucket: float


def clock(seconds: float) -> str:
    """Minutes and seconds since the run began."""
    whole = round(abs(seconds))
    return f"{'-' if seconds < 0 else ''}{whole // 60}:{whole % 60:02}"


def timeline(history: History, verdict: Verdict, first_minutes: int = FIRST_MINUTES, first: int = 1) -> Timeline:
    """Choose the minutes, and lay them out; violations are numbered from ``first`` on."""
    length = max(1.0, history.end - history.begin)
    minutes = math.ceil(length / MINUTE)
    chosen = set(range(min(minutes, first_minutes)))
    for violation in verdict.violations:
        at = violation.at - history.begin
        around = {_minute(min(max(at + shift, 0.0), length), minutes) for shift in (-AROUND, 0.0, AROUND)}
        if len(chosen | around) <= MOST_STRIPS:
            chosen |= around
    note = ""
    if len(chosen) < minutes:
        note = f"Drawn: the first {first_minutes} minutes"
        unseen = sum(_minute(each.at - history.begin, minutes) not in chosen for each in verdict.violations)
        note += ", and the minutes around violations" if verdict.violations else ""
        note += f" ({len(chosen)} of {minutes} minutes)."
        note += f" {unseen} violations are outside of these." if unseen else ""
    span = min(MINUTE, length)
    marked: dict[int, list[tuple[int, Violation]]] = defaultdict(list)
    for number, violation in enumerate(verdict.violations, start=first):
        marked[_minute(violation.at - history.begin, minutes)].append((number, violation))
    strips = tuple(_strip(history, history.begin + each * MINUTE, span, marked[each]) for each in sorted(chosen))
    return Timeline(WIDTH, LEFT, RIGHT, LANE, strips, note)


def _minute(at: float, minutes: int) -> int:
    """The very end belongs to the last one."""
    return min(int(at // MINUTE), minutes - 1)


def _strip(history: History, begin: float, span: float, violations: list[tuple[int, Violation]]) -> Strip:
    end = begin + span

    def x(at: float) -> float:
        return LEFT + (min(max(at, begin), end) - begin) / span * (WIDTH - LEFT - RIGHT)

    def stretch(since: float, until: float) -> tuple[float, float]:
        return x(since), max(1.5, x(until) - x(since))

    faults = history.near(begin, end)
    rows, deepest = _name_rows(faults, x)
    top = 20.0 + deepest * NAME
    who = _contenders(history)
    y = {name: top + GAP + number * (LANE + GAP) for number, name in enumerate(("the key", *who))}
    bottom = top + GAP + len(y) * (LANE + GAP)

    bars: list[Bar] = []
    colours = {token: COLOURS[number % len(COLOURS)] for number, token in enumerate(history.tenures)}
    for tenure in history.tenures.values():
        gone = history.end if tenure.gone is None else tenure.gone
        if tenure.created < end and gone > begin:
            at, width = stretch(tenure.created, gone)
            title = f"{tenure.who} held the key in term {tenure.token}, for {gone - tenure.created:.3f} s"
            label = str(tenure.token) if width > 7 * len(str(tenure.token)) + 4 else ""
            bars.append(Bar(at, y["the key"], width, LANE, colours[tenure.token], title, label))
    for belief in history.beliefs:
        if belief.begin < end and belief.end > begin and belief.who in y:
            at, width = stretch(belief.begin, belief.end)
            title = f"{belief.who} believed in term {belief.token}, for {belief.end - belief.begin:.3f} s"
            label = belief.who if width > 7 * len(belief.who) + 4 else ""
            bars.append(Bar(at, y[belief.who], width, LANE, colours.get(belief.token, "#888"), title, label))

    shades: list[Shade] = []
    for number, fault in enumerate(faults):
        at, width = stretch(fault.begin, fault.end)
        struck = [each for each in targets(fault) if each in who]
        lanes = (y[struck[0]] - 2, LANE + 4) if struck and not fault.foreign else (top, bottom - top)
        family = "foreign" if fault.foreign else "process" if struck else "etcd"
        name = _name(fault) if number in rows else ""
        title = f"{fault.name} ({fault.target}), row {fault.row}, for {fault.end - fault.begin:.3f} s"
        to_left = not _fits(at, name)
        name_y = 16.0 + rows.get(number, 0) * NAME
        shades.append(Shade(at, lanes[0], width, lanes[1], family, title, name, name_y, to_left))

    marks = tuple(Mark(x(each.at), number, f"{each.rule}: {each.text}") for number, each in violations)
    step = next(each for each in (1, 2, 5, 10) if span / each <= 14)
    since = begin - history.begin
    ticks = tuple((x(begin + each), clock(since + each)) for each in range(0, int(span) + 1, step))
    title = f"{clock(since)} to {clock(since + span)}"
    return Strip(title, bottom + 18, top, bottom, tuple(y.items()), ticks, tuple(bars), tuple(shades), marks)


def _contenders(history: History) -> tuple[str, ...]:
    """Those that were named, and whoever else believed to lead."""
    return tuple(dict.fromkeys([*history.run.contenders, *sorted({each.who for each in history.beliefs})]))


def _name(fault: Fault) -> str:
    name = fault.name if len(fault.name) <= 40 else fault.name[:39] + "…"
    return f"{fault.row} {name}" if fault.row else name


def _name_rows(faults: list[Fault], x: Callable[[float], float]) -> tuple[dict[int, int], int]:
    """The row of each name so that none covers another; what has no room goes without."""
    free = [0.0] * NAME_ROWS
    rows: dict[int, int] = {}
    for number, fault in enumerate(faults):
        width = LETTER * len(_name(fault))
        at = x(fault.begin)
        since, until = (at, at + width) if _fits(at, _name(fault)) else (at - width, at)
        row = next((each for each, taken in enumerate(free) if taken <= since), None)
        if row is not None:
            rows[number] = row
            free[row] = until + 12
    return rows, max(rows.values(), default=-1) + 1


def _fits(x: float, name: str) -> bool:
    return x + LETTER * len(name) + 3 <= WIDTH - RIGHT


def overview(history: History, verdict: Verdict) -> Overview:
    """Cut the run into equal parts, and tell how long each had no leader."""
    length = max(1.0, history.end - history.begin)
    parts = min(180, max(1, int(length)))
    bucket = length / parts
    without = [0.0] * parts
    until = history.beliefs[0].begin if history.beliefs else history.end
    for belief in history.beliefs:
        for part in range(int((until - history.begin) / bucket), parts):
            begin = history.begin + part * bucket
            if begin >= belief.begin:  # no more of this gap
                break
            without[part] += max(0.0, min(belief.begin, begin + bucket) - max(until, begin))
        until = max(until, belief.end)
    scale = (WIDTH - LEFT - RIGHT) / parts
    bars = tuple(
        Bar(
            LEFT + part * scale,
            44 * (1 - missing / bucket),
            max(0.5, scale - 1),
            44 * missing / bucket,
            "#8d99ae",
            f"{clock(part * bucket)}: {missing:.1f} s of {bucket:.1f} s without a leader",
        )
        for part, missing in enumerate(without)
        if missing > 0.005 * bucket
    )
    marks = tuple(sorted({round(LEFT + (each.at - history.begin) / bucket * scale, 1) for each in verdict.violations}))
    minutes = math.ceil(length / MINUTE)
    step = MINUTE * next(each for each in (1, 2, 5, 10, 20, 60, 120, 600, 10**6) if minutes / each <= 13)
    ticks = tuple((LEFT + at * step / bucket * scale, clock(at * step)) for at in range(int(length // step) + 1))
    return Overview(WIDTH, LEFT, RIGHT, bars, ticks, marks, bucket)
