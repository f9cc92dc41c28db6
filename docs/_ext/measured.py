"""Tables of what was measured, from the figures that a run of the fault suite leaves."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def faults(path: Path) -> str:
    """What was run, and each kind of fault with what was measured under it, as Markdown."""
    figures = json.loads(path.read_text())
    return "\n".join([*_runs(figures), "", *_rows(figures["faults"]), "", *_failovers(figures["failover_times"])])


def _runs(figures: dict[str, Any]) -> list[str]:
    found = figures["figures"]
    versions = sorted({f"{name} {version}" for run in figures["runs"] for name, version in run["versions"].items()})
    seeds = ", ".join(str(run["seed"]) for run in figures["runs"])
    violations = len(figures["violations"])
    again = found["unguarded_violations"]
    told = (
        f"**{violations or 'No'} violation{'' if violations == 1 else 's'}** in {found['seconds'] / 60:.1f} minutes: "
        f"{found['faults']} faults, {found['terms']} terms, {sum(found['appends'].values()):,} guarded appends; "
        f"{found['availability'] * 100:.1f} % of the time somebody led. "
        f"Fencing refused {found['guarded_refused']} late writes to the guarded register; "
        f"the register without a guard went back {again} times."
    )
    return [told, "", f"Seed{'s' if len(figures['runs']) > 1 else ''} {seeds}; {', '.join(versions)}."]


def _rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    """At random most faults overlap others, and nothing is measured of each by itself."""
    measured = [name for name in ("what", "median", "worst", "bound") if any(row[name] for row in rows)]
    yield from _head("row", "fault", "times", *("measured" if name == "what" else name for name in measured))
    for row in rows:
        cells = [row["row"] or "–", "; ".join(row["names"]), row["times"]]
        cells += [row[name] or "–" if name == "what" else _value(row, name) for name in measured]
        yield _line(*cells)


def _value(row: dict[str, Any], name: str) -> str:
    """Where nothing may be lost the bound is 0."""
    if row["bound"] == 0 and not row[name]:
        return "no loss" if name == "bound" else "none lost"
    return _seconds(row[name])


def _failovers(times: dict[str, dict[str, float]]) -> Iterator[str]:
    yield from _head("from the end of a term by … to the next win", "times", "median", "99 %", "most")
    for end, found in times.items():
        yield _line(end, found["count"], *(_seconds(found[each]) for each in ("median", "p99", "most")))


def _head(*names: str) -> Iterator[str]:
    yield _line(*names)
    yield _line(*("---" for _ in names))


def _line(*cells: object) -> str:
    return "| " + " | ".join(map(str, cells)) + " |"


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"
