"""`faults.report`: the page of a run, and its figures as JSON."""

from __future__ import annotations

import dataclasses
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from html.parser import HTMLParser
from pathlib import Path

import pytest

from faults.checker import End, Failover, Rule
from faults.checker.history import History
from faults.records import Believed, Fault, Final, Lost, Measured, Record, Run, Truth, write
from faults.report import Report, percent, report, seconds
from faults.report.__main__ import main
from faults.report.distribution import distribution
from faults.report.table import SUCCESSOR, table
from faults.report.timeline import COLOURS, FIRST_MINUTES, MOST_STRIPS, Strip, clock, overview, timeline
from tests.faults_suite.simulator import WHO, Simulation, simulate

RUN = Run(100.0, 42, 2, 1.0, WHO, {"etcd": "3.5.30", "python": "3.11.2"}, "A night of faults")
HTML = "{http://www.w3.org/1999/xhtml}"


def wrong(records: Sequence[Record], count: int = 1) -> list[Record]:
    """The same run, in which somebody believed to lead in a term that he never won, for a moment each time."""
    times = [each.at for each in records if isinstance(each, Truth)]
    middles = [min(times) + (max(times) - min(times)) * (each + 0.5) / count for each in range(count)]
    return [*records, *(Believed("c1", 10**6 + each, at, at + 0.01) for each, at in enumerate(middles))]


def well_formed(html: str) -> ET.Element:
    page = ET.fromstring(html)
    assert page.tag == f"{HTML}html"
    return page


def text(page: ET.Element) -> str:
    return " ".join(" ".join(page.itertext()).split())


@pytest.fixture(scope="module")
def good() -> Report:
    return report(simulate(7, 40))


@pytest.fixture(scope="module")
def bad() -> Report:
    return report(wrong(simulate(7, 40)))


def test_it_tells_what_was_run_and_how_it_ended(good: Report, bad: Report) -> None:
    shown = text(well_formed(good.html))
    for part in ("A run that never was", "seed 7", "etcd 3.5.30", "aioelection 0.1.0", "No violation", "40 terms"):
        assert part in shown
    assert "No violation" not in text(well_formed(bad.html))


def test_it_lists_the_violations_and_marks_them_in_the_picture(good: Report, bad: Report) -> None:
    page = well_formed(bad.html)
    assert bad.verdict.violations
    for number, violation in enumerate(bad.verdict.violations, start=1):
        [row] = [each for each in page.iter(f"{HTML}tr") if each.get("id") == f"v{number}"]
        assert violation.text in text(row)
        assert violation.rule.value in text(row)
        [mark] = [each for each in page.iter(f"{HTML}a") if each.get("href") == f"#v{number}"]
        assert violation.text in text(mark)
    assert not list(well_formed(good.html).iter(f"{HTML}a"))


def test_the_json_has_the_same_figures(bad: Report) -> None:
    figures = json.loads(bad.json)
    [run] = figures["runs"]
    assert run["seed"] == 7
    assert run["versions"]["etcd"] == "3.5.30"
    assert not figures["ok"]
    assert [each["rule"] for each in figures["violations"]] == [each.rule.value for each in bad.verdict.violations]
    assert figures["figures"]["terms"] == 40
    assert figures["figures"]["availability"] == bad.verdict.figures.availability
    assert len(run["failovers"]) == 39
    times = figures["failover_times"]
    assert times["crash"]["count"] == sum(each.end is End.CRASH for each in bad.verdict.figures.failovers)
    assert {each["row"] for each in figures["faults"]} >= {1, 3, 4, 9}
    latest = max(each["at"] for each in figures["violations"])
    assert 0 <= latest <= figures["figures"]["seconds"], "times count from the beginning"


@pytest.mark.parametrize("records", [[], [RUN], [RUN, Final(101.0, (), (), 0)]], ids=["nothing", "a title", "an end"])
def test_an_empty_run(records: list[Record]) -> None:
    made = report(records)
    shown = text(well_formed(made.html))
    assert json.loads(made.json)["figures"]["terms"] == 0
    assert "Nothing was judged" in shown
    assert "No violation" not in shown, "there is nothing to be proud of"


