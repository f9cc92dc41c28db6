"""What was measured, as a table in the terminal, as plots, and as a page of the documentation."""

from __future__ import annotations

from benchmarks.results import Verdict

HANDOVER_PLOT, SCALE_PLOT = "handover.svg", "scale.svg"


def amount(value: float, unit: str) -> str:
    """A number of that unit, with three digits that count."""
    if unit == "of a core":
        return f"{value:.2%}"
    if unit == "B":
        return f"{value / 1024:.3g} KiB"
    if unit == "s":
        for factor, name in ((1.0, "s"), (1e3, "ms"), (1e6, "µs")):
            if value * factor >= 1:
                return f"{value * factor:.3g} {name}"
        return f"{value * 1e9:.3g} ns"
    return f"{value:.3g}"


def goal_told(verdict: Verdict, unit: str) -> str:
    """As in "at most 1.15 of the floor"."""
    goal = verdict.goal
    prefix = "" if goal.statistic == "median" else f"{goal.statistic} "
    if verdict.of is None:
        return f"{prefix}at most {amount(goal.limit, unit)}"
    of = verdict.of if verdict.of != "floor" else "the floor"
    if goal.how == "above":
        return f"{prefix}at most {amount(goal.limit, unit)} above {of}"
    return f"{prefix}at most {goal.limit:g} of {of}"


def value_told(verdict: Verdict, unit: str) -> str:
    if verdict.value is None:
        return "not measured"
    if verdict.of is None or verdict.goal.how == "above":
        return amount(verdict.value, unit)
    return f"{verdict.value:.2f}"
