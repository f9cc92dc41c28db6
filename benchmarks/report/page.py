"""The page of the documentation, made from what was measured and from nothing else, but for what is said of misses."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.peers import NOT_RUN, PEERS
from benchmarks.report import HANDOVER_PLOT, SCALE_PLOT, amount, goal_told, value_told
from benchmarks.report.misses import WHY
from benchmarks.results import FigureResult, Results, verdicts

HEAD = """\
# Benchmarks

What the library costs, beside the floor (the same exchange over bare gRPC stubs) and beside what else one could use.
The sides of a figure are measured in turn, round after round, each in a process of its own, against one etcd member
whose data is on a RAM disk: noise hits all of them alike. `python3 noxfile.py -s bench` measures it anew; this page is
generated.
"""


def text(results: Results) -> str:
    return "\n".join(_lines(results)) + "\n"


def _lines(results: Results) -> Iterator[str]:
    yield HEAD
    yield "Measured on " + "; ".join(f"{name}: {value}" for name, value in results.machine.items() if value) + "."
    yield "With " + ", ".join(f"{name} {value}" for name, value in results.versions.items()) + "."
    if results.quick:
        yield "\n**A quick run, of a few samples: to see that it works, and for nothing else.**"
    yield from _goals(results)
    yield from _peers(results)
    for figure in results.figures:
        yield from _figure(figure)
        if figure.name == "handover":
            yield f"\n![The distribution of hand-over times](benchmarks/{HANDOVER_PLOT})"
        if figure.name == "scale":
            yield f"\n![Cost against the number of leaderships](benchmarks/{SCALE_PLOT})"


def _goals(results: Results) -> Iterator[str]:
    yield "\n## Goals\n"
    yield "| figure | goal | measured | |"
    yield "| --- | --- | --- | --- |"
    missed: list[str] = []
    for figure in results.figures:
        for measure in figure.measures:
            for verdict in verdicts(measure):
                word = {True: "met", False: "**missed**", None: "not measured"}[verdict.met]
                told = goal_told(verdict, measure.unit)
                yield f"| {figure.title}: {measure.title} | {told} | {value_told(verdict, measure.unit)} | {word} |"
                name = f"{figure.name}.{measure.name}"
                if verdict.met is False and name not in missed:
                    missed.append(name)
    for name in missed:
        yield f"\n**{name}**: {WHY.get(name, 'not explained yet')}"


def _peers(results: Results) -> Iterator[str]:
    yield "\n## Peers\n"
    yield "Each as its documentation has it done best.\n"
    yield "| peer | how it is used |"
    yield "| --- | --- |"
    for peer in PEERS:
        yield f"| {peer.name} | {peer.about} |"
    for name, reason in NOT_RUN.items():
        yield f"| {name} | not run: {reason} |"


def _figure(figure: FigureResult) -> Iterator[str]:
    yield f"\n## {figure.title}\n"
    yield figure.about
    for side, note in figure.notes.items():
        yield f"{side}: {note}."
    yield ""
    yield "| | side | median | p99 | samples | ours to it |"
    yield "| --- | --- | ---: | ---: | ---: | ---: |"
    for measure in figure.measures:
        for number, (side, samples) in enumerate(measure.samples.items()):
            ratio = measure.ratio(side)
            cells = (
                measure.title if number == 0 else "",
                side,
                amount(measure.statistic(side), measure.unit),
                amount(measure.statistic(side, "p99"), measure.unit),
                str(len(samples)),
                "" if ratio is None else f"{ratio:.2f}",
            )
            yield f"| {' | '.join(cells)} |"
    for side, reason in figure.not_run.items():
        yield f"\n{side} was not run: {reason.strip().splitlines()[-1] if reason.strip() else 'no answer'}."
