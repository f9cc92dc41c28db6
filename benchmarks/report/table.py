"""The result as tables in a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from benchmarks.report import amount, goal_told, value_told
from benchmarks.results import FigureResult, Results, verdicts


def show(results: Results) -> None:
    console = Console()
    for figure in results.figures:
        console.print(_table(figure))
        for side, reason in figure.not_run.items():
            console.print(f"  {side}: not run: {reason.strip().splitlines()[-1] if reason.strip() else 'no answer'}")
        for measure in figure.measures:
            for verdict in verdicts(measure):
                colour = {True: "green", False: "red", None: "yellow"}[verdict.met]
                console.print(
                    f"  {measure.title}: {goal_told(verdict, measure.unit)}: "
                    f"[{colour}]{value_told(verdict, measure.unit)}[/]",
                    highlight=False,
                )


def _table(figure: FigureResult) -> Table:
    table = Table(title=figure.title, title_justify="left", title_style="bold")
    for heading in ("measure", "side"):
        table.add_column(heading)
    for heading in ("median", "p99", "samples", "ours / it"):
        table.add_column(heading, justify="right")
    for measure in figure.measures:
        for number, (side, samples) in enumerate(measure.samples.items()):
            ratio = measure.ratio(side)
            table.add_row(
                measure.title if number == 0 else "",
                side,
                amount(measure.statistic(side), measure.unit),
                amount(measure.statistic(side, "p99"), measure.unit),
                str(len(samples)),
                "" if ratio is None else f"{ratio:.2f}",
            )
    return table