def test_it_needs_nothing_else(bad: Report) -> None:
    """No script, nothing loaded; the names of XML's own dialects are no addresses."""
    page = well_formed(bad.html)
    for element in page.iter():
        assert element.tag.removeprefix(HTML) not in {"script", "link", "iframe", "img", "image", "object", "base"}
        for name, value in element.attrib.items():
            assert name != "src"
            assert name != "href" or value.startswith("#")
            assert not name.startswith("on")
    without = bad.html.replace('xmlns="http://www.w3.org/1999/xhtml"', "")
    assert not re.search(r"https?:|//\w|url\(|@import", without)


class Nesting(HTMLParser):
    """Whether a parser of HTML, not of XML, sees each element closed by its own end."""

    VOID = frozenset({"meta"})

    def __init__(self) -> None:
        super().__init__()
        self.stack: list[str] = []

    def handle_starttag(self, tag: str, attrs: object) -> None:
        if tag not in self.VOID:
            self.stack.append(tag)

    def handle_startendtag(self, tag: str, attrs: object) -> None:
        assert tag in self.VOID or "svg" in self.stack, f"<{tag} /> is not closed in HTML"

    def handle_endtag(self, tag: str) -> None:
        assert self.stack.pop() == tag


def test_a_browser_reads_it_as_html(bad: Report) -> None:
    nesting = Nesting()
    nesting.feed(bad.html)
    nesting.close()
    assert not nesting.stack


HOSTILE = "<script>alert(1)</script>\"'&amp;]]>--><b> \x00\x1b\ud800\uffff{{ 7 * 191 }}"


def test_hostile_names_are_only_text() -> None:
    run = Run(100.0, 1, 2, 1.0, (HOSTILE,), {HOSTILE: HOSTILE}, HOSTILE)
    records: list[Record] = [
        run,
        Truth(101.0, 7, 7, deleted=False, lease_id=1, who=HOSTILE),
        Believed(HOSTILE, 7, 101.1, 110.0),
        Believed(HOSTILE, 8, 105.0, 107.0),
        Fault(HOSTILE, 4, HOSTILE, 103.0, 104.0),
        Measured(4, HOSTILE, 2.0, 1.0),
        Lost(110.0, HOSTILE, 7, HOSTILE),
        Truth(110.0, 9, 7, deleted=True, lease_id=0, who=""),
    ]
    made = report(records)
    page = well_formed(made.html)
    assert not list(page.iter(f"{HTML}script"))
    assert "<script>alert(1)</script>" in text(page)
    assert "1337" not in made.html
    nesting = Nesting()
    nesting.feed(made.html)
    assert not nesting.stack
    made.html.encode()
    made.json.encode()


def test_a_long_run_gives_a_page_of_sane_size_that_says_what_it_shows() -> None:
    made = report(wrong(simulate(3, 1500), count=500))
    assert made.verdict.figures.seconds > 3600
    assert len(made.html) < 1_000_000
    page = well_formed(made.html)
    assert f"Drawn: the first {FIRST_MINUTES} minutes, and the minutes around violations" in text(page)
    assert f"The first 200 of {len(made.verdict.violations)}" in text(page)
    assert len(json.loads(made.json)["violations"]) == len(made.verdict.violations)


# ---------------------------------------------------------------------- the timeline


def strips(records: Sequence[Record]) -> tuple[tuple[Strip, ...], str]:
    made = report(records)
    drawn = timeline(History(records), made.verdict)
    return drawn.strips, drawn.note


def test_a_minute_is_a_strip() -> None:
    records = simulate(7, 40)
    drawn, note = strips(records)
    assert [each.title for each in drawn] == ["0:00 to 1:00", "1:00 to 2:00", "2:00 to 3:00"]
    assert note == ""
    assert [name for name, _ in drawn[0].lanes] == ["the key", *WHO]


