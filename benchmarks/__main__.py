"""``python -m benchmarks``: measure, show, and write the documentation's page."""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
from pathlib import Path

from benchmarks.figure import Plan
from benchmarks.figures import NAMES, figures
from benchmarks.machine import machine, versions
from benchmarks.report import page, table
from benchmarks.results import Results
from benchmarks.runner import measure
from benchmarks.servers import servers

DOCS = Path(__file__).parent.parent / "docs"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="What the library costs.")
    parser.add_argument("figures", nargs="*", metavar="FIGURE", help=f"of {', '.join(NAMES)}; all, if none is named")
    parser.add_argument("--quick", action="store_true", help="a few samples of little: to see that it works")
    parser.add_argument("--rounds", type=int, metavar="N", help="so many, for each figure")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write what is measured")
    parser.add_argument("--into", type=Path, metavar="FILE", help="put it in place of what was written there before")
    parser.add_argument("--read", type=Path, metavar="FILE", help="measure nothing: show what was written")
    parser.add_argument("--docs", type=Path, metavar="FOLDER", help=f"write the page and its plots, as to {DOCS}")
    chosen = parser.parse_args()
    if unknown := set(chosen.figures) - set(NAMES):
        parser.error(f"no such figure: {', '.join(sorted(unknown))}")
    return chosen


async def run(names: tuple[str, ...], *, quick: bool, rounds: int | None, json: Path | None) -> Results:
    """Measure these figures; what is measured is written after each."""
    async with servers(quick=quick, zookeeper="handover" in names or "campaign" in names) as (place, etcd):
        results = Results(machine(), versions(etcd.version), quick)
        for figure in figures(names):
            plan = figure.quick if quick else figure.full
            if rounds is not None:
                plan = Plan(rounds, plan.samples)
            results.figures.append(await measure(figure, place, plan, say))
            if json:
                results.write(json)
    return results


def say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def main() -> None:
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that the servers end too
    chosen = arguments()
    if chosen.read:
        results = Results.read(chosen.read)
    else:
        names = tuple(name for name in NAMES if name in chosen.figures) or NAMES
        results = asyncio.run(run(names, quick=chosen.quick, rounds=chosen.rounds, json=chosen.json))
    if chosen.into:
        results, anew = Results.read(chosen.into), results
        results.replace(anew)
        results.write(chosen.into)
    if chosen.docs:
        from benchmarks.report import plots  # noqa: PLC0415 (not everybody has matplotlib)

        plots.write(results, chosen.docs / "benchmarks")
        (chosen.docs / "benchmarks.md").write_text(page.text(results))
    table.show(results)


if __name__ == "__main__":
    main()
