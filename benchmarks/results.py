"""What was measured, as it is written to JSON and read back, and what follows from it."""

from __future__ import annotations

import dataclasses
import json
import statistics
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figure import OURS, Figure, Goal, Plan, Samples


@dataclass(slots=True)
class MeasureResult:
    name: str
    title: str
    unit: str
    goals: tuple[Goal, ...]
    samples: dict[str, list[float]] = field(default_factory=dict)
    """By side."""

    def statistic(self, side: str, which: str = "median") -> float:
        samples = sorted(self.samples[side])
        if which == "median":
            return statistics.median(samples)
        return samples[min(len(samples) - 1, int(len(samples) * 0.99))]

    def ratio(self, side: str) -> float | None:
        """Ours to that side's, by their medians."""
        if OURS not in self.samples or side not in self.samples or side == OURS:
            return None
        other = self.statistic(side)
        return self.statistic(OURS) / other if other else None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a goal was met: ``value`` against ``goal.limit``; no value where a side did not run."""

    goal: Goal
    of: str | None
    value: float | None

    @property
    def met(self) -> bool | None:
        return None if self.value is None else self.value <= self.goal.limit


def verdicts(measure: MeasureResult) -> list[Verdict]:
    found: list[Verdict] = []
    for goal in measure.goals:
        others: list[str | None] = [*goal.of.split(", ")] if goal.of else [None]
        for other in others:
            if goal.side not in measure.samples or (other is not None and other not in measure.samples):
                found.append(Verdict(goal, other, None))
                continue
            value = measure.statistic(goal.side, goal.statistic)
            if other is not None:
                base = measure.statistic(other, goal.statistic)
                value = value - base if goal.how == "above" else value / base
            found.append(Verdict(goal, other, value))
    return found


@dataclass(slots=True)
class FigureResult:
    name: str
    title: str
    about: str
    rounds: int
    measures: list[MeasureResult]
    notes: dict[str, str] = field(default_factory=dict)
    not_run: dict[str, str] = field(default_factory=dict)
    """Sides that could not be measured, and why."""

    @classmethod
    def of(cls, figure: Figure, plan: Plan) -> FigureResult:
        measures = [MeasureResult(each.name, each.title, each.unit, each.goals) for each in figure.measures]
        return cls(figure.name, figure.title, figure.about, plan.rounds, measures, dict(figure.notes))

    def add(self, side: str, samples: Samples) -> None:
        for measure in self.measures:
            if measure.name in samples:
                rounded = [float(f"{value:.5g}") for value in samples[measure.name]]
                measure.samples.setdefault(side, []).extend(rounded)


@dataclass(slots=True)
class Results:
    """One run."""

    machine: dict[str, str]
    versions: dict[str, str]
    quick: bool
    figures: list[FigureResult] = field(default_factory=list)

    def figure(self, name: str) -> FigureResult | None:
        return next((each for each in self.figures if each.name == name), None)

    def replace(self, results: Results) -> None:
        """Take over what has been measured anew."""
        anew = {each.name: each for each in results.figures}
        self.figures = [anew.pop(each.name, each) for each in self.figures] + list(anew.values())

    def write(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(dataclasses.asdict(self)) + "\n")

    @classmethod
    def read(cls, path: Path) -> Results:
        data = json.loads(path.read_text())
        return cls(data["machine"], data["versions"], data["quick"], [_figure(each) for each in data["figures"]])


def _figure(data: dict[str, Any]) -> FigureResult:
    measures = [
        MeasureResult(**{**each, "goals": tuple(Goal(**goal) for goal in each["goals"])}) for each in data["measures"]
    ]
    return FigureResult(**{**data, "measures": measures})