def test_each_belief_is_drawn_in_its_lane_in_the_colour_of_its_term() -> None:
    records = Simulation(1, ["resign", "stop", "resign"], follower_faults=False).records
    history = History(records)
    [strip], _ = strips(records)
    lanes = dict(strip.lanes)
    for number, belief in enumerate(history.beliefs):
        [held] = [each for each in strip.bars if f"held the key in term {belief.token}," in each.title]
        [bar] = [each for each in strip.bars if f"believed in term {belief.token}," in each.title]
        assert bar.y == lanes[belief.who]
        assert held.y == lanes["the key"]
        assert bar.colour == held.colour == COLOURS[number]
        assert held.x <= bar.x
        assert bar.x + bar.width <= held.x + held.width + 0.001, "belief ends before the key"
    # Along the axis, as the ticks have it.
    (x0, first_label), (x2, second_label) = strip.ticks[:2]
    assert (first_label, second_label) == ("0:00", "0:02")
    x1 = (x0 + x2) / 2
    first = history.beliefs[0]
    [bar] = [each for each in strip.bars if f"believed in term {first.token}," in each.title]
    assert bar.width == pytest.approx((first.end - first.begin) * (x1 - x0))
    assert bar.x == pytest.approx(x0 + (first.begin - history.begin) * (x1 - x0))


def test_faults_are_drawn_over_what_they_concern() -> None:
    records: list[Record] = [
        RUN,
        Believed("c1", 1, 101.0, 119.0),
        Fault("leader process frozen", 4, "c1", 103.0, 106.0),
        Fault("etcd leader frozen", 10, "m1", 104.0, 107.0),
        Fault("leader key deleted", 22, "c1", 110.0, 110.01, foreign=True),
    ]
    [strip], _ = strips(records)
    lanes = dict(strip.lanes)
    process, etcd, foreign = strip.shades
    assert [each.family for each in strip.shades] == ["process", "etcd", "foreign"]
    assert lanes["c1"] - 3 < process.y < lanes["c1"]
    assert process.height < lanes["c2"] - lanes["c1"]
    assert etcd.y == foreign.y == strip.top
    assert etcd.height == strip.bottom - strip.top
    assert [each.name for each in strip.shades] == [
        "4 leader process frozen",
        "10 etcd leader frozen",
        "22 leader key deleted",
    ]
    assert process.name_y != etcd.name_y, "no name covers another"
    assert foreign.width > 1


def test_a_name_that_does_not_fit_on_the_right_stands_on_the_left() -> None:
    early, late = Fault("something long", 1, "m1", 110.0, 111.0), Fault("something long", 1, "m1", 158.5, 159.5)
    [strip], _ = strips([RUN, early, late, Final(160.0, (), (), 0)])
    assert [each.to_left for each in strip.shades] == [False, True]


def test_names_never_cover_each_other() -> None:
    faults = [Fault(f"fault number {each}", 1, "m1", 100.5 + each * 0.7, 101.0 + each * 0.7) for each in range(80)]
    [strip], _ = strips([RUN, *faults])
    taken: dict[float, list[tuple[float, float]]] = {}
    for shade in strip.shades:
        if shade.name:
            width = 5.0 * len(shade.name)
            begin = shade.x - width if shade.to_left else shade.x
            assert begin >= 0
            assert begin + width <= 1160
            taken.setdefault(shade.name_y, []).append((begin, begin + width))
    assert sum(map(len, taken.values())) > 40
    for spans in taken.values():
        assert all(one[1] <= other[0] for one, other in zip(sorted(spans), sorted(spans)[1:], strict=False))


def test_a_long_run_is_drawn_at_its_beginning_and_around_violations() -> None:
    records: list[Record] = [RUN, Final(100.0 + 3600, (), (0xBAD,), 0), Believed("c9", 5, 1961.0, 1962.0)]
    drawn, note = strips(records)
    # At 31:01, so that the minute before is near; and the lease that was left, at the very end.
    assert [each.title for each in drawn[FIRST_MINUTES:]] == ["30:00 to 31:00", "31:00 to 32:00", "59:00 to 60:00"]
    assert note == "Drawn: the first 10 minutes, and the minutes around violations (13 of 60 minutes)."
    assert "c9" in dict(drawn[0].lanes), "who was not named and yet believed"


