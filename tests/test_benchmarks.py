"""The benchmarks run, and their figures, goals and page are there. How fast anything is, is not judged here."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from benchmarks.figure import FLOOR, OURS, Goal
from benchmarks.figures import NAMES, figures
from benchmarks.report.page import text
from benchmarks.results import MeasureResult, Results, verdicts

ROOT = Path(__file__).parent.parent

QUICK = ("campaign_shared", "guarded_txn", "check", "renewal", "observers")


def test_a_quick_run(tmp_path: Path) -> None:
    written = tmp_path / "results.json"
    command = [sys.executable, "-m", "benchmarks", "--quick", "--json", str(written), *QUICK]
    if importlib.util.find_spec("matplotlib"):
        command += ["--docs", str(tmp_path)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)
    assert run.returncode == 0, run.stderr
    results = Results.read(written)
    assert [figure.name for figure in results.figures] == list(QUICK)
    for figure, planned in zip(results.figures, figures(QUICK), strict=True):
        assert not figure.not_run
        for measure in figure.measures:
            assert measure.samples[OURS], f"{figure.name}: {measure.name} was not measured"
        assert set(figure.measures[0].samples) == set(planned.sides)
        assert figure.title in run.stdout
    if "--docs" in command:
        assert (tmp_path / "benchmarks.md").read_text() == text(results)


def test_every_figure_has_its_name_and_something_to_measure() -> None:
    every = figures()
    assert [figure.name for figure in every] == list(NAMES)
    for figure in every:
        assert figure.measures and figure.sides
        for measure in figure.measures:
            for goal in measure.goals:
                sides = {goal.side, *(goal.of.split(", ") if goal.of else ())}
                assert sides <= set(figure.sides), f"{figure.name}: a goal names a side that there is not"


def measured(*goals: Goal) -> MeasureResult:
    return MeasureResult("time", "time", "s", goals, {OURS: [1.0, 2.0, 9.0], FLOOR: [1.0, 1.0, 4.0], "peer": [4.0]})


def test_a_goal_is_judged_by_medians() -> None:
    close, far = verdicts(measured(Goal(2.0, FLOOR), Goal(1.9, FLOOR)))
    assert (close.value, close.met, far.met) == (2.0, True, False)


def test_a_goal_of_several_peers_is_judged_for_each() -> None:
    first, second, third = verdicts(measured(Goal(1.0, "floor, peer, another")))
    assert (first.met, second.met, third.met) == (False, True, None), "one that did not run decides nothing"


def test_goals_by_themselves_above_another_and_by_p99() -> None:
    alone, above, tail = verdicts(measured(Goal(2.0), Goal(0.5, FLOOR, how="above"), Goal(8.0, statistic="p99")))
    assert (alone.met, above.met, tail.met) == (True, False, False)
    assert (above.value, tail.value) == (1.0, 9.0)


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    results = Results({"cores": "2"}, {"etcd": "3.5"}, quick=True)
    results.write(tmp_path / "results.json")
    assert Results.read(tmp_path / "results.json") == results
