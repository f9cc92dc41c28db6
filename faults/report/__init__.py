"""Shows a run and its verdict: one page that needs nothing else, and the same figures as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import jinja2

from faults.checker import History, Verdict, judge
from faults.records import Record
from faults.report.distribution import Distribution, distribution
from faults.report.table import Row, table
from faults.report.timeline import Timeline, clock, overview, timeline

VIOLATIONS_LISTED = 200

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """A run, judged and shown."""

    verdict: Verdict
    html: str
    json: str

    def write(self, page: Path) -> Path:
        """Write the page, and the JSON beside it, whose path is returned."""
        beside = page.with_suffix(".json")
        page.write_text(self.html, encoding="utf-8")
        beside.write_text(self.json, encoding="utf-8")
        return beside


def report(records: Iterable[Record]) -> Report:
    """Judge a run by its records, and show it."""
    history = History(records)
    verdict = judge(history)
    rows = table(history, verdict.figures)
    return Report(verdict, _page(history, verdict, rows), json.dumps(_figures(history, verdict, rows), indent=1) + "\n")


def _page(history: History, verdict: Verdict, rows: list[Row]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=seconds, clock=clock, percent=percent)
    shown: Distribution = distribution(verdict.figures.failovers)
    drawn: Timeline = timeline(history, verdict)
    return environment.get_template("page.html.j2").render(
        run=history.run,
        begin=history.begin,
        verdict=verdict,
        figures=verdict.figures,
        listed=list(enumerate(verdict.violations[:VIOLATIONS_LISTED], start=1)),
        timeline=drawn,
        overview=overview(history, verdict),
        distribution=shown,
        rows=rows,
    )


def _figures(history: History, verdict: Verdict, rows: list[Row]) -> dict[str, Any]:
    run = history.run
    figures = dataclasses.asdict(verdict.figures)
    spreads = {end.value: dataclasses.asdict(spread) for end, spread in verdict.figures.spreads().items()}
    return {
        "title": run.title,
        "seed": run.seed,
        "ttl": run.ttl,
        "election_timeout": run.election_timeout,
        "contenders": run.contenders,
        "versions": run.versions,
        "ok": verdict.ok,
        "violations": [{**dataclasses.asdict(each), "at": each.at - history.begin} for each in verdict.violations],
        "warnings": verdict.warnings,
        "figures": {
            **figures,
            "failovers": [{**each, "at": each["at"] - history.begin} for each in figures["failovers"]],
            "failover_times": spreads,
        },
        "faults": [dataclasses.asdict(each) for each in rows],
    }


def _printable(value: Any) -> Any:
    """What XML can hold of it: a name may be anything."""
    return _NOT_IN_XML.sub("\N{REPLACEMENT CHARACTER}", value) if isinstance(value, str) else value


def seconds(value: float | None) -> str:
    """Such as ``4.2 ms`` or ``2.05 s``."""
    if value is None:
        return "–"
    if abs(value) < 0.0995:
        return f"{value * 1000:.1f} ms"
    return f"{value:.2f} s" if abs(value) < 99.5 else f"{value:.0f} s"


def percent(value: float | None) -> str:
    """Such as ``98.7 %``."""
    return "–" if value is None else f"{value * 100:.1f} %"
