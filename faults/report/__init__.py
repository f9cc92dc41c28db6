"""Shows runs and their verdict: one page that needs nothing else, and the same figures as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import jinja2

from faults.checker import History, Verdict, Violation, judge, total
from faults.records import Record
from faults.report.distribution import distribution
from faults.report.table import Row, table
from faults.report.timeline import FIRST_MINUTES, clock, overview, timeline

VIOLATIONS_LISTED = 200

_NOT_IN_XML = re.compile("[^\t\n\r -\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """Runs, judged, added up and shown."""

    verdict: Verdict
    html: str
    json: str

    def write(self, page: Path) -> Path:
        """Write the page, and the JSON beside it, whose path is returned."""
        beside = page.with_suffix(".json")
        page.write_text(self.html, encoding="utf-8")
        beside.write_text(self.json, encoding="utf-8")
        return beside


@dataclasses.dataclass(frozen=True, slots=True)
class Part:
    """One of the runs of a page."""

    number: int
    history: History
    verdict: Verdict
    first: int
    """The number of its first violation."""

    @property
    def violations(self) -> list[tuple[int, Violation]]:
        return list(enumerate(self.verdict.violations, start=self.first))


def report(*runs: Iterable[Record]) -> Report:
    """Judge runs by their records, add them up, and show them."""
    parts: list[Part] = []
    first = 1
    for number, records in enumerate(runs, start=1):
        history = History(records)
        parts.append(Part(number, history, judge(history), first))
        first += len(parts[-1].verdict.violations)
    whole = total([each.verdict for each in parts])
    rows = table([each.history for each in parts], whole.figures)
    return Report(whole, _page(parts, whole, rows), json.dumps(_figures(parts, whole, rows), indent=1) + "\n")


def _page(parts: Sequence[Part], whole: Verdict, rows: list[Row]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        finalize=_printable,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(seconds=seconds, clock=clock, percent=percent)
    minutes = max(1, FIRST_MINUTES // len(parts))
    return environment.get_template("page.html.j2").render(
        run=parts[0].history.run,
        parts=parts,
        verdict=whole,
        figures=whole.figures,
        violations_listed=VIOLATIONS_LISTED,
        timelines=[timeline(each.history, each.verdict, minutes, each.first) for each in parts],
        overviews=[overview(each.history, each.verdict) for each in parts],
        distribution=distribution(whole.figures.failovers),
        rows=rows,
    )


def _figures(parts: Sequence[Part], whole: Verdict, rows: list[Row]) -> dict[str, Any]:
    return {
        "ok": whole.ok,
        "runs": [_run(each) for each in parts],
        "violations": [
            {"number": number, "run": part.number, **dataclasses.asdict(each), "at": each.at - part.history.begin}
            for part in parts
            for number, each in part.violations
        ],
        "warnings": whole.warnings,
        "figures": {name: value for name, value in dataclasses.asdict(whole.figures).items() if name != "failovers"},
        "failover_times": {end.value: dataclasses.asdict(each) for end, each in whole.figures.spreads().items()},
        "faults": [dataclasses.asdict(each) for each in rows],
    }


def _run(part: Part) -> dict[str, Any]:
    run, figures = part.history.run, part.verdict.figures
    return {
        "title": run.title,
        "seed": run.seed,
        "ttl": run.ttl,
        "election_timeout": run.election_timeout,
        "contenders": run.contenders,
        "versions": run.versions,
        "seconds": figures.seconds,
        "failovers": [{**dataclasses.asdict(each), "at": each.at - part.history.begin} for each in figures.failovers],
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