def test_violations_beyond_what_is_drawn_are_told() -> None:
    wild = [Believed("c9", 5 + each, 800.0 + 120 * each, 801.0 + 120 * each) for each in range(40)]
    drawn, note = strips([RUN, Believed("c1", 1, 101.0, 102.0), *wild])
    assert FIRST_MINUTES < len(drawn) <= MOST_STRIPS
    assert re.search(r"\d+ violations are outside of these", note)


def test_the_last_moment_is_drawn() -> None:
    """A violation that is told at the end of a run of whole minutes."""
    for length in (60.0, 120.0, 3600.0):
        drawn, _ = strips([RUN, Final(100.0 + length, (), (0xBAD,), 0)])
        assert sum(len(each.marks) for each in drawn) == 1


def test_the_overview_tells_the_time_without_a_leader() -> None:
    # Before the first belief and after the last nobody was expected to lead.
    times = ((120.0, 150.0), (180.0, 200.0), (200.5, 220.0))
    beliefs = [Believed("c1", number, *each) for number, each in enumerate(times, start=1)]
    records: list[Record] = [RUN, *beliefs, Final(220.0, (), (), 0)]
    made = report(records)
    whole = overview(History(records), made.verdict)
    height = sum(each.height for each in whole.bars)
    assert height == pytest.approx(30.5 * 44)
    assert len(whole.bars) == 31
    assert len(whole.marks) == 3, "those who never won, where they began"


# ---------------------------------------------------------------------- the other parts


def test_the_distribution() -> None:
    crashes = [Failover(1, End.CRASH, 0.0, each, 3.0, 1) for each in (1.5, 2.0, 2.5, 3.5)]
    resigned = [Failover(1, End.RESIGN, 0.0, each, None) for each in (0.0, 0.004)]
    drawn = distribution([*crashes, *resigned])
    crash, resign = drawn.histograms
    assert (crash.end, crash.bound, crash.over) == (End.CRASH, 3.0, 1)
    assert (resign.end, resign.bound, resign.bound_x) == (End.RESIGN, None, None)
    assert sum(each[3] for each in crash.bars) == 4
    assert sum(each[3] for each in resign.bars) == 2
    ticks = {label: x for x, label in drawn.ticks}
    assert crash.bound_x is not None
    assert ticks["2 s"] < crash.median_x < crash.bound_x < ticks["5 s"]
    assert ticks["1 ms"] == pytest.approx(drawn.left)
    assert ticks["2 ms"] < resign.median_x < ticks["5 ms"] or resign.median_x == pytest.approx(ticks["2 ms"])
    assert not distribution([]).histograms


def test_the_table_of_faults() -> None:
    faults = [Fault("frozen", 9, "m1", 1.0, 2.0), Fault("frozen", 9, "m2", 3.0, 4.0), Fault("odd", 0, "m2", 5.0, 6.0)]
    measured = [Measured(9, "renewal", 0.1, 0.3), Measured(9, "renewal", 0.4, 0.3), Measured(12, "lost", 1.0, 2.0)]
    records: list[Record] = [*faults, *measured]
    history = History(records)
    made = report(records)
    nine, twelve, odd = table([history], made.verdict.figures)
    assert (nine.row, nine.times, nine.what, nine.count) == (9, 2, "renewal", 2)
    assert (nine.median, nine.worst, nine.bound, nine.ok) == (0.25, 0.4, 0.3, False)
    assert (twelve.row, twelve.times, twelve.ok, twelve.used) == (12, 0, True, 0.5)
    assert (odd.row, odd.names, odd.times, odd.worst) == (0, ("odd",), 1, None)
    assert [each.rule for each in made.verdict.violations] == [Rule.BOUND]


def test_the_table_has_what_the_checker_measured() -> None:
    records = Simulation(5, ["resign", "crash", "resign"], follower_faults=False).records
    made = report(records)
    [row] = table([History(records)], made.verdict.figures)
    [failover] = [each for each in made.verdict.figures.failovers if each.end is End.CRASH]
    assert (row.row, row.what, row.worst, row.bound) == (1, SUCCESSOR, failover.seconds, 3.0)


