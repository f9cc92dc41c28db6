"""Tables of what was measured, from the figures that a run of the fault suite leaves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def faults(path: Path) -> str:
    """What was run, and each kind of fault with what was measured under it, as Markdown."""
    figures = json.loads(path.read_text())
    return "\n".join([*_runs(figures), "", *_rows(figures["faults"])])


def _runs(figures: dict[str, Any]) -> list[str]:
    found = figures["figures"]
    versions = sorted({f"{name} {version}" for run in figures["runs"] for name, version in run["versions"].items()})
    seeds = ", ".join(str(run["seed"]) for run in figures["runs"])
    violations = len(figures["violations"])
    told = (
        f"**{violations or 'No'} violation{'' if violations == 1 else 's'}** in {found['seconds'] / 60:.1f} minutes: "
        f"{found['faults']} faults, {found['terms']} terms, {sum(found['appends'].values()):,} guarded appends; "
        f"{found['availability'] * 100:.1f} % of the time somebody led. "
        f"Fencing refused {found['guarded_refused']} late writes to the guarded register; "
        f"the register without a guard went back {found['unguarded_violations']} times."
    )
    return [told, "", f"Seed{'s' if len(figures['runs']) > 1 else ''} {seeds}; {', '.join(versions)}."]


def _rows(rows: list[dict[str, Any]]) -> list[str]:
    lines = [
        "| row | fault | times | measured | median | worst | bound |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for row in rows:
        cells = [row["row"] or "–", "; ".join(row["names"]), row["times"], row["what"] or "–"]
        cells += [_seconds(row[each]) for each in ("median", "worst", "bound")]
        lines.append("| " + " | ".join(map(str, cells)) + " |")
    return lines


def _seconds(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value * 1000:.1f} ms" if value < 0.1 else f"{value:.2f} s"