def test_words_for_numbers() -> None:
    assert [seconds(each) for each in (None, 0.0042, 0.2, 2.046, 3600.0)] == [
        "–",
        "4.2 ms",
        "0.20 s",
        "2.05 s",
        "3600 s",
    ]
    assert [percent(each) for each in (None, 0.9871)] == ["–", "98.7 %"]
    assert [clock(each) for each in (0, 59.4, 61, 3600, -5)] == ["0:00", "0:59", "1:01", "60:00", "-0:05"]
    assert clock(59.9) == "1:00"


# ---------------------------------------------------------------------- the command


def written(folder: Path, records: Sequence[Record]) -> Path:
    """As several processes write it."""
    folder.mkdir()
    shuffled = list(records)
    random.Random(1).shuffle(shuffled)
    for number in range(3):
        with (folder / f"{number}.jsonl").open("w") as file:
            for record in shuffled[number::3]:
                write(file, record)
            file.write('{"kind": "won", "at"')  # killed in the midst of it
    return folder


def test_the_command_writes_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = simulate(7, 10)
    page = tmp_path / "page.html"
    assert main([str(written(tmp_path / "run", records)), "--output", str(page)]) == 0
    assert page.read_text() == report(records).html
    assert json.loads((tmp_path / "page.json").read_text())["ok"]
    assert "0 violations" in capsys.readouterr().out


def test_several_runs_are_added_up(tmp_path: Path) -> None:
    runs = [simulate(7, 20), wrong(simulate(8, 30)), wrong(simulate(9, 10))]
    alone = [report(each) for each in runs]
    folders = [str(written(tmp_path / str(number), each)) for number, each in enumerate(runs)]
    assert main([*folders, "--output", str(tmp_path / "page.html")]) == 1
    figures = json.loads((tmp_path / "page.json").read_text())
    assert [each["seed"] for each in figures["runs"]] == [7, 8, 9]
    assert [each["run"] for each in figures["violations"]] == [
        number for number, each in enumerate(alone, start=1) for _ in each.verdict.violations
    ]
    for name in ("seconds", "terms", "faults", "observations", "guarded_accepted", "unguarded_violations"):
        assert figures["figures"][name] == pytest.approx(sum(getattr(each.verdict.figures, name) for each in alone))
    assert figures["figures"]["appends"]["applied"] == sum(each.verdict.figures.appends["applied"] for each in alone)
    assert figures["figures"]["longest_gap"] == max(each.verdict.figures.longest_gap for each in alone)
    crashes = sum(end.end is End.CRASH for each in alone for end in each.verdict.figures.failovers)
    assert figures["failover_times"]["crash"]["count"] == crashes
    injected = sum(row["times"] for each in alone for row in json.loads(each.json)["faults"] if row["row"] == 1)
    assert sum(row["times"] for row in figures["faults"] if row["row"] == 1) == injected
    page = well_formed((tmp_path / "page.html").read_text())
    assert "3 runs under faults" in text(page)
    marks = {each.get("href") for each in page.iter(f"{HTML}a")}
    assert marks == {f"#v{number}" for number in range(1, len(figures["violations"]) + 1)}


def test_the_command_fails_on_a_violation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records = wrong(simulate(7, 10))
    assert main([str(written(tmp_path / "run", records)), "--output", str(tmp_path / "page.html")]) == 1
    assert Rule.WINNER.value in capsys.readouterr().out


def test_the_command_fails_where_nothing_was_judged(tmp_path: Path) -> None:
    assert main([str(written(tmp_path / "run", [RUN])), "--output", str(tmp_path / "page.html")]) == 1


def test_the_command_wants_a_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([str(tmp_path / "none")])
    assert "no such folder" in capsys.readouterr().err


def test_the_record_of_a_run_may_name_no_contenders() -> None:
    well_formed(report([dataclasses.replace(RUN, contenders=(), versions={})]).html)
